/*
 * web_http.c - answers to HTTP requests: the page's files, the exchange of a token for a session,
 * screenshots. Web thread.
 *
 * RFC 9110. A token comes as "Authorization: Bearer" (RFC 6750) with POST /session: what follows
 * '#' in the printed address stays in the browser, so that no log, preview or Referer has it.
 */
#include <string.h>

#include "display/web_private.h"

#define PICTURES_MAX 8u /* that are waited for or on their way */
#define SEND_WAIT_S 30	/* for a browser that stops reading an answer */
#define HEADER_TEXT 1024
#define BEARER "Bearer "

/* What a page of ours may do: load our files, talk to us; nothing from elsewhere, nothing within
 * others' frames. */
#define POLICY                                                                                     \
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "    \
	"connect-src 'self'; "                                                                     \
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

static const struct {
	const char *name, *value;
} common_headers[] = {
	{ "content-security-policy:", POLICY },
	{ "x-content-type-options:", "nosniff" },
	{ "x-frame-options:", "DENY" },
	{ "referrer-policy:", "no-referrer" },
	{ "cross-origin-opener-policy:", "same-origin" },
	{ "cross-origin-resource-policy:", "same-origin" },
	{ "cache-control:", "no-store" },
};

/* ---- headers ---- */

/* False: the request has none, or it is too long. */
static bool get_header(struct lws *wsi, enum lws_token_indexes which, char text[HEADER_TEXT])
{
	return lws_hdr_copy(wsi, text, HEADER_TEXT, which) > 0;
}

static bool put_header(struct lws *wsi, const char *name, const char *value, unsigned char **p,
		       unsigned char *end)
{
	return !lws_add_http_header_by_name(wsi, (const unsigned char *)name,
					    (const unsigned char *)value, (int)strlen(value), p,
					    end);
}

static bool begin(WebReply *r, unsigned status, const char *type, const char *cookie, size_t length)
{
	unsigned char buf[LWS_PRE + 2048], *start = buf + LWS_PRE, *p = start,
					   *end = buf + sizeof(buf);
	bool ok = !lws_add_http_common_headers(r->wsi, status, type, length, &p, end);

	for (unsigned i = 0; ok && i < G_N_ELEMENTS(common_headers); i++)
		ok = put_header(r->wsi, common_headers[i].name, common_headers[i].value, &p, end);
	if (ok && r->ends)
		ok = put_header(r->wsi, "connection:", "close", &p, end);
	if (ok && cookie)
		ok = put_header(r->wsi, "set-cookie:", cookie, &p, end);
	return ok && !lws_finalize_write_http_header(r->wsi, start, &p, end);
}

/* ---- answers ---- */

/* Takes the reference of `body`, which may be NULL. The result is the callback's. */
static int answer(WebReply *r, unsigned status, const char *type, const char *cookie, GBytes *body)
{
	size_t length = body ? g_bytes_get_size(body) : 0;

	r->body = body;
	r->sent = r->head ? length : 0;
	if (!begin(r, status, type, cookie, length))
		return -1;
	lws_set_timeout(r->wsi, PENDING_TIMEOUT_HTTP_CONTENT, SEND_WAIT_S);
	lws_callback_on_writable(r->wsi);
	return 0;
}

int web_http_say(WebReply *r, unsigned status, const char *sentence)
{
	return answer(r, status, "text/plain; charset=utf-8", NULL,
		      g_bytes_new(sentence, strlen(sentence)));
}

static int finish(WebReply *r)
{
	g_clear_pointer(&r->body, g_bytes_unref);
	return r->ends || lws_http_transaction_completed(r->wsi) ? -1 : 0;
}

int web_http_writable(WebReply *r)
{
	uint8_t piece[LWS_PRE + WEB_PIECE];

	if (!r->body)
		return 0; /* nothing is to be sent yet */
	gsize length;
	const uint8_t *content = g_bytes_get_data(r->body, &length);
	size_t n = MIN(length - r->sent, WEB_PIECE);
	bool last = r->sent + n == length;
	if (n) {
		memcpy(piece + LWS_PRE, content + r->sent, n);
		if (lws_write(r->wsi, piece + LWS_PRE, n,
			      last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) < 0)
			return -1;
		r->sent += n;
	}
	if (last)
		return finish(r);
	lws_set_timeout(r->wsi, PENDING_TIMEOUT_HTTP_CONTENT, SEND_WAIT_S);
	lws_callback_on_writable(r->wsi);
	return 0;
}

/* ---- who asks ---- */

unsigned web_http_check(Web *w, struct lws *wsi, bool origin, bool session)
{
	char host[HEADER_TEXT], text[HEADER_TEXT];

	if (!get_header(wsi, WSI_TOKEN_HOST, host) || !web_host_is_ours(host, w->name))
		return HTTP_STATUS_FORBIDDEN;
	bool told = get_header(wsi, WSI_TOKEN_ORIGIN, text);
	if (told ? !web_origin_is_ours(text, host) : origin)
		return HTTP_STATUS_FORBIDDEN;
	if (!session)
		return 0;
	if (!get_header(wsi, WSI_TOKEN_HTTP_COOKIE, text))
		return HTTP_STATUS_UNAUTHORIZED;
	pthread_mutex_lock(&w->lock);
	bool known = web_access_knows(&w->access, text);
	pthread_mutex_unlock(&w->lock);
	return known ? 0 : HTTP_STATUS_UNAUTHORIZED;
}

static int refuse(WebReply *r, unsigned status)
{
	static const char unknown[] = "This browser has not been let in. The monitor's command "
				      "web_address makes an address that lets it in.\n";
	static const char strange[] = "This address or page is not the console's own.\n";

	return web_http_say(r, status, status == HTTP_STATUS_UNAUTHORIZED ? unknown : strange);
}

static int serve_session(Web *w, WebReply *r)
{
	char given[HEADER_TEXT], session[WEB_SECRET_TEXT], cookie[160];

	bool bearer = get_header(r->wsi, WSI_TOKEN_HTTP_AUTHORIZATION, given) &&
		      g_str_has_prefix(given, BEARER);
	pthread_mutex_lock(&w->lock);
	bool ok = bearer && web_access_begin(&w->access, given + strlen(BEARER), session);
	pthread_mutex_unlock(&w->lock);
	if (!ok)
		return refuse(r, HTTP_STATUS_UNAUTHORIZED);
	g_snprintf(cookie, sizeof(cookie), "%s=%s; Path=/; HttpOnly; SameSite=Strict",
		   w->access.cookie, session);
	return answer(r, HTTP_STATUS_OK, "text/plain; charset=utf-8", cookie, NULL);
}

/* ---- screenshots ---- */

static int serve_picture(Web *w, WebReply *r)
{
	if (w->waiting->len >= PICTURES_MAX)
		return web_http_say(r, HTTP_STATUS_SERVICE_UNAVAILABLE,
				    "Too many pictures are being taken.\n");
	r->number = ++w->numbers;
	if (!web_ask(w, (WebRequest){ .type = WEB_REQUEST_PICTURE, .number = r->number }))
		return web_http_say(r, HTTP_STATUS_SERVICE_UNAVAILABLE, "The machine is busy.\n");
	g_ptr_array_add(w->waiting, r);
	lws_set_timeout(r->wsi, PENDING_TIMEOUT_HTTP_CONTENT, SEND_WAIT_S);
	return 0;
}

static void deliver_picture(Web *w, WebPicture *picture)
{
	for (unsigned i = 0; i < w->waiting->len; i++) {
		WebReply *r = w->waiting->pdata[i];
		if (r->number != picture->number)
			continue;
		g_ptr_array_remove_index_fast(w->waiting, i);
		r->number = 0;
		GBytes *png = g_steal_pointer(&picture->png);
		int result = png ? answer(r, HTTP_STATUS_OK, "image/png", NULL, png)
				 : web_http_say(r, HTTP_STATUS_INTERNAL_SERVER_ERROR,
						"There is no picture.\n");
		if (result)
			lws_set_timeout(r->wsi, PENDING_TIMEOUT_HTTP_CONTENT, LWS_TO_KILL_ASYNC);
		return;
	}
}

void web_http_pictures(Web *w)
{
	WebPicture *picture;

	do {
		pthread_mutex_lock(&w->lock);
		picture = g_queue_pop_head(&w->pictures);
		pthread_mutex_unlock(&w->lock);
		if (!picture)
			return;
		deliver_picture(w, picture);
		g_clear_pointer(&picture->png, g_bytes_unref); /* who asked has gone */
		g_free(picture);
	} while (true);
}

void web_http_end(Web *w, WebReply *r)
{
	g_ptr_array_remove_fast(w->waiting, r);
	r->number = 0;
	g_clear_pointer(&r->body, g_bytes_unref);
}

/* ---- requests ---- */

static bool has_body(struct lws *wsi)
{
	char length[HEADER_TEXT];

	return lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0 ||
	       (get_header(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH, length) && strcmp(length, "0"));
}

static int serve_file(Web *w, WebReply *r, const WebFile *file)
{
	unsigned status = web_http_check(w, r->wsi, false, !file->open);

	return status ? refuse(r, status)
		      : answer(r, HTTP_STATUS_OK, file->type, NULL, g_bytes_ref(file->content));
}

int web_http_request(Web *w, WebReply *r, struct lws *wsi, const char *path, size_t length)
{
	bool post = lws_hdr_total_length(wsi, WSI_TOKEN_POST_URI) > 0;

	r->wsi = wsi;
	r->head = lws_hdr_total_length(wsi, WSI_TOKEN_HEAD_URI) > 0;
	r->ends = post; /* libwebsockets would wait for a body, even of 0 bytes, before the next
			   request */
	/* No request here has a body: nothing is read that nobody wants. */
	if (strlen(path) != length || has_body(wsi))
		return -1;
	if (!post && !r->head && lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) <= 0)
		return web_http_say(r, HTTP_STATUS_METHOD_NOT_ALLOWED,
				    "Only GET, HEAD and POST are served.\n");
	bool session = !strcmp(path, "/session"), picture = !strcmp(path, "/screenshot.png");
	const WebFile *file = g_hash_table_lookup(w->files, path);
	unsigned status = web_http_check(w, wsi, post, picture);
	if (status)
		return refuse(r, status);
	if (post != session)
		return web_http_say(r,
				    file || picture || session ? HTTP_STATUS_METHOD_NOT_ALLOWED
							       : HTTP_STATUS_NOT_FOUND,
				    "There is nothing of that kind here.\n");
	if (session)
		return serve_session(w, r);
	if (picture)
		return serve_picture(w, r);
	return file ? serve_file(w, r, file)
		    : web_http_say(r, HTTP_STATUS_NOT_FOUND, "There is nothing of that name.\n");
}
