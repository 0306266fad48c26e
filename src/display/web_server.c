/*
 * web_server.c - connections as libwebsockets tells of them, and websockets. Web thread.
 */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "display/web_private.h"

/* What libwebsockets keeps with a connection of ours. */
typedef struct Slot {
	WebReply reply; /* HTTP */
	WebPeer *peer;	/* a websocket, or the pair of sockets behind one */
} Slot;

static const WebKind *const kinds[] = { &web_screen, &web_console, &web_control };

static Web *web_of(struct lws *wsi) { return lws_context_user(lws_get_context(wsi)); }

/* ---- gates: who may connect at all ---- */

void web_server_open_gates(Web *w)
{
	for (unsigned i = 0; i < w->listeners->len; i++) {
		lws_sock_file_fd_type fd = { .filefd = g_array_index(w->listeners, int, i) };
		lws_adopt_descriptor_vhost(w->vhost, LWS_ADOPT_RAW_FILE_DESC, fd,
					   web_protocols[WEB_PROTOCOL_GATE].name, NULL);
	}
}

/* Who connects and says nothing makes room for those who come later: a thousand of them keep nobody
 * out. */
static void limit_newcomers(Web *w)
{
	if (w->newcomers.length > WEB_NEWCOMERS_MAX)
		lws_set_timeout(g_queue_peek_head(&w->newcomers), PENDING_TIMEOUT_CLOSE_SEND,
				LWS_TO_KILL_SYNC);
}

static void let_in(Web *w, int gate)
{
	int fd = accept4(gate, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	struct lws *wsi = lws_adopt_socket_vhost(w->vhost, fd); /* closes it if it cannot */
	if (!wsi)
		return;
	g_queue_push_tail(&w->newcomers, wsi);
	limit_newcomers(w);
}

static int on_gate(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
		   size_t len)
{
	if (reason == LWS_CALLBACK_RAW_RX_FILE)
		let_in(web_of(wsi), lws_get_socket_fd(wsi));
	return 0;
}

/* ---- websockets ---- */

/* What a path asks for; *name is what follows it. NULL: nothing. */
static const WebKind *find_kind(const char *path, const char **name)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
		bool named = g_str_has_suffix(kinds[i]->path, "/");
		if (named ? g_str_has_prefix(path, kinds[i]->path)
			  : !strcmp(path, kinds[i]->path)) {
			*name = path + strlen(kinds[i]->path);
			return kinds[i];
		}
	}
	return NULL;
}

static bool get_path(struct lws *wsi, char *path, int size)
{
	return lws_hdr_copy(wsi, path, size, WSI_TOKEN_GET_URI) > 0;
}

/* 0: it may become one. */
static int check_websocket(Web *w, struct lws *wsi)
{
	char path[128];
	const char *name;
	unsigned status = web_http_check(w, wsi, true, true);

	if (!status && (!get_path(wsi, path, sizeof(path)) || !find_kind(path, &name)))
		status = HTTP_STATUS_NOT_FOUND;
	if (!status && w->peers->len >= WEB_PEERS_MAX)
		status = HTTP_STATUS_SERVICE_UNAVAILABLE;
	if (!status)
		return 0;
	lws_return_http_status(wsi, status, NULL);
	return 1;
}

static void close_peer(Web *w, Slot *slot)
{
	WebPeer *p = slot->peer;

	if (!p)
		return;
	slot->peer = NULL;
	p->kind->close(p);
	g_ptr_array_remove_fast(w->peers, p);
	g_byte_array_free(p->received, TRUE);
	g_free(p);
}

static int open_peer(Web *w, Slot *slot, struct lws *wsi)
{
	char path[128];
	const char *name = NULL;
	const WebKind *kind = get_path(wsi, path, sizeof(path)) ? find_kind(path, &name) : NULL;

	if (!kind)
		return -1;
	WebPeer *p = g_new0(WebPeer, 1);
	p->web = w;
	p->kind = kind;
	p->wsi = wsi;
	p->fd = -1;
	p->received = g_byte_array_new();
	slot->peer = p;
	g_ptr_array_add(w->peers, p);
	g_queue_remove(&w->newcomers, wsi);
	if (p->kind->open(p, name))
		return 0;
	close_peer(w, slot);
	return -1;
}

bool web_peer_send(WebPeer *p, bool binary)
{
	size_t n = p->out_len;

	p->out_len = 0;
	return lws_write(p->wsi, p->out + LWS_PRE, n, binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT) >=
	       (int)n;
}

void web_peer_end(WebPeer *p)
{
	lws_set_timeout(p->wsi, PENDING_TIMEOUT_CLOSE_SEND, LWS_TO_KILL_ASYNC);
}

void web_server_look(Web *w)
{
	web_http_pictures(w);
	for (unsigned i = 0; i < w->peers->len; i++) {
		WebPeer *p = w->peers->pdata[i];
		p->kind->look(p);
	}
}

static int on_websocket(Web *w, Slot *slot, struct lws *wsi, enum lws_callback_reasons reason,
			const void *in, size_t len)
{
	WebPeer *p = slot ? slot->peer : NULL;
	bool ok = true;

	if (reason == LWS_CALLBACK_ESTABLISHED)
		return open_peer(w, slot, wsi);
	if (!p)
		return 0;
	if (reason == LWS_CALLBACK_RECEIVE)
		ok = p->kind->received(
		    p, in, len, lws_is_final_fragment(wsi) && !lws_remaining_packet_payload(wsi));
	else if (reason == LWS_CALLBACK_SERVER_WRITEABLE)
		ok = p->kind->writable(p);
	else if (reason == LWS_CALLBACK_TIMER && p->kind->timer)
		p->kind->timer(p);
	else if (reason == LWS_CALLBACK_CLOSED)
		close_peer(w, slot);
	return ok ? 0 : -1;
}

/* ---- libwebsockets' calls ---- */

static int on_http(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
		   size_t len)
{
	Web *w = web_of(wsi);
	Slot *slot = user;

	switch (reason) {
	case LWS_CALLBACK_EVENT_WAIT_CANCELLED:
		web_server_look(w);
		return 0;
	case LWS_CALLBACK_WSI_DESTROY:
		g_queue_remove(&w->newcomers, wsi);
		return 0;
	case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE: /* to HTTP/2 there is none */
		return strcmp(in, "websocket") ? -1 : 0;
	case LWS_CALLBACK_HTTP:
		return web_http_request(w, &slot->reply, wsi, in, len);
	case LWS_CALLBACK_HTTP_WRITEABLE:
		return web_http_writable(&slot->reply);
	case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
	case LWS_CALLBACK_CLOSED_HTTP:
		if (slot)
			web_http_end(w, &slot->reply);
		return 0;
	case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
		return check_websocket(w, wsi);
	case LWS_CALLBACK_ESTABLISHED:
	case LWS_CALLBACK_RECEIVE:
	case LWS_CALLBACK_SERVER_WRITEABLE:
	case LWS_CALLBACK_TIMER:
	case LWS_CALLBACK_CLOSED:
		return on_websocket(w, slot, wsi, reason, in, len);
	default:
		return 0;
	}
}

static int on_pipe(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
		   size_t len)
{
	WebPeer *p = lws_get_opaque_user_data(wsi);

	switch (reason) {
	case LWS_CALLBACK_RAW_RX_FILE:
		return p ? web_pipe_readable(p) : -1;
	case LWS_CALLBACK_RAW_WRITEABLE_FILE:
		return p ? web_pipe_writable(p) : -1;
	case LWS_CALLBACK_RAW_CLOSE_FILE:
		if (p) {
			p->pipe = NULL;
			web_peer_end(p);
		}
		return 0;
	default:
		return 0;
	}
}

const struct lws_protocols web_protocols[] = {
	[WEB_PROTOCOL_HTTP] = { .name = "viv",
				.callback = on_http,
				.per_session_data_size = sizeof(Slot),
				.rx_buffer_size = WEB_RECEIVE },
	[WEB_PROTOCOL_PIPE] = { .name = "pipe", .callback = on_pipe },
	[WEB_PROTOCOL_GATE] = { .name = "gate", .callback = on_gate },
	{ .name = NULL },
};
