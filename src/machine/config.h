/*
 * config.h - everything the options say about a machine, typed.
 *
 * src/cli/ fills a MachineConfig from the command line, tests fill one by hand,
 * machine_new() reads it. All strings and lists are owned by the config and
 * freed by machine_config_free(); fill strings in with g_strdup(). The config
 * must outlive the machine made from it. One thread at a time.
 *
 * Numbers are in natural units (bytes, milliseconds, counts); what the user left
 * out is 0, NULL or TRI_AUTO, and machine_config_complete() puts the defaults in.
 */
#ifndef VIV_MACHINE_CONFIG_H
#define VIV_MACHINE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "accel/accel.h"
#include "core/grammar.h"

#define MACHINE_SERIALS 4
#define MACHINE_PARALLELS 3
#define MACHINE_CPUS_MAX 255   /* xAPIC ids; 255 is broadcast */
#define MACHINE_NODES_MAX 128

/* on|off|auto */
typedef enum Tri { TRI_AUTO, TRI_ON, TRI_OFF } Tri;

/* -device CLASS,key=value,... and -global DRIVER.PROP=VALUE (one KeyValue). */
typedef struct DeviceConfig {
	char *driver;   /* class name as the user wrote it */
	char *id;       /* id=..., NULL if unset; not repeated in `props` */
	GArray *props;  /* KeyValue, in the user's order, without driver and id */
} DeviceConfig;

/* -numa node,... */
typedef struct NumaNode {
	uint64_t mem;          /* bytes; 0 with mem_set false: a share of what is left */
	bool mem_set;
	char *memdev;          /* refused by machine_config_complete(): not built */
	GArray *cpus;          /* NumaRange */
	uint8_t distance[MACHINE_NODES_MAX]; /* to node i; 0: default (10 to itself, 20 to others) */
} NumaNode;

typedef struct NumaRange {
	unsigned first, last;  /* cpu indexes, inclusive */
} NumaRange;

typedef struct SmpConfig {
	unsigned cpus, sockets, dies, cores, threads, maxcpus; /* 0: not given */
} SmpConfig;

/* -smbios: fields of one structure type by QEMU's key names, or a file of raw structures. */
typedef struct SmbiosConfig {
	int type;       /* 0, 1, 2, 3, 4, 11, 17; -1: `file` */
	char *file;     /* binary structures, appended as they are */
	GArray *fields; /* KeyValue: vendor, version, date, release, uefi, manufacturer, product, serial, uuid,
	                   sku, family, asset, location, sock_pfx, part, max-speed, current-speed, processor-id,
	                   loc_pfx, bank, speed, value, path; `value` may repeat (type 11) */
} SmbiosConfig;

/* -fw_cfg name=...,file=...|string=... */
typedef struct FwCfgConfig {
	char *name;
	char *file;     /* exactly one of these two */
	char *string;   /* given to the guest without its terminating zero */
} FwCfgConfig;

/* -option-rom file[,bootindex=n] */
typedef struct RomConfig {
	char *file;
	int bootindex;  /* -1: none */
} RomConfig;

typedef enum RtcBase { RTC_BASE_UTC, RTC_BASE_LOCALTIME, RTC_BASE_DATETIME } RtcBase;
typedef enum RtcClock { RTC_CLOCK_HOST, RTC_CLOCK_RT, RTC_CLOCK_VM } RtcClock;

typedef struct RtcConfig {
	RtcBase base;
	int64_t datetime;   /* RTC_BASE_DATETIME: seconds since 1970 */
	RtcClock clock;
	bool driftfix_slew;
} RtcConfig;

typedef struct BootConfig {
	char *order;         /* letters a-p; NULL: "cad" */
	char *once;          /* the same, for the first boot only; NULL: none */
	Tri menu;
	char *splash;        /* picture file */
	int64_t splash_time; /* ms; -1: not given */
	int64_t reboot_timeout; /* ms, 0..65535; -1: not given, do not reboot */
	Tri strict;
} BootConfig;

/* -machine pc,key=value,... */
typedef struct MachineProps {
	Tri acpi, hpet, usb, graphics, vmport, smm, pic, pit, sata, smbus, i8042;
	Tri dump_guest_core, mem_merge, nvdimm, suppress_vmdesc, kernel_irqchip_split;
	Tri kernel_irqchip;          /* TRI_OFF is refused by accelerators that cannot */
	uint64_t max_ram_below_4g;   /* bytes; 0: QEMU's choice */
	char *memory_backend;        /* id; refused until memory objects exist */
	char *firmware;              /* the same as -bios */
	char *oem_id, *oem_table_id; /* x-oem-id, x-oem-table-id */
} MachineProps;

/* -action: what follows on what the guest does. The words of each, in this order, end with NULL. */
typedef enum RebootAction { REBOOT_RESET, REBOOT_SHUTDOWN } RebootAction;
typedef enum ShutdownAction { SHUTDOWN_POWEROFF, SHUTDOWN_PAUSE } ShutdownAction;
typedef enum PanicAction { PANIC_SHUTDOWN, PANIC_PAUSE, PANIC_EXIT_FAILURE, PANIC_NONE } PanicAction;
typedef enum WatchdogAction {
	WATCHDOG_RESET, WATCHDOG_SHUTDOWN, WATCHDOG_POWEROFF, WATCHDOG_PAUSE, WATCHDOG_DEBUG, WATCHDOG_NONE,
	WATCHDOG_INJECT_NMI,
} WatchdogAction;
extern const char *const reboot_actions[], *const shutdown_actions[], *const panic_actions[], *const watchdog_actions[];

typedef struct MachineActions {
	int reboot, shutdown, panic, watchdog; /* as the enums above */
} MachineActions;

typedef struct MachineConfig {
	/* What it is */
	char *name;            /* -name guest=...; NULL: none */
	char *type;            /* "pc" or an alias; NULL: "pc" */
	MachineProps props;
	char *accels[8];       /* in order of preference, NULL-terminated; none: best that works */
	AccelOptions accel_options;
	char *cpu_model;       /* -cpu's whole text; NULL: the accelerator's default */
	SmpConfig smp;
	uint64_t ram_size;     /* bytes; 0: 128 MiB */
	uint64_t ram_max;      /* maxmem, bytes; 0: none */
	unsigned ram_slots;
	GPtrArray *numa;       /* NumaNode * */
	bool uuid_set;
	uint8_t uuid[16];      /* in text order, big endian fields */

	/* What it boots */
	char *kernel, *initrd, *append, *dtb; /* dtb is refused on a PC */
	char *bios;            /* file name, searched in data_dirs; NULL: bios-256k.bin */
	GPtrArray *data_dirs;  /* char *: -L, searched first, in order */
	GPtrArray *option_roms;/* RomConfig * */
	BootConfig boot;
	RtcConfig rtc;
	GPtrArray *smbios;     /* SmbiosConfig * */
	GPtrArray *fw_cfg;     /* FwCfgConfig * */

	/* What is plugged in */
	GPtrArray *devices;    /* DeviceConfig *: -device, in order */
	GPtrArray *blockdevs;  /* json_t *: -blockdev, in order */
	GPtrArray *drives;     /* struct DriveSpec *: -drive and its short forms, in order; placed by the machine */
	bool snapshot;         /* -snapshot: for every drive that does not say */
	GPtrArray *objects;    /* DeviceConfig *: -object; driver is the type */
	GPtrArray *globals;    /* DeviceConfig * with one property: -global */
	char *serial[MACHINE_SERIALS];     /* chardev ids; NULL: no port */
	char *parallel[MACHINE_PARALLELS]; /* chardev ids */
	char *debugcon;        /* chardev id for port 0xe9; NULL: none */
	GHashTable *chardevs;  /* id -> struct Chardev *; borrowed, may be NULL; becomes board->chardevs */
	struct Gdb *gdb;       /* the debuggers' server; borrowed, may be NULL */
	struct ChardevSet *chardev_set; /* whose table that is; borrowed, may be NULL */

	/* How it behaves */
	char *vga;             /* display adapter: "std", "none"; NULL: std, unless a -device is one or no_defaults */
	unsigned screen_width, screen_height; /* -g: what its monitor prefers; 0: its own choice */
	bool nographic;        /* firmware messages go to the first serial port */
	bool no_defaults;      /* -nodefaults */
	MachineActions actions; /* -action; may change while the machine runs */
	bool no_acpi, no_hpet;
	bool start_paused;     /* -S */
	bool win2k_hack, no_fd_bootchk;
} MachineConfig;

/* Everything absent; lists empty. */
void machine_config_init(MachineConfig *c);
void machine_config_free(MachineConfig *c);

/* These append to the config's lists; strings are copied. They never fail. */
DeviceConfig *machine_config_add_device(MachineConfig *c, const char *driver, const char *id);
DeviceConfig *device_config_new(const char *driver, const char *id);
void device_config_free(void *d);
/* objects.c: takes the object over, on failure too. False with *error: its type, id or properties will not do. */
bool machine_config_define(MachineConfig *c, DeviceConfig *o, GError **error);
void device_config_set(DeviceConfig *d, const char *key, const char *value);
void machine_config_add_global(MachineConfig *c, const char *driver, const char *prop, const char *value);
NumaNode *machine_config_add_node(MachineConfig *c);
SmbiosConfig *machine_config_add_smbios(MachineConfig *c, int type);
void smbios_config_set(SmbiosConfig *s, const char *key, const char *value);
void machine_config_add_fw_cfg(MachineConfig *c, const char *name, const char *file, const char *string);
void machine_config_add_rom(MachineConfig *c, const char *file, int bootindex);
/* The last value of `key`, or NULL. Borrowed. */
const char *smbios_config_get(const SmbiosConfig *s, const char *key);

/* Does a -device, or a -global, name one of these? It has taken the place of a default device then.
 * `names` ends with NULL. */
bool machine_config_names_device(const MachineConfig *c, const char *const *names);
/*
 * Puts defaults in and checks what can be checked without a machine: type, memory
 * sizes, topology (sockets * dies * cores * threads == maxcpus), NUMA coverage, boot
 * letters. machine_new() calls it; calling it twice is harmless.
 */
bool machine_config_complete(MachineConfig *c, GError **error);

/* Is it one that the board's firmware can be told (-boot order=, boot_set)? */
bool machine_check_boot_order(const char *order, GError **error);

/* Names and descriptions of machine types, as `-machine help` lists them. Ends with a NULL name. */
typedef struct MachineType {
	const char *name, *alias, *desc;
	bool is_default;
} MachineType;
extern const MachineType machine_types[];
/* By name or alias; NULL: none. */
const MachineType *machine_type_find(const char *name);

static inline bool tri_on(Tri t, bool if_auto) { return t == TRI_AUTO ? if_auto : t == TRI_ON; }

#endif
