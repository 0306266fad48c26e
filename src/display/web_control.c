/*
 * web_control.c - the page's own connection: the machine's state to the browser, buttons from it.
 *
 * Messages are JSON (RFC 8259): {"state":"running","name":...,"consoles":[...]} one way,
 * {"do":"stop"} the other. Web thread.
 */
#include <string.h>

#include <jansson.h>

#include "display/web_private.h"

#define MESSAGE_MAX 1024u

static void count(Web *w, int change)
{
	pthread_mutex_lock(&w->lock);
	w->control_count += (unsigned)change;
	pthread_mutex_unlock(&w->lock);
}

static bool control_open(WebPeer *p, const char *name)
{
	count(p->web, 1);
	lws_callback_on_writable(p->wsi);
	return web_ask(p->web, (WebRequest){ .type = WEB_REQUEST_LOOK });
}

/* The state as it was told last; what does not fit into a piece is not told. */
static bool control_writable(WebPeer *p)
{
	Web *w = p->web;

	pthread_mutex_lock(&w->lock);
	size_t n = strlen(w->state);
	bool news = p->told_version != w->state_version && n <= WEB_PIECE;
	if (news) {
		memcpy(p->out + LWS_PRE, w->state, n);
		p->told_version = w->state_version;
	}
	pthread_mutex_unlock(&w->lock);
	p->out_len = news ? n : 0;
	return !p->out_len || web_peer_send(p, false);
}

static void control_look(WebPeer *p)
{
	pthread_mutex_lock(&p->web->lock);
	bool news = p->told_version != p->web->state_version;
	pthread_mutex_unlock(&p->web->lock);
	if (news)
		lws_callback_on_writable(p->wsi);
}

/* False: nobody of ours says such a thing. */
static bool act(Web *w, const GByteArray *message)
{
	json_t *order = json_loadb((const char *)message->data, message->len, 0, NULL);
	const char *word = json_string_value(json_object_get(order, "do"));
	bool known = false;

	for (unsigned i = 0; word && !known && i < WEB_ACTIONS; i++)
		if (!strcmp(word, web_action_names[i]))
			known = web_ask(w, (WebRequest){ .type = WEB_REQUEST_ACTION, .action = i });
	json_decref(order);
	return known;
}

static bool control_received(WebPeer *p, const uint8_t *buf, size_t len, bool last)
{
	if (p->received->len + len > MESSAGE_MAX)
		return false;
	g_byte_array_append(p->received, buf, (guint)len);
	if (!last)
		return true;
	bool ok = act(p->web, p->received);
	g_byte_array_set_size(p->received, 0);
	return ok;
}

static void control_close(WebPeer *p) { count(p->web, -1); }

const WebKind web_control = {
	.path = "/control",
	.open = control_open,
	.received = control_received,
	.writable = control_writable,
	.look = control_look,
	.close = control_close,
};
