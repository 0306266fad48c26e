/*
 * vnc_private.h - the inside of a VNC server, for the files vnc*.c.
 *
 * Threads: "main" is the main thread, "viewer" the client's own. VncServer.lock is taken inside the
 * machine lock and never around it; it is held for copies of memory, not while anything is sent or
 * encoded.
 */
#ifndef VIV_DISPLAY_VNC_PRIVATE_H
#define VIV_DISPLAY_VNC_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include <rfb/rfb.h>
#include <rfb/rfbregion.h>

#include "display/input.h"
#include "display/vnc.h"
#include "display/vnc_keymap.h"

typedef enum VncShare { VNC_SHARE_EXCLUSIVE, VNC_SHARE_FORCE, VNC_SHARE_IGNORE } VncShare;
enum { VNC_TRI_UNSET = -1 };

/* -vnc's words; strings are owned. */
typedef struct VncOptions {
	char *address;           /* "host:N", "unix:PATH" */
	char *id, *websocket, *display, *secret, *share_name;
	unsigned head, to, connections, key_delay_ms;
	int ipv4, ipv6;          /* 0, 1, VNC_TRI_UNSET */
	bool to_given, password, reverse, lossy, non_adaptive, lock_key_sync, power_control;
	VncShare share;
} VncOptions;

/* vnc_options.c. False with *error: `out` is clean. */
bool vnc_options_parse(const char *words, VncOptions *out, GError **error);
void vnc_options_clear(VncOptions *o);

typedef struct VncServer VncServer;
typedef struct VncClient VncClient;

/* A socket on which viewers are waited for. Main. */
typedef struct VncListener {
	VncServer *server;
	int fd;
	guint source;
	bool websocket;
	char *path;              /* of a unix socket, to be removed; NULL: it is another kind */
} VncListener;

#define VNC_PASSWORD_MAX 8 /* RFC 6143, 7.2.2: the key of DES */

struct VncServer {
	Display *display;
	char *id;
	VncOptions options;
	VncHost host;            /* its texts are owned */
	char *title;             /* what viewers show */
	GPtrArray *listeners;    /* VncListener *. Main */
	GPtrArray *clients;      /* VncClient *. Main writes, under `lock` */
	unsigned client_numbers; /* given so far. Main */
	Screen *screen;
	unsigned lookers;        /* clients that joined. Main */

	pthread_mutex_t lock;    /* all below, and the clients' own "lock" fields */
	uint32_t *picture;       /* what the screen showed at its last refresh */
	unsigned width, height;
	sraRegionPtr damage;     /* the screen's, since then */
	ScreenCursor *cursor;    /* NULL: none, or hidden */
	int cursor_x, cursor_y;
	uint8_t leds, locks; /* LED_*: as the keyboard says; as we believe after what was typed */
	bool absolute;           /* the pointer in use takes places */
	char password[VNC_PASSWORD_MAX + 1];
	bool has_password;
	int64_t password_end;    /* seconds since 1970 */
	unsigned failures;       /* wrong passwords, one after the other */
	Keymap *keymap;          /* of the layout; NULL: not needed yet */
};

/* What the viewer said it understands, beyond what the library keeps. Viewer. */
typedef struct VncFeatures { bool extended_keys, pointer_type, leds; } VncFeatures;

struct VncClient {
	VncServer *server;
	unsigned number;         /* "3" in messages and the thread's name */
	int fd;                  /* of the connection; the library closes a duplicate of it */
	int wake_fd;             /* eventfd: something below has changed */
	bool websocket, reverse, skip_auth;
	pthread_t thread;

	/* lock */
	bool connecting;         /* not joined yet */
	bool joined, exclusive;
	bool leave;              /* it is to end */
	sraRegionPtr damage;     /* of the server's picture, not yet copied to ours */
	bool cursor_changed, cursor_moved;

	/* viewer */
	rfbScreenInfoPtr
	    screen; /* the library's: one a client, so that no thread waits for another */
	rfbClientPtr rfb;
	bool shared_asked;       /* ClientInit's flag */
	VncFeatures features;
	bool had_cursor;         /* the screen had a pointer of its own once */
	bool extended_keys_told; /* the viewer knows that we understand them */
	int leds_told, absolute_told; /* -1: nothing yet */
	int last_x, last_y;      /* of a relative pointer; -1: none */
	uint8_t buttons;         /* RFB's mask */
	uint8_t held[INPUT_KEYS / 8]; /* keys that this viewer holds down */
	struct { uint32_t keysym; uint8_t key; } pressed[32]; /* which key a held keysym became */
};

static inline VncClient *client_at(const VncServer *s, unsigned n)
{
	return g_ptr_array_index(s->clients, n);
}

/* vnc.c */
/* main; takes fd; of the template the flags count */
bool vnc_server_add_client(VncServer *s, int fd, VncClient template, GError **error);
void vnc_server_join(VncClient *c);          /* main: it has proved who it is */
void vnc_server_remove_client(
    VncClient *c); /* main: its thread ends or has ended; c is gone then */
/* `id` NULL: the first; NULL: there is none. Main. */
VncServer *vnc_find(Display *d, const char *id);
GPtrArray *vnc_servers(Display *d); /* VncServer *; NULL: there never was one. Main */
rfbScreenInfoPtr vnc_screen_template(Display *d);
const char *vnc_auth_name(const VncServer *s); /* QMP's: "vnc", "none" */

/* vnc_picture.c, main, machine lock held: the first looker sets the screen's refreshes going */
void vnc_begin_looking(VncServer *s);
void vnc_end_looking(VncServer *s);

/* vnc_listen.c, main */
bool vnc_listen(VncServer *s, GError **error);
void vnc_listener_free(VncListener *l);
char *vnc_listen_address(VncServer *s); /* "host:port" of the first socket; g_free it */
/* host, service, family, websocket of a connection's far end (`peer`) or near end. Any */
json_t *vnc_describe_end(int fd, bool websocket, bool peer);

/* vnc_client.c */
bool vnc_client_start(VncClient *c, GError **error); /* main */
void vnc_client_wake(VncClient *c);                  /* any */
void vnc_client_dismiss(VncClient *c);               /* any, lock held: its thread ends soon */
void vnc_client_free(VncClient *c);                  /* main; the thread has ended */
bool vnc_client_send(VncClient *c, const void *bytes, size_t count); /* viewer */

/* vnc_auth.c, viewer: from the version to ClientInit; false: it is over with this client */
bool vnc_handshake(VncClient *c);
/* the reply to ClientInit */
bool vnc_send_server_init(VncClient *c);

/* vnc_input.c, viewer */
void vnc_input_attach(VncClient *c);  /* the library's hooks */
void vnc_input_release(VncClient *c); /* all that this viewer holds */
void vnc_key(VncClient *c, uint32_t keysym, unsigned key,
	     bool down); /* key 0: found by the keysym */

/* vnc_extension.c, viewer: messages and pseudo-encodings that the library lacks */
void vnc_extension_register(void); /* main */
void vnc_extension_tell(VncClient *c); /* what has changed */

#endif
