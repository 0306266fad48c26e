/*
 * private.h - struct Machine, shared by the files of src/machine/ only.
 */
#ifndef VIV_MACHINE_PRIVATE_H
#define VIV_MACHINE_PRIVATE_H

#include <pthread.h>

#include "machine/fw_cfg.h"
#include "machine/linux_boot.h"
#include "machine/machine.h"

/* One virtual processor and the thread that runs it; the Cpu's world_opaque. */
typedef struct Vcpu {
	Machine *m;
	Cpu *cpu;
	pthread_t thread;
	bool started, created; /* thread runs; accelerator knows it */
	_Atomic int thread_id;      /* gettid; 0: it is not that far */
	_Atomic uint32_t kicks;     /* times ops_kick was called */
	_Atomic bool waiting;       /* in pthread_cond_wait on `wake` */
	bool frozen;                /* Machine.run_lock: a debugger keeps it */
	bool parked;                /* Machine.run_lock: out of vcpu_run, and stays out */
	pthread_cond_t wake;        /* with Machine.run_lock */
	void (*accel_kick)(Cpu *cpu); /* the accelerator's own, or NULL */
	uint64_t kvmclock_msr;      /* world.c: as the guest wrote it */
} Vcpu;

struct Machine {
	Board board;                /* first: a Board * is a Machine * */
	MachineConfig *config;
	Accel *accel;
	Vcpu *vcpus;                /* [0, board.cpu_count) */
	uint32_t *apic_ids;         /* [0, board.cpu_max) */

	/* pc.c */
	Region ram_low, ram_high, bios_rom;
	uint8_t *bios;              /* host pointer to the last 128 KiB of firmware */
	unsigned anonymous;         /* user devices without an id */
	Device *pic, *ioapic, *rtc, *pm, *pit, *hpet;
	Device *hotplug;            /* NULL: slots keep what they have */
	_Atomic uint32_t ejected;   /* hotplug.c: slots that the guest lets go, not yet emptied */
	FwCfgTable *fw_cfg;
	LinuxBoot linux_boot;       /* empty without -kernel */

	/* drives.c, objects.c */
	GPtrArray *blks;            /* Blk *: owned */
	unsigned loops_made;        /* numbers of their threads */

	/* run.c. Lock order: machine lock, then run_lock. */
	pthread_mutex_t run_lock;
	pthread_cond_t parked_cond; /* some vcpu parked */
	bool run_wanted, quitting;  /* run_lock */
	_Atomic int state;          /* RunState */
	int event_fd, exit_status;
	guint event_source;
	GMainLoop *loop;
	GArray *listeners;
	bool once_done;             /* -boot once= was used up */

	/* world.c: the guest's time stamp counter */
	bool tsc_host;              /* the host's is invariant: used directly */
	uint64_t tsc_khz;
	_Atomic uint64_t tsc_offset;  /* guest = host + offset while running */
	_Atomic bool tsc_running;
	_Atomic uint64_t tsc_frozen;  /* while stopped */
	uint64_t wall_clock_msr;
};

/* pc.c: builds everything below the run loop. Machine lock held. */
bool pc_build(Machine *m, GError **error);
bool pc_apply_globals(Machine *m, Device *dev, GError **error); /* -global */
/* With its properties, not realized; NULL with *error. */
Device *pc_new_user_device(Machine *m, const DeviceConfig *d, GError **error);
void pc_name_user_device(Machine *m, Device *dev); /* Device.path; once, before realize */
void pc_reset(Machine *m);
void pc_free(Machine *m);
/* pc_firmware.c */
bool pc_load_bios(Machine *m, GError **error);
bool pc_fill_fw_cfg(Machine *m, GError **error);
void pc_fill_cmos(Machine *m);      /* once: a reset leaves the guest's CMOS alone, shutdown code and all, */
void pc_fill_boot_cmos(Machine *m); /* but for the boot order, which -boot once= changes */
/* A file as given, or in the data directories; NULL: not found. Caller frees. */
char *machine_find_file(const MachineConfig *c, const char *name);
char *board_find_file(Board *board, const char *name); /* Board.find_file */

/* hotplug.c: pcihp.c's PciEjectFn */
void hotplug_eject(void *opaque, uint32_t slots);

/* drives.c: opens what -blockdev and -drive name; makes devices of them. Machine lock held. */
bool drives_open(Machine *m, GError **error);
bool drives_add_devices(Machine *m, GError **error); /* after -device, which may have taken some */
void drives_close(Machine *m);
/* The image of -drive if=pflash,unit=N; NULL: none. */
struct Blk *drives_pflash(Machine *m, int unit);

/* world.c */
extern const CpuWorld machine_world;
void world_init(Machine *m);
void world_start(Machine *m); /* the clocks go on; vcpus parked */
void world_stop(Machine *m);
void world_reset(Machine *m);

/* objects.c: the thread of an iothread */
bool objects_start(Machine *m, const DeviceConfig *o, GError **error);

/* run.c */
/* Tells the listeners; `detail` as MachineEventFn has it. */
void run_tell(Machine *m, MachineEvent event, const char *detail);
void run_set_state(Machine *m, RunState state);
/* Pauses without telling. False: it stood already. */
bool run_stand(Machine *m, RunState why);
void run_init(Machine *m);
void run_free(Machine *m);
void vcpu_attach_kick(Vcpu *v); /* after accel's vcpu_create */

/* actions.c */
void run_handle_request(Machine *m, RunRequest request);
void actions_watchdog(Board *board); /* Board.watchdog; any thread */

#endif
