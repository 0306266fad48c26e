/*
 * qmp.h - QMP on a character device: a program's way to steer the machine.
 *
 * Main thread, as monitor.h.
 */
#ifndef VIV_MONITOR_QMP_H
#define VIV_MONITOR_QMP_H

#include "chardev/chardev.h"
#include "machine/machine.h"

typedef struct Qmp Qmp;

/* NULL with *error: the device has a front end already. Both must outlive it. `pretty`: replies are indented. */
Qmp *qmp_new(Machine *m, Chardev *c, bool pretty, GError **error);
void qmp_free(Qmp *q);

#endif
