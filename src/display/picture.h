/*
 * picture.h - what a screen shows, as a file.
 */
#ifndef VIV_DISPLAY_PICTURE_H
#define VIV_DISPLAY_PICTURE_H

#include "display/screen.h"

typedef enum PictureFormat { PICTURE_PPM, PICTURE_PNG } PictureFormat;

/*
 * Brings the screen up to date and writes it: PPM (Netpbm P6) or PNG (RFC 2083, 8-bit RGB). False with *error: the file cannot be
 * written. Main thread, machine lock held while the picture is taken: call it without.
 */
bool picture_write(Screen *s, const char *path, PictureFormat format, GError **error);
/* The same in memory; a new reference. NULL: there is not enough of it. */
GBytes *picture_bytes(Screen *s, PictureFormat format);

#endif
