/*
 * flatworld.h - a processor whose whole world is a byte array.
 *
 * For tests: guest-physical memory is `ram` from 0 on, nothing else is there. Ports
 * read as ones. No arena, no APIC. Single-threaded.
 */
#ifndef VIV_TESTS_CPU_FLATWORLD_H
#define VIV_TESTS_CPU_FLATWORLD_H

#include "cpu/cpu.h"

typedef struct FlatWorld {
	uint8_t *ram;
	size_t size;
	uint64_t tsc;            /* what the TSC shows */
	unsigned triple_faults;
	unsigned mmio_reads, mmio_writes, exclusives;
	uint16_t last_port;
	uint32_t last_out;
} FlatWorld;

/* Model "max", reset. Freed with flat_cpu_free, which leaves `ram` alone. */
Cpu *flat_cpu_new(uint8_t *ram, size_t size);
void flat_cpu_free(Cpu *cpu);
FlatWorld *flat_world(Cpu *cpu);

/* Stores into guest-physical memory. */
void flat_put(Cpu *cpu, uint64_t gpa, uint64_t value, unsigned size);
uint64_t flat_get(Cpu *cpu, uint64_t gpa, unsigned size);
/* A descriptor: base, limit in units of G, attr as in Segment.attr. */
void flat_descriptor(Cpu *cpu, uint64_t gpa, uint32_t base, uint32_t limit, uint32_t attr);
void flat_gate(Cpu *cpu, uint64_t gpa, uint16_t sel, uint32_t offset, uint32_t attr);

/* Runs the statement; *vector is -1 if it raised nothing, else cpu->exc_* say what. */
#define FLAT_TRY(cpu, vector, statement) \
	do { \
		if (setjmp((cpu)->unwind)) { \
			(vector) = (cpu)->exc_vector; \
		} else { \
			(vector) = -1; \
			statement; \
		} \
	} while (0)

/*
 * GDT at 1000h: 08 code32, 10 data, 18 code32 DPL 3, 20 data DPL 3, 28 code64, 30 conforming
 * code32, 38 not-present data, 40 TSS32 (2000h), 48 data 16-bit, 50 data DPL 3, 58 code64
 * DPL 3, 60 second TSS32 (2200h). IDT at 3000h, empty.
 */
enum { FLAT_GDT = 0x1000, FLAT_TSS = 0x2000, FLAT_TSS2 = 0x2200, FLAT_IDT = 0x3000 };
void flat_protected(Cpu *cpu); /* 32-bit flat protected mode at CPL 0, ESP 9000h, EIP 7000h */
/* 64-bit mode: tables at 10000h map the first GiB to itself as 2-MiB pages, user and writable. */
void flat_long(Cpu *cpu);

#endif
