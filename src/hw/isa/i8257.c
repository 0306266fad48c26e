/*
 * i8257.c - the two DMA controllers of a PC, with their page registers.
 *
 * Intel 8237A data sheet; IBM PC/AT Technical Reference for the ports: channels 0 to 3 move
 * bytes, 5 to 7 words, 4 joins the controllers. Left out: memory to memory, cascaded masters,
 * requests by software (stored), timing bits of the command. Vcpu threads and the main loop,
 * under the machine lock.
 */
#include "hw/isa/i8257.h"

#include <string.h>

#include "core/board.h"
#include "hw/classes.h"

#define CHANNELS 8
#define PAGES 16
#define COMMAND_DISABLE 0x04u
#define MODE_AUTO 0x10u
#define MODE_DOWN 0x20u
#define MODE_TYPE(mode) ((mode) >> 2 & 3u)
enum { TYPE_VERIFY = 0, TYPE_TO_MEMORY = 1, TYPE_FROM_MEMORY = 2 };

typedef struct Waiter { void (*fn)(void *opaque); void *opaque; } Waiter;

typedef struct I8257 {
	Device dev;
	/* by channel */
	uint16_t base_addr[CHANNELS], base_count[CHANNELS], addr[CHANNELS], count[CHANNELS];
	uint8_t mode[CHANNELS];
	uint8_t page[PAGES];       /* ports 80h..8Fh */
	/* by controller; four bits each */
	uint8_t command[2], mask[2], request[2], status[2], temporary[2];
	bool flip_flop[2];         /* next is the high byte */
	/* not state */
	Waiter waiter[CHANNELS];
	Region low, high, pages;
} I8257;

/* ---- transfers ---- */

static uint64_t page_base(const I8257 *s, unsigned ch)
{
	static const uint8_t port[CHANNELS] = { 7, 3, 1, 2, 15, 11, 9, 10 };
	uint8_t page = s->page[port[ch]];
	return (uint64_t)(ch < 4 ? page : page & 0xfe) << 16;
}

/* One unit (byte or word) was moved; true: the last one. */
static bool step(I8257 *s, unsigned ch)
{
	unsigned c = ch >> 2, bit = 1u << (ch & 3);

	s->addr[ch] = (uint16_t)(s->addr[ch] + (s->mode[ch] & MODE_DOWN ? -1 : 1));
	if (s->count[ch]--)
		return false;
	s->status[c] |= (uint8_t)bit;
	s->request[c] &= (uint8_t)~bit;
	if (s->mode[ch] & MODE_AUTO) {
		s->addr[ch] = s->base_addr[ch];
		s->count[ch] = s->base_count[ch];
	} else {
		s->mask[c] |= (uint8_t)bit;
	}
	return true;
}

size_t i8257_transfer(Device *dma, unsigned ch, void *buf, size_t len, bool to_memory, bool *tc)
{
	I8257 *s = (I8257 *)dma;
	unsigned c = ch >> 2, unit = ch < 4 ? 1 : 2, type = MODE_TYPE(s->mode[ch]);
	AddressSpace *mem = dma->board->mem;
	uint8_t *p = buf;
	size_t done = 0;

	*tc = false;
	if (s->mask[c] >> (ch & 3) & 1 || (s->command[c] | s->command[1]) & COMMAND_DISABLE)
		return 0;
	if (type != TYPE_VERIFY && type != (to_memory ? TYPE_TO_MEMORY : TYPE_FROM_MEMORY))
		return 0;
	if (type == TYPE_VERIFY && !to_memory)
		memset(buf, 0, len);
	while (done + unit <= len && !*tc) {
		uint64_t at = page_base(s, ch) + (uint64_t)s->addr[ch] * unit;
		if (type == TYPE_TO_MEMORY)
			guest_write(mem, at, p + done, unit);
		else if (type == TYPE_FROM_MEMORY)
			guest_read(mem, at, p + done, unit);
		done += unit;
		*tc = step(s, ch);
	}
	return done;
}

void i8257_on_unmask(Device *dma, unsigned channel, void (*fn)(void *opaque), void *opaque)
{
	((I8257 *)dma)->waiter[channel] = (Waiter){ fn, opaque };
}

/* ---- registers ---- */

static void set_mask(I8257 *s, unsigned c, uint8_t mask)
{
	uint8_t opened = s->mask[c] & (uint8_t)~mask & 15;

	s->mask[c] = mask & 15;
	for (unsigned i = 0; i < 4; i++) {
		const Waiter *w = &s->waiter[4 * c + i];
		if (opened >> i & 1 && w->fn)
			w->fn(w->opaque);
	}
}

static void clear(I8257 *s, unsigned c)
{
	s->command[c] = s->status[c] = s->request[c] = s->temporary[c] = 0;
	s->flip_flop[c] = false;
	s->mask[c] = 15;
}

static uint8_t read_register(I8257 *s, unsigned c, unsigned n)
{
	uint8_t value = 0;

	if (n < 8) {
		unsigned ch = 4 * c + (n >> 1);
		uint16_t word = n & 1 ? s->count[ch] : s->addr[ch];
		value = (uint8_t)(s->flip_flop[c] ? word >> 8 : word);
		s->flip_flop[c] = !s->flip_flop[c];
	} else if (n == 8) {
		value = (uint8_t)(s->status[c] | s->request[c] << 4);
		s->status[c] = 0;
	} else if (n == 13) {
		value = s->temporary[c];
	} else if (n == 15) {
		value = (uint8_t)(s->mask[c] | 0xf0);
	}
	return value;
}

static void write_word(I8257 *s, unsigned c, unsigned n, uint8_t value)
{
	unsigned ch = 4 * c + (n >> 1), shift = s->flip_flop[c] ? 8 : 0;
	uint16_t *base = n & 1 ? &s->base_count[ch] : &s->base_addr[ch];
	uint16_t *now = n & 1 ? &s->count[ch] : &s->addr[ch];

	*base = (uint16_t)((*base & ~(0xff << shift)) | value << shift);
	*now = *base;
	s->flip_flop[c] = !s->flip_flop[c];
}

static void write_register(I8257 *s, unsigned c, unsigned n, uint8_t value)
{
	uint8_t bit = (uint8_t)(1u << (value & 3));

	switch (n) {
	case 8: s->command[c] = value; break;
	case 9:
		s->request[c] = value & 4 ? s->request[c] | bit : s->request[c] & (uint8_t)~bit;
		break;
	case 10: set_mask(s, c, value & 4 ? s->mask[c] | bit : s->mask[c] & (uint8_t)~bit); break;
	case 11: s->mode[4 * c + (value & 3)] = value; break;
	case 12: s->flip_flop[c] = false; break;
	case 13: clear(s, c); break;
	case 14: set_mask(s, c, 0); break;
	case 15: set_mask(s, c, value); break;
	default: write_word(s, c, n, value);
	}
}

static uint64_t low_read(void *opaque, uint64_t offset, unsigned size)
{
	return read_register(opaque, 0, (unsigned)offset);
}

static void low_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	write_register(opaque, 0, (unsigned)offset, (uint8_t)value);
}

static uint64_t high_read(void *opaque, uint64_t offset, unsigned size)
{
	return read_register(opaque, 1, (unsigned)offset >> 1);
}

static void high_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	write_register(opaque, 1, (unsigned)offset >> 1, (uint8_t)value);
}

/* From 81h: port 80h is where everybody writes to pass time. */
static uint64_t page_read(void *opaque, uint64_t offset, unsigned size)
{
	return ((I8257 *)opaque)->page[offset + 1];
}

static void page_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	((I8257 *)opaque)->page[offset + 1] = (uint8_t)value;
}

static const RegionOps low_ops = { low_read, low_write, 1, 1 };
static const RegionOps high_ops = { high_read, high_write, 1, 1 };
static const RegionOps page_ops = { page_read, page_write, 1, 1 };

/* ---- life ---- */

static bool realize(Device *dev, GError **error)
{
	I8257 *s = (I8257 *)dev;

	region_init_io(&s->low, "dma-low", &low_ops, s, 16);
	region_init_io(&s->high, "dma-high", &high_ops, s, 32);
	region_init_io(&s->pages, "dma-page", &page_ops, s, PAGES - 1);
	as_map(dev->board->io, &s->low, 0x00, 0);
	as_map(dev->board->io, &s->high, 0xc0, 0);
	as_map(dev->board->io, &s->pages, 0x81, 0);
	return true;
}

static void unrealize(Device *dev)
{
	I8257 *s = (I8257 *)dev;
	as_unmap(&s->low);
	as_unmap(&s->high);
	as_unmap(&s->pages);
}

static const StateField state[] = {
	STATE_ARRAY(FIELD_U16, I8257, base_addr, CHANNELS, 0),
	STATE_ARRAY(FIELD_U16, I8257, base_count, CHANNELS, 0),
	STATE_ARRAY(FIELD_U16, I8257, addr, CHANNELS, 0),
	STATE_ARRAY(FIELD_U16, I8257, count, CHANNELS, 0),
	STATE_ARRAY(FIELD_U8, I8257, mode, CHANNELS, 0),
	STATE_ARRAY(FIELD_U8, I8257, page, PAGES, 0),
	STATE_ARRAY(FIELD_U8, I8257, command, 2, 0),
	STATE_ARRAY(FIELD_U8, I8257, mask, 2, 15),
	STATE_ARRAY(FIELD_U8, I8257, request, 2, 0),
	STATE_ARRAY(FIELD_U8, I8257, status, 2, 0),
	STATE_ARRAY(FIELD_U8, I8257, temporary, 2, 0),
	STATE_ARRAY(FIELD_BOOL, I8257, flip_flop, 2, 0),
	{ 0 }
};

const DeviceClass i8257_class = {
	.name = "i8257", .desc = "ISA DMA controllers", .bus = "isa", .size = sizeof(I8257), .version = 1,
	.state = state, .realize = realize, .unrealize = unrealize,
};
