/*
 * null.c - a character device that swallows output and never has input.
 *
 * Main loop and vcpu threads, machine lock held.
 */
#include "chardev/backend.h"

static size_t null_write(Chardev *c, const uint8_t *buf, size_t len)
{
	return len;
}

static const ChardevClass null_class = {
	.name = "null", .desc = "swallows output, never has input", .write = null_write,
};

const ChardevType chardev_type_null = { &null_class, sizeof(Chardev) };
