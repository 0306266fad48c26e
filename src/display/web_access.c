/*
 * web_access.c - tokens, sessions, and checks of what a browser says of itself.
 */
#include "display/web_access.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/random.h>

#include <nettle/memops.h>

#include "core/error.h"

/* ---- secrets ---- */

static bool make_secret(char text[WEB_SECRET_TEXT])
{
	uint8_t bytes[WEB_SECRET_BYTES];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return false;
	for (unsigned i = 0; i < sizeof(bytes); i++)
		g_snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	return true;
}

/* In a time that tells nothing of either, but how long `given` is. */
static bool same_secret(const char *secret, const char *given, size_t length)
{
	return *secret && length == WEB_SECRET_TEXT - 1 && memeql_sec(secret, given, length);
}

bool web_access_renew(WebAccess *a, GError **error)
{
	return make_secret(a->token) ||
	       fail(error, VIV_ERROR_FAILED, "there are no random numbers to make an address of");
}

bool web_access_init(WebAccess *a, unsigned port, GError **error)
{
	*a = (WebAccess){ .session_count = 0 };
	g_snprintf(a->cookie, sizeof(a->cookie), "viv-%u", port);
	return web_access_renew(a, error);
}

bool web_access_begin(WebAccess *a, const char *token, char session[WEB_SECRET_TEXT])
{
	if (!same_secret(a->token, token, strlen(token)) || !make_secret(session))
		return false;
	memset(a->token, 0, sizeof(a->token));
	memcpy(a->sessions[a->session_count++ % WEB_SESSIONS_MAX], session, WEB_SECRET_TEXT);
	return true;
}

unsigned web_access_sessions(const WebAccess *a) { return MIN(a->session_count, WEB_SESSIONS_MAX); }

static bool knows_secret(const WebAccess *a, const char *given, size_t length)
{
	bool known = false;

	for (unsigned i = 0; i < WEB_SESSIONS_MAX; i++)
		known |= same_secret(a->sessions[i], given, length);
	return known;
}

bool web_access_knows(const WebAccess *a, const char *cookies)
{
	size_t name = strlen(a->cookie);

	for (const char *p = cookies; *p; p += *p == ';') {
		p += strspn(p, " \t");
		size_t length = strcspn(p, ";");
		if (length > name && !strncmp(p, a->cookie, name) && p[name] == '=' &&
		    knows_secret(a, p + name + 1, length - name - 1))
			return true;
		p += length;
	}
	return false;
}

/* ---- names ---- */

static bool is_number(const char *text)
{
	return *text && strspn(text, "0123456789") == strlen(text);
}

/* Of "name:port", "[address]:port" or either without a port the first part; NULL: it is none of
 * them. */
static char *host_part(const char *host)
{
	const char *end = *host == '[' ? strchr(host, ']') : host + strcspn(host, ":");
	const char *begin = host + (*host == '[');

	if (!end || end == begin)
		return NULL;
	const char *rest = end + (*end == ']');
	if (*rest && (*rest != ':' || !is_number(rest + 1)))
		return NULL;
	return g_strndup(begin, (size_t)(end - begin));
}

static bool is_address(const char *text, int family)
{
	uint8_t address[sizeof(struct in6_addr)];

	return inet_pton(family, text, address) == 1;
}

static bool is_ours(const char *part, const char *name)
{
	return is_address(part, AF_INET) || !g_ascii_strcasecmp(part, "localhost") ||
	       (name && !g_ascii_strcasecmp(part, name));
}

bool web_host_is_ours(const char *host, const char *name)
{
	char *part = host_part(host);
	bool ours = part && (*host == '[' ? is_address(part, AF_INET6) : is_ours(part, name));

	g_free(part);
	return ours;
}

bool web_origin_is_ours(const char *origin, const char *host)
{
	const char *rest = strstr(origin, "://");

	return rest &&
	       (g_str_has_prefix(origin, "http://") || g_str_has_prefix(origin, "https://")) &&
	       !g_ascii_strcasecmp(rest + 3, host);
}
