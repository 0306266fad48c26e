/*
 * options.h - the option table: what parser, -help, -readconfig and --print-config read.
 *
 * For the files of src/cli/ and its tests. One constant table (table.c) lists every option
 * of qemu 7.2 in the order of its manual, built or not. Main thread.
 */
#ifndef VIV_CLI_OPTIONS_H
#define VIV_CLI_OPTIONS_H

#include <stddef.h>

#include "cli/cli.h"
#include "core/grammar.h"

typedef enum Section {
	SECTION_STANDARD, SECTION_BLOCK, SECTION_USB, SECTION_DISPLAY, SECTION_X86, SECTION_NETWORK,
	SECTION_CHARDEV, SECTION_TPM, SECTION_BOOT, SECTION_EXPERT, SECTION_OBJECT, SECTION_COUNT
} Section;

typedef enum KeyType {
	KEY_STRING, /* char * */
	KEY_TRI,    /* Tri: on or off */
	KEY_FLAG,   /* bool */
	KEY_UINT,   /* unsigned */
	KEY_I64,    /* int64_t, may be negative */
	KEY_SIZE,   /* uint64_t bytes; `unit` bytes where no suffix is given (0: 1) */
	KEY_ENUM,   /* int: index into `values` */
	KEY_SPECIAL,/* the option's own function reads it; no offset */
} KeyType;

/* One key of an option. */
typedef struct SubKey {
	const char *name;
	KeyType type;
	/* offset in Cli of where the value goes; 0: nowhere, `apply` reads it */
	size_t at;
	const char *def;           /* default as shown by help, NULL: none */
	const char *help;
	const char *const *values; /* KEY_ENUM, ends with NULL */
	int64_t min, max;          /* KEY_UINT and KEY_I64; both 0: any */
	uint64_t unit;
	/* the one value this version has; others are refused as not built */
	const char *only;
} SubKey;

typedef struct OptionDef OptionDef;
struct OptionDef {
	const char *name;          /* without dash */
	const char *arg;           /* how help shows the argument; NULL: takes none */
	const char *help;
	Section section;
	const char *group;         /* section name in -readconfig files; NULL: not allowed there */
	const char *implied;       /* key of a first item that has none */
	const SubKey *keys;        /* ends with a NULL name; NULL: the argument is plain text */
	/* flags (bool) and plain texts (char *): offset in Cli; 0: `apply` alone */
	size_t at;
	/*
	 * After keys were checked and stored. `kv` is NULL for flags and plain text, `text` for
	 * flags.
	 */
	bool (*apply)(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error);
	/* keys are not from `keys` alone: `apply` checks them (-device) */
	bool free_keys;
	void (*list)(GString *out);/* what `help` as the argument prints; NULL: the keys */
	const char *missing;       /* not built: what to use instead, or "" */
	/* with `missing`: the one argument that is true of this version */
	const char *accept;
};

extern const OptionDef option_table[]; /* ends with a NULL name */
extern const char *const section_names[SECTION_COUNT];

/* By name without dashes; NULL: none. */
const OptionDef *option_find(const char *name);
const OptionDef *option_find_group(const char *group);

/*
 * values.c: checks every item against `keys`, stores those with an offset. Bare words become on
 * and off.
 */
bool keys_store(Cli *cli, const OptionDef *def, GArray *kv, GError **error);
/* The stored value of `key` as text for print-config; NULL: unset. Caller frees. */
char *key_text(const Cli *cli, const SubKey *key);
const SubKey *key_find(const SubKey *keys, const char *name);
bool refuse_key(const SubKey *keys, const char *name, GError **error);

/* Handlers of the table (apply*.c). */
typedef bool ApplyFn(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error);
ApplyFn apply_machine, apply_accel, apply_enable_kvm, apply_smp, apply_memory, apply_numa,
	apply_cpu,
	apply_name, apply_boot, apply_uuid, apply_smbios, apply_fw_cfg, apply_global, apply_device,
	apply_rom,
	apply_rtc, apply_data_dir, apply_serial, apply_parallel, apply_monitor, apply_chardev,
	apply_display, apply_vnc, apply_vga, apply_resolution,
	apply_drive, apply_disk_file, apply_blockdev, apply_object,
	apply_log, apply_trace, apply_dfilter, apply_action_short, apply_readconfig, apply_dtb, apply_msg, apply_mon, apply_s;
void list_machines(GString *out);
void list_accels(GString *out);
void list_cpus(GString *out);
void list_devices(GString *out);
void list_displays(GString *out);
void list_vga(GString *out);
void list_chardevs(GString *out);

/* display.c: what is opened where no option says. */
void display_complete(HostConfig *h);
/* Appends a monitor; words are copied. */
void host_add_monitor(HostConfig *h, const char *words, bool control, bool pretty);

/* One option with its argument (NULL for flags): finds, checks and applies it. */
bool option_apply(Cli *cli, const OptionDef *def, const char *text, GError **error);
/* The same from items already split (-readconfig); takes the list over. */
bool option_apply_items(Cli *cli, const OptionDef *def, GArray *kv, GError **error);
bool readconfig_file(Cli *cli, const char *path, GError **error);

/* -help and the list of keys of one option. */
void help_text(GString *out);
void help_keys(const OptionDef *def, GString *out);
void version_text(GString *out);

/* accel.c: replaces the list by the one accelerator that will be used; says why it is not KVM. */
bool accel_choose(Cli *cli, GError **error);
/* apply_numa.c: nodes and -numa cpu, once the topology is known. */
bool numa_finish(Cli *cli, GError **error);

#endif
