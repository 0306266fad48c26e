/*
 * private.h - between the files of src/monitor/. Main thread.
 */
#ifndef VIV_MONITOR_PRIVATE_H
#define VIV_MONITOR_PRIVATE_H

#include "cpu/cpu.h"
#include "monitor/monitor.h"
#include "monitor/readline.h"

struct Monitor {
	Machine *m;
	Chardev *c;         /* NULL: detached */
	Readline *line;
	GByteArray *input;  /* typed, not yet looked at; machine lock */
	GByteArray *output; /* said, not yet written; machine lock */
	guint idle;         /* source that looks at `input` */
	bool greeted, focused;
	unsigned cpu;       /* what `cpu` chose */
};

typedef enum ArgType {
	ARG_FORMAT, /* /8xw */
	ARG_EXPR,   /* integer expression */
	ARG_WORD,   /* up to the next blank */
	ARG_REST,   /* the rest of the line */
	ARG_FLAG,   /* -x */
} ArgType;

typedef struct ArgDef {
	const char *name; /* ARG_FLAG: "-a" */
	ArgType type;
	bool optional;
} ArgDef;

/* /fmt of x, xp and print. */
/* format x d u o c s i; size 1 2 4 8 */
typedef struct Format { unsigned count; char format, size; } Format;

#define ARGS_MAX 4
/* Values by place in the command's list. */
typedef struct Args {
	bool given[ARGS_MAX];
	int64_t number[ARGS_MAX];
	const char *text[ARGS_MAX];
	Format format;
} Args;

typedef struct Command {
	const char *name;
	const char *alias;  /* NULL: none */
	ArgDef args[ARGS_MAX + 1];
	const char *help;
	void (*run)(Monitor *mon, const Args *args, GString *out);
} Command;

extern const Command monitor_commands[];      /* these two end with a NULL name */
extern const Command monitor_info_commands[];

/* By name or alias; NULL: none. */
const Command *command_find(const Command *table, const char *name);
/* "name[|alias] args -- help", a line of help; `prefix` is "" or "info ". */
void command_help_line(const Command *c, const char *prefix, GString *out);

/*
 * The vcpu that commands speak of, its registers current. Vcpus stand still until
 * monitor_release().
 */
Cpu *monitor_hold(Monitor *mon);
void monitor_release(Monitor *mon);

/*
 * expr.c: parses at *text, advances it. False with a reason in *why (static). $registers are of
 * `cpu`.
 */
bool expr_parse(const char **text, const Cpu *cpu, int64_t *out, const char **why);
/* A register's value by name without '$'. */
bool expr_register(const Cpu *cpu, const char *name, int64_t *out);

/* dump.c */
void command_x(Monitor *mon, const Args *args, GString *out);
void command_xp(Monitor *mon, const Args *args, GString *out);
void command_print(Monitor *mon, const Args *args, GString *out);
void command_memsave(Monitor *mon, const Args *args, GString *out);
void command_pmemsave(Monitor *mon, const Args *args, GString *out);
void append_value(GString *out, char format, unsigned size, uint64_t value);

/* log.c */
void command_log(Monitor *mon, const Args *args, GString *out);
void command_logfile(Monitor *mon, const Args *args, GString *out);

/* input.c */
void command_sendkey(Monitor *mon, const Args *args, GString *out);
void command_mouse_move(Monitor *mon, const Args *args, GString *out);
void command_mouse_button(Monitor *mon, const Args *args, GString *out);
void command_mouse_set(Monitor *mon, const Args *args, GString *out);
void info_mice(Monitor *mon, const Args *args, GString *out);
/* info_block.c */
void info_block(Monitor *mon, const Args *args, GString *out);
void info_blockstats(Monitor *mon, const Args *args, GString *out);

#endif
