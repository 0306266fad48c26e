/*
 * events.c - queues events, holds back those that come too often, tells QMP's clients.
 *
 * As QEMU 7.2 words and limits them (QMP specification, "Asynchronous events"). event_in enters on any thread, all else
 * on the main one. What clients do not take while QUEUE_MAX wait is dropped, oldest first.
 */
#include "monitor/events.h"

#include <pthread.h>
#include <string.h>

#include "core/event.h"
#include "core/trace.h"

#define QUEUE_MAX 1024

const EventDef event_table[] = {
	{ "ACPI_DEVICE_OST", { { "info", "ACPIOSTInfo" } } },
	{ "BLOCK_IMAGE_CORRUPTED", { { "device", "str" }, { "node-name", "str", true }, { "msg", "str" }, { "offset", "int", true },
				     { "size", "int", true }, { "fatal", "bool" } } },
	{ "BLOCK_IO_ERROR", { { "device", "str" }, { "node-name", "str", true }, { "operation", "IoOperationType" },
			      { "action", "BlockErrorAction" }, { "nospace", "bool", true }, { "reason", "str" } } },
	{ "DEVICE_DELETED", { { "device", "str", true }, { "path", "str" } } },
	{ "DEVICE_TRAY_MOVED", { { "device", "str" }, { "id", "str" }, { "tray-open", "bool" } } },
	{ "DEVICE_UNPLUG_GUEST_ERROR", { { "device", "str", true }, { "path", "str" } } },
	{ "GUEST_CRASHLOADED", { { "action", "GuestPanicAction" } } },
	{ "GUEST_PANICKED", { { "action", "GuestPanicAction" } } },
	{ "POWERDOWN" },
	{ "RESET", { { "guest", "bool" }, { "reason", "ShutdownCause" } } },
	{ "RESUME" },
	{ "RTC_CHANGE", { { "offset", "int" }, { "qom-path", "str" } }, 1000 },
	{ "SHUTDOWN", { { "guest", "bool" }, { "reason", "ShutdownCause" } } },
	{ "STOP" },
	{ "SUSPEND" },
	{ "VNC_CONNECTED", { { "server", "VncServerInfo" }, { "client", "VncBasicInfo" } } },
	{ "VNC_DISCONNECTED", { { "server", "VncServerInfo" }, { "client", "VncClientInfo" } } },
	{ "VNC_INITIALIZED", { { "server", "VncServerInfo" }, { "client", "VncClientInfo" } } },
	{ "VSERPORT_CHANGE", { { "id", "str" }, { "open", "bool" } }, 1000, "id" },
	{ "WAKEUP" },
	{ "WATCHDOG", { { "action", "WatchdogAction" } }, 1000 },
	{ NULL },
};

/* One that was told lately: the next must wait. */
typedef struct Held {
	char *what;      /* name and key */
	json_t *event;   /* came since; NULL: none */
	guint timer;
} Held;

typedef struct Client {
	EventClientFn fn;
	void *opaque;
} Client;

static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;
static GQueue queue = G_QUEUE_INIT; /* queue_lock: json_t * */
static guint queue_source;          /* queue_lock */
static GArray *clients;             /* main thread; NULL: none, nothing is heard */
static GPtrArray *held;             /* main thread */
static Machine *heard;              /* whose listener this is; main thread */

/* ---- telling ---- */

static void tell(const json_t *event)
{
	for (guint i = 0; clients && i < clients->len; i++) {
		const Client *c = &g_array_index(clients, Client, i);
		c->fn(c->opaque, event);
	}
}

static void held_free(gpointer p)
{
	Held *h = p;
	if (h->timer)
		g_source_remove(h->timer);
	json_decref(h->event);
	g_free(h->what);
	g_free(h);
}

static gboolean on_interval(gpointer opaque)
{
	Held *h = opaque;
	if (h->event) {
		tell(h->event);
		json_decref(h->event);
		h->event = NULL;
		return G_SOURCE_CONTINUE;
	}
	h->timer = 0;
	g_ptr_array_remove_fast(held, h);
	return G_SOURCE_REMOVE;
}

static const EventDef *find_def(const char *name)
{
	const EventDef *d = event_table;
	while (d->name && strcmp(d->name, name))
		d++;
	return d;
}

/* Takes `event` over. */
static void tell_in_time(json_t *event)
{
	const EventDef *d = find_def(member_text(event, "event"));
	if (!d->interval_ms) {
		tell(event);
		json_decref(event);
		return;
	}
	const json_t *key = d->key ? json_object_get(json_object_get(event, "data"), d->key) : NULL;
	char *what = g_strdup_printf("%s %s", d->name, key ? json_string_value(key) : "");
	for (guint i = 0; i < held->len; i++) {
		Held *h = g_ptr_array_index(held, i);
		if (strcmp(h->what, what))
			continue;
		json_decref(h->event);
		h->event = event;
		g_free(what);
		return;
	}
	tell(event);
	json_decref(event);
	Held *h = g_new0(Held, 1);
	h->what = what;
	h->timer = g_timeout_add(d->interval_ms, on_interval, h);
	g_ptr_array_add(held, h);
}

static json_t *next_event(void)
{
	pthread_mutex_lock(&queue_lock);
	json_t *event = g_queue_pop_head(&queue);
	pthread_mutex_unlock(&queue_lock);
	return event;
}

void events_flush(void)
{
	for (json_t *event; (event = next_event());)
		tell_in_time(event);
}

static gboolean on_queue(gpointer opaque)
{
	events_flush();
	pthread_mutex_lock(&queue_lock);
	bool more = queue.length;
	if (!more)
		queue_source = 0;
	pthread_mutex_unlock(&queue_lock);
	return more ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

/* ---- hearing ---- */

static void event_in(void *opaque, const char *name, json_t *data)
{
	trace_monitor_event(name);
	gint64 now = g_get_real_time();
	json_t *event = json_pack("{s{sI sI} ss}", "timestamp", "seconds", (json_int_t)(now / G_USEC_PER_SEC), "microseconds",
				  (json_int_t)(now % G_USEC_PER_SEC), "event", name);
	if (data)
		json_object_set_new(event, "data", data);
	pthread_mutex_lock(&queue_lock);
	if (queue.length == QUEUE_MAX)
		json_decref(g_queue_pop_head(&queue));
	g_queue_push_tail(&queue, event);
	if (!queue_source)
		queue_source = g_idle_add_full(G_PRIORITY_DEFAULT, on_queue, NULL, NULL);
	pthread_mutex_unlock(&queue_lock);
}

/* On the main thread: those who are told hear of it before the command that did it is answered. */
static void machine_event(void *opaque, MachineEvent event, const char *detail)
{
	static const char *const names[] = {
		[MACHINE_EVENT_RESUME] = "RESUME", [MACHINE_EVENT_STOP] = "STOP", [MACHINE_EVENT_RESET] = "RESET",
		[MACHINE_EVENT_SHUTDOWN] = "SHUTDOWN", [MACHINE_EVENT_POWERDOWN] = "POWERDOWN",
		[MACHINE_EVENT_PANICKED] = "GUEST_PANICKED", [MACHINE_EVENT_CRASHLOADED] = "GUEST_CRASHLOADED",
	};
	json_t *data = NULL;
	if (!clients)
		return;
	if (event == MACHINE_EVENT_RESET || event == MACHINE_EVENT_SHUTDOWN)
		data = json_pack("{sb ss}", "guest", g_str_has_prefix(detail, "guest-"), "reason", detail);
	else if (detail)
		data = json_pack("{ss}", "action", detail);
	event_in(NULL, names[event], data);
	events_flush();
}

void events_add_client(Machine *m, EventClientFn fn, void *opaque)
{
	Client c = { fn, opaque };
	if (!clients) {
		clients = g_array_new(FALSE, FALSE, sizeof(Client));
		held = g_ptr_array_new_with_free_func(held_free);
		if (heard != m)
			machine_add_listener(m, machine_event, m);
		heard = m;
		event_set_sink(event_in, NULL);
	}
	g_array_append_val(clients, c);
}

/* With the last client everything goes, what waited too. */
static void end(void)
{
	event_set_sink(NULL, NULL);
	pthread_mutex_lock(&queue_lock);
	if (queue_source)
		g_source_remove(queue_source);
	queue_source = 0;
	for (json_t *event; (event = g_queue_pop_head(&queue));)
		json_decref(event);
	pthread_mutex_unlock(&queue_lock);
	g_ptr_array_free(held, TRUE);
	g_array_free(clients, TRUE);
	clients = NULL;
}

void events_remove_client(void *opaque)
{
	for (guint i = 0; clients && i < clients->len; i++)
		if (g_array_index(clients, Client, i).opaque == opaque) {
			g_array_remove_index(clients, i);
			break;
		}
	if (clients && !clients->len)
		end();
}
