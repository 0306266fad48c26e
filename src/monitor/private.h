/*
 * private.h - between the files of src/monitor/. Main thread.
 */
#ifndef VIV_MONITOR_PRIVATE_H
#define VIV_MONITOR_PRIVATE_H

#include <jansson.h>

#include "cpu/cpu.h"
#include "display/screen.h"
#include "monitor/monitor.h"
#include "monitor/readline.h"
#include "monitor/schema.h"

struct Monitor {
	Machine *m;
	Chardev *c;         /* NULL: detached */
	Readline *line;
	GByteArray *input;  /* typed, not yet looked at; machine lock */
	GByteArray *output; /* said, not yet written; machine lock */
	guint idle;         /* source that looks at `input` */
	bool greeted;
	unsigned cpu;       /* what `cpu` chose */
};

/* How a person writes an argument; QMP's type is "str", "int" or "bool" unless `type` of its ArgDef says more. */
typedef enum ArgType {
	ARG_FORMAT, /* /8xw */
	ARG_EXPR,   /* integer expression */
	ARG_WORD,   /* up to the next blank, or in quotes */
	ARG_REST,   /* the rest of the line */
	ARG_FLAG,   /* -x */
	ARG_SIZE,   /* 10G; MiB without a suffix */
	ARG_QMP,    /* a person cannot give it */
} ArgType;

typedef struct ArgDef {
	const char *name; /* ARG_FLAG: "-a" */
	ArgType type;
	bool optional;
	const char *qmp;   /* its name in QMP, if another; "" : QMP does not have it */
	const char *qtype; /* its type in QMP (schema.h), if not the usual one */
	bool qoptional;    /* QMP can do without it, people cannot */
} ArgDef;

/* /fmt of x, xp and print. */
/* format x d u o c i s; size 1 2 4 8 */
typedef struct Format { unsigned count; char format, size; } Format;

#define ARGS_MAX 20
/* Values by place in the command's list. */
typedef struct Args {
	bool given[ARGS_MAX];
	int64_t number[ARGS_MAX];
	const char *text[ARGS_MAX];
	Format format;
} Args;

/* May run before the commands that came earlier (`exec-oob`). */
#define COMMAND_OOB 1u
/* Takes arguments that are not listed (device_add). */
#define COMMAND_OPEN 2u

typedef void RunFn(Monitor *mon, const Args *args, GString *out);
/* A new reference; NULL with *error. `args` was checked against the table. */
typedef json_t *ServeFn(Monitor *mon, const json_t *args, GError **error);
typedef void ShowFn(Monitor *mon, const json_t *reply, GString *out);

/*
 * A command, once: for people by `name` (NULL: QMP only), for programs by `qmp` (NULL: people only). If it has
 * `serve`, that does the work and `show` turns its reply into words; `run` is for what only people ask, or what
 * they are told in other words than programs.
 */
typedef struct Command {
	const char *name;
	const char *alias;  /* NULL: none */
	ArgDef args[ARGS_MAX + 1];
	const char *help;
	RunFn *run;
	const char *qmp;
	const char *returns; /* QMP type of the reply; NULL: {} */
	ServeFn *serve;
	ShowFn *show;        /* NULL: success says nothing */
	unsigned flags;
} Command;

extern const Command monitor_commands[];      /* these end with neither name nor qmp */
extern const Command monitor_info_commands[];

/* By name or alias; NULL: none. */
const Command *command_find(const Command *table, const char *name);
/* By QMP's name, in all tables; NULL: none. */
const Command *command_find_qmp(const char *name);
void command_each_qmp(void (*fn)(const Command *c, void *opaque), void *opaque);
/* Its arguments as QMP sees them; SchemaMember array, ends with a NULL name; g_free it. */
SchemaMember *command_members(const Command *c);

/* args.c: runs a command of the table as a person wrote it; `typed` is its name, `rest` what stands behind. */
void command_run_line(Monitor *mon, const Command *c, const char *prefix, const char *typed, const char *rest,
	GString *out);
/* "Error: MESSAGE", a line; frees the error. NULL: nothing. */
void monitor_say_error(GError *error, GString *out);
/* Serves a person as if a program had asked with `args` (taken over): success says nothing. */
void monitor_serve(Monitor *mon, ServeFn *serve, json_t *args, GString *out);
/* "name[|alias] args -- help", a line of help; `prefix` is "" or "info ". */
void command_help_line(const Command *c, const char *prefix, GString *out);

/*
 * The vcpu that commands speak of, its registers current. Vcpus stand still until
 * monitor_release().
 */
Cpu *monitor_hold(Monitor *mon);
void monitor_release(Monitor *mon);
static inline Display *monitor_display(Monitor *mon) { return machine_board(mon->m)->display; }

/*
 * expr.c: parses at *text, advances it. False with a reason in *why (static). $registers are of
 * `cpu`.
 */
bool expr_parse(const char **text, const Cpu *cpu, int64_t *out, const char **why);
/* A register's value by name without '$'. */
bool expr_register(const Cpu *cpu, const char *name, int64_t *out);

/* introspect.c: what QMP has */
json_t *qmp_version(void);
ServeFn serve_version, serve_commands, serve_schema, serve_human;
ShowFn show_version;

/* control.c: what the machine is told to do */
ServeFn serve_stop, serve_cont, serve_quit, serve_reset, serve_powerdown, serve_wakeup, serve_nmi,
	serve_set_action, serve_watchdog_set_action;
RunFn command_watchdog_action, command_boot_set;

/* query.c: what it is and how it stands */
ServeFn serve_status, serve_kvm, serve_target, serve_name, serve_uuid, serve_memory_size,
	serve_memdev, serve_iothreads, serve_machines, serve_current_machine,
	serve_nothing, serve_balloon;
ShowFn show_status, show_kvm, show_name, show_uuid, show_memory_size, show_memdev, show_iothreads;

/* cpus.c */
ServeFn serve_cpus, serve_hotpluggable_cpus, serve_cpu_definitions, serve_cpu_model_expansion;
ShowFn show_cpus, show_hotpluggable_cpus;

/* info_pci.c */
ServeFn serve_pci;
ShowFn show_pci;

/* qom.c: the tree of objects */
ServeFn serve_qom_list, serve_qom_get, serve_qom_set, serve_qom_list_types,
	serve_qom_list_properties, serve_device_list_properties;
/* Where a vcpu or device stands in the tree; caller frees. */
char *qom_cpu_path(Machine *m, unsigned index);
char *qom_device_path(Machine *m, const Device *dev);
RunFn info_qom_tree;
ShowFn show_qom_list, show_qom_value;

/* chardev.c */
/* info_pci.c: what a PCI function's line and BARs are; lines indented by that much. Machine lock held. */
void pci_show_in_tree(const struct Device *dev, unsigned indent, GString *out);
/* Takes the machine lock. NULL with *error, and without the lock: this machine was made without. */
struct ChardevSet *monitor_hold_chardevs(Monitor *mon, GError **error);
ServeFn serve_chardev_add, serve_chardev_change; /* chardev_add.c */
ServeFn serve_chardevs, serve_chardev_backends, serve_chardev_remove, serve_chardev_break, serve_ringbuf_read,
	serve_ringbuf_write;
ShowFn show_chardevs, show_ringbuf;
RunFn command_chardev_add, command_chardev_change;

/* dump.c */
RunFn command_x, command_xp, command_print;
ServeFn serve_memsave, serve_pmemsave;
void append_value(GString *out, char format, unsigned size, uint64_t value);

/* info.c */
RunFn info_registers, info_accel, info_jit, info_pic, info_lapic, info_irq, info_qtree, info_snapshots, info_mtree, info_roms, info_qdm,
	info_history, info_numa;

/* address.c */
RunFn command_gva2gpa, command_gpa2hva, command_gpa2hpa;
/* info_tlb.c */
RunFn info_tlb, info_mem;

/* log.c */
/* "MESSAGE", a line, as QEMU words it for log and trace; frees the error. NULL: nothing. */
void monitor_report(GError *error, GString *out);
RunFn command_log, command_logfile;
RunFn command_gdbserver; /* control.c */

/* trace.c */
RunFn command_trace_event, info_trace_events;
ServeFn serve_trace_get, serve_trace_set;

/* input.c */
ServeFn serve_send_key, serve_input_event, serve_mice;
ShowFn show_mice;
RunFn command_sendkey, command_mouse_move, command_mouse_button, command_mouse_set;
/* web.c */
RunFn info_web, command_web_address;

/* vnc.c */
ServeFn serve_set_password, serve_expire_password, serve_vnc, serve_vnc_servers, serve_change_vnc_password;
RunFn command_set_password, command_expire_password;
ShowFn show_vnc_servers;
void change_vnc(Monitor *mon, const char *what, const char *password, GString *out);
/* info_block.c */
RunFn info_block;
ServeFn serve_block, serve_named_nodes, serve_blockstats;
ShowFn show_blockstats;

/* screendump.c */
RunFn command_screendump;
ServeFn serve_screendump;

/* plug.c */
RunFn command_device_add, command_object_add, command_drive_add, command_drive_del;
ServeFn serve_device_add, serve_device_del, serve_object_add, serve_object_del;

/* options.c */
ServeFn serve_command_line_options;

/* media.c */
RunFn command_change, command_commit;
ServeFn serve_open_tray, serve_close_tray, serve_remove_medium, serve_insert_medium, serve_eject, serve_change_medium,
	serve_block_resize, serve_throttle, serve_blockdev_add, serve_blockdev_del;

#endif
