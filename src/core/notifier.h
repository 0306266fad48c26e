/*
 * notifier.h - an eventfd that says "look again": eventfd(2), never blocking, closed on exec.
 *
 * Any thread. However often it is set before it is cleared, its descriptor is readable once; what
 * there is to look at lies elsewhere.
 */
#ifndef VIV_CORE_NOTIFIER_H
#define VIV_CORE_NOTIFIER_H

#include <glib.h>

/* A descriptor to poll for input, the caller's to close; negative with *error. */
int notifier_new(GError **error);
void notifier_set(int fd);
/* Harmless if it was not set. Before looking, or what comes meanwhile is missed. */
void notifier_clear(int fd);

#endif
