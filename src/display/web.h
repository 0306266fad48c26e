/*
 * web.h - the machine's consoles in a browser: -display web.
 *
 * A small HTTP server on a thread of its own (libwebsockets) serves one page: noVNC with the
 * screen, xterm.js with the text consoles, and the machine's buttons. Who has the address that is
 * printed gets in, once (docs/web.md).
 *
 * Main thread, machine lock not held.
 */
#ifndef VIV_DISPLAY_WEB_H
#define VIV_DISPLAY_WEB_H

#include "display/screen.h"

typedef enum WebAction {
	WEB_CONT,
	WEB_STOP,
	WEB_POWERDOWN,
	WEB_RESET,
	WEB_QUIT,
	WEB_ACTIONS,
} WebAction;

/* What the server needs to know of the machine; callbacks on the main thread, texts are copied. */
typedef struct WebHost {
	const char *name;		    /* the guest's; NULL: none */
	const char *layout;		    /* -k; NULL: en-us */
	const char *(*state)(void *opaque); /* QMP's RunState */
	void (*act)(void *opaque, WebAction action);
	GPtrArray *(*consoles)(void *opaque); /* Console *, new references, in order */
	void *opaque;
} WebHost;

/* `words` is -display's argument: "web,addr=A,port=N". It is d's then. False with *error. */
bool web_open(Display *d, const char *words, const WebHost *host, GError **error);
/* Ends it, and all that it serves. Nothing if there is none. */
void web_close(Display *d);
/* The machine's state may have changed: those who look are told. Nothing if there is none. */
void web_changed(Display *d);
/* A new address that lets one browser in; an older one that nobody used lets nobody in any more.
 * g_free it. NULL with *error. */
char *web_new_address(Display *d, GError **error);
/* For `info web`; g_free it. */
char *web_describe(Display *d);

#endif
