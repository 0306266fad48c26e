/*
 * aml.h - writes ACPI Machine Language, front to back.
 *
 * AML is a prefix notation, so a builder that appends in reading order needs no
 * tree: open what has a package length with aml_begin_*(), append terms, close it
 * with aml_end(). Names are checked: wrong ones are programming errors (g_error).
 * One thread.
 */
#ifndef VIV_MACHINE_ACPI_AML_H
#define VIV_MACHINE_ACPI_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>

#define AML_DEPTH 16

typedef struct Aml {
	GByteArray *out;
	struct { unsigned at; bool buffer; } open[AML_DEPTH]; /* where the contents begin */
	unsigned depth;
} Aml;

/* Opcodes that take nothing but terms: append them, then their operands. */
enum {
	AML_ZERO = 0x00, AML_ONE = 0x01, AML_ONES = 0xff,
	AML_STORE = 0x70, AML_ADD = 0x72, AML_SUBTRACT = 0x74, AML_SHIFT_LEFT = 0x79, AML_SHIFT_RIGHT = 0x7a,
	AML_AND = 0x7b, AML_OR = 0x7d, AML_NOT = 0x80, AML_INDEX = 0x88, AML_DWORD_FIELD = 0x8a,
	AML_LAND = 0x90, AML_LNOT = 0x92, AML_LEQUAL = 0x93, AML_RETURN = 0xa4, AML_NOTIFY = 0x86,
};

void aml_init(Aml *a);
/* The finished bytes; the caller owns them. Everything must be closed. */
GByteArray *aml_finish(Aml *a);

void aml_begin_scope(Aml *a, const char *path);
void aml_begin_device(Aml *a, const char *name);
void aml_begin_method(Aml *a, const char *name, unsigned args, bool serialized);
void aml_begin_processor(Aml *a, const char *name, uint8_t uid);
void aml_begin_package(Aml *a, uint8_t elements);
void aml_begin_if(Aml *a);   /* the predicate is the first term appended */
void aml_begin_else(Aml *a); /* directly after an If's aml_end */
void aml_begin_buffer(Aml *a); /* raw bytes follow; its size is filled in by aml_end */
/* Field over `region`: byte access, no lock, preserve. Units by aml_field_unit/skip. */
void aml_begin_field(Aml *a, const char *region);
void aml_field_unit(Aml *a, const char *name, unsigned bits); /* bits < 64 */
void aml_end(Aml *a);

void aml_op(Aml *a, uint8_t opcode);
void aml_path(Aml *a, const char *path); /* "\\_SB.PCI0", "^ISA", "CNT" (padded with _) */
void aml_int(Aml *a, uint64_t value);
void aml_string(Aml *a, const char *text); /* ASCII */
void aml_eisa_id(Aml *a, const char *id);  /* "PNP0A03" as a number */
void aml_local(Aml *a, unsigned n);
void aml_arg(Aml *a, unsigned n);
void aml_name(Aml *a, const char *name);   /* its value is the next term */
void aml_name_int(Aml *a, const char *name, uint64_t value);
void aml_name_string(Aml *a, const char *name, const char *text);
void aml_name_eisa_id(Aml *a, const char *name, const char *id);
enum { AML_REGION_IO = 1, AML_REGION_PCI = 2 };
void aml_region(Aml *a, const char *name, uint8_t space, uint32_t offset, uint32_t length);

/* Resource descriptors (6.4), inside aml_begin_buffer .. aml_res_end, aml_end. */
void aml_res_io(Aml *a, uint16_t port, uint8_t length);
void aml_res_irq(Aml *a, unsigned irq);    /* edge, active high, exclusive */
/* Level, active high, shared; one number each. */
void aml_res_ext_irq(Aml *a, const uint32_t *irqs, uint8_t count);
void aml_res_mem32(Aml *a, uint32_t base, uint32_t length, bool writable);
void aml_res_bus(Aml *a, uint16_t first, uint16_t last);
void aml_res_io_window(Aml *a, uint16_t first, uint16_t last);
void aml_res_mem_window(Aml *a, uint64_t first, uint64_t last, bool cacheable); /* QWord when it must be */
void aml_res_end(Aml *a);

#endif
