/*
 * vnc_control.c - passwords and descriptions, for the monitor. Main thread.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/error.h"
#include "display/vnc_private.h"

bool vnc_set_password(Display *d, const char *id, const char *password, GError **error)
{
	VncServer *s = vnc_find(d, id);

	if (!s)
		return fail(error, VIV_ERROR_FAILED, "Could not set password");
	if (!s->options.password && !s->options.secret)
		return fail(error, VIV_ERROR_UNSUPPORTED, "Could not set password");
	pthread_mutex_lock(&s->lock);
	g_strlcpy(s->password, password, sizeof(s->password));
	s->has_password = true;
	pthread_mutex_unlock(&s->lock);
	return true;
}

bool vnc_expire_password(Display *d, const char *id, const char *when, GError **error)
{
	VncServer *s = vnc_find(d, id);
	int64_t end;

	if (!s)
		return fail(error, VIV_ERROR_FAILED, "Could not set password expire time");
	if (!strcmp(when, "never"))
		end = INT64_MAX;
	else if (!strcmp(when, "now"))
		end = 0;
	else if (*when == '+')
		end = (int64_t)(time(NULL) + MIN(strtoull(when + 1, NULL, 10), INT32_MAX));
	else
		end = (int64_t)MIN(strtoull(when, NULL, 10), INT64_MAX);
	pthread_mutex_lock(&s->lock);
	s->password_end = end;
	pthread_mutex_unlock(&s->lock);
	return true;
}

/* ---- what is said of servers ---- */

const char *vnc_auth_name(const VncServer *s)
{
	return s->options.password || s->options.secret ? "vnc" : "none";
}

/* The newest first, as QEMU lists servers, sockets and viewers. */
static json_t *describe_sockets(const VncServer *s)
{
	json_t *list = json_array();

	for (unsigned n = s->listeners->len; n-- > 0;) {
		const VncListener *l = g_ptr_array_index(s->listeners, n);
		json_t *one = vnc_describe_end(l->fd, l->websocket, false);
		json_object_set_new(one, "auth", json_string(vnc_auth_name(s)));
		json_array_append_new(list, one);
	}
	return list;
}

static json_t *describe_clients(const VncServer *s)
{
	json_t *list = json_array();

	for (unsigned n = s->clients->len; n-- > 0;) {
		const VncClient *c = client_at(s, n);
		json_array_append_new(list, vnc_describe_end(c->fd, c->websocket, true));
	}
	return list;
}

json_t *vnc_describe(Display *d)
{
	GPtrArray *servers = vnc_servers(d);
	json_t *list = json_array();

	for (unsigned n = servers ? servers->len : 0; n-- > 0;) {
		const VncServer *s = g_ptr_array_index(servers, n);
		json_array_append_new(list, json_pack("{s:s,s:o,s:o,s:s}", "id", s->id, "server",
						      describe_sockets(s), "clients",
						      describe_clients(s), "auth",
						      vnc_auth_name(s)));
	}
	return list;
}

json_t *vnc_describe_first(Display *d)
{
	GPtrArray *servers = vnc_servers(d);

	const VncServer *s = servers && servers->len ? g_ptr_array_index(servers, 0) : NULL;
	if (!s || !s->listeners->len)
		return json_pack("{s:b}", "enabled", 0);
	json_t *reply = vnc_describe_end(((VncListener *)s->listeners->pdata[0])->fd, false, false);
	json_object_del(reply, "websocket");
	json_object_set_new(reply, "enabled", json_true());
	json_object_set_new(reply, "auth", json_string(vnc_auth_name(s)));
	json_object_set_new(reply, "clients", describe_clients(s));
	return reply;
}
