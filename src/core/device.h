/*
 * device.h - what every device is: one constant class, and state it owns.
 *
 * A device file exports nothing but `const DeviceClass NAME_class` (listed in
 * hw/classes.h). The class says everything: properties (what a user may set),
 * state (what reset, `info` and later snapshots handle), lines (how a board wires
 * it). No file-scope variable is mutable. All callbacks run under the machine lock.
 */
#ifndef VIV_CORE_DEVICE_H
#define VIV_CORE_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>

#include "core/irq.h"

struct Board;
typedef struct Device Device;

typedef enum PropType {
	PROP_BOOL,   /* bool: on|off|yes|no|true|false */
	PROP_U8, PROP_U16, PROP_U32, PROP_U64, /* decimal, 0x hex */
	PROP_SIZE,   /* uint64_t bytes: suffixes B K M G T P E */
	PROP_STRING, /* char *, owned by the device, NULL if unset */
	PROP_ENUM,   /* int: index into `values` */
	PROP_CHARDEV,/* struct Chardev *: looked up by id in the board's chardevs */
	PROP_DRIVE,  /* struct Blk *: the board's find_drive gives it */
	PROP_PTR,    /* void *: set by the board with device_set_ptr, never by users */
} PropType;

typedef struct Property {
	const char *name;
	PropType type;
	size_t offset;            /* in the device's struct */
	const char *def;          /* default, as text; NULL: zero */
	const char *help;
	const char *const *values; /* PROP_ENUM: NULL-terminated */
	uint64_t min, max;        /* numbers and sizes; both 0: any that fits */
} Property;

/* State: how reset sets it, `info` prints it and a snapshot stores it. */
typedef enum FieldType {
	FIELD_BOOL, FIELD_U8, FIELD_U16, FIELD_U32, FIELD_U64, FIELD_I64, FIELD_TIMER,
	FIELD_STRUCT, /* an embedded struct with a table of its own */
	FIELD_GROUP,  /* a pointer to an array of such structs, which realize allocated */
} FieldType;

typedef struct StateField {
	const char *name;
	FieldType type;
	size_t offset;
	unsigned count;    /* array length; 1 for a scalar */
	unsigned version;  /* class version that introduced it, from 1 */
	uint64_t reset;    /* every element's value after reset (timers: idle) */
	bool keep;         /* reset leaves it alone */
	/* FIELD_STRUCT, FIELD_GROUP: the table of one struct, without timers; FIELD_GROUP: the struct's size,
	 * and where the number of structs stands (an unsigned). */
	const struct StateField *group;
	size_t group_size, group_count;
} StateField;

#define STATE(type_, struct_, member, reset_) \
	{ .name = #member, .type = type_, .offset = offsetof(struct_, member), .count = 1, .version = 1, .reset = reset_ }
#define STATE_ARRAY(type_, struct_, member, n, reset_) \
	{ .name = #member, .type = type_, .offset = offsetof(struct_, member), .count = n, .version = 1, .reset = reset_ }

#define STATE_STRUCT(struct_, member, fields_) \
	{ .name = #member, .type = FIELD_STRUCT, .offset = offsetof(struct_, member), .version = 1, .group = fields_ }
#define STATE_GROUP(struct_, member, count_, fields_, element_) \
	{ .name = #member, .type = FIELD_GROUP, .offset = offsetof(struct_, member), .version = 1, \
	  .group = fields_, .group_size = sizeof(element_), .group_count = offsetof(struct_, count_) }

/* An output line: an Irq (or array of them) in the device's struct. */
typedef struct LineOut { const char *name; size_t offset; unsigned count; } LineOut;
/* An input line: fn(dev, number, level). */
typedef struct LineIn { const char *name; IrqFn fn; unsigned count; } LineIn;

/* Under what heading a list of classes has it. */
typedef enum DeviceCategory {
	DEVICE_UNCATEGORIZED, DEVICE_BRIDGE, DEVICE_USB, DEVICE_STORAGE, DEVICE_NETWORK, DEVICE_INPUT, DEVICE_DISPLAY,
	DEVICE_SOUND, DEVICE_MISC, DEVICE_CPU, DEVICE_WATCHDOG, DEVICE_CATEGORIES
} DeviceCategory;

typedef struct DeviceClass {
	const char *name;  /* QEMU's name, e.g. "isa-serial" */
	const char *alias; /* another one that users may write; NULL: none */
	const char *desc;
	const char *bus;   /* "isa", "pci", "system" */
	DeviceCategory category;
	size_t size;       /* of the device's struct, which begins with Device (or PciDevice) */
	bool user_creatable; /* may stand after -device */
	unsigned version;  /* of the state table */
	const Property *props;   /* these four end with a zero entry; NULL for none */
	const StateField *state;
	const LineOut *outputs;
	const LineIn *inputs;
	/* Claims resources (regions, timers). On failure it has released everything. */
	bool (*realize)(Device *dev, GError **error);
	/* Before reset: ends what other threads do with the device's state. May be NULL. */
	void (*quiesce)(Device *dev);
	/* After the state table's reset values were stored: what the table cannot say. May be NULL. */
	void (*reset)(Device *dev);
	void (*unrealize)(Device *dev);
	/* Where firmware finds it, as an Open Firmware path ("/pci@i0cf8/ide@1,1/drive@0/disk@0"); NULL: it
	 * cannot boot, and has no bootindex=. Caller frees; NULL result: not now. */
	char *(*boot_path)(Device *dev);
	/* Of interrupt controllers: how often each input rose; *count is how many there are. NULL: it is none. */
	const uint64_t *(*irq_counts)(const Device *dev, unsigned *count);
	/* One or more lines for `info` beyond the state table. May be NULL. */
	void (*info)(Device *dev, GString *out);
} DeviceClass;

/*
 * Where devices of one kind plug in: an IDE channel, a SCSI bus. A controller makes its own in
 * realize; a device finds its place in device_realize, by its property "bus" or the youngest that
 * has room, before its class's realize is called.
 */
typedef struct Bus {
	struct Board *board;
	const char *type;   /* what DeviceClass.bus says: "ide", "scsi", "floppy", "pci", "isa" */
	char *name;         /* "ide.0" */
	Device *owner;      /* the controller; NULL: the board */
	void *opaque;       /* what the controller shows its devices */
	unsigned max;       /* devices that fit; 0: no limit */
	bool hotplug;       /* the controller tells a running guest who comes and goes */
	GPtrArray *devices; /* Device *, in order of realization; not owned */
} Bus;

struct Device {
	const DeviceClass *cls;
	struct Board *board;
	char *id;         /* user's id or NULL */
	char *path;       /* of one that a user added, as QEMU's object tree has it; NULL */
	int bootindex;    /* -1: none */
	char *bus_name;   /* what the user set bus= to, or NULL */
	Bus *bus;         /* NULL: on none ("system", or a test without buses) */
	bool realized;
};

/* Adds a bus to the board's list; name is copied. */
Bus *bus_new(struct Board *board, const char *type, const char *name, Device *owner, void *opaque, unsigned max);
/* As a controller names its n-th bus: "ID.n" by its own id, else "TYPE.k" with the next free k. */
Bus *bus_new_of(Device *owner, const char *type, unsigned n, void *opaque, unsigned max);
/* Frees the devices on it, then itself. NULL is fine. */
void bus_free(Bus *bus);
Bus *bus_find(struct Board *board, const char *name);

/* Makes a device with default properties; the board's list owns it once realized. Never fails. */
Device *device_new(struct Board *board, const DeviceClass *cls, const char *id);
/* Sets a property from text; an unknown key is refused, named with the valid ones and the nearest. */
bool device_set(Device *dev, const char *key, const char *value, GError **error);
void device_set_ptr(Device *dev, const char *key, void *ptr); /* PROP_PTR/PROP_CHARDEV; programming error if absent */
/* A property as text (caller frees), as `info qtree` prints it. */
char *device_get(Device *dev, const Property *prop);
bool device_is_on(const Device *dev, const char *key); /* of a PROP_BOOL that the class has */
void device_connect(Device *dev, const char *output, unsigned n, Irq to);
Irq device_input(Device *dev, const char *input, unsigned n);
/* Finds its bus, which device_realize does otherwise. False with *error; the device stays the caller's. */
bool device_choose_bus(Device *dev, GError **error);
/* Connects it to the board (appends to board->devices), then resets it. On failure the device is freed. */
bool device_realize(Device *dev, GError **error);
void device_reset(Device *dev);
/* How monitor and messages call it: the user's id, else its path, else its class. */
const char *device_label(const Device *dev);
/* Stores the reset values of a struct's own table, for a device that guests reset in part. */
void state_reset(void *base, const StateField *fields);
void device_free(Device *dev); /* unrealizes if realized, takes it off the board's list */

#endif
