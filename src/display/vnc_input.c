/*
 * vnc_input.c - what a viewer types and points at.
 *
 * RFC 6143, 7.5.4 and 7.5.5. A viewer that knows extended key events says which key it was; of
 * others we know the symbol only, and choose a key of the layout (-k), with the modifiers under
 * which the guest makes that symbol of it. The viewer's thread; the machine lock is taken for each
 * event.
 */
#include <string.h>

#include <linux/input-event-codes.h>

#include "core/lock.h"
#include "display/keys.h"
#include "display/private.h"
#include "display/vnc_private.h"

#define POINTER_ZERO 0x7fff /* of relative movements, where the viewer knows about them */

static bool is_held(const Display *d, unsigned key) { return d->held[key / 8] >> key % 8 & 1; }

/* The light that a key switches; 0: none. */
static uint8_t lock_of(unsigned key)
{
	return key == KEY_CAPSLOCK ? LED_CAPS : key == KEY_NUMLOCK ? LED_NUM : 0;
}

/* Machine lock held. */
static void press(VncClient *c, unsigned key, bool down)
{
	if (down && !is_held(c->server->display, key)) {
		pthread_mutex_lock(&c->server->lock);
		c->server->locks ^= lock_of(key);
		pthread_mutex_unlock(&c->server->lock);
	}
	input_key(c->server->display, key, down);
	if (down)
		c->held[key / 8] |= (uint8_t)(1u << key % 8);
	else
		c->held[key / 8] &= (uint8_t)~(1u << key % 8);
}

static void press_and_release(VncClient *c, unsigned key)
{
	press(c, key, true);
	press(c, key, false);
}

static uint8_t locks_of(VncServer *s)
{
	pthread_mutex_lock(&s->lock);
	uint8_t locks = s->locks;
	pthread_mutex_unlock(&s->lock);
	return locks;
}

/* ---- keys by their symbols ---- */

static Keymap *keymap_of(VncServer *s)
{
	pthread_mutex_lock(&s->lock);
	if (!s->keymap) /* its name was checked; without a database there are no symbols */
		s->keymap = keymap_new(s->host.layout, NULL);
	Keymap *k = s->keymap;
	pthread_mutex_unlock(&s->lock);
	return k;
}

typedef struct Modifier { unsigned keys[2]; bool wanted; } Modifier;

/* Makes a modifier as wanted. `undo`: keys that are to change back, +key down, -key up. */
static unsigned adjust(VncClient *c, const Modifier *m, int *undo)
{
	Display *d = c->server->display;
	unsigned count = 0;

	if (m->wanted && !is_held(d, m->keys[0]) && !is_held(d, m->keys[1])) {
		input_key(d, m->keys[0], true);
		undo[count++] = -(int)m->keys[0];
	}
	for (unsigned i = 0; !m->wanted && i < 2; i++) {
		if (!is_held(d, m->keys[i]))
			continue;
		input_key(d, m->keys[i], false);
		undo[count++] = (int)m->keys[i];
	}
	return count;
}

/* A key goes down under the modifiers of `choice`; they are then again what they were. */
static void press_choice(VncClient *c, const KeyChoice *choice)
{
	const Modifier modifiers[] = { { { KEY_LEFTSHIFT, KEY_RIGHTSHIFT }, choice->shift },
				       { { KEY_RIGHTALT, KEY_RIGHTALT }, choice->altgr } };
	int undo[4];
	unsigned count = 0;

	for (unsigned i = 0; i < G_N_ELEMENTS(modifiers); i++)
		count += adjust(c, &modifiers[i], undo + count);
	press(c, choice->key, true);
	while (count-- > 0)
		input_key(c->server->display, (unsigned)ABS(undo[count]), undo[count] > 0);
}

static bool is_modifier(unsigned key)
{
	static const uint8_t modifiers[] = {
		KEY_LEFTSHIFT, KEY_RIGHTSHIFT, KEY_LEFTCTRL, KEY_RIGHTCTRL, KEY_LEFTALT,
		KEY_RIGHTALT, KEY_LEFTMETA, KEY_RIGHTMETA, KEY_CAPSLOCK, KEY_NUMLOCK,
	};

	return memchr(modifiers, (int)key, sizeof(modifiers));
}

/* Which key this symbol's press became; 0: none. It is forgotten unless `keep`. */
static unsigned remembered(VncClient *c, uint32_t keysym, bool keep)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(c->pressed); i++) {
		unsigned key = c->pressed[i].key;
		if (!key || c->pressed[i].keysym != keysym)
			continue;
		if (!keep)
			c->pressed[i].key = 0;
		return key;
	}
	return 0;
}

static void remember(VncClient *c, uint32_t keysym, uint8_t key)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(c->pressed); i++) {
		if (c->pressed[i].key)
			continue;
		c->pressed[i].keysym = keysym;
		c->pressed[i].key = key;
		return;
	}
}

static void symbol_down(VncClient *c, uint32_t keysym)
{
	Display *d = c->server->display;
	Keymap *k = keymap_of(c->server);
	bool sync = c->server->options.lock_key_sync;
	uint8_t locks = sync ? locks_of(c->server) : 0;
	bool shift = is_held(d, KEY_LEFTSHIFT) || is_held(d, KEY_RIGHTSHIFT);
	bool altgr = is_held(d, KEY_RIGHTALT);
	KeyChoice choice;

	if (!k || !keymap_find(k, keysym, shift, altgr, locks & LED_CAPS, &choice))
		return;
	if (choice.letter && !sync) /* whose Caps Lock is on is not known */
		choice.shift = shift;
	if (sync && choice.keypad && choice.num != !!(locks & LED_NUM))
		press_and_release(c, KEY_NUMLOCK);
	if (is_modifier(choice.key))
		press(c, choice.key, true);
	else
		press_choice(c, &choice);
	remember(c, keysym, choice.key);
}

static void key_by_symbol(VncClient *c, uint32_t keysym, bool down)
{
	unsigned key = remembered(c, keysym, down);

	if (key)
		press(c, key, down); /* released, or repeated */
	else if (down)
		symbol_down(c, keysym);
}

/* ---- keys by their place ---- */

/* The symbol tells what the viewer's Caps Lock and Num Lock are: the guest's follow. */
static void sync_locks(VncClient *c, uint32_t keysym, unsigned key)
{
	Display *d = c->server->display;
	uint8_t locks = locks_of(c->server);
	bool upper = keysym >= 'A' && keysym <= 'Z', lower = keysym >= 'a' && keysym <= 'z';
	bool shift = is_held(d, KEY_LEFTSHIFT) || is_held(d, KEY_RIGHTSHIFT);
	bool keypad = key >= KEY_KP7 && key <= KEY_KPDOT && key != KEY_KPMINUS && key != KEY_KPPLUS;
	bool digit = (keysym >= 0xffb0 && keysym <= 0xffb9) || keysym == 0xffac ||
		keysym == 0xffae; /* KP_0 to KP_9, KP_Separator, KP_Decimal */

	if ((upper || lower) && upper != (shift != !!(locks & LED_CAPS)))
		press_and_release(c, KEY_CAPSLOCK);
	if (keypad && keysym && !shift && digit != !!(locks & LED_NUM))
		press_and_release(c, KEY_NUMLOCK);
}

static void key_by_place(VncClient *c, uint32_t keysym, unsigned key, bool down)
{
	if (down && c->server->options.lock_key_sync && !is_held(c->server->display, key))
		sync_locks(c, keysym, key);
	press(c, key, down);
}

void vnc_key(VncClient *c, uint32_t keysym, unsigned key, bool down)
{
	VncServer *s = c->server;

	machine_lock();
	if (key && !s->host.layout)
		key_by_place(c, keysym, key, down);
	else
		key_by_symbol(c, keysym, down);
	input_sync(s->display);
	machine_unlock();
	/* Guests' keyboards have small buffers; this viewer's next event waits. */
	if (s->options.key_delay_ms)
		g_usleep(s->options.key_delay_ms * 1000ul);
}

static void on_key(rfbBool down, rfbKeySym keysym, rfbClientPtr rfb)
{
	vnc_key(rfb->clientData, keysym, 0, down);
}

/* ---- pointers ---- */

static void send_buttons(VncClient *c, uint8_t mask)
{
	static const InputButton buttons[] = { BUTTON_LEFT, BUTTON_MIDDLE, BUTTON_RIGHT,
					       BUTTON_WHEEL_UP, BUTTON_WHEEL_DOWN };

	for (unsigned i = 0; i < G_N_ELEMENTS(buttons); i++)
		if ((mask ^ c->buttons) >> i & 1)
			input_button(c->server->display, buttons[i], mask >> i & 1);
	c->buttons = mask;
}

static unsigned scale(int value, int size)
{
	return size > 1 ? (unsigned)(CLAMP(value, 0, size - 1) * INPUT_ABS_MAX / (size - 1)) : 0;
}

/* A viewer that was told of relative movements counts from POINTER_ZERO; others tell places. */
static void send_movement(VncClient *c, int x, int y)
{
	Display *d = c->server->display;

	if (c->absolute_told == 0)
		input_move(d, x - POINTER_ZERO, y - POINTER_ZERO);
	else if (c->last_x >= 0)
		input_move(d, x - c->last_x, y - c->last_y);
	c->last_x = x;
	c->last_y = y;
}

static void on_pointer(int mask, int x, int y, rfbClientPtr rfb)
{
	VncClient *c = rfb->clientData;
	Display *d = c->server->display;

	machine_lock();
	if (input_is_absolute(d)) {
		c->last_x = -1;
		input_place(d, scale(x, c->screen->width), scale(y, c->screen->height));
	} else {
		send_movement(c, x, y);
	}
	send_buttons(c, (uint8_t)mask);
	input_sync(d);
	machine_unlock();
}

/* ---- the rest ---- */

/* ExtendedDesktopSize's 1: prohibited, 3: invalid layout; QEMU's 4: passed on, it may follow. */
static int on_size_wish(int width, int height, int count, struct rfbExtDesktopScreen *screens,
			rfbClientPtr rfb)
{
	VncClient *c = rfb->clientData;
	bool passed;

	if (count < 1 || width < 1 || height < 1 || width > (int)SCREEN_WIDTH_MAX ||
	    height > (int)SCREEN_HEIGHT_MAX)
		return 3;
	machine_lock();
	passed = screen_wish(c->server->screen, (unsigned)width, (unsigned)height);
	machine_unlock();
	return passed ? 4 : 1;
}

/* xvp, with power-control=on. False: the viewer is told that it failed. */
static rfbBool on_power(rfbClientPtr rfb, uint8_t version, uint8_t code)
{
	const VncHost *h = &((VncClient *)rfb->clientData)->server->host;

	if (code == rfbXvp_Shutdown && h->powerdown)
		h->powerdown(h->opaque);
	else if (code == rfbXvp_Reset && h->reset)
		h->reset(h->opaque);
	else
		return FALSE;
	return TRUE;
}

static void ignore_text(char *text, int length, rfbClientPtr rfb) { }

void vnc_input_attach(VncClient *c)
{
	c->screen->kbdAddEvent = on_key;
	c->screen->ptrAddEvent = on_pointer;
	c->screen->setDesktopSizeHook = on_size_wish;
	/* Guests of this version have no agent that would take it. */
	c->screen->setXCutText = ignore_text;
	if (c->server->options.power_control)
		c->screen->xvpHook = on_power;
}

void vnc_input_release(VncClient *c)
{
	machine_lock();
	for (unsigned key = 0; key < INPUT_KEYS; key++)
		if (c->held[key / 8] >> key % 8 & 1)
			press(c, key, false);
	if (c->buttons)
		send_buttons(c, 0);
	input_sync(c->server->display);
	machine_unlock();
}
