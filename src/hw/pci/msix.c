/*
 * msix.c - MSI-X capability, table and pending bits.
 *
 * PCI Local Bus Specification 3.0, 6.8.2 and 6.8.3. Left out: MSI, which no device here has.
 * Machine lock held.
 */
#include "hw/pci/msix.h"

#include "core/error.h"

#define CAP_ID 0x11
#define CAP_SIZE 12
#define CONTROL 2        /* message control, offset in the capability */
#define CONTROL_ENABLE 0x8000u
#define CONTROL_MASK 0x4000u
#define TABLE 4
#define PBA 8
#define ENTRY_BYTES 16u
#define VECTOR_MASK 1u   /* 6.8.2.9 */
#define PAGE 4096u

static const StateField vector_state[] = {
	STATE(FIELD_U32, MsixVector, addr_low, 0),
	STATE(FIELD_U32, MsixVector, addr_high, 0),
	STATE(FIELD_U32, MsixVector, data, 0),
	STATE(FIELD_U32, MsixVector, control, VECTOR_MASK),
	STATE(FIELD_BOOL, MsixVector, pending, 0),
	{ 0 }
};
const StateField msix_state[] = {
	STATE_GROUP(Msix, vector, vectors, vector_state, MsixVector),
	STATE(FIELD_BOOL, Msix, enabled, 0),
	STATE(FIELD_BOOL, Msix, masked, 0),
	{ 0 }
};

/* A message is a write of four bytes by the function (6.8.3.1). */
static void send(const Msix *m, MsixVector *v)
{
	Board *board = m->pci->dev.board;
	uint64_t addr = v->addr_low | (uint64_t)v->addr_high << 32;

	v->pending = false;
	if (!pci_master(m->pci))
		return;
	if (addr >> 20 == 0xfee) /* local APICs: Intel SDM volume 3A, 11.11.1 */
		board->msi(board, addr, v->data);
	else
		guest_write(board->mem, addr, &v->data, sizeof(v->data));
}

static bool held_back(const Msix *m, const MsixVector *v)
{
	return m->masked || (v->control & VECTOR_MASK);
}

void msix_notify(Msix *m, unsigned vector)
{
	if (!m->enabled || vector >= m->vectors)
		return;
	MsixVector *v = &m->vector[vector];
	if (held_back(m, v))
		v->pending = true;
	else
		send(m, v);
}

void msix_forget(Msix *m, unsigned vector)
{
	if (vector < m->vectors)
		m->vector[vector].pending = false;
}

static void send_pending(Msix *m)
{
	for (unsigned i = 0; m->enabled && i < m->vectors; i++)
		if (m->vector[i].pending && !held_back(m, &m->vector[i]))
			send(m, &m->vector[i]);
}

static uint32_t *entry_field(MsixVector *v, unsigned offset)
{
	switch (offset & 12) {
	case 0: return &v->addr_low;
	case 4: return &v->addr_high;
	case 8: return &v->data;
	default: return &v->control;
	}
}

static uint64_t region_read(void *opaque, uint64_t offset, unsigned size)
{
	Msix *m = opaque;
	uint32_t value = 0;

	if (offset / ENTRY_BYTES < m->vectors)
		return *entry_field(&m->vector[offset / ENTRY_BYTES], (unsigned)offset);
	if (offset < m->pba)
		return 0;
	uint64_t first = (offset - m->pba) * 8;
	for (unsigned i = 0; i < 32 && first + i < m->vectors; i++)
		value |= (uint32_t)m->vector[first + i].pending << i;
	return value;
}

static void region_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	Msix *m = opaque;

	if (offset / ENTRY_BYTES >= m->vectors)
		return; /* the pending array is the function's (6.8.2.10) */
	MsixVector *v = &m->vector[offset / ENTRY_BYTES];
	uint32_t *field = entry_field(v, (unsigned)offset);
	*field = field == &v->control ? (uint32_t)value & VECTOR_MASK : (uint32_t)value;
	if (m->enabled && v->pending && !held_back(m, v))
		send(m, v);
}

/* Only dwords and qwords are allowed (6.8.2); narrower writes set the rest of the dword to zero. */
static const RegionOps ops = { region_read, region_write, 4, 4 };

static uint64_t power_of_two(uint64_t n)
{
	uint64_t p = PAGE;
	while (p < n)
		p *= 2;
	return p;
}

bool msix_init(Msix *m, PciDevice *pci, unsigned vectors, unsigned bar, GError **error)
{
	if (!vectors || vectors > MSIX_VECTORS_MAX)
		return fail(error, VIV_ERROR_INVALID,
			"Device '%s': MSI-X has 1 to %u vectors, not %u.",
			pci->dev.cls->name, MSIX_VECTORS_MAX, vectors);
	m->cap = pci_add_capability(pci, CAP_ID, CAP_SIZE);
	if (!m->cap)
		return fail(error, VIV_ERROR_FAILED,
			"Device '%s': no room for the MSI-X capability.",
			pci->dev.cls->name);
	m->pci = pci;
	m->vectors = vectors;
	m->vector = g_new0(MsixVector, vectors);
	m->pba = MAX(PAGE / 2, vectors * ENTRY_BYTES);
	uint8_t *c = pci->config + m->cap;
	pci_put16(c + CONTROL, (uint16_t)(vectors - 1));
	pci_put16(pci->writable + m->cap + CONTROL, CONTROL_ENABLE | CONTROL_MASK);
	pci_put32(c + TABLE, bar);
	pci_put32(c + PBA, m->pba | bar);
	region_init_io(&m->region, "msix", &ops, m, power_of_two(m->pba + (vectors + 63) / 64 * 8));
	pci_bar(pci, bar, PCI_BAR_MEM32, &m->region);
	return true;
}

void msix_exit(Msix *m)
{
	if (m->pci)
		as_unmap(&m->region);
	g_free(m->vector);
	m->vector = NULL;
	m->vectors = 0;
}

/* What the state table cannot say: message control is part of the configuration space. */
void msix_reset(Msix *m)
{
	if (m->pci)
		msix_config_written(m, m->cap + CONTROL, 2);
}

void msix_config_written(Msix *m, unsigned offset, unsigned len)
{
	unsigned at = m->cap + CONTROL;
	if (!m->pci || offset > at + 1 || offset + len <= at)
		return;
	uint16_t control = pci_get16(m->pci->config + at);
	m->enabled = control & CONTROL_ENABLE;
	m->masked = control & CONTROL_MASK;
	if (m->enabled)
		pci_set_irq(m->pci, 0); /* the pin is not used any more (6.8.3.3) */
	send_pending(m);
}
