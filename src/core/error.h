/*
 * error.h - the one error domain of Vivarium's own set-up errors.
 *
 * Set-up code is `bool f(..., GError **error)`: true on success, false with
 * *error set. A message is one sentence that names the cause and, after a
 * second sentence where one is known, the cure. I/O paths return negative errno.
 * Any thread.
 */
#ifndef VIV_CORE_ERROR_H
#define VIV_CORE_ERROR_H

#include <glib.h>
#include <stdbool.h>

#define VIV_ERROR (g_quark_from_static_string("viv"))

typedef enum {
	VIV_ERROR_FAILED,      /* the host or a file refused */
	VIV_ERROR_INVALID,     /* the user's words make no sense */
	VIV_ERROR_UNSUPPORTED, /* the words are right, the thing is not built */
	VIV_ERROR_NO_DEVICE,   /* no device, drive or object of that name: QMP's DeviceNotFound */
	VIV_ERROR_NOT_ACTIVE,  /* there is none, or it is off: QMP's DeviceNotActive */
	VIV_ERROR_NO_COMMAND,  /* QMP's CommandNotFound */
} VivError;

/* Sets *error (domain VIV_ERROR) and returns false, so that a check is one line. */
bool fail(GError **error, VivError code, const char *format, ...) G_GNUC_PRINTF(3, 4);

#endif
