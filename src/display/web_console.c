/*
 * web_console.c - a browser's view of a text console: bytes both ways, as they are.
 *
 * Each viewer has a place of its own in what the console keeps. One that reads too slowly misses
 * what is not kept any more; the guest never waits. Web thread.
 */
#include "display/web_private.h"

#define PACE_US                                                                                    \
	8000 /* between two pieces of output, so that a byte at a time makes no message each */

static bool console_open(WebPeer *p, const char *name)
{
	p->console = web_find_console(p->web, name);
	if (!p->console)
		return false;
	lws_callback_on_writable(p->wsi);
	return true;
}

/* False: it takes no more for now. */
static bool hand_over(WebPeer *p)
{
	size_t n = console_type(p->console, p->received->data, p->received->len);

	g_byte_array_remove_range(p->received, 0, (guint)n);
	return !p->received->len;
}

static bool console_received(WebPeer *p, const uint8_t *buf, size_t len, bool last)
{
	g_byte_array_append(p->received, buf, (guint)len);
	if (!hand_over(p))
		lws_rx_flow_control(p->wsi, 0);
	return p->received->len <= 4 * WEB_RECEIVE;
}

static bool console_writable(WebPeer *p)
{
	p->out_len = console_read(p->console, &p->position, p->out + LWS_PRE, WEB_PIECE);
	if (p->out_len && !web_peer_send(p, true))
		return false;
	if (console_has(p->console, p->position))
		lws_callback_on_writable(p->wsi);
	else if (console_closed(p->console))
		return false;
	return true;
}

static void console_timer(WebPeer *p)
{
	p->pacing = false;
	lws_callback_on_writable(p->wsi);
}

static void console_look(WebPeer *p)
{
	if (p->received->len && hand_over(p))
		lws_rx_flow_control(p->wsi, 1 | LWS_RXFLOW_REASON_FLAG_PROCESS_NOW);
	if (p->pacing || !(console_has(p->console, p->position) || console_closed(p->console)))
		return;
	p->pacing = true;
	lws_set_timer_usecs(p->wsi, PACE_US);
}

static void console_close(WebPeer *p) { console_unref(p->console); }

const WebKind web_console = {
	.path = "/console/",
	.open = console_open,
	.received = console_received,
	.writable = console_writable,
	.look = console_look,
	.timer = console_timer,
	.close = console_close,
};
