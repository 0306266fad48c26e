/*
 * gdb.h - a server for debuggers: GDB's remote protocol over a character device.
 *
 * "Debugging with GDB", appendix E (GDB Remote Serial Protocol), with QEMU 7.2's packets for physical memory and steps. The
 * machine's vcpus are the threads of one process. Main thread, machine lock not held.
 */
#ifndef VIV_GDB_GDB_H
#define VIV_GDB_GDB_H

#include "chardev/set.h"
#include "machine/machine.h"

#define GDB_DEFAULT "tcp::1234" /* what -s and `gdbserver` mean */

typedef struct Gdb Gdb;

/* Runs a line of the monitor (`monitor ...` in gdb) and appends what it says. */
typedef void GdbExecute(void *opaque, const char *line, GString *out);

/* Serves nobody yet. Machine and set must outlive it. */
Gdb *gdb_new(Machine *m, ChardevSet *set, GdbExecute *execute, void *opaque);
/* Serves on the device that the words of -serial name, on no other any more; "none": on none. False with *error. */
bool gdb_serve(Gdb *g, const char *words, GError **error);
void gdb_free(Gdb *g); /* NULL is fine */

#endif
