/*
 * web_machine.c - the browser console's side of the main thread: what is asked of the machine, and
 * what it is like.
 */
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "core/lock.h"
#include "display/picture.h"
#include "display/web_private.h"

const char *const web_action_names[WEB_ACTIONS] = {
	[WEB_CONT] = "cont",   [WEB_STOP] = "stop", [WEB_POWERDOWN] = "powerdown",
	[WEB_RESET] = "reset", [WEB_QUIT] = "quit",
};

/* ---- the machine as it is ---- */

static json_t *describe_consoles(const GPtrArray *consoles)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < consoles->len; i++) {
		unsigned columns, rows;
		console_size(consoles->pdata[i], &columns, &rows);
		json_array_append_new(list, json_pack("{s:s,s:i,s:i}", "id",
						      console_id(consoles->pdata[i]), "columns",
						      (int)columns, "rows", (int)rows));
	}
	return list;
}

static char *describe(const Web *w, const GPtrArray *consoles)
{
	json_t *state = json_pack("{s:s,s:s*,s:o}", "state", w->host.state(w->host.opaque), "name",
				  w->host.name, "consoles", describe_consoles(consoles));
	char *text = json_dumps(state, JSON_COMPACT);

	json_decref(state);
	return text;
}

static void on_console_changed(void *opaque) { web_wake(opaque); }

static bool same_consoles(const GPtrArray *a, const GPtrArray *b)
{
	return a->len == b->len &&
	       (!a->len || !memcmp(a->pdata, b->pdata, a->len * sizeof(*a->pdata)));
}

void web_update_state(Web *w)
{
	GPtrArray *consoles = w->host.consoles(w->host.opaque);
	char *state = describe(w, consoles);

	for (unsigned i = 0; !same_consoles(consoles, w->consoles) && i < consoles->len; i++)
		console_watch(consoles->pdata[i], on_console_changed, w);
	pthread_mutex_lock(&w->lock);
	GPtrArray *old = w->consoles;
	w->consoles = consoles;
	bool changed = strcmp(state, w->state);
	if (changed) {
		g_free(w->state);
		w->state = g_strdup(state);
		w->state_version++;
	}
	pthread_mutex_unlock(&w->lock);
	g_ptr_array_free(old, TRUE);
	free(state);
	if (changed)
		web_wake(w);
}

Console *web_find_console(Web *w, const char *id)
{
	Console *found = NULL;

	pthread_mutex_lock(&w->lock);
	for (unsigned i = 0; !found && i < w->consoles->len; i++)
		if (!strcmp(console_id(w->consoles->pdata[i]), id))
			found = console_ref(w->consoles->pdata[i]);
	pthread_mutex_unlock(&w->lock);
	return found;
}

/* ---- what is asked of it ---- */

static void send_picture(Web *w, uint64_t number)
{
	WebPicture *picture = g_new(WebPicture, 1);

	*picture = (WebPicture){ number, picture_bytes(vnc_screen(w->vnc), PICTURE_PNG) };
	pthread_mutex_lock(&w->lock);
	g_queue_push_tail(&w->pictures, picture);
	pthread_mutex_unlock(&w->lock);
	web_wake(w);
}

static void fulfil(Web *w, const WebRequest *r)
{
	switch (r->type) {
	case WEB_REQUEST_LOOK:
		web_update_state(w);
		break;
	case WEB_REQUEST_ACTION:
		w->host.act(w->host.opaque, r->action);
		break;
	case WEB_REQUEST_SCREEN:
		vnc_serve(w->vnc, r->fd, NULL); /* if it cannot, the pair's other end says so */
		break;
	case WEB_REQUEST_PICTURE:
		send_picture(w, r->number);
		break;
	}
}

/* The oldest: each request has a turn of the main loop, so that many of them hold nobody else up.
 */
static gboolean on_request(gpointer opaque)
{
	Web *w = opaque;

	pthread_mutex_lock(&w->lock);
	WebRequest *r = g_queue_pop_head(&w->requests);
	pthread_mutex_unlock(&w->lock);
	if (r)
		fulfil(w, r);
	g_free(r);
	return G_SOURCE_REMOVE;
}

bool web_ask(Web *w, WebRequest request)
{
	pthread_mutex_lock(&w->lock);
	bool ok = w->requests.length < WEB_REQUESTS_MAX;
	if (ok) {
		g_queue_push_tail(&w->requests, g_memdup2(&request, sizeof(request)));
		g_idle_add_full(G_PRIORITY_DEFAULT, on_request, w, NULL);
	}
	pthread_mutex_unlock(&w->lock);
	if (!ok && request.type == WEB_REQUEST_SCREEN)
		close(request.fd);
	return ok;
}

void web_requests_clear(Web *w)
{
	WebRequest *r;
	WebPicture *picture;

	while (g_source_remove_by_user_data(w))
		;
	while ((r = g_queue_pop_head(&w->requests))) {
		if (r->type == WEB_REQUEST_SCREEN)
			close(r->fd);
		g_free(r);
	}
	while ((picture = g_queue_pop_head(&w->pictures))) {
		g_clear_pointer(&picture->png, g_bytes_unref);
		g_free(picture);
	}
}
