/*
 * qmp.c - the QMP server: JSON in, replies and events out.
 *
 * QEMU Machine Protocol as of QEMU 7.2 (docs/interop/qmp-spec): greeting, capabilities negotiation, "execute",
 * "exec-oob", "id", error classes. Input is bounded (MESSAGE_MAX, REQUESTS_MAX) and not read while the client does not
 * take its replies; events are dropped for a client that lets OUTPUT_MAX pile up.
 * Input arrives with the machine lock held; commands run from the main loop without it.
 */
#include "monitor/qmp.h"

#include <string.h>

#include "chardev/chardev.h"
#include "core/error.h"
#include "core/lock.h"
#include "core/trace.h"
#include "core/version.h"
#include "monitor/events.h"
#include "monitor/private.h"

#define MESSAGE_MAX (1u << 20)  /* bytes of one request */
#define NESTING_MAX 100         /* brackets in one another */
#define READ_MAX 65536u         /* bytes taken at once */
#define REQUESTS_MAX 8          /* waiting */
#define OUTPUT_MAX (4u << 20)

/* Finds the end of a JSON value without understanding it. */
typedef struct Lexer {
	GString *text;
	int depth;
	bool string, escape;
	bool overflow;      /* the value is too long or deep: thrown away to its end */
} Lexer;

typedef struct Request {
	json_t *object;     /* NULL: `error` says what came instead */
	GError *error;
	bool oob;
} Request;

struct Qmp {
	Monitor *mon;       /* commands' context */
	Chardev *c;
	bool pretty, negotiated, oob;
	Lexer lexer;        /* machine lock */
	GQueue requests;    /* Request *; machine lock */
	GString *output;    /* said, not yet written; machine lock */
	size_t written;     /* of `output`; machine lock */
	guint idle;         /* machine lock */
};

/* ---- output ---- */

static void flush(Qmp *q)
{
	while (q->written < q->output->len) {
		size_t n = chardev_write(q->c, (const uint8_t *)q->output->str + q->written, q->output->len - q->written);
		if (!n)
			break;
		q->written += n;
	}
	if (q->written == q->output->len || q->written > READ_MAX) {
		g_string_erase(q->output, 0, (gssize)q->written);
		q->written = 0;
	}
}

static void send_value(Qmp *q, const json_t *value)
{
	char *text = json_dumps(value, q->pretty ? JSON_INDENT(4) : 0);
	g_string_append(q->output, text);
	g_string_append(q->output, "\r\n");
	free(text);
	flush(q);
}

static void send_owned(Qmp *q, json_t *value)
{
	send_value(q, value);
	json_decref(value);
}

static void greet(Qmp *q)
{
	send_owned(q, json_pack("{s{sos[s]}}", "QMP", "version", qmp_version(), "capabilities", "oob"));
}

static void on_event(void *opaque, const json_t *event)
{
	Qmp *q = opaque;
	machine_lock();
	if (q->negotiated && q->output->len - q->written < OUTPUT_MAX)
		send_value(q, event);
	machine_unlock();
}

/* ---- requests ---- */

static const char *class_of(const GError *error)
{
	static const char *const names[] = {
		[VIV_ERROR_FAILED] = "GenericError", [VIV_ERROR_INVALID] = "GenericError", [VIV_ERROR_UNSUPPORTED] = "GenericError",
		[VIV_ERROR_NO_DEVICE] = "DeviceNotFound", [VIV_ERROR_NOT_ACTIVE] = "DeviceNotActive",
		[VIV_ERROR_NO_COMMAND] = "CommandNotFound",
	};
	return error->domain == VIV_ERROR ? names[error->code] : "GenericError";
}

static json_t *error_reply(const GError *error)
{
	return json_pack("{s{ss ss}}", "error", "class", class_of(error), "desc", error->message);
}

static bool check_request(const json_t *object, GError **error)
{
	const char *key;
	json_t *v;

	if (!json_is_object(object))
		return fail(error, VIV_ERROR_INVALID, "QMP input must be a JSON object");
	json_object_foreach ((json_t *)object, key, v) {
		if (!strcmp(key, "execute") || !strcmp(key, "exec-oob")) {
			if (!json_is_string(v))
				return fail(error, VIV_ERROR_INVALID, "QMP input member '%s' must be a string", key);
		} else if (!strcmp(key, "arguments")) {
			if (!json_is_object(v))
				return fail(error, VIV_ERROR_INVALID, "QMP input member 'arguments' must be an object");
		} else if (strcmp(key, "id")) {
			return fail(error, VIV_ERROR_INVALID, "QMP input member '%s' is unexpected", key);
		}
	}
	bool plain = json_object_get(object, "execute"), oob = json_object_get(object, "exec-oob");
	if (plain && oob)
		return fail(error, VIV_ERROR_INVALID, "QMP input member 'execute' clashes with 'exec-oob'");
	return plain || oob || fail(error, VIV_ERROR_INVALID, "QMP input lacks member 'execute'");
}

static bool check_arguments(const Command *c, const json_t *args, GError **error)
{
	SchemaMember *members = command_members(c);
	bool ok = schema_check_members(members, c->flags & COMMAND_OPEN, args, error);
	g_free(members);
	return ok;
}

/* The only command before the client has chosen its capabilities. */
static json_t *negotiate(Qmp *q, const json_t *args, GError **error)
{
	size_t i;
	json_t *v;
	bool oob = false;

	json_array_foreach (json_object_get(args, "enable"), i, v)
		oob |= !strcmp(json_string_value(v), "oob");
	if (q->negotiated) {
		fail(error, VIV_ERROR_NO_COMMAND, "Capabilities negotiation is already complete, command ignored");
		return NULL;
	}
	q->oob = oob;
	q->negotiated = true;
	return json_object();
}

static json_t *execute(Qmp *q, const json_t *object, GError **error)
{
	const char *oob = member_text(object, "exec-oob");
	const char *name = oob ? oob : member_text(object, "execute");
	const Command *c = command_find_qmp(name);
	json_t *args = json_object_get(object, "arguments"), *reply = NULL;
	bool capabilities = !strcmp(name, "qmp_capabilities");

	trace_monitor_qmp_cmd_in_band(name);
	if (!q->negotiated && !capabilities) {
		fail(error, VIV_ERROR_NO_COMMAND, "Expecting capabilities negotiation with 'qmp_capabilities'");
		return NULL;
	}
	if (!c) {
		fail(error, VIV_ERROR_NO_COMMAND, "The command %s has not been found", name);
		return NULL;
	}
	if (oob && !(c->flags & COMMAND_OOB)) {
		fail(error, VIV_ERROR_INVALID, "The command %s does not support OOB", name);
		return NULL;
	}
	args = args ? json_incref(args) : json_object();
	if (check_arguments(c, args, error))
		reply = capabilities ? negotiate(q, args, error) : c->serve(q->mon, args, error);
	json_decref(args);
	return reply;
}

static void answer(Qmp *q, Request *r)
{
	json_t *reply = NULL, *value = r->error ? NULL : execute(q, r->object, &r->error);

	reply = value ? json_pack("{so}", "return", value) : error_reply(r->error);
	if (r->object && json_object_get(r->object, "id"))
		json_object_set(reply, "id", json_object_get(r->object, "id"));
	events_flush();
	machine_lock();
	send_owned(q, reply);
	machine_unlock();
}

static void request_free(Request *r)
{
	json_decref(r->object);
	g_clear_error(&r->error);
	g_free(r);
}

static bool may_read(const Qmp *q)
{
	return q->requests.length < REQUESTS_MAX && q->output->len - q->written < OUTPUT_MAX / 4;
}

/* One request a turn of the main loop: others get their share. */
static gboolean on_idle(gpointer opaque)
{
	Qmp *q = opaque;
	machine_lock();
	Request *r = g_queue_pop_head(&q->requests);
	machine_unlock();
	if (r) {
		answer(q, r);
		request_free(r);
	}
	machine_lock();
	bool more = q->requests.length;
	if (!more)
		q->idle = 0;
	if (may_read(q))
		chardev_accept_input(q->c);
	more = q->requests.length && q->idle;
	machine_unlock();
	return more ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

static void enqueue(Qmp *q, Request *r)
{
	if (r->oob)
		g_queue_push_head(&q->requests, r);
	else
		g_queue_push_tail(&q->requests, r);
	if (!q->idle)
		q->idle = g_idle_add_full(G_PRIORITY_DEFAULT, on_idle, q, NULL);
}

/* ---- input ---- */

static void lexer_restart(Lexer *l)
{
	g_string_truncate(l->text, 0);
	l->depth = 0;
	l->string = l->escape = l->overflow = false;
}

/* A value is complete. */
static void take_value(Qmp *q)
{
	Lexer *l = &q->lexer;
	Request *r = g_new0(Request, 1);
	json_error_t why;

	if (l->overflow)
		fail(&r->error, VIV_ERROR_INVALID, "JSON parse error, a message of more than %u bytes or %d brackets in one another",
		     MESSAGE_MAX, NESTING_MAX);
	else if (!(r->object = json_loadb(l->text->str, l->text->len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why)))
		fail(&r->error, VIV_ERROR_INVALID, "JSON parse error, %s", why.text);
	else if (check_request(r->object, &r->error))
		r->oob = q->oob && json_object_get(r->object, "exec-oob");
	lexer_restart(l);
	enqueue(q, r);
}

static bool is_blank(uint8_t b) { return b == ' ' || b == '\t' || b == '\r' || b == '\n'; }

static void lex_byte(Qmp *q, uint8_t byte)
{
	Lexer *l = &q->lexer;

	if (byte == 0xff) { /* no UTF-8: clients send it to get rid of what was begun */
		if (l->text->len)
			take_value(q);
		return;
	}
	if (!l->text->len && is_blank(byte))
		return;
	if (l->text->len < MESSAGE_MAX)
		g_string_append_c(l->text, (char)byte);
	else
		l->overflow = true;
	if (l->string && byte < ' ') { /* none stands in a string: its end is missing */
		take_value(q);
	} else if (l->escape) {
		l->escape = false;
	} else if (l->string) {
		l->escape = byte == '\\';
		l->string = byte != '"';
	} else if (byte == '"') {
		l->string = true;
	} else if (byte == '{' || byte == '[') {
		l->overflow |= ++l->depth > NESTING_MAX;
	} else if (byte == '}' || byte == ']') {
		if (--l->depth <= 0)
			take_value(q);
	} else if (byte == '\n' && l->depth == 0) { /* words outside of any object */
		take_value(q);
	}
}

static size_t can_read(void *opaque)
{
	return may_read(opaque) ? READ_MAX : 0;
}

static void on_read(void *opaque, const uint8_t *buf, size_t len)
{
	for (size_t i = 0; i < len; i++)
		lex_byte(opaque, buf[i]);
}

static void forget(Qmp *q)
{
	lexer_restart(&q->lexer);
	for (Request *r; (r = g_queue_pop_head(&q->requests));)
		request_free(r);
	g_string_truncate(q->output, 0);
	q->written = 0;
	q->negotiated = q->oob = false;
}

static void on_chardev_event(void *opaque, ChardevEvent event)
{
	Qmp *q = opaque;
	if (event != CHARDEV_OPENED && event != CHARDEV_CLOSED)
		return;
	forget(q);
	if (event == CHARDEV_OPENED)
		greet(q);
}

static void on_writable(void *opaque)
{
	Qmp *q = opaque;
	flush(q);
	if (may_read(q))
		chardev_accept_input(q->c);
}

static const ChardevHandlers handlers = {
	can_read, on_read, on_chardev_event, on_writable, .background = true,
};

Qmp *qmp_new(Machine *m, Chardev *c, bool pretty, GError **error)
{
	Qmp *q = g_new0(Qmp, 1);
	q->mon = monitor_new_detached(m);
	q->c = c;
	q->pretty = pretty;
	q->lexer.text = g_string_new(NULL);
	q->output = g_string_new(NULL);
	machine_lock();
	bool ok = chardev_attach(c, &handlers, q, error);
	machine_unlock();
	events_add_client(m, on_event, q);
	if (!ok) {
		q->c = NULL;
		qmp_free(q);
		return NULL;
	}
	return q;
}

void qmp_free(Qmp *q)
{
	if (!q)
		return;
	events_remove_client(q);
	machine_lock();
	if (q->c) {
		flush(q);
		chardev_detach(q->c, q);
	}
	if (q->idle)
		g_source_remove(q->idle);
	forget(q);
	machine_unlock();
	g_string_free(q->lexer.text, TRUE);
	g_string_free(q->output, TRUE);
	monitor_free(q->mon);
	g_free(q);
}
