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

static Chardev *null_open(const ChardevOptions *options, GError **error)
{
	return chardev_alloc(&chardev_null, sizeof(Chardev), options->id);
}

const ChardevClass chardev_null = { .name = "null", .open = null_open, .write = null_write };
