/*
 * web_access.h - who may use the browser console: one-time tokens, sessions, names of this host.
 *
 * Cookies are RFC 6265's, Host RFC 9110's (7.2), Origin RFC 6454's. No function here takes a lock:
 * the caller has one where it is needed.
 */
#ifndef VIV_DISPLAY_WEB_ACCESS_H
#define VIV_DISPLAY_WEB_ACCESS_H

#include <stdbool.h>
#include <glib.h>

#define WEB_SECRET_BYTES 16u /* 128 bits of getrandom(2) */
#define WEB_SECRET_TEXT                                                                            \
	(2 * WEB_SECRET_BYTES + 1) /* as lower-case hexadecimal digits, with the final NUL */
#define WEB_SESSIONS_MAX 16u

typedef struct WebAccess {
	char token[WEB_SECRET_TEXT]; /* empty: none that would let anybody in */
	char sessions[WEB_SESSIONS_MAX][WEB_SECRET_TEXT];
	unsigned session_count; /* ever begun; beyond the limit the oldest one goes */
	char cookie[24];	/* its name: hosts share cookies between ports */
} WebAccess;

/* False with *error: the kernel gave no random bytes. */
bool web_access_init(WebAccess *a, unsigned port, GError **error);
/* Another token takes the place of the one there is. */
bool web_access_renew(WebAccess *a, GError **error);
/* The token is right: it is used up, and `session` becomes a session of its own. */
bool web_access_begin(WebAccess *a, const char *token, char session[WEB_SECRET_TEXT]);
/* Has a Cookie header the secret of a session? */
bool web_access_knows(const WebAccess *a, const char *cookies);
unsigned web_access_sessions(const WebAccess *a);

/*
 * Is a Host header one by which this server is meant: an address in digits, localhost, or `name`
 * (NULL: none)? Other names may be a stranger's that lead here (DNS rebinding).
 */
bool web_host_is_ours(const char *host, const char *name);
/* Is an Origin header that of a page of the same host and port? */
bool web_origin_is_ours(const char *origin, const char *host);

#endif
