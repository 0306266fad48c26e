/*
 * board.h - what devices know of the machine they sit in.
 *
 * The machine (machine/pc.c) fills it in; devices use it and never see the
 * machine's own files. Fields are set before devices are realized; what changes
 * later does so under the machine lock.
 */
#ifndef VIV_CORE_BOARD_H
#define VIV_CORE_BOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "core/clock.h"
#include "core/irq.h"
#include "core/memory.h"

struct Blk;
struct Chardev;
struct Cpu;
struct Display;

/* Why the machine stops or resets; the run loop (machine/run.c) acts on it in the main loop. */
typedef enum RunRequest {
	RUN_NONE,
	RUN_CRASHLOADED,   /* pvpanic: the guest panicked and its crash kernel takes over; nothing stops */
	RUN_DEBUG,         /* a debugger's breakpoint, watchpoint or step */
	RUN_IO_ERROR,      /* a drive's werror= or rerror= says stop: pause until the user goes on */
	RUN_RESET,         /* the guest asked for a reset */
	RUN_SHUTDOWN,      /* ACPI S5, `system_powerdown` obeyed, ... */
	RUN_QUIT,          /* user: leave now with exit_status */
	RUN_PANICKED,      /* pvpanic */
	RUN_TRIPLE_FAULT,  /* a vcpu shut down: the board resets */
	RUN_INTERNAL_ERROR,/* an accelerator gave up: pause, and say why */
} RunRequest;

#define BOARD_GSI_COUNT 24

typedef struct Board {
	AddressSpace *mem, *io;
	RamArena arena;
	Clock *clock;
	uint64_t ram_size, ram_below_4g, ram_above_4g; /* bytes */
	uint8_t *ram;              /* all guest RAM: [0,below_4g) then what is mapped at 4 GiB */
	Irq gsi[BOARD_GSI_COUNT];  /* global system interrupts; ISA irq n is gsi[n] (board routes to both PIC and I/O APIC) */
	/* Delivers a message-signalled interrupt. Machine lock held. */
	void (*msi)(struct Board *board, uint64_t addr, uint32_t data);
	/*
	 * Has writes of `size` bytes to a guest address (a port if `port`) signal an eventfd instead of
	 * reaching the region there; match >= 0: only writes of that value. False: it cannot. NULL: the
	 * accelerator has no such thing. Machine lock held.
	 */
	bool (*ioeventfd)(struct Board *board, int fd, uint64_t addr, unsigned size, bool port, int match,
		bool assign);
	struct PciBus *pci;
	GPtrArray *devices;        /* Device *, in order of realization */
	GPtrArray *buses;          /* Bus *, in order of creation; made with the first */
	struct Cpu **cpus;         /* by index; [0, cpu_count) */
	unsigned cpu_count, cpu_max;
	struct Display *display;   /* screens, keys, pointers */
	GHashTable *chardevs;      /* id -> struct Chardev * */
	GHashTable *iothreads;     /* -object iothread: id -> struct Loop *; NULL: none */
	/* A drive by its id, or one around the block node of that name; NULL with *error. */
	struct Blk *(*find_drive)(struct Board *board, const char *name, GError **error);

	/* A firmware or ROM image by name, where such files lie; NULL: not found. Caller frees. */
	char *(*find_file)(struct Board *board, const char *name);

	_Atomic int request;       /* RunRequest, the most severe not yet handled */
	_Atomic int exit_status;   /* for RUN_QUIT */
	void (*request_fn)(struct Board *board, RunRequest why); /* wakes the main loop; set by machine/run.c */
	/* A watchdog expired: what -action watchdog= says is done soon. Any thread, machine lock held or not; NULL: nothing. */
	void (*watchdog)(struct Board *board);
	Irq powerdown;             /* raised by `system_powerdown`: the ACPI device's power button */
	void (*set_a20)(struct Board *board, bool enabled); /* i8042, port 92h */
	bool a20;
} Board;

/* Asks the main loop to act; any thread. Status is used by RUN_QUIT only. */
void board_request(Board *board, RunRequest why, int exit_status);

#endif
