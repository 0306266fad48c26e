/*
 * web_private.h - the inside of the browser console, for the files web*.c.
 *
 * Threads: "main" is the main thread, "web" the server's own, which libwebsockets calls back on.
 * The web thread never takes the machine lock: what is to be done to the machine is a WebRequest
 * that the main thread fulfils. Web.lock is a leaf, held for copies only.
 */
#ifndef VIV_DISPLAY_WEB_PRIVATE_H
#define VIV_DISPLAY_WEB_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include <libwebsockets.h>

#include "chardev/console.h"
#include "display/vnc.h"
#include "display/web.h"
#include "display/web_access.h"

#define WEB_NEWCOMERS_MAX                                                                          \
	64u /* connections that are no websockets (yet): beyond them, the oldest goes */
#define WEB_PEERS_MAX 96u     /* websockets */
#define WEB_REQUESTS_MAX 256u /* that wait for the main thread */
#define WEB_PIECE 16384u      /* bytes of a websocket message that are sent at a time */
#define WEB_RECEIVE 4096u     /* and received */

/* -display web's words. */
typedef struct WebOptions {
	char *address; /* NULL: 127.0.0.1 */
	unsigned port; /* 0: any */
	bool port_given;
} WebOptions;

/* web_options.c. False with *error: `out` is clean. */
bool web_options_parse(const char *words, WebOptions *out, GError **error);

/* A file of the page: content and media type. */
typedef struct WebFile {
	GBytes *content;
	const char *type;
	bool open; /* to those without a session, too */
} WebFile;

typedef enum WebRequestType {
	WEB_REQUEST_LOOK, /* somebody wants to know the state */
	WEB_REQUEST_ACTION,
	WEB_REQUEST_SCREEN,  /* a viewer of the screen at `fd` */
	WEB_REQUEST_PICTURE, /* a screenshot for connection `number` */
} WebRequestType;

typedef struct WebRequest {
	WebRequestType type;
	WebAction action;
	int fd;
	uint64_t number;
} WebRequest;

typedef struct WebPicture {
	uint64_t number;
	GBytes *png; /* NULL: there is none */
} WebPicture;

typedef struct Web {
	Display *display;
	WebHost host;	   /* its texts are owned */
	char *name;	   /* by which it may be called, beside numbers; NULL: none */
	char *url;	   /* "http://127.0.0.1:6080/" */
	GArray *listeners; /* int; the web thread's once it runs */
	struct VncServer *vnc;
	GHashTable *files; /* path -> WebFile *; constant */
	struct lws_context *context;
	struct lws_vhost *vhost;
	pthread_t thread;
	bool started;
	atomic_bool stop;
	guint timer; /* main: looks for other consoles while somebody is there */

	pthread_mutex_t lock; /* a leaf */
	WebAccess access;
	char *state; /* as JSON; what control connections are told */
	unsigned state_version;
	GPtrArray *consoles; /* Console *, references */
	GQueue requests;     /* WebRequest *, for main */
	GQueue pictures;     /* WebPicture *, for web */
	unsigned control_count;

	GPtrArray *peers;   /* web: WebPeer * */
	GPtrArray *waiting; /* web: WebReply * that wait for pictures */
	GQueue newcomers;   /* web: struct lws *, the oldest first */
	uint64_t numbers;   /* web: given so far */
} Web;

/* ---- web.c ---- */
void web_wake(Web *w); /* any: the web thread looks for what has changed */

/* ---- web_machine.c: the main thread's part ---- */
/* Any thread. False: too many wait; a request's fd is closed then. */
bool web_ask(Web *w, WebRequest request);
void web_update_state(Web *w);	 /* main */
void web_requests_clear(Web *w); /* main, when the web thread has ended */
/* The console of that id, a new reference; NULL: there is none. Any thread. */
Console *web_find_console(Web *w, const char *id);
extern const char *const web_action_names[WEB_ACTIONS];

/* ---- web_files.c ---- */
/* Reads all files. NULL with *error. */
GHashTable *web_files_load(GError **error);

/* ---- web_server.c, web thread: connections and websockets ---- */
extern const struct lws_protocols web_protocols[];
enum { WEB_PROTOCOL_HTTP, WEB_PROTOCOL_PIPE, WEB_PROTOCOL_GATE };
void web_server_open_gates(Web *w);
/* Something has changed: everybody is offered it. */
void web_server_look(Web *w);

/* ---- web_http.c, web thread ---- */
/* What is being answered on a connection. */
typedef struct WebReply {
	struct lws *wsi;
	uint64_t number; /* of the picture it waits for; 0: none */
	GBytes *body;	 /* NULL: none is being sent */
	size_t sent;
	bool head; /* HEAD: no body is sent */
	bool ends; /* the connection ends with the answer */
} WebReply;

/* LWS_CALLBACK_HTTP's, for `path`, which has NULs if it is longer than its text: lws's result. */
int web_http_request(Web *w, WebReply *r, struct lws *wsi, const char *path, size_t length);
int web_http_writable(WebReply *r);
void web_http_pictures(Web *w);
void web_http_end(Web *w, WebReply *r);
/* Answers with a sentence. */
int web_http_say(WebReply *r, unsigned status, const char *sentence);
/* Host is ours, Origin (if required or there) too, and so is the cookie. 0, or the status to
 * answer. */
unsigned web_http_check(Web *w, struct lws *wsi, bool origin, bool session);

/* ---- a websocket: web_screen.c, web_console.c, web_control.c; web thread ---- */
typedef struct WebPeer WebPeer;

typedef struct WebKind {
	const char *path; /* "/screen"; one that ends with '/' is followed by a name */
	bool (*open)(WebPeer *p, const char *name); /* false: it ends at once */
	bool (*received)(WebPeer *p, const uint8_t *buf, size_t len,
			 bool last);  /* a piece of a message; false: it ends */
	bool (*writable)(WebPeer *p); /* false: it ends */
	void (*look)(WebPeer *p);     /* something may have changed */
	void (*timer)(WebPeer *p);    /* of lws_set_timer_usecs; may be NULL */
	void (*close)(WebPeer *p);    /* also after an open that failed */
} WebKind;

extern const WebKind web_screen, web_console, web_control;

struct WebPeer {
	Web *web;
	const WebKind *kind;
	struct lws *wsi;
	GByteArray *received; /* not handed over yet (screen, console), or a message's beginning
				 (control) */
	uint8_t out[LWS_PRE + WEB_PIECE];
	size_t out_len; /* bytes at out + LWS_PRE to be sent */
	/* screen */
	struct lws
	    *pipe; /* our end of the pair of sockets whose other end VNC serves; NULL: gone */
	int fd;
	/* console */
	Console *console;
	uint64_t position;
	bool pacing; /* its timer runs */
	/* control */
	unsigned told_version;
};

/* Sends out_len bytes. False: the connection is broken. */
bool web_peer_send(WebPeer *p, bool binary);
void web_peer_end(WebPeer *p); /* from outside its own callbacks: soon */

/* ---- web_screen.c: the pair's end ---- */
int web_pipe_readable(WebPeer *p);
int web_pipe_writable(WebPeer *p);

#endif
