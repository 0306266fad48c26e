/*
 * chardev.c - what all character devices share: front ends, logging, the table of classes.
 *
 * Follows no standard. Main loop and vcpu threads, machine lock held.
 */
#include "chardev/chardev.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "chardev/backend.h"
#include "chardev/fdio.h"
#include "chardev/set.h"
#include "core/error.h"

const ChardevType *const chardev_types[] = {
	&chardev_type_file, &chardev_type_null, &chardev_type_parallel, &chardev_type_pipe,
	&chardev_type_pty, &chardev_type_ringbuf, &chardev_type_serial, &chardev_type_socket,
	&chardev_type_stdio, &chardev_type_udp, &chardev_type_vc, NULL,
};

const ChardevType *chardev_type_find(const char *name)
{
	for (const ChardevType *const *t = chardev_types; *t; t++)
		if (!strcmp((*t)->cls->name, name) || !g_strcmp0((*t)->cls->alias, name))
			return *t;
	return NULL;
}

const char *const *chardev_type_names(void)
{
	static const char *names[2 * G_N_ELEMENTS(chardev_types)];
	unsigned n = 0;
	for (const ChardevType *const *t = chardev_types; *t; t++) {
		names[n++] = (*t)->cls->name;
		if ((*t)->cls->alias)
			names[n++] = (*t)->cls->alias;
	}
	return names;
}

int chardev_open_file(const char *path, int flags, GError **error)
{
	int fd;
	do {
		fd = open(path, flags | O_CLOEXEC | O_NOCTTY, 0666);
	} while (fd < 0 && errno == EINTR);
	if (fd < 0)
		fail(error, VIV_ERROR_FAILED, "Could not open '%s': %s", path, g_strerror(errno));
	return fd;
}

static bool open_log(Chardev *c, GError **error)
{
	const ChardevOptions *o = c->options;
	c->log = -1;
	if (!o->logfile)
		return true;
	bool append = o->logappend == CHARDEV_ON;
	c->log = chardev_open_file(o->logfile, O_WRONLY | O_CREAT | (append ? O_APPEND : O_TRUNC),
		error);
	return c->log >= 0;
}

Chardev *chardev_new(const ChardevType *type, ChardevOptions *options, GError **error)
{
	Chardev *c = g_malloc0(type->size);
	c->cls = type->cls;
	c->options = options;
	c->open = !type->cls->closed;
	if (open_log(c, error) && (!c->cls->open || c->cls->open(c, error)))
		return c;
	if (c->log >= 0)
		close(c->log);
	chardev_options_free(options);
	g_free(c);
	return NULL;
}

void chardev_free(Chardev *c)
{
	if (!c)
		return;
	if (c->cls->close)
		c->cls->close(c);
	if (c->log >= 0)
		close(c->log);
	chardev_options_free(c->options);
	g_free(c);
}

/* ---- front ends ---- */

bool chardev_attach(Chardev *c, const ChardevHandlers *handlers, void *opaque, GError **error)
{
	if (c->cls->attach)
		return c->cls->attach(c, handlers, opaque, error) && ++c->front_ends;
	if (c->front_ends)
		return fail(error, VIV_ERROR_INVALID,
			"Device '%s' is in use. Give each port a chardev of its own, or one with "
			"mux=on.", chardev_id(c));
	c->front_ends = 1;
	c->handlers = handlers;
	c->opaque = opaque;
	if (c->open)
		chardev_event(c, CHARDEV_OPENED);
	chardev_accept_input(c);
	return true;
}

void chardev_detach(Chardev *c, void *opaque)
{
	if (!c)
		return;
	c->front_ends--;
	c->front_closed = false;
	if (c->cls->detach)
		c->cls->detach(c, opaque);
	c->handlers = NULL;
	c->opaque = NULL;
}

/* What cannot be written there is lost: the line itself goes first. */
size_t chardev_write(Chardev *c, const uint8_t *buf, size_t len)
{
	if (!c || !len)
		return len;
	size_t n = c->cls->write(c, buf, len);
	if (c->log >= 0)
		fd_write_all(c->log, buf, n); /* a full disk does not stop the guest */
	return n;
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
		c->open = event == CHARDEV_OPENED;
	if (c->handlers && c->handlers->event)
		c->handlers->event(c->opaque, event);
}

void chardev_writable(Chardev *c)
{
	if (c->handlers && c->handlers->writable)
		c->handlers->writable(c->opaque);
}

/* ---- lines of real ports ---- */

void chardev_set_params(Chardev *c, const LineParams *params)
{
	if (c && c->cls->set_params)
		c->cls->set_params(c, params);
}

void chardev_set_break(Chardev *c, bool on)
{
	if (c && c->cls->set_break)
		c->cls->set_break(c, on);
}

void chardev_set_modem(Chardev *c, uint8_t mcr)
{
	if (c && c->cls->set_modem)
		c->cls->set_modem(c, mcr);
}

bool chardev_get_modem(Chardev *c, uint8_t *msr)
{
	return c && c->cls->get_modem && c->cls->get_modem(c, msr);
}

bool chardev_is_parallel(const Chardev *c)
{
	return c && c->cls->parallel_read;
}

bool chardev_parallel_read(Chardev *c, ParallelReg reg, uint8_t *value)
{
	return chardev_is_parallel(c) && c->cls->parallel_read(c, reg, value);
}

bool chardev_parallel_write(Chardev *c, ParallelReg reg, uint8_t value)
{
	return chardev_is_parallel(c) && c->cls->parallel_write(c, reg, value);
}

/* ---- what one is told of it ---- */

const char *chardev_id(const Chardev *c)
{
	return c->options->id;
}

char *chardev_filename(const Chardev *c)
{
	GString *s = g_string_new(NULL);
	if (c->cls->filename)
		c->cls->filename(c, s);
	else
		g_string_append(s, c->cls->name);
	return g_string_free(s, FALSE);
}

bool chardev_is_open(const Chardev *c)
{
	return c->open;
}

void chardev_set_front_open(Chardev *c, bool open)
{
	if (c)
		c->front_closed = !open;
}

bool chardev_front_is_open(const Chardev *c)
{
	return c->front_ends && !c->front_closed;
}

bool chardev_has_front_end(const Chardev *c)
{
	return c->front_ends;
}
