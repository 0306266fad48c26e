/*
 * vnc.c - VNC servers: their life, and who is let in. Main thread.
 */
#include "display/vnc.h"

#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "core/event.h"
#include "core/lock.h"
#include "core/thread.h"
#include "display/placeholder.h"
#include "display/private.h"
#include "display/vnc_private.h"

#define CLIENTS_SPARE 16 /* threads that are ending, beside the limit */

/* All servers of a Display, and what they share. */
struct VncList {
	GPtrArray *servers;         /* VncServer * */
	GPtrArray *private;         /* VncServer *: those that the monitor does not see */
	rfbScreenInfoPtr template;  /* clients' screens are copies of it */
	Placeholder *placeholder;   /* where there is no adapter; NULL: not needed */
};

/* ---- events ---- */

static void tell(const VncClient *c, const char *event)
{
	GPtrArray *listeners = c->server->listeners;

	if (!listeners->len) /* QEMU tells of no viewers that it connected to */
		return;
	json_t *server =
	    vnc_describe_end(((VncListener *)listeners->pdata[0])->fd, false, false);
	json_object_set_new(server, "auth", json_string(vnc_auth_name(c->server)));
	event_emit(event, json_pack("{s:o,s:o}", "server", server, "client",
			    vnc_describe_end(c->fd, c->websocket, true)));
}

/* ---- clients come and go; main thread ---- */

/* Too many have not proved who they are: the one that waited longest makes room. Lock held. */
static void limit_connecting(VncServer *s)
{
	VncClient *oldest = NULL;
	unsigned count = 0;

	for (unsigned n = 0; n < s->clients->len; n++) {
		VncClient *c = client_at(s, n);
		if (!c->connecting || c->leave)
			continue;
		oldest = oldest ? oldest : c;
		count++;
	}
	if (count > s->options.connections)
		vnc_client_dismiss(oldest);
}

static bool admit(VncServer *s, VncClient *c, GError **error)
{
	if (s->clients->len > 2 * s->options.connections + CLIENTS_SPARE)
		return fail(error, VIV_ERROR_FAILED, "there are too many VNC viewers");
	return vnc_client_start(c, error);
}

bool vnc_server_add_client(VncServer *s, int fd, VncClient template, GError **error)
{
	VncClient *c = g_new(VncClient, 1);

	*c = template;
	c->server = s;
	c->fd = fd;
	c->wake_fd = -1;
	c->number = s->client_numbers++;
	c->connecting = true;
	pthread_mutex_lock(&s->lock);
	g_ptr_array_add(s->clients, c);
	bool ok = admit(s, c, error);
	if (!ok)
		g_ptr_array_remove(s->clients, c);
	else
		limit_connecting(s);
	pthread_mutex_unlock(&s->lock);
	if (ok)
		tell(c, "VNC_CONNECTED");
	else
		vnc_client_free(c);
	return ok;
}

/* share=. Others may have to go; false: this one. Lock held. */
static bool may_share(VncServer *s, const VncClient *c)
{
	bool exclusive = !c->shared_asked, other_exclusive = false;
	unsigned shared = 0;

	for (unsigned n = 0; n < s->clients->len; n++) {
		const VncClient *o = client_at(s, n);
		bool counts = o != c && o->joined && !o->leave;
		other_exclusive |= counts && o->exclusive;
		shared += counts && !o->exclusive;
	}
	if (s->options.share == VNC_SHARE_FORCE && exclusive)
		return false;
	if (s->options.share == VNC_SHARE_EXCLUSIVE && !exclusive && other_exclusive)
		return false;
	return exclusive || shared < s->options.connections;
}

static void dismiss_others(VncServer *s, const VncClient *c)
{
	for (unsigned n = 0; n < s->clients->len; n++)
		if (client_at(s, n) != c && client_at(s, n)->joined)
			vnc_client_dismiss(client_at(s, n));
}

void vnc_server_join(VncClient *c)
{
	VncServer *s = c->server;

	machine_lock();
	vnc_begin_looking(s);
	pthread_mutex_lock(&s->lock);
	c->joined = may_share(s, c) && !c->leave;
	if (c->joined) {
		c->connecting = false;
		c->exclusive = !c->shared_asked;
		c->cursor_changed = s->cursor;
		sraRgnDestroy(c->damage);
		c->damage = sraRgnCreateRect(0, 0, (int)s->width, (int)s->height);
		if (c->exclusive && s->options.share == VNC_SHARE_EXCLUSIVE)
			dismiss_others(s, c);
		vnc_client_wake(c);
	} else {
		vnc_client_dismiss(c);
	}
	pthread_mutex_unlock(&s->lock);
	if (!c->joined)
		vnc_end_looking(s);
	machine_unlock();
	if (c->joined)
		tell(c, "VNC_INITIALIZED");
}

void vnc_server_remove_client(VncClient *c)
{
	VncServer *s = c->server;

	thread_join(c->thread);
	pthread_mutex_lock(&s->lock);
	g_ptr_array_remove(s->clients, c);
	pthread_mutex_unlock(&s->lock);
	while (g_source_remove_by_user_data(c))
		; /* asked to join, or said that it ended, and was not heard */
	if (c->joined) {
		machine_lock();
		vnc_end_looking(s);
		machine_unlock();
	}
	tell(c, "VNC_DISCONNECTED");
	vnc_client_free(c);
}

bool vnc_add_client(Display *d, int fd, bool skip_auth, GError **error)
{
	VncServer *s = vnc_find(d, NULL);

	if (s)
		return vnc_server_add_client(s, fd, (VncClient){ .skip_auth = skip_auth }, error);
	close(fd);
	return fail(error, VIV_ERROR_FAILED, "There is no VNC server");
}

/* ---- servers ---- */

rfbScreenInfoPtr vnc_screen_template(Display *d) { return d->vnc->template; }

/* LibVNCServer talks on stderr otherwise. */
static void say_nothing(const char *format, ...) { }

static struct VncList *list_of(Display *d)
{
	if (d->vnc)
		return d->vnc;
	d->vnc = g_new0(struct VncList, 1);
	d->vnc->servers = g_ptr_array_new();
	d->vnc->private = g_ptr_array_new();
	rfbLog = rfbErr = say_nothing;
	vnc_extension_register();
	d->vnc->template = rfbGetScreen(NULL, NULL, 4, 4, 8, 3, 4);
	return d->vnc;
}

VncServer *vnc_find(Display *d, const char *id)
{
	for (unsigned n = 0; d->vnc && n < d->vnc->servers->len; n++) {
		VncServer *s = g_ptr_array_index(d->vnc->servers, n);
		if (!id || !strcmp(s->id, id))
			return s;
	}
	return NULL;
}

GPtrArray *vnc_servers(Display *d) { return d->vnc ? d->vnc->servers : NULL; }

static bool choose_screen(VncServer *s, struct VncList *list, GError **error)
{
	const char *wanted = s->options.display;

	s->screen = display_screen(s->display, 0);
	for (unsigned n = 0; wanted && s->screen && strcmp(screen_name(s->screen), wanted); n++)
		s->screen = display_screen(s->display, n);
	if (!s->screen && wanted)
		return fail(error, VIV_ERROR_INVALID, "Device '%s' not found", wanted);
	if (!s->screen) {
		if (!list->placeholder)
			list->placeholder = placeholder_new(s->display);
		s->screen = placeholder_screen(list->placeholder);
	}
	return true;
}

static bool take_secret(VncServer *s, GError **error)
{
	size_t length;
	if (!s->options.secret)
		return true;
	const uint8_t *secret = s->host.secret(s->options.secret, &length, error);
	if (!secret)
		return false;
	g_strlcpy(s->password, (const char *)secret, sizeof(s->password));
	return s->has_password = true;
}

static void server_free(VncServer *s)
{
	g_ptr_array_set_size(s->listeners, 0);
	pthread_mutex_lock(&s->lock);
	for (unsigned n = 0; n < s->clients->len; n++)
		vnc_client_dismiss(client_at(s, n));
	pthread_mutex_unlock(&s->lock);
	while (s->clients->len)
		vnc_server_remove_client(client_at(s, 0));
	g_ptr_array_free(s->listeners, TRUE);
	g_ptr_array_free(s->clients, TRUE);
	keymap_free(s->keymap);
	sraRgnDestroy(s->damage);
	pthread_mutex_destroy(&s->lock);
	g_free(s->picture);
	g_free(s->cursor);
	g_free(s->title);
	g_free(s->id);
	g_free((char *)s->host.layout);
	vnc_options_clear(&s->options);
	g_free(s);
}

/* "default", "vnc2", "vnc3", ... */
static char *free_id(Display *d)
{
	char *id = g_strdup("default");

	for (unsigned n = 2; vnc_find(d, id); n++) {
		g_free(id);
		id = g_strdup_printf("vnc%u", n);
	}
	return id;
}

static VncServer *server_new(Display *d, const VncOptions *o, const VncHost *host)
{
	VncServer *s = g_new0(VncServer, 1);

	*s = (VncServer){ .display = d, .options = *o, .host = *host, .password_end = INT64_MAX };
	s->id = o->id ? g_strdup(o->id) : free_id(d);
	s->host.layout = g_strdup(host->layout);
	s->host.name = NULL;
	s->title = host->name ? g_strdup_printf("Vivarium (%s)", host->name) : g_strdup("Vivarium");
	s->listeners = g_ptr_array_new_with_free_func((GDestroyNotify)vnc_listener_free);
	s->clients = g_ptr_array_new();
	s->damage = sraRgnCreate();
	pthread_mutex_init(&s->lock, NULL);
	return s;
}

bool vnc_open(Display *d, const char *words, const VncHost *host, char **running, GError **error)
{
	VncOptions o;

	if (!vnc_options_parse(words, &o, error))
		return false;
	struct VncList *list = list_of(d);
	if (o.id && vnc_find(d, o.id)) {
		fail(error, VIV_ERROR_INVALID, "Duplicate ID '%s' for vnc", o.id);
		vnc_options_clear(&o);
		return false;
	}
	VncServer *s = server_new(d, &o, host);
	if (host->layout && !keymap_knows(host->layout))
		fail(error, VIV_ERROR_INVALID, "could not read keymap file: '%s'", host->layout);
	else if (choose_screen(s, list, error) && take_secret(s, error) && vnc_listen(s, error)) {
		g_ptr_array_add(list->servers, s);
		if (o.to_given)
			*running = vnc_listen_address(s);
		return true;
	}
	server_free(s);
	return false;
}

VncServer *vnc_open_private(Display *d, const VncHost *host, GError **error)
{
	VncOptions o;

	if (!vnc_options_parse("none,share=ignore", &o, error))
		return NULL;
	struct VncList *list = list_of(d);
	VncServer *s = server_new(d, &o, host);
	if (host->layout && !keymap_knows(host->layout))
		fail(error, VIV_ERROR_INVALID, "could not read keymap file: '%s'", host->layout);
	else if (choose_screen(s, list, error)) {
		g_ptr_array_add(list->private, s);
		return s;
	}
	server_free(s);
	return NULL;
}

bool vnc_serve(VncServer *s, int fd, GError **error)
{
	return vnc_server_add_client(s, fd, (VncClient){ .skip_auth = true }, error);
}

Screen *vnc_screen(const VncServer *s) { return s->screen; }

static void free_servers(GPtrArray *servers)
{
	while (servers->len)
		server_free(g_ptr_array_remove_index(servers, 0));
	g_ptr_array_free(servers, TRUE);
}

void vnc_close_all(Display *d)
{
	struct VncList *list = d->vnc;

	if (!list)
		return;
	free_servers(list->servers);
	free_servers(list->private);
	placeholder_free(list->placeholder);
	rfbScreenCleanup(list->template);
	g_free(list);
	d->vnc = NULL;
}
