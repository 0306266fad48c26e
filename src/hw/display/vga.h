/*
 * vga.h - the VGA core that display adapters share: registers, memory, picture.
 *
 * IBM VGA as documented in the "VGA Hardware Reference" parts of the Cirrus GD5429 and Tseng ET4000 data books and FreeVGA;
 * Bochs VBE extensions ("Bochs VBE Display API", dispi 0xb0c5) with QEMU's MMIO form (docs/specs/standard-vga). Memory is kept
 * with the four planes of an address side by side: byte 4 * address + plane.
 *
 * Machine lock held throughout.
 */
#ifndef VIV_HW_DISPLAY_VGA_H
#define VIV_HW_DISPLAY_VGA_H

#include "core/board.h"
#include "core/device.h"
#include "display/screen.h"

enum {
	VBE_ID, VBE_XRES, VBE_YRES, VBE_BPP, VBE_ENABLE, VBE_BANK, VBE_VIRT_WIDTH, VBE_VIRT_HEIGHT, VBE_X_OFFSET, VBE_Y_OFFSET,
	VBE_MEMORY, VBE_REGS
};
#define VBE_ENABLED 0x01u
#define VBE_GET_CAPS 0x02u
#define VBE_8BIT_DAC 0x20u
#define VBE_NO_CLEAR 0x80u
#define VBE_XRES_MAX 16000u
#define VBE_YRES_MAX 12000u

/* What the picture was made of: when it changes, everything is drawn anew. */
typedef struct VgaView {
	uint8_t kind;           /* VgaKind */
	unsigned width, height; /* pixels of the screen */
	unsigned columns, rows, cell_width, cell_height; /* text */
	unsigned bits, double_x; /* graphics: of a pixel; columns of one */
	unsigned repeat;        /* graphics: screen lines of one line in memory */
	uint32_t start, pitch;  /* bytes into video memory, of a line */
	unsigned compare;       /* the last line before the split; what is below begins at 0 */
	unsigned pan, lower_pan; /* dots to the left, above and below the split */
	unsigned scan;          /* preset row scan: lines of the first row that are above the screen */
	uint8_t crtc_mode;      /* CRTC 17h: address bits that lines replace */
	uint8_t planes;         /* attribute 12h */
	uint16_t cursor;        /* text: CRTC 0Ah, 0Bh */
} VgaView;

typedef struct Vga {
	Device *dev;
	uint8_t *vram;
	uint32_t vram_size;     /* a power of two */
	Region window;          /* A0000h..BFFFFh */
	Region ports, vbe_ports;

	uint8_t misc, feature, status;
	uint8_t seq_index, seq[8];
	uint8_t gfx_index, gfx[16];
	uint8_t crtc_index, crtc[256];
	uint8_t attr_index, attr[32];
	bool attr_data;         /* the next write to 3C0h is data */
	uint8_t dac_mask, dac_read, dac_write, dac_part, dac_entry[3];
	uint8_t dac_state;      /* 3: an index for reading was written last, 0: for writing */
	uint8_t dac[768];
	uint32_t latch;         /* the four planes of the last read */
	uint16_t vbe_index, vbe[VBE_REGS];

	/* the picture; made anew from the above */
	Screen *screen;
	bool looked_at;         /* video memory is watched */
	bool redraw;            /* everything */
	VgaView view;
	uint32_t palette[256];  /* 0x00RRGGBB, as the DAC has it */
	uint16_t *cells;        /* text as it was drawn */
	unsigned cell_count;
	uint8_t *font;          /* as it was drawn with */
	int cursor_cell;        /* drawn there; -1: not */
	bool cursor_on;
	bool *dirty;            /* pages of video memory */
} Vga;

enum VgaKind { VGA_BLANK, VGA_TEXT, VGA_PLANAR, VGA_CGA, VGA_PACKED, VGA_DIRECT };

#define VGA_FONT_BYTES (2 * 256 * 32)

extern const StateField vga_state[];

/* Takes vram from the arena, makes screen and regions; maps window and ports if `legacy`. */
bool vga_init(Vga *vga, Device *dev, uint32_t vram_size, bool legacy, GError **error);
void vga_exit(Vga *vga);
void vga_reset(Vga *vga);

/* vga_ports.c: ports 3B0h..3DFh */
uint8_t vga_port_read(Vga *vga, unsigned port);
void vga_port_write(Vga *vga, unsigned port, uint8_t value);
/* vga_vbe.c: index 0..VBE_REGS */
uint16_t vga_vbe_read(const Vga *vga, unsigned index);
void vga_vbe_write(Vga *vga, unsigned index, uint16_t value);
bool vga_vbe_on(const Vga *vga);
extern const RegionOps vga_vbe_port_ops;
/* vga_memory.c */
extern const RegionOps vga_window_ops;
/* vga_draw.c, vga_text.c */
extern const ScreenSource vga_screen_source;
void vga_draw_text(Vga *vga);
bool vga_text_cells(void *opaque, ScreenText *out);
/* Colour of a 16-colour index through attribute controller and DAC. */
uint32_t vga_colour(const Vga *vga, unsigned index);
/* vga_memory.c: bits of a nibble spread over the bytes of the four planes */
uint32_t vga_spread(unsigned planes);
/* vga_vbe.c: bytes that so many pixels of the mode take */
unsigned vga_vbe_bytes(const Vga *vga, unsigned pixels);

/* edid.c: 128 bytes that name this size as the preferred one. */
void edid_make(uint8_t out[128], unsigned width, unsigned height, unsigned max_width, unsigned max_height, unsigned refresh_mhz);

#endif
