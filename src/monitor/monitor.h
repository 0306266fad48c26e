/*
 * monitor.h - the human monitor: a prompt on a character device.
 *
 * Main thread. Input arrives with the machine lock held; commands run later, from the
 * main loop, without it, as machine.h's functions want.
 */
#ifndef VIV_MONITOR_MONITOR_H
#define VIV_MONITOR_MONITOR_H

#include "chardev/chardev.h"
#include "machine/machine.h"

typedef struct Monitor Monitor;

/* NULL with *error: the device has a front end already. Both must outlive it. */
Monitor *monitor_new(Machine *m, Chardev *c, GError **error);
void monitor_free(Monitor *mon);
/* Runs one line and appends what it says to `out`; for tests and other monitors. */
void monitor_execute(Monitor *mon, const char *line, GString *out);
/* A monitor without a device, for monitor_execute() alone. */
Monitor *monitor_new_detached(Machine *m);

#endif
