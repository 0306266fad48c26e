/*
 * qom.h - the tree of objects under the paths that QMP's clients know (/machine/peripheral/ID, /objects/ID, ...).
 *
 * The tree is not kept: it is read off the board at each question. Main thread, machine lock held.
 */
#ifndef VIV_MONITOR_QOM_H
#define VIV_MONITOR_QOM_H

#include <jansson.h>

#include "machine/machine.h"

typedef enum QomKind {
	QOM_ROOT, QOM_MACHINE, QOM_CONTAINER, QOM_CPU, QOM_DEVICE, QOM_OBJECT, QOM_CHARDEV
} QomKind;

typedef struct QomNode {
	QomKind kind;
	unsigned index;       /* QOM_CPU */
	void *object;         /* QOM_DEVICE: Device, QOM_OBJECT: DeviceConfig, QOM_CHARDEV: Chardev */
	char path[256];
} QomNode;

typedef void (*QomChildFn)(void *opaque, const char *name, const QomNode *child);
typedef void (*QomPropertyFn)(void *opaque, const char *name, const char *type, json_t *value);

/* Absolute, or the end of a path that only one node has. */
bool qom_find(Machine *m, const char *path, QomNode *out, GError **error);
void qom_each_child(Machine *m, const QomNode *node, QomChildFn fn, void *opaque);
/* Properties but children; `value` is borrowed and may be NULL: not to be read. */
void qom_each_property(Machine *m, const QomNode *node, QomPropertyFn fn, void *opaque);
/* Its type's name; caller frees. */
char *qom_type(Machine *m, const QomNode *node);
/* QMP's name for the class of a CPU model: "qemu64-x86_64-cpu" for "qemu64,+aes" or NULL, the default. Caller frees. */
char *qom_cpu_type(const char *model);
/* The name of a property's type as QMP gives it ("uint32"). */
const char *qom_property_type(const Property *p);

#endif
