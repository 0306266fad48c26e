/*
 * web.c - the browser console's life: where it listens, its thread, its addresses.
 *
 * HTTP/1.1 (RFC 9112) and websockets (RFC 6455) are libwebsockets', without TLS: it listens on the
 * loopback address unless told otherwise. Main thread, but for the server's loop.
 */
#include "display/web.h"

#include <arpa/inet.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "core/lock.h"
#include "core/socket.h"
#include "core/thread.h"
#include "display/private.h"
#include "display/web_private.h"

#define ADDRESS_DEFAULT "127.0.0.1"
#define PORT_DEFAULT 6080u /* noVNC's own */
#define PORT_LAST 6179u
#define BACKLOG 64
#define HEADERS_MAX 8192u /* bytes of a request's */
#define HEADERS_WAIT_S 10
#define IDLE_S 20    /* between two requests */
#define ALIVE_S 60   /* until a silent connection is probed, and between probes */
#define CONSOLES_S 2 /* between two looks for consoles that came or went */

/* ---- the thread ---- */

void web_wake(Web *w) { lws_cancel_service(w->context); }

static void *web_thread(void *opaque)
{
	Web *w = opaque;

	web_server_open_gates(w);
	while (!atomic_load(&w->stop) && lws_service(w->context, 0) >= 0)
		;
	return NULL;
}

static bool make_context(Web *w, GError **error)
{
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN_SERVER,
		.protocols = web_protocols,
		.user = w,
		.gid = (gid_t)-1,
		.uid = (uid_t)-1,
		.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
		.max_http_header_data = HEADERS_MAX,
		.max_http_header_pool = WEB_NEWCOMERS_MAX + 1,
		.timeout_secs = HEADERS_WAIT_S,
		.timeout_secs_ah_idle = HEADERS_WAIT_S,
		.keepalive_timeout = IDLE_S,
		.ka_time = ALIVE_S,
		.ka_probes = 3,
		.ka_interval = ALIVE_S,
		.server_string = "Vivarium",
		/* a viewer of the screen has another beside its own */
		.fd_limit_per_thread = WEB_NEWCOMERS_MAX + 2 * WEB_PEERS_MAX + 32,
	};

	lws_set_log_level(0, NULL);
	w->context = lws_create_context(&info);
	w->vhost = w->context ? lws_create_vhost(w->context, &info) : NULL;
	return w->vhost || fail(error, VIV_ERROR_FAILED, "libwebsockets could not be started");
}

/* ---- where it listens ---- */

static bool is_any(const char *address)
{
	return !strcmp(address, "0.0.0.0") || !strcmp(address, "::");
}

static bool is_number(const char *address)
{
	uint8_t bytes[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, address, bytes) == 1 || inet_pton(AF_INET6, address, bytes) == 1;
}

static bool listen_at(Web *w, const WebOptions *o, GError **error)
{
	const char *address = o->address ? o->address : ADDRESS_DEFAULT;
	char *port = g_strdup_printf("%u", o->port_given ? o->port : PORT_DEFAULT);
	SocketHost place = { address, port, AF_UNSPEC };

	bool ok =
	    socket_listen_inet(place, o->port_given ? 0 : PORT_LAST, BACKLOG, w->listeners, error);
	g_free(port);
	if (!ok)
		return false;
	/* Who listens everywhere is reached by the host's name. */
	if (is_any(address))
		w->name = g_strdup(g_get_host_name());
	else if (!is_number(address))
		w->name = g_strdup(address);
	SocketName name = socket_name(g_array_index(w->listeners, int, 0), false);
	const char *host = w->name ? w->name : name.host;
	w->url = g_strdup_printf(strchr(host, ':') ? "http://[%s]:%s/" : "http://%s:%s/", host,
				 name.port);
	return web_access_init(&w->access, (unsigned)atoi(name.port), error);
}

/* ---- consoles that come and go ---- */

static gboolean on_timer(gpointer opaque)
{
	Web *w = opaque;

	pthread_mutex_lock(&w->lock);
	bool watched = w->control_count;
	pthread_mutex_unlock(&w->lock);
	if (watched)
		web_update_state(w);
	return G_SOURCE_CONTINUE;
}

/* ---- its life ---- */

static Web *web_new(Display *d, const WebHost *host)
{
	Web *w = g_new0(Web, 1);

	w->display = d;
	w->host = *host;
	w->host.name = g_strdup(host->name);
	w->host.layout = g_strdup(host->layout);
	w->listeners = g_array_new(FALSE, FALSE, sizeof(int));
	w->consoles = g_ptr_array_new_with_free_func((GDestroyNotify)console_unref);
	w->peers = g_ptr_array_new();
	w->waiting = g_ptr_array_new();
	w->state = g_strdup("{}");
	pthread_mutex_init(&w->lock, NULL);
	return w;
}

static void unwatch_consoles(Web *w)
{
	for (unsigned i = 0; i < w->consoles->len; i++)
		console_watch(w->consoles->pdata[i], NULL, NULL);
}

static void stop_thread(Web *w)
{
	if (!w->started)
		return;
	atomic_store(&w->stop, true);
	web_wake(w);
	thread_join(w->thread);
}

static void web_free(Web *w)
{
	if (w->timer)
		g_source_remove(w->timer);
	unwatch_consoles(w);
	stop_thread(w);
	for (unsigned i = 0; !w->started && i < w->listeners->len; i++)
		close(g_array_index(w->listeners, int, i));
	if (w->context)
		lws_context_destroy(w->context); /* and its descriptors */
	web_requests_clear(w);
	g_clear_pointer(&w->files, g_hash_table_destroy);
	g_ptr_array_free(w->consoles, TRUE);
	g_ptr_array_free(w->peers, TRUE);
	g_ptr_array_free(w->waiting, TRUE);
	g_array_free(w->listeners, TRUE);
	pthread_mutex_destroy(&w->lock);
	g_free(w->state);
	g_free(w->url);
	g_free(w->name);
	g_free((char *)w->host.name);
	g_free((char *)w->host.layout);
	g_free(w);
}

static bool start(Web *w, const WebOptions *o, GError **error)
{
	VncHost host = { .name = w->host.name, .layout = w->host.layout };

	w->files = web_files_load(error);
	w->vnc = w->files ? vnc_open_private(w->display, &host, error) : NULL;
	if (!w->vnc || !listen_at(w, o, error) || !make_context(w, error))
		return false;
	web_update_state(w);
	w->timer = g_timeout_add_seconds(CONSOLES_S, on_timer, w);
	w->started = thread_start(THREAD_WEB, 0, web_thread, w, &w->thread, error);
	return w->started;
}

bool web_open(Display *d, const char *words, const WebHost *host, GError **error)
{
	WebOptions o;

	if (!web_options_parse(words, &o, error))
		return false;
	Web *w = web_new(d, host);
	bool ok = start(w, &o, error);
	g_free(o.address);
	if (ok)
		d->web = w;
	else
		web_free(w);
	return ok;
}

void web_close(Display *d)
{
	if (d->web)
		web_free(d->web);
	d->web = NULL;
}

void web_changed(Display *d)
{
	if (d->web)
		web_update_state(d->web);
}

/* ---- for the monitor ---- */

char *web_new_address(Display *d, GError **error)
{
	Web *w = d->web;
	char *address = NULL;

	if (!w) {
		fail(error, VIV_ERROR_NOT_ACTIVE, "there is no -display web");
		return NULL;
	}
	pthread_mutex_lock(&w->lock);
	if (web_access_renew(&w->access, error))
		address = g_strconcat(w->url, "#", w->access.token, NULL);
	pthread_mutex_unlock(&w->lock);
	return address;
}

char *web_describe(Display *d)
{
	Web *w = d->web;

	if (!w)
		return g_strdup("there is no -display web\n");
	pthread_mutex_lock(&w->lock);
	char *text = g_strdup_printf("%s\nbrowsers let in: %u\nopen pages: %u\nunused address: %s\n"
				     "web_address makes a new one.\n",
				     w->url, web_access_sessions(&w->access), w->control_count,
				     *w->access.token ? "yes" : "no");
	pthread_mutex_unlock(&w->lock);
	return text;
}
