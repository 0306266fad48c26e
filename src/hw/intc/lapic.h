/*
 * lapic.h - inside the local APIC: shared by its register file (lapic.c), its
 * message routing (lapic_ipi.c) and its timer (lapic_timer.c), by nobody else.
 *
 * SDM vol. 3A, chapter 11 (10 in editions before 2022). Machine lock held in all.
 */
#ifndef VIV_HW_INTC_LAPIC_H
#define VIV_HW_INTC_LAPIC_H

#include "core/clock.h"
#include "core/device.h"
#include "cpu/cpu.h"

enum { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };
#define LVT_MASKED (1u << 16)
#define LVT_MODE(lvt) ((lvt) >> 8 & 7)
#define TIMER_MODE(lvt) ((lvt) >> 17 & 3)
enum { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_TSC_DEADLINE };

/* Delivery modes (11.5.1, 11.6.1) */
enum { MODE_FIXED, MODE_LOWEST, MODE_SMI, MODE_RESERVED, MODE_NMI, MODE_INIT, MODE_SIPI, MODE_EXTINT };

#define BASE_BSP (1u << 8)
#define BASE_X2APIC (1u << 10)
#define BASE_ENABLED (1u << 11)
#define SVR_ENABLED (1u << 8)

/* Error status (11.5.3) */
#define ESR_SEND_VECTOR (1u << 5)
#define ESR_RECEIVE_VECTOR (1u << 6)
#define ESR_REGISTER (1u << 7)

typedef struct Lapic {
	Device dev;
	Cpu *cpu;
	Device *pic, *ioapic;
	uint64_t base;            /* IA32_APIC_BASE */
	uint32_t tpr, ldr, dfr, svr;
	uint32_t esr, esr_pending;
	uint32_t icr[2];
	uint32_t lvt[LVT_COUNT];
	uint32_t isr[8], tmr[8], irr[8];
	uint32_t initial_count, divide;
	int64_t count_start;      /* clock ns at which initial_count was loaded */
	uint64_t tsc_deadline;    /* 0: disarmed */
	bool extint;              /* level of the 8259's INT line */
	bool lint1;
	Timer timer;
} Lapic;

/* One message on the (virtual) bus. */
typedef struct ApicMessage {
	uint32_t dest;
	bool logical, level, broadcast;
	uint8_t mode, vector;
} ApicMessage;

static inline bool lapic_x2(const Lapic *s) { return s->base & BASE_X2APIC; }
static inline bool lapic_on(const Lapic *s) { return s->base & BASE_ENABLED; }

/* lapic.c */
uint32_t lapic_ppr(const Lapic *s);
/* Recomputes CPU_EV_INTR. After every change of what may be delivered. */
void lapic_update(Lapic *s);
void lapic_error(Lapic *s, uint32_t bit);
/* A message or local source arrives at this APIC. */
void lapic_accept(Lapic *s, unsigned mode, uint8_t vector, bool level);
/* Delivers by a local vector table entry unless masked. */
void lapic_local(Lapic *s, unsigned entry);

/* lapic_ipi.c */
void lapic_route(struct Board *board, const ApicMessage *m);
/* ICR was written: sends it. x2APIC: `dest` has 32 bits. */
void lapic_send_ipi(Lapic *s, uint32_t command, uint32_t dest);

/* lapic_timer.c */
void lapic_timer_fired(void *lapic);
unsigned lapic_timer_divisor(const Lapic *s); /* 1..128 */
uint32_t lapic_timer_count(const Lapic *s);
/* Arms, re-arms or stops the timer after a change of mode, count, divisor or deadline. */
void lapic_timer_restart(Lapic *s);
uint64_t lapic_tsc(const Lapic *s);

/* lapic_info.c: DeviceClass.info */
void lapic_info(Device *dev, GString *out);

#endif
