/*
 * i8042.c - the PC/AT keyboard controller with a keyboard and a mouse behind it.
 *
 * IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device
 * Controller". Left out: password, test outputs, serial-line timing: a byte arrives as
 * soon as the output buffer is free. Vcpu threads under the machine lock.
 */
#include <string.h>

#include "core/board.h"
#include "core/trace.h"
#include "hw/classes.h"
#include "hw/input/ps2.h"

/* Status register */
#define ST_OUT_FULL 0x01u
#define ST_SYSTEM 0x04u
#define ST_COMMAND 0x08u
#define ST_UNLOCKED 0x10u
#define ST_AUX 0x20u
/* Command byte */
#define CB_KBD_INT 0x01u
#define CB_AUX_INT 0x02u
#define CB_SYSTEM 0x04u
#define CB_KBD_OFF 0x10u
#define CB_AUX_OFF 0x20u
#define CB_TRANSLATE 0x40u
/* Output port */
#define OUT_NOT_RESET 0x01u
#define OUT_A20 0x02u
#define OUT_DEFAULT 0xcfu

typedef struct I8042 {
	Device dev;
	uint8_t status;        /* without ST_SYSTEM and ST_UNLOCKED */
	uint8_t data;          /* output buffer */
	uint8_t ram[32];       /* [0] is the command byte */
	uint8_t outport;
	uint8_t command;       /* awaits its parameter at port 60h; 0: none */
	int own, own_aux;      /* the controller's own answers, not yet in the buffer; -1: none */
	Ps2Keyboard keyboard;
	Ps2Mouse mouse;
	Irq kbd, aux;
	Region data_port, command_port;
} I8042;

static void update_irq(I8042 *s)
{
	bool full = s->status & ST_OUT_FULL, from_aux = s->status & ST_AUX;
	irq_set(&s->kbd, full && !from_aux && (s->ram[0] & CB_KBD_INT));
	irq_set(&s->aux, full && from_aux && (s->ram[0] & CB_AUX_INT));
}

static void fill(I8042 *s, int byte, bool aux)
{
	s->data = (uint8_t)byte;
	s->status |= ST_OUT_FULL;
	if (aux)
		s->status |= ST_AUX;
	else
		s->status &= (uint8_t)~ST_AUX;
}

/* The keyboard's next byte, made one of set 1 if that is on: F0, a key going up, becomes bit 7. -1: none. */
static int keyboard_byte(I8042 *s)
{
	int byte = ps2_get(&s->keyboard.queue);

	if (byte < 0 || !(s->ram[0] & CB_TRANSLATE))
		return byte;
	bool up = byte == 0xf0;
	if (up)
		byte = ps2_get(&s->keyboard.queue);
	return byte < 0 ? byte : ps2_set1_of_set2((uint8_t)byte) | (up ? 0x80 : 0);
}

/* ---- what is typed and pointed ---- */

static void pump(I8042 *s);

static void key(void *opaque, unsigned key, bool down)
{
	I8042 *s = opaque;

	ps2_keyboard_key(&s->keyboard, key, down);
	pump(s);
}

static void move(void *opaque, int dx, int dy) { ps2_mouse_move(&((I8042 *)opaque)->mouse, dx, dy, 0); }

static void button(void *opaque, InputButton button, bool down)
{
	static const int8_t bits[INPUT_BUTTONS] = {
		[BUTTON_LEFT] = 0, [BUTTON_RIGHT] = 1, [BUTTON_MIDDLE] = 2, [BUTTON_SIDE] = 3, [BUTTON_EXTRA] = 4,
		[BUTTON_WHEEL_UP] = -1, [BUTTON_WHEEL_DOWN] = -1, [BUTTON_WHEEL_LEFT] = -1,
	};
	I8042 *s = opaque;

	if (bits[button] >= 0)
		ps2_mouse_button(&s->mouse, (unsigned)bits[button], down);
	else if (down && button != BUTTON_WHEEL_LEFT)
		ps2_mouse_move(&s->mouse, 0, 0, button == BUTTON_WHEEL_UP ? -1 : 1);
}

static void sync_pointer(void *opaque)
{
	I8042 *s = opaque;

	ps2_mouse_report(&s->mouse);
	pump(s);
}

static const InputHandler keyboard_ops = { .name = "QEMU PS/2 Keyboard", .key = key };
static const InputHandler mouse_ops = { .name = "QEMU PS/2 Mouse", .move = move, .button = button, .sync = sync_pointer };

/* Moves the next waiting byte into the output buffer, if that is free. */
static void pump(I8042 *s)
{
	int byte;

	if (!(s->status & ST_OUT_FULL)) {
		if (s->own >= 0) {
			fill(s, s->own, false);
			s->own = -1;
		} else if (s->own_aux >= 0) {
			fill(s, s->own_aux, true);
			s->own_aux = -1;
		} else if (!(s->ram[0] & CB_KBD_OFF) && (byte = keyboard_byte(s)) >= 0) {
			fill(s, byte, false);
		} else if (!(s->ram[0] & CB_AUX_OFF) && (byte = ps2_get(&s->mouse.queue)) >= 0) {
			fill(s, byte, true);
			ps2_mouse_report(&s->mouse);
		}
	}
	update_irq(s);
}

static void answer(I8042 *s, uint8_t byte)
{
	/* The controller does not wait for the host to read what was there before. */
	s->status &= (uint8_t)~ST_OUT_FULL;
	s->own = byte;
}

static void write_outport(I8042 *s, uint8_t value)
{
	Board *board = s->dev.board;
	s->outport = value;
	if (board->set_a20)
		board->set_a20(board, value & OUT_A20);
	if (!(value & OUT_NOT_RESET))
		board_request(board, RUN_RESET, 0);
}

static void write_command(I8042 *s, uint8_t value)
{
	s->status |= ST_COMMAND;
	s->command = 0;
	if (value >= 0x20 && value < 0x40) {
		answer(s, s->ram[value & 31]);
		return;
	}
	if (value >= 0x60 && value < 0x80) {
		s->command = value;
		return;
	}
	switch (value) {
	case 0xa7: s->ram[0] |= CB_AUX_OFF; break;
	case 0xa8: s->ram[0] &= (uint8_t)~CB_AUX_OFF; break;
	case 0xa9: answer(s, 0); break;    /* auxiliary line good */
	case 0xaa:                         /* self test */
		s->ram[0] |= CB_SYSTEM;
		answer(s, 0x55);
		break;
	case 0xab: answer(s, 0); break;
	case 0xad: s->ram[0] |= CB_KBD_OFF; break;
	case 0xae: s->ram[0] &= (uint8_t)~CB_KBD_OFF; break;
	case 0xc0: answer(s, 0x80); break; /* input port: keyboard not locked */
	case 0xd0:
		answer(s, (uint8_t)((s->outport & ~OUT_A20) | (s->dev.board->a20 ? OUT_A20 : 0)));
		break;
	case 0xd1: case 0xd2: case 0xd3: case 0xd4:
		s->command = value;
		break;
	case 0xdd: write_outport(s, s->outport & (uint8_t)~OUT_A20); break;
	case 0xdf: write_outport(s, s->outport | OUT_A20); break;
	default:
		/* F0h..FFh pulse the low lines of the output port; bit 0 is the reset. */
		if (value >= 0xf0 && !(value & 1))
			board_request(s->dev.board, RUN_RESET, 0);
		break;
	}
}

static void write_data(I8042 *s, uint8_t value)
{
	uint8_t command = s->command;

	s->command = 0;
	s->status &= (uint8_t)~ST_COMMAND;
	if (command >= 0x60 && command < 0x80) {
		s->ram[command & 31] = value;
		return;
	}
	switch (command) {
	case 0xd1:
		write_outport(s, value);
		break;
	case 0xd2:
		answer(s, value);
		break;
	case 0xd3:
		s->status &= (uint8_t)~ST_OUT_FULL;
		s->own_aux = value;
		break;
	case 0xd4:
		s->ram[0] &= (uint8_t)~CB_AUX_OFF;
		ps2_mouse_write(&s->mouse, value);
		break;
	default:
		s->ram[0] &= (uint8_t)~CB_KBD_OFF; /* talking to it enables it */
		ps2_keyboard_write(&s->keyboard, value);
		break;
	}
}

static uint64_t data_read(void *opaque, uint64_t offset, unsigned size)
{
	I8042 *s = opaque;
	uint8_t value = s->data;
	s->status &= (uint8_t)~(ST_OUT_FULL | ST_AUX);
	update_irq(s); /* low before the next byte raises it */
	pump(s);
	trace_pckbd_kbd_read_data(value);
	return value;
}

static void data_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	trace_pckbd_kbd_write_data(value);
	write_data(opaque, (uint8_t)value);
	pump(opaque);
}

static uint64_t status_read(void *opaque, uint64_t offset, unsigned size)
{
	I8042 *s = opaque;
	uint8_t value = s->status | ST_UNLOCKED | (s->ram[0] & CB_SYSTEM ? ST_SYSTEM : 0);
	trace_pckbd_kbd_read_status(value);
	return value;
}

static void command_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	trace_pckbd_kbd_write_command(value);
	write_command(opaque, (uint8_t)value);
	pump(opaque);
}

static const RegionOps data_ops = { data_read, data_write, 1, 1 };
static const RegionOps command_ops = { status_read, command_write, 1, 1 };

static bool realize(Device *dev, GError **error)
{
	I8042 *s = (I8042 *)dev;
	region_init_io(&s->data_port, "i8042-data", &data_ops, s, 1);
	region_init_io(&s->command_port, "i8042-cmd", &command_ops, s, 1);
	as_map(dev->board->io, &s->data_port, 0x60, 0);
	as_map(dev->board->io, &s->command_port, 0x64, 0);
	s->keyboard.display = dev->board->display;
	if (dev->board->display) {
		input_add(dev->board->display, &keyboard_ops, s);
		input_add(dev->board->display, &mouse_ops, s);
	}
	return true;
}

static void reset(Device *dev)
{
	I8042 *s = (I8042 *)dev;
	s->own = s->own_aux = -1;
	s->ram[0] = CB_KBD_INT | CB_AUX_INT;
	ps2_keyboard_reset(&s->keyboard);
	ps2_mouse_reset(&s->mouse);
	if (dev->board->set_a20)
		dev->board->set_a20(dev->board, true);
	update_irq(s);
}

static void unrealize(Device *dev)
{
	I8042 *s = (I8042 *)dev;
	if (dev->board->display)
		input_remove(dev->board->display, s);
	as_unmap(&s->data_port);
	as_unmap(&s->command_port);
}

static const StateField state[] = {
	STATE(FIELD_U8, I8042, status, 0),
	STATE(FIELD_U8, I8042, data, 0),
	STATE_ARRAY(FIELD_U8, I8042, ram, 32, 0),
	STATE(FIELD_U8, I8042, outport, OUT_DEFAULT),
	STATE(FIELD_U8, I8042, command, 0),
	{ 0 }
};

static const LineOut outputs[] = {
	{ "kbd", offsetof(I8042, kbd), 1 }, { "mouse", offsetof(I8042, aux), 1 }, { 0 }
};

const DeviceClass i8042_class = {
	.name = "i8042", .desc = "keyboard controller", .bus = "isa", .category = DEVICE_INPUT,
	.size = sizeof(I8042), .version = 1,
	.state = state, .outputs = outputs, .realize = realize, .reset = reset, .unrealize = unrealize,
};
