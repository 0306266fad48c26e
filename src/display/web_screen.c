/*
 * web_screen.c - a browser's view of the screen: RFB through a websocket.
 *
 * The VNC server (vnc.h) serves the far end of a pair of sockets as it serves any viewer; here
 * bytes are carried between the near end and the websocket. Each way there is one piece at a time:
 * a browser that does not read, and a server that does not, stop what comes from the other side.
 * Web thread.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "display/web_private.h"

static void flow(struct lws *wsi, bool on)
{
	lws_rx_flow_control(wsi, (on ? 1 : 0) | LWS_RXFLOW_REASON_FLAG_PROCESS_NOW);
}

static bool screen_open(WebPeer *p, const char *name)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair))
		return false;
	lws_sock_file_fd_type fd = { .filefd = pair[0] };
	p->pipe = lws_adopt_descriptor_vhost(p->web->vhost, LWS_ADOPT_RAW_FILE_DESC, fd,
					     web_protocols[WEB_PROTOCOL_PIPE].name, NULL);
	if (!p->pipe) { /* it is closed then */
		close(pair[1]);
		return false;
	}
	p->fd = pair[0];
	lws_set_opaque_user_data(p->pipe, p);
	return web_ask(p->web, (WebRequest){ .type = WEB_REQUEST_SCREEN, .fd = pair[1] });
}

/* ---- to the browser ---- */

int web_pipe_readable(WebPeer *p)
{
	if (p->out_len)
		return 0;
	ssize_t n = read(p->fd, p->out + LWS_PRE, WEB_PIECE);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return -1;
	p->out_len = (size_t)n;
	lws_rx_flow_control(p->pipe, 0);
	lws_callback_on_writable(p->wsi);
	return 0;
}

static bool screen_writable(WebPeer *p)
{
	if (p->out_len && !web_peer_send(p, true))
		return false;
	if (p->pipe)
		flow(p->pipe, true);
	return true;
}

/* ---- from the browser ---- */

/* False: the pair is broken. */
static bool flush(WebPeer *p)
{
	ssize_t n = send(p->fd, p->received->data, p->received->len, MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return false;
	if (n > 0)
		g_byte_array_remove_range(p->received, 0, (guint)n);
	if (p->received->len)
		lws_callback_on_writable(p->pipe);
	return true;
}

static bool screen_received(WebPeer *p, const uint8_t *buf, size_t len, bool last)
{
	if (!p->pipe)
		return false;
	g_byte_array_append(p->received, buf, (guint)len);
	if (!flush(p))
		return false;
	if (p->received->len)
		lws_rx_flow_control(p->wsi, 0);
	return p->received->len <= 4 * WEB_RECEIVE;
}

int web_pipe_writable(WebPeer *p)
{
	if (!flush(p))
		return -1;
	if (!p->received->len)
		flow(p->wsi, true);
	return 0;
}

static void screen_look(WebPeer *p) {}

static void screen_close(WebPeer *p)
{
	if (!p->pipe)
		return;
	lws_set_opaque_user_data(p->pipe, NULL);
	flow(p->pipe, true);
	shutdown(p->fd, SHUT_RDWR); /* VNC's viewer goes, and then libwebsockets closes our end */
	lws_set_timeout(p->pipe, PENDING_TIMEOUT_CLOSE_SEND, LWS_TO_KILL_ASYNC);
}

const WebKind web_screen = {
	.path = "/screen",
	.open = screen_open,
	.received = screen_received,
	.writable = screen_writable,
	.look = screen_look,
	.close = screen_close,
};
