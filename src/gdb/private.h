/*
 * private.h - struct Gdb, shared by the files of src/gdb/ only.
 */
#ifndef VIV_GDB_PRIVATE_H
#define VIV_GDB_PRIVATE_H

#include "cpu/debugger.h"
#include "gdb/gdb.h"

#define PACKET_MAX 4096u   /* bytes between '$' and '#' */

typedef enum GdbFrame { FRAME_IDLE, FRAME_BODY, FRAME_SUM1, FRAME_SUM2 } GdbFrame;

struct Gdb {
	Machine *m;
	ChardevSet *set;
	GdbExecute *execute;
	void *execute_opaque;

	Chardev *c;              /* NULL: serves nobody */
	bool own_chardev;        /* made by gdb_serve, goes with it */
	guint idle;              /* input waits to be looked at */
	GByteArray *input;       /* machine lock */
	GString *output;         /* not yet written; machine lock */
	bool gone, came;         /* a peer left, or came; machine lock */

	/* frames (packet.c) */
	GdbFrame frame;
	GString *packet;         /* as far as it came; then the one at work */
	bool overrun;
	char sum_text[3];
	GString *last;           /* frame sent last, for a peer that missed it */
	bool no_ack;

	/* the session */
	CpuDebugger *debugger;   /* breakpoints, watchpoints */
	unsigned cpu_g, cpu_c;   /* chosen by H */
	unsigned threads_told;   /* qsThreadInfo goes on here */
	bool multiprocess;       /* thread ids have a process before them */
	bool long_registers;     /* the peer knows the target's description */
	bool physical;           /* memory is asked for by physical address */
	uint8_t step_flags;      /* CPU_STEP_* of a step */
	bool running;            /* the peer waits for a stop */
};

/* ---- packet.c ---- */

/* Bytes of the peer, in turn. Machine lock not held. */
void gdb_take_bytes(Gdb *g, const uint8_t *bytes, size_t count);
void gdb_reset_frames(Gdb *g);
/* Sends a packet; the text may hold any byte. */
void gdb_send(Gdb *g, const char *text, size_t len);
void gdb_say(Gdb *g, const char *format, ...) G_GNUC_PRINTF(2, 3);
#define gdb_ok(g) gdb_say(g, "OK")
#define GDB_EFAULT 14u /* numbers of Linux's errno, as QEMU gives them */
#define GDB_EINVAL 22u
void gdb_error(Gdb *g, unsigned number); /* "E16" in hexadecimal */

/* ---- session.c ---- */

/* Answers the packet in g->packet. */
void gdb_handle(Gdb *g);
/* As a peer finds it that has just come. */
void gdb_begin_session(Gdb *g);
/* It is gone: nothing of it stays. */
void gdb_end_session(Gdb *g);

/* ---- text ---- */

/* Hexadecimal number at *p, which is then behind it; false: there is none, or above 64 bits. */
bool gdb_take_number(const char **p, uint64_t *out);
bool gdb_take_char(const char **p, char c);
void gdb_append_hex(GString *out, const void *bytes, size_t count);
/* Two digits a byte. False: too few, or others. */
bool gdb_take_hex(const char **p, void *bytes, size_t count);
/* "p1.2", "2", "-1": a vcpu's index, or -1 for all; 0 ("any") gives the first. False: there is no such thread. */
bool gdb_take_thread(Gdb *g, const char **p, int *index);
void gdb_append_thread(const Gdb *g, unsigned index, GString *out);

/* ---- run.c ---- */

/* z, Z: insert or remove. */
void gdb_handle_point(Gdb *g, const char *p, bool insert);
/* c, s [ADDR] and vCont;... */
void gdb_handle_resume(Gdb *g, const char *p, bool step);
void gdb_handle_vcont(Gdb *g, const char *p);
void gdb_say_stop(Gdb *g);
void gdb_forget_points(Gdb *g);
void gdb_continue(Gdb *g);
void gdb_on_stop(Gdb *g); /* the machine stopped */

/* ---- registers.c; the vcpu stands ---- */

unsigned gdb_register_count(const Gdb *g);
/* Appends hexadecimal; "x" for what this vcpu has not. False: there is no such number. */
bool gdb_append_register(Gdb *g, Cpu *cpu, unsigned number, GString *out);
bool gdb_set_register(Gdb *g, Cpu *cpu, unsigned number, const char **hex);
/* target.xml of this machine; caller frees. */
char *gdb_describe_target(Gdb *g);

/* ---- memory.c; the vcpu stands ---- */

bool gdb_read_memory(Gdb *g, Cpu *cpu, uint64_t address, uint8_t *out, size_t count);
bool gdb_write_memory(Gdb *g, Cpu *cpu, uint64_t address, const uint8_t *bytes, size_t count);

#endif
