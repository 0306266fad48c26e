/*
 * vga_ports.c - the VGA's ports: sequencer, graphics, CRT and attribute controllers, DAC, status.
 *
 * FreeVGA project, "Accessing the VGA registers" and the parts on each controller. Left out: light pen, the Hercules and CGA
 * ports 3B8h and 3D8h. Machine lock held.
 */
#include "core/clock.h"
#include "core/trace.h"
#include "hw/display/vga.h"

#define LINE_NS 31778        /* 31.469 kHz */
#define MISC_COLOUR 0x01u    /* CRTC and status at 3Dxh */
#define STATUS_BLANK 0x01u
#define STATUS_RETRACE 0x08u
#define CRTC_PROTECT 0x80u   /* of 11h: 0 to 7 cannot be written */

/* ---- status ---- */

static unsigned crtc_bits(const Vga *v, unsigned low, unsigned bit8, unsigned bit9)
{
	return v->crtc[low] | (v->crtc[7] >> bit8 & 1u) << 8 | (v->crtc[7] >> bit9 & 1u) << 9;
}

/* Where the beam is, by the guest's clock and the vertical timing that was programmed. */
static uint8_t beam(const Vga *v)
{
	unsigned total = crtc_bits(v, 0x06, 0, 5) + 2, end = crtc_bits(v, 0x12, 1, 6) + 1;
	unsigned retrace = crtc_bits(v, 0x10, 2, 7);
	uint64_t now = (uint64_t)clock_now(v->dev->board->clock);

	if (total < 100 || end >= total || retrace >= total) { /* not programmed */
		total = 449;
		end = 400;
		retrace = 412;
	}
	unsigned line = (unsigned)(now / LINE_NS % total);
	bool border = now % LINE_NS > LINE_NS * 4 / 5;
	uint8_t status = line >= end || border ? STATUS_BLANK : 0;
	return line >= retrace && line < retrace + 2 ? status | STATUS_RETRACE : status;
}

/* ---- the DAC ---- */

static void dac_write(Vga *v, uint8_t value)
{
	v->dac_entry[v->dac_part++] = value;
	if (v->dac_part < 3)
		return;
	for (unsigned i = 0; i < 3; i++)
		v->dac[3 * v->dac_write + i] = v->dac_entry[i];
	v->dac_part = 0;
	v->dac_write++;
	v->redraw = true;
}

static uint8_t dac_read(Vga *v)
{
	uint8_t value = v->dac[3 * v->dac_read + v->dac_part++];
	if (v->dac_part == 3) {
		v->dac_part = 0;
		v->dac_read++;
	}
	return value;
}

/* ---- controllers ---- */

static void attr_write(Vga *v, uint8_t value)
{
	static const uint8_t valid[0x15] = { [0x10] = 0xef, [0x11] = 0xff, [0x12] = 0x3f, [0x13] = 0x0f, [0x14] = 0x0f };
	bool data = v->attr_data;
	unsigned n = v->attr_index & 0x1f;

	v->attr_data = !data;
	if (!data) {
		v->redraw |= (v->attr_index ^ value) & 0x20; /* the screen goes on or off */
		v->attr_index = value & 0x3f;
	} else if (n < sizeof(valid)) {
		v->attr[n] = value & (n < 0x10 ? 0x3f : valid[n]);
		v->redraw = true;
	}
}

static void seq_write(Vga *v, uint8_t value)
{
	static const uint8_t valid[8] = { 0x03, 0x3d, 0x0f, 0x3f, 0x0e, 0x00, 0x00, 0xff };
	v->seq[v->seq_index] = value & valid[v->seq_index];
	v->redraw |= v->seq_index != 2;
}

static void gfx_write(Vga *v, uint8_t value)
{
	static const uint8_t valid[16] = { 0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff };
	v->gfx[v->gfx_index] = value & valid[v->gfx_index];
	v->redraw |= v->gfx_index == 5 || v->gfx_index == 6;
}

static void crtc_write(Vga *v, uint8_t value)
{
	unsigned n = v->crtc_index;

	if (n <= 7 && v->crtc[0x11] & CRTC_PROTECT) {
		if (n == 7) /* line compare's ninth bit is free */
			v->crtc[7] = (uint8_t)((v->crtc[7] & ~0x10u) | (value & 0x10u));
		return;
	}
	v->crtc[n] = value; /* what is drawn of it is looked at in each refresh */
}

/* ---- ports ---- */

static bool crtc_port(const Vga *v, unsigned port)
{
	return (port & 0x3f0) == (v->misc & MISC_COLOUR ? 0x3d0u : 0x3b0u);
}

static uint8_t read_crtc_port(Vga *v, unsigned port)
{
	if (!crtc_port(v, port))
		return 0xff;
	switch (port & 15) {
	case 4: return v->crtc_index;
	case 5: return v->crtc[v->crtc_index];
	case 10:
		v->attr_data = false;
		return beam(v);
	default: return 0xff;
	}
}

static uint8_t read_port(Vga *v, unsigned port)
{
	if ((port & 0x3f0) != 0x3c0)
		return read_crtc_port(v, port);
	switch (port) {
	case 0x3c0: return v->attr_data ? 0 : v->attr_index;
	case 0x3c1: return (v->attr_index & 0x1f) < 0x15 ? v->attr[v->attr_index & 0x1f] : 0;
	case 0x3c2: return v->status;
	case 0x3c4: return v->seq_index;
	case 0x3c5: return v->seq[v->seq_index];
	case 0x3c6: return v->dac_mask;
	case 0x3c7: return v->dac_state;
	case 0x3c8: return v->dac_write;
	case 0x3c9: return dac_read(v);
	case 0x3ca: return v->feature;
	case 0x3cc: return v->misc;
	case 0x3ce: return v->gfx_index;
	case 0x3cf: return v->gfx[v->gfx_index];
	default: return 0xff;
	}
}

uint8_t vga_port_read(Vga *v, unsigned port)
{
	uint8_t value = read_port(v, port);
	trace_vga_std_read_io(port, value);
	return value;
}

static void write_crtc_port(Vga *v, unsigned port, uint8_t value)
{
	if (!crtc_port(v, port))
		return;
	switch (port & 15) {
	case 4: v->crtc_index = value; break;
	case 5: crtc_write(v, value); break;
	case 10: v->feature = value & 0x10; break;
	default: break;
	}
}

void vga_port_write(Vga *v, unsigned port, uint8_t value)
{
	trace_vga_std_write_io(port, value);
	if ((port & 0x3f0) != 0x3c0) {
		write_crtc_port(v, port, value);
		return;
	}
	switch (port) {
	case 0x3c0: attr_write(v, value); break;
	case 0x3c2: v->misc = value & 0xef; break;
	case 0x3c4: v->seq_index = value & 7; break;
	case 0x3c5: seq_write(v, value); break;
	case 0x3c6:
		v->dac_mask = value;
		v->redraw = true;
		break;
	case 0x3c7:
		v->dac_read = value;
		v->dac_part = 0;
		v->dac_state = 3;
		break;
	case 0x3c8:
		v->dac_write = value;
		v->dac_part = 0;
		v->dac_state = 0;
		break;
	case 0x3c9: dac_write(v, value); break;
	case 0x3ce: v->gfx_index = value & 15; break;
	case 0x3cf: gfx_write(v, value); break;
	default: break;
	}
}
