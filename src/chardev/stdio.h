/*
 * stdio.h - standard input and output as a character device.
 */
#ifndef VIV_CHARDEV_STDIO_H
#define VIV_CHARDEV_STDIO_H

#include "chardev/chardev.h"

/*
 * `signals` false: ^C and its like go to the guest. The terminal is put into raw mode
 * until chardev_stdio_free(). One a program. Main thread.
 */
Chardev *chardev_stdio_new(const char *id, bool signals);
void chardev_stdio_free(Chardev *c);

#endif
