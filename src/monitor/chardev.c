/*
 * chardev.c - character devices for people and programs: what there is, added, changed,
 * removed, broken into; ring buffers.
 *
 * Main thread, machine lock not held.
 */
#include <string.h>

#include "chardev/set.h"
#include "core/error.h"
#include "core/lock.h"
#include "monitor/private.h"

ChardevSet *monitor_hold_chardevs(Monitor *mon, GError **error)
{
	ChardevSet *set = machine_config(mon->m)->chardev_set;
	if (set)
		machine_lock();
	else
		fail(error, VIV_ERROR_FAILED, "this machine has no character devices");
	return set;
}

static json_t *done(bool ok)
{
	machine_unlock();
	return ok ? json_object() : NULL;
}

/* ---- what there is ---- */

json_t *serve_chardevs(Monitor *mon, const json_t *args, GError **error)
{
	json_t *reply = json_array();
	ChardevSet *set = monitor_hold_chardevs(mon, NULL);
	if (!set)
		return reply;
	GPtrArray *all = chardev_set_list(set);
	for (unsigned i = 0; i < all->len; i++) {
		const Chardev *c = g_ptr_array_index(all, i);
		char *filename = chardev_filename(c);
		json_array_append_new(reply, json_pack("{ss ss sb}", "label", chardev_id(c),
			"filename", filename,
						       "frontend-open", chardev_front_is_open(c)));
		g_free(filename);
	}
	g_ptr_array_free(all, TRUE);
	machine_unlock();
	return reply;
}

void show_chardevs(Monitor *mon, const json_t *reply, GString *out)
{
	size_t i;
	json_t *c;
	json_array_foreach (reply, i, c)
		g_string_append_printf(out, "%s: filename=%s\n", member_text(c, "label"), member_text(c,
			"filename"));
}

json_t *serve_chardev_backends(Monitor *mon, const json_t *args, GError **error)
{
	json_t *reply = json_array();
	const char *const *names = chardev_type_names();
	for (; *names; names++)
		json_array_append_new(reply, json_pack("{ss}", "name", *names));
	return reply;
}

/* ---- made, changed, removed ---- */

/* Options as a person writes them, "socket,id=x,path=/tmp/s"; without id= where `id` says it. */
static void run_with_options(Monitor *mon, const char *id, const char *text, GString *out)
{
	GError *error = NULL;
	char *words = id ? g_strdup_printf("%s,id=%s", text, id) : g_strdup(text);
	ChardevOptions *o = chardev_options_parse(words, &error);
	ChardevSet *set = o ? monitor_hold_chardevs(mon, &error) : NULL;
	if (set) {
		if (id)
			chardev_set_change(set, o, &error);
		else
			chardev_set_open(set, o, &error);
		machine_unlock();
	} else {
		chardev_options_free(o);
	}
	monitor_say_error(error, out);
	g_free(words);
}

void command_chardev_add(Monitor *mon, const Args *args, GString *out)
{
	run_with_options(mon, NULL, args->text[0], out);
}

void command_chardev_change(Monitor *mon, const Args *args, GString *out)
{
	run_with_options(mon, args->text[0], args->text[1], out);
}

json_t *serve_chardev_remove(Monitor *mon, const json_t *args, GError **error)
{
	ChardevSet *set = monitor_hold_chardevs(mon, error);
	return set ? done(chardev_set_remove(set, member_text(args, "id"), error)) : NULL;
}

json_t *serve_chardev_break(Monitor *mon, const json_t *args, GError **error)
{
	ChardevSet *set = monitor_hold_chardevs(mon, error);
	return set ? done(chardev_set_break_in(set, member_text(args, "id"), error)) : NULL;
}

/* ---- ring buffers ---- */

static bool is_base64(const json_t *args)
{
	return !g_strcmp0(member_text(args, "format"), "base64");
}

json_t *serve_ringbuf_write(Monitor *mon, const json_t *args, GError **error)
{
	ChardevSet *set = monitor_hold_chardevs(mon, error);
	if (!set)
		return NULL;
	const char *data = member_text(args, "data");
	Chardev *c = chardev_set_ringbuf(set, member_text(args, "device"), error);
	if (c && is_base64(args)) {
		gsize len;
		guchar *bytes = g_base64_decode(data, &len);
		ringbuf_write(c, bytes, len);
		g_free(bytes);
	} else if (c) {
		ringbuf_write(c, (const uint8_t *)data, strlen(data));
	}
	return done(c);
}

/* Text is made valid UTF-8, where JSON knows no other; the rest says \uFFFD. */
static json_t *ringbuf_text(const uint8_t *buf, size_t len, bool base64)
{
	char *text = base64 ? g_base64_encode(buf, len) : g_utf8_make_valid((const char *)buf,
		(gssize)len);
	json_t *reply = json_string(text);
	g_free(text);
	return reply;
}

json_t *serve_ringbuf_read(Monitor *mon, const json_t *args, GError **error)
{
	json_int_t size = member_number(args, "size");
	if (size <= 0) {
		fail(error, VIV_ERROR_INVALID, "size must be greater than zero");
		return NULL;
	}
	ChardevSet *set = monitor_hold_chardevs(mon, error);
	if (!set)
		return NULL;
	Chardev *c = chardev_set_ringbuf(set, member_text(args, "device"), error);
	json_t *reply = NULL;
	if (c) {
		size_t max = MIN((uint64_t)size, ringbuf_count(c));
		uint8_t *buf = g_malloc(max + 1);
		reply = ringbuf_text(buf, ringbuf_read(c, buf, max), is_base64(args));
		g_free(buf);
	}
	machine_unlock();
	return reply;
}

void show_ringbuf(Monitor *mon, const json_t *reply, GString *out)
{
	for (const char *p = json_string_value(reply); *p; p++) {
		uint8_t byte = (uint8_t)*p;
		if (byte == '\\')
			g_string_append(out, "\\\\");
		else if ((byte < 0x20 && byte != '\n') || byte == 0x7f)
			g_string_append_printf(out, "\\u%04X", byte);
		else
			g_string_append_c(out, *p);
	}
	g_string_append_c(out, '\n');
}
