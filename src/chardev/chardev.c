/*
 * chardev.c - what all character devices share: the front end and its callbacks.
 *
 * Follows no standard. Main loop and vcpu threads, machine lock held.
 */
#include "chardev/chardev.h"

#include "chardev/backend.h"
#include "core/error.h"

bool chardev_attach(Chardev *c, const ChardevHandlers *handlers, void *opaque, GError **error)
{
	if (handlers && c->handlers)
		return fail(error, VIV_ERROR_INVALID, "Device '%s' is in use. Give each port a chardev of its "
			"own.", c->id);
	c->handlers = handlers;
	c->opaque = opaque;
	if (handlers)
		chardev_accept_input(c);
	return true;
}

size_t chardev_write(Chardev *c, const uint8_t *buf, size_t len)
{
	return c ? c->cls->write(c, buf, len) : len;
}

void chardev_accept_input(Chardev *c)
{
	if (c && c->cls->accept_input)
		c->cls->accept_input(c);
}

size_t chardev_room(Chardev *c)
{
	return c->handlers && c->handlers->can_read ? c->handlers->can_read(c->opaque) : 0;
}

void chardev_push(Chardev *c, const uint8_t *buf, size_t len)
{
	if (c->handlers && len)
		c->handlers->read(c->opaque, buf, len);
}
