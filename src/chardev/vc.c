/*
 * vc.c - the text console of a display window.
 *
 * This version has no window that could show it, and qemu without one (-display none) keeps
 * such a console unseen: output is thrown away, input never comes. The sizes are checked
 * and kept with the options; nobody sees them either. Main loop and vcpu threads, machine
 * lock held.
 */
#include "chardev/backend.h"
#include "core/error.h"

#define SIZE_MAX_PIXELS 16384

static bool vc_open(Chardev *c, GError **error)
{
	const ChardevOptions *o = c->options;
	const uint64_t sizes[] = { o->width, o->height, o->cols, o->rows };
	for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++)
		if (sizes[i] > SIZE_MAX_PIXELS)
			return fail(error, VIV_ERROR_INVALID,
				"vc: a console is at most %u wide and high.",
				SIZE_MAX_PIXELS);
	return true;
}

static size_t vc_write(Chardev *c, const uint8_t *buf, size_t len)
{
	return len;
}

static const ChardevKey keys[] = {
	{ "width", CHARDEV_NUMBER, offsetof(ChardevOptions, width), "in pixels" },
	{ "height", CHARDEV_NUMBER, offsetof(ChardevOptions, height), "in pixels" },
	{ "cols", CHARDEV_NUMBER, offsetof(ChardevOptions, cols), "width in characters" },
	{ "rows", CHARDEV_NUMBER, offsetof(ChardevOptions, rows), "height in characters" },
	{ NULL },
};

static const ChardevClass vc_class = {
	.name = "vc", .desc = "text console of a window; unseen without one", .keys = keys,
	.open = vc_open, .write = vc_write,
};

const ChardevType chardev_type_vc = { &vc_class, sizeof(Chardev) };
