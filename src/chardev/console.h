/*
 * console.h - a text console ("vc") as those who show it see it: what was printed, what is typed.
 *
 * A console outlives its character device while somebody holds it. Any thread; no lock is held for
 * longer than a copy takes, so a viewer never stalls the guest.
 */
#ifndef VIV_CHARDEV_CONSOLE_H
#define VIV_CHARDEV_CONSOLE_H

#include "chardev/chardev.h"

#define CONSOLE_SCROLLBACK 65536u /* bytes of output that are kept */

typedef struct Console Console;

/* A new reference; NULL: the device is no text console. Machine lock held. */
Console *chardev_console(Chardev *c);
Console *console_ref(Console *c);
void console_unref(Console *c); /* NULL is fine */

const char *console_id(const Console *c); /* of its device */
/* In characters; as the options say, 80 by 24 without them. */
void console_size(const Console *c, unsigned *columns, unsigned *rows);
/* Its device is gone: nothing more will come. */
bool console_closed(Console *c);

/*
 * Copies at most `max` bytes of output from *position on, counted from the first byte ever printed,
 * and moves it on. What is not kept any more is skipped. Returns how many; 0: there is nothing new.
 */
size_t console_read(Console *c, uint64_t *position, uint8_t *buf, size_t max);
/* Is there output behind `position`? */
bool console_has(Console *c, uint64_t position);
/*
 * What was typed: the main loop hands it to the front end. Returns the bytes taken; the rest when
 * `changed` is called.
 */
size_t console_type(Console *c, const uint8_t *buf, size_t len);
/*
 * `changed` is called, on any thread and with the console's lock held, when there is output that
 * nobody has read yet, room for typing again, or the device has gone. One watcher; NULL: none, and
 * the former one is not running any more.
 */
void console_watch(Console *c, void (*changed)(void *opaque), void *opaque);

#endif
