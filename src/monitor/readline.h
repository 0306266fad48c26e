/*
 * readline.h - one line of input with echo, history and completion.
 *
 * ECMA-48 cursor sequences. Knows no terminal and no monitor: bytes in, bytes out. Main thread.
 */
#ifndef VIV_MONITOR_READLINE_H
#define VIV_MONITOR_READLINE_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

typedef struct Readline Readline;

/*
 * Words that may stand where the last word of `line` stands; caller frees the array (strings
 * are static).
 */
typedef GPtrArray *(*CompleteFn)(const char *line, void *opaque);

Readline *readline_new(const char *prompt, CompleteFn complete, void *opaque);
void readline_free(Readline *r);
/*
 * One byte of input. Appends what the terminal is to show. Returns the finished line at
 * Enter (caller frees; "" for an empty one), else NULL.
 */
char *readline_byte(Readline *r, uint8_t byte, GString *echo);
/* Shows prompt and line anew. */
void readline_show(Readline *r, GString *echo);
/* The i-th remembered line, oldest first; NULL past the end. */
const char *readline_history(const Readline *r, unsigned i);

#endif
