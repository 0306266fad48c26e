/*
 * chardev.c - what all character devices share: the front end and its callbacks; the table.
 *
 * Follows no standard. Main loop and vcpu threads, machine lock held.
 */
#include "chardev/chardev.h"

#include <string.h>

#include "chardev/backend.h"
#include "core/error.h"

static const ChardevClass *const classes[] = { &chardev_file, &chardev_null, &chardev_stdio };

bool chardev_attach(Chardev *c, const ChardevHandlers *handlers, void *opaque, GError **error)
{
	if (handlers && c->handlers)
		return fail(error, VIV_ERROR_INVALID,
			"Device '%s' is in use. Give each port a chardev of its "
			"own.", c->id);
	c->handlers = handlers;
	c->opaque = opaque;
	if (handlers && !c->closed)
		chardev_event(c, CHARDEV_OPENED);
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

void chardev_event(Chardev *c, ChardevEvent event)
{
	if (event == CHARDEV_OPENED || event == CHARDEV_CLOSED)
		c->closed = event == CHARDEV_CLOSED;
	if (c->handlers && c->handlers->event)
		c->handlers->event(c->opaque, event);
}

void chardev_writable(Chardev *c)
{
	if (c->handlers && c->handlers->writable)
		c->handlers->writable(c->opaque);
}

void *chardev_alloc(const ChardevClass *cls, size_t size, const char *id)
{
	Chardev *c = g_malloc0(size);
	c->cls = cls;
	c->id = g_strdup(id);
	return c;
}

const char *chardev_id(const Chardev *c)
{
	return c->id;
}

void chardev_free(Chardev *c)
{
	if (!c)
		return;
	if (c->cls->free)
		c->cls->free(c);
	g_free(c->id);
	g_free(c);
}

const char *const *chardev_type_names(void)
{
	static const char *const names[] = { "file", "null", "stdio", NULL };
	return names;
}

Chardev *chardev_open(const char *type, const ChardevOptions *options, GError **error)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(classes); i++)
		if (!strcmp(classes[i]->name, type))
			return classes[i]->open(options, error);
	fail(error, VIV_ERROR_INVALID, "'%s' is not a valid char driver. stdio, null and file are.",
		type);
	return NULL;
}
