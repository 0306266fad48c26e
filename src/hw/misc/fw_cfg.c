/*
 * fw_cfg.c - the firmware configuration device's ports: select, read, DMA.
 *
 * QEMU's published docs/specs/fw_cfg: selector 510h, data 511h, DMA address 514h
 * (big-endian). What is offered stands in the board's table (core/fw_cfg.h). Left out:
 * writes through the data port, which the interface gave up. Vcpu threads under the
 * machine lock.
 */
#include "core/fw_cfg.h"

#include <string.h>

#include "core/board.h"
#include "core/trace.h"
#include "hw/classes.h"

#define DMA_SIGNATURE 0x51454d5520434647ull /* "QEMU CFG" */
#define DMA_ERROR 1u
#define DMA_READ 2u
#define DMA_SKIP 4u
#define DMA_SELECT 8u
#define DMA_WRITE 16u

typedef struct DmaRequest {
	uint32_t control, length;
	uint64_t address;
} DmaRequest; /* big-endian in guest memory */
G_STATIC_ASSERT(sizeof(DmaRequest) == 16);

typedef struct FwCfg {
	Device dev;
	FwCfgTable *table;
	uint16_t key;
	uint32_t offset;
	bool fresh;             /* selected, and not read yet */
	uint64_t dma_address;
	Region ports, dma;
} FwCfg;

static void select_key(FwCfg *s, uint16_t key)
{
	trace_fw_cfg_select(s, key, fw_cfg_lookup(s->table, key) != NULL);
	s->key = key;
	s->offset = 0;
	s->fresh = true;
}

static FwCfgEntry *entry(FwCfg *s)
{
	if (s->fresh && s->table->selected)
		s->table->selected(s->table->opaque, s->key);
	s->fresh = false;
	return fw_cfg_lookup(s->table, s->key);
}

/* Bytes of the item from the present offset on. */
static uint32_t left(const FwCfg *s, const FwCfgEntry *e)
{
	return e && e->data && s->offset < e->size ? e->size - s->offset : 0;
}

static void advance(FwCfg *s, uint32_t n)
{
	s->offset = n > UINT32_MAX - s->offset ? UINT32_MAX : s->offset + n;
}

static uint8_t read_byte(FwCfg *s)
{
	FwCfgEntry *e = entry(s);
	uint8_t value = left(s, e) ? e->data[s->offset] : 0;
	advance(s, 1);
	return value;
}

/* ---- DMA ---- */

static bool dma_read(FwCfg *s, uint64_t addr, uint32_t len)
{
	static const uint8_t zero[GUEST_PAGE_SIZE];
	AddressSpace *mem = s->dev.board->mem;
	FwCfgEntry *e = entry(s);
	uint32_t n = MIN(left(s, e), len);
	bool ok = n == 0 || guest_write(mem, addr, e->data + s->offset, n);

	advance(s, len);
	/* Behind the item everything reads as zero; a fault ends it. */
	while (ok && n < len) {
		uint32_t step = MIN(len - n, (uint32_t)sizeof(zero));
		ok = guest_write(mem, addr + n, zero, step);
		n += step;
	}
	return ok;
}

static bool dma_write(FwCfg *s, uint64_t addr, uint32_t len)
{
	FwCfgEntry *e = entry(s);
	if (!e || !e->writable || len > left(s, e))
		return false;
	bool ok = guest_read(s->dev.board->mem, addr, e->data + s->offset, len);
	advance(s, len);
	return ok;
}

static void dma(FwCfg *s, uint64_t at)
{
	AddressSpace *mem = s->dev.board->mem;
	DmaRequest r;
	bool ok = true;

	if (!guest_read(mem, at, &r, sizeof(r)))
		return; /* nowhere to say so */
	uint32_t control = GUINT32_FROM_BE(r.control), len = GUINT32_FROM_BE(r.length);
	uint64_t addr = GUINT64_FROM_BE(r.address);

	if (control & DMA_SELECT)
		select_key(s, (uint16_t)(control >> 16));
	if (control & DMA_READ)
		ok = dma_read(s, addr, len);
	else if (control & DMA_WRITE)
		ok = dma_write(s, addr, len);
	else if (control & DMA_SKIP)
		advance(s, len);
	uint32_t result = GUINT32_TO_BE(ok ? 0 : DMA_ERROR);
	guest_write(mem, at, &result, sizeof(result));
}

static uint64_t dma_reg_read(void *opaque, uint64_t offset, unsigned size)
{
	/* The register is big-endian: its lowest port is the signature's first letter. */
	uint64_t value = GUINT64_TO_BE(DMA_SIGNATURE) >> (8 * offset);
	return size == 8 ? value : value & (UINT64_MAX >> (64 - 8 * size));
}

static void dma_reg_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	FwCfg *s = opaque;
	if (size == 8 && offset == 0) {
		dma(s, GUINT64_FROM_BE(value));
	} else if (size == 4 && offset == 0) {
		s->dma_address = (uint64_t)GUINT32_FROM_BE((uint32_t)value) << 32;
	} else if (size == 4 && offset == 4) {
		uint64_t at = s->dma_address | GUINT32_FROM_BE((uint32_t)value);
		s->dma_address = 0;
		dma(s, at);
	}
}

/* ---- ports ---- */

static uint64_t ports_read(void *opaque, uint64_t offset, unsigned size)
{
	FwCfg *s = opaque;
	if (size == 1)
		return offset == 1 ? read_byte(s) : 0;
	return 0;
}

static void ports_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	if (size == 2 && offset == 0)
		select_key(opaque, (uint16_t)value);
}

static const RegionOps port_ops = { ports_read, ports_write, 1, 2 };
static const RegionOps dma_ops = { dma_reg_read, dma_reg_write, 1, 8 };

static bool realize(Device *dev, GError **error)
{
	FwCfg *s = (FwCfg *)dev;
	region_init_io(&s->ports, "fwcfg", &port_ops, s, 2);
	region_init_io(&s->dma, "fwcfg.dma", &dma_ops, s, 8);
	as_map(dev->board->io, &s->ports, 0x510, 0);
	as_map(dev->board->io, &s->dma, 0x514, 0);
	return true;
}

static void unrealize(Device *dev)
{
	FwCfg *s = (FwCfg *)dev;
	as_unmap(&s->ports);
	as_unmap(&s->dma);
}

static const Property props[] = { { "table", PROP_PTR, offsetof(FwCfg, table) }, { 0 } };
static const StateField state[] = {
	STATE(FIELD_U16, FwCfg, key, 0),
	STATE(FIELD_U32, FwCfg, offset, 0),
	STATE(FIELD_BOOL, FwCfg, fresh, 1),
	STATE(FIELD_U64, FwCfg, dma_address, 0),
	{ 0 }
};

const DeviceClass fw_cfg_class = {
	.name = "fw_cfg_io", .desc = "firmware configuration", .bus = "system", .size = sizeof(FwCfg),
	.version = 1, .props = props, .state = state, .realize = realize, .unrealize = unrealize,
};
