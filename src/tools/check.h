/*
 * check.h - findings of viv-check, and the groups of checks that make them. Main thread.
 */
#ifndef VIV_TOOLS_CHECK_H
#define VIV_TOOLS_CHECK_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

typedef enum Verdict { CHECK_PASS, CHECK_WARN, CHECK_FAIL } Verdict;

typedef struct Finding {
	char *name;
	Verdict verdict;
	bool fatal;     /* no guest can run */
	char *detail;   /* what was found, or the cause */
	char *cure;     /* a command; NULL: none is needed or known */
} Finding;

typedef struct Checks {
	GPtrArray *findings; /* Finding * */
	/* What later checks want to know of earlier ones */
	bool cpu_flag;       /* vmx or svm in /proc/cpuinfo */
	const char *cpu_module; /* "kvm_intel" or "kvm_amd" */
	int kvm_fd;          /* -1: not open */
} Checks;

/* `detail` is formatted; `cure` may be NULL. */
void check_add(Checks *c, const char *name, Verdict verdict, const char *cure, const char *detail,
	...)
	G_GNUC_PRINTF(5, 6);
/* First line of a small file without its newline; NULL: not readable. Caller frees. */
char *check_read(const char *path);

void check_kvm(Checks *c);       /* check_kvm.c: processor flags, modules, device, limits */
void check_host(Checks *c);      /* check_host.c: kernel facilities, memory, firmware */
void check_accels(Checks *c);    /* check_host.c: which accelerators, and which is chosen */

#endif
