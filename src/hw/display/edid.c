/*
 * edid.c - what a monitor says of itself, so that guests choose a size.
 *
 * VESA E-EDID Standard, release A, revision 2 (EDID 1.4); timings by the CVT standard's reduced blanking. Any thread.
 */
#include <string.h>

#include "hw/display/vga.h"

#define DPI 100
#define BLANK_X 160u          /* reduced blanking, in pixels */
#define SYNC_X 32u
#define FRONT_X 48u
#define FRONT_Y 3u
#define SYNC_Y 6u
#define BLANK_Y_US 460u

/* Tenths of an inch as millimetres. */
static unsigned millimetres(unsigned pixels) { return pixels * 254 / (DPI * 10); }

/* 3.10.2: the preferred timing */
static void detailed_timing(uint8_t *d, unsigned x, unsigned y, unsigned refresh_mhz)
{
	uint64_t frame_ns = 1000000000000ull / refresh_mhz;
	unsigned blank_y = (unsigned)(BLANK_Y_US * 1000ull * (y + FRONT_Y) / (frame_ns - BLANK_Y_US * 1000ull)) + 1;
	blank_y = MAX(blank_y, FRONT_Y + SYNC_Y + 6);
	uint64_t clock = (uint64_t)(x + BLANK_X) * (y + blank_y) * refresh_mhz / 1000 / 10000; /* 10 kHz */
	unsigned w = millimetres(x), h = millimetres(y);

	d[0] = (uint8_t)MIN(clock, 0xffff);
	d[1] = (uint8_t)(MIN(clock, 0xffff) >> 8);
	d[2] = (uint8_t)x;
	d[3] = (uint8_t)BLANK_X;
	d[4] = (uint8_t)((x >> 8 & 15) << 4 | BLANK_X >> 8);
	d[5] = (uint8_t)y;
	d[6] = (uint8_t)blank_y;
	d[7] = (uint8_t)((y >> 8 & 15) << 4 | (blank_y >> 8 & 15));
	d[8] = FRONT_X;
	d[9] = SYNC_X;
	d[10] = FRONT_Y << 4 | SYNC_Y;
	d[11] = 0;
	d[12] = (uint8_t)w;
	d[13] = (uint8_t)h;
	d[14] = (uint8_t)((w >> 8 & 15) << 4 | (h >> 8 & 15));
	d[17] = 0x1e; /* digital, both syncs positive, separate */
}

static void text_descriptor(uint8_t *d, uint8_t tag, const char *text)
{
	size_t n = MIN(strlen(text), 13);
	d[3] = tag;
	memset(d + 5, ' ', 13);
	memcpy(d + 5, text, n);
	if (n < 13)
		d[5 + n] = '\n';
}

/* 3.10.3.3: 50 to 125 Hz, 30 to 160 kHz, as fast a clock as there is */
static void range_descriptor(uint8_t *d)
{
	static const uint8_t range[] = { 0xfd, 0, 50, 125, 30, 160, 0xff, 1 };
	memcpy(d + 3, range, sizeof(range));
	memset(d + 11, ' ', 7);
	d[11] = '\n';
}

/* 3.9: the larger of the old standard sizes, as far as they fit; 16:10 is aspect 0, 4:3 1, 5:4 2, 16:9 3. */
static void standard_timings(uint8_t *at, unsigned max_x, unsigned max_y)
{
	static const struct { uint16_t x, y; uint8_t aspect; } sizes[] = {
		{ 1920, 1200, 0 }, { 1920, 1080, 3 }, { 1600, 1200, 1 }, { 1680, 1050, 0 }, { 1440, 900, 0 }, { 1280, 1024, 2 },
		{ 1280, 960, 1 }, { 1280, 720, 3 },
	};
	unsigned n = 0;
	memset(at, 1, 16);
	for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
		if ((max_x && sizes[i].x > max_x) || (max_y && sizes[i].y > max_y))
			continue;
		at[n++] = (uint8_t)(sizes[i].x / 8 - 31);
		at[n++] = (uint8_t)(sizes[i].aspect << 6);
	}
}

void edid_make(uint8_t out[128], unsigned width, unsigned height, unsigned max_width, unsigned max_height, unsigned refresh_mhz)
{
	static const uint8_t header[] = { 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0 };
	static const char vendor[] = "VIV";
	static const uint8_t chromaticity[] = { 0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54 }; /* sRGB */
	uint8_t sum = 0;

	memset(out, 0, 128);
	memcpy(out, header, sizeof(header));
	unsigned id = (unsigned)(vendor[0] - '@') << 10 | (unsigned)(vendor[1] - '@') << 5 | (unsigned)(vendor[2] - '@');
	out[8] = (uint8_t)(id >> 8);
	out[9] = (uint8_t)id;
	out[10] = 0x34;
	out[11] = 0x12;
	out[16] = 42; /* week */
	out[17] = 2014 - 1990;
	out[18] = 1;
	out[19] = 4;
	out[20] = 0xa5; /* digital, eight bits a colour, DisplayPort */
	out[21] = (uint8_t)MIN(millimetres(width) / 10, 255);
	out[22] = (uint8_t)MIN(millimetres(height) / 10, 255);
	out[23] = 220 - 100; /* gamma 2.2 */
	out[24] = 0x06; /* sRGB; the first timing is the preferred one */
	memcpy(out + 25, chromaticity, sizeof(chromaticity));
	out[35] = 0x20 | 0x01; /* 640x480, 800x600 at 60 Hz */
	out[36] = 0x08; /* 1024x768 at 60 Hz */
	standard_timings(out + 38, max_width, max_height);
	detailed_timing(out + 54, MIN(width, 4095), MIN(height, 4095), refresh_mhz);
	range_descriptor(out + 72);
	text_descriptor(out + 90, 0xfc, "Vivarium");
	text_descriptor(out + 108, 0xff, "0");
	for (unsigned i = 0; i < 127; i++)
		sum += out[i];
	out[127] = (uint8_t)-sum;
}
