/*
 * vnc.h - VNC servers: RFC 6143 (RFB 3.3 to 3.8) for viewers on the network.
 *
 * A server shows one screen to any number of viewers. Each viewer has a thread of its own, which
 * encodes and sends; one that is slow or does not read delays neither the guest nor the others
 * (docs/vnc.md).
 *
 * Main thread, machine lock not held, unless a comment says otherwise.
 */
#ifndef VIV_DISPLAY_VNC_H
#define VIV_DISPLAY_VNC_H

#include <jansson.h>

#include "display/screen.h"

/* What a server needs to know of the machine; copied, texts too. */
typedef struct VncHost {
	const char *name;    /* the guest's, for the viewer's title; NULL: none */
	const char *layout;  /* -k; NULL: en-us */
	/* Bytes of -object secret,id=ID, borrowed; NULL with *error. */
	const uint8_t *(*secret)(const char *id, size_t *len, GError **error);
	/* power-control=on; on viewers' threads. NULL: not there */
	void (*powerdown)(void *opaque);
	void (*reset)(void *opaque);
	void *opaque;
} VncHost;

/*
 * Opens a server as -vnc's argument says ("host:N,key=value,..."); it is d's then. With "none" it
 * listens nowhere. *running: where it listens, for to=, which chose the port, else NULL; g_free it. False
 * with *error.
 */
bool vnc_open(Display *d, const char *words, const VncHost *host, char **running, GError **error);
/*
 * A server of viewers that are handed to it, already let in; it listens nowhere, and the monitor
 * does not see it. It is d's. NULL with *error.
 */
struct VncServer *vnc_open_private(Display *d, const VncHost *host, GError **error);
/* Serves a viewer at `fd`, which is taken over, also on failure. */
bool vnc_serve(struct VncServer *s, int fd, GError **error);
/* What it shows. */
Screen *vnc_screen(const struct VncServer *s);
/* Ends all servers of d, their viewers and threads. */
void vnc_close_all(Display *d);

/*
 * `id` is the server's; NULL: the first. Of a password 8 characters count. False with *error: there
 * is no such server (VIV_ERROR_FAILED), or it asks for no password (VIV_ERROR_UNSUPPORTED).
 */
bool vnc_set_password(Display *d, const char *id, const char *password, GError **error);
/* "now", "never", "+SECONDS" or seconds since 1970. */
bool vnc_expire_password(Display *d, const char *id, const char *when, GError **error);
/* Serves a connection that somebody else accepted; takes `fd` over, also on failure. */
bool vnc_add_client(Display *d, int fd, bool skip_auth, GError **error);

/* QMP's query-vnc-servers: [VncInfo2]. A new reference. */
json_t *vnc_describe(Display *d);
/* QMP's query-vnc: VncInfo of the first server. A new reference. */
json_t *vnc_describe_first(Display *d);

#endif
