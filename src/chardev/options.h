/*
 * options.h - what a character device is to be: -chardev's keys, typed, and the short words
 * of -serial, -monitor and their like ("tcp:HOST:PORT,server=on").
 *
 * Any thread; pure but for reading the tables.
 */
#ifndef VIV_CHARDEV_OPTIONS_H
#define VIV_CHARDEV_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>

typedef enum ChardevSwitch { CHARDEV_UNSET, CHARDEV_ON, CHARDEV_OFF } ChardevSwitch;

/* Strings are owned; what was not given is NULL, 0 or CHARDEV_UNSET. */
typedef struct ChardevOptions {
	char *id, *backend;             /* backend: the class's name */
	char *logfile;
	ChardevSwitch mux, logappend;
	char *path, *input_path;
	ChardevSwitch append;
	ChardevSwitch signal;
	uint64_t size;                  /* ringbuf: bytes */
	char *host, *port, *localaddr, *localport, *fd;
	uint64_t to, reconnect;         /* last port to try; seconds */
	ChardevSwitch ipv4, ipv6, abstract, tight, delay, nodelay, server, wait, telnet;
	ChardevSwitch tn3270, websocket;
	char *tls_creds, *tls_authz;
	uint64_t width, height, cols, rows;
} ChardevOptions;

typedef enum ChardevKeyType { CHARDEV_TEXT, CHARDEV_SWITCH, CHARDEV_NUMBER, CHARDEV_SIZE }
	ChardevKeyType;

typedef struct ChardevKey {
	const char *name;
	ChardevKeyType type;
	size_t at;                      /* offset in ChardevOptions */
	const char *help;
} ChardevKey;

void chardev_options_free(ChardevOptions *o);

/*
 * Reads KeyValue items, the first of which may be the bare backend. Unknown backends, keys
 * that the backend does not have and values of the wrong type are refused. Bare words get
 * their values written in. NULL with *error.
 */
ChardevOptions *chardev_options_from_items(GArray *items, GError **error);
/* The same from text: "socket,id=x,path=/tmp/s". */
ChardevOptions *chardev_options_parse(const char *text, GError **error);
/*
 * From the short words of -serial and its like, for a device that is to be called `id`.
 * "mon:" before them makes a mux. "chardev:ID" and "none" are the caller's. NULL with *error.
 */
ChardevOptions *chardev_options_from_words(const char *words, const char *id, GError **error);

/* Names and aliases of the backends; ends with NULL. Main thread. */
const char *const *chardev_type_names(void);
/* "Available chardev backend types:" and the names; appends. */
void chardev_list_types(GString *out);
/* Each backend with its keys; appends. */
void chardev_list_keys(GString *out);

#endif
