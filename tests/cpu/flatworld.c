/* flatworld.c - see flatworld.h. */
#include <string.h>

#include "cpu/models.h"
#include "flatworld.h"

FlatWorld *flat_world(Cpu *cpu)
{
	return cpu->world_opaque;
}

static bool translate(void *opaque, uint64_t gpa, Translation *out)
{
	FlatWorld *w = opaque;
	memset(out, 0, sizeof(*out));
	if (gpa >= w->size)
		return false;
	out->host_read = out->host_write = w->ram + gpa;
	out->contiguous = w->size - gpa;
	return true;
}

static uint64_t mmio_read(void *opaque, uint64_t gpa, unsigned size)
{
	((FlatWorld *)opaque)->mmio_reads++;
	return UINT64_MAX;
}

static void mmio_write(void *opaque, uint64_t gpa, uint64_t value, unsigned size)
{
	((FlatWorld *)opaque)->mmio_writes++;
}

static uint32_t io_read(void *opaque, uint16_t port, unsigned size) { return UINT32_MAX; }
static uint64_t tsc(void *opaque) { return ((FlatWorld *)opaque)->tsc; }
static void exclusive_begin(void *opaque, Cpu *cpu) { ((FlatWorld *)opaque)->exclusives++; }
static void exclusive_end(void *opaque, Cpu *cpu) {}
static void triple_fault(void *opaque, Cpu *cpu) { ((FlatWorld *)opaque)->triple_faults++; }

static void io_write(void *opaque, uint16_t port, uint32_t value, unsigned size)
{
	FlatWorld *w = opaque;
	w->last_port = port;
	w->last_out = value;
}

static const CpuWorld flat_ops = {
	.translate = translate, .mmio_read = mmio_read, .mmio_write = mmio_write,
	.io_read = io_read, .io_write = io_write, .tsc = tsc, .exclusive_begin = exclusive_begin,
	.exclusive_end = exclusive_end, .triple_fault = triple_fault,
};

Cpu *flat_cpu_new(uint8_t *ram, size_t size)
{
	FlatWorld *w = g_new0(FlatWorld, 1);
	w->ram = ram;
	w->size = size;
	Cpu *cpu = cpu_new(0, &flat_ops, w, NULL);
	g_assert_true(cpu_model_apply(cpu, "max", NULL, false, NULL, NULL));
	cpu_reset(cpu);
	return cpu;
}

void flat_cpu_free(Cpu *cpu)
{
	g_free(cpu->world_opaque);
	cpu_free(cpu);
}

void flat_put(Cpu *cpu, uint64_t gpa, uint64_t value, unsigned size)
{
	g_assert_cmpuint(gpa + size, <=, flat_world(cpu)->size);
	memcpy(flat_world(cpu)->ram + gpa, &value, size);
}

uint64_t flat_get(Cpu *cpu, uint64_t gpa, unsigned size)
{
	uint64_t value = 0;
	g_assert_cmpuint(gpa + size, <=, flat_world(cpu)->size);
	memcpy(&value, flat_world(cpu)->ram + gpa, size);
	return value;
}

void flat_descriptor(Cpu *cpu, uint64_t gpa, uint32_t base, uint32_t limit, uint32_t attr)
{
	flat_put(cpu, gpa, (limit & 0xffff) | base << 16, 4);
	flat_put(cpu, gpa + 4, (base >> 16 & 0xff) | (base & 0xff000000) | attr << 8 |
		 (limit & 0xf0000), 4);
}

void flat_gate(Cpu *cpu, uint64_t gpa, uint16_t sel, uint32_t offset, uint32_t attr)
{
	flat_put(cpu, gpa, (offset & 0xffff) | (uint32_t)sel << 16, 4);
	flat_put(cpu, gpa + 4, (offset & 0xffff0000) | attr << 8, 4);
}

void flat_protected(Cpu *cpu)
{
	static const struct { uint16_t sel; uint32_t base, limit, attr; } table[] = {
		{ 0x08, 0, 0xfffff, 0xc09b }, { 0x10, 0, 0xfffff, 0xc093 },
		{ 0x18, 0, 0xfffff, 0xc0fb }, { 0x20, 0, 0xfffff, 0xc0f3 },
		{ 0x28, 0, 0xfffff, 0xa09b }, { 0x30, 0, 0xfffff, 0xc09f },
		{ 0x38, 0, 0xfffff, 0xc013 }, { 0x40, FLAT_TSS, 0x1ff, 0x0089 },
		{ 0x48, 0, 0xffff, 0x0093 },  { 0x58, 0, 0xfffff, 0xa0fb },
		{ 0x50, 0, 0xfffff, 0xc0f3 }, { 0x60, FLAT_TSS2, 0x67, 0x0089 },
	};
	for (unsigned i = 0; i < G_N_ELEMENTS(table); i++)
		flat_descriptor(cpu, FLAT_GDT + table[i].sel, table[i].base, table[i].limit,
				table[i].attr);
	cpu->gdtr = (TableReg){ FLAT_GDT, 0xff };
	cpu->idtr = (TableReg){ FLAT_IDT, 0xfff };
	cpu_write_cr(cpu, 0, CR0_PE | CR0_ET | CR0_NE);
	cpu_far_jmp(cpu, 0x08, 0x7000, 4, 0);
	for (int i = 0; i < SEG_COUNT; i++)
		if (i != CS)
			cpu_load_segment(cpu, i, 0x10);
	cpu->regs[RSP] = 0x9000;
	flat_put(cpu, FLAT_TSS + 4, 0x8000, 4);
	flat_put(cpu, FLAT_TSS + 8, 0x10, 4);
	cpu_ltr(cpu, 0x40);
}

void flat_long(Cpu *cpu)
{
	flat_protected(cpu);
	flat_put(cpu, 0x10000, 0x11007, 8);
	flat_put(cpu, 0x11000, 0x12007, 8);
	for (unsigned i = 0; i < 512; i++)
		flat_put(cpu, 0x12000 + 8 * i, ((uint64_t)i << 21) | 0x87, 8);
	cpu_write_cr(cpu, 4, CR4_PAE | CR4_OSFXSR);
	cpu_write_cr(cpu, 3, 0x10000);
	cpu_wrmsr(cpu, 0xc0000080, EFER_LME | EFER_NXE | EFER_SCE);
	cpu_write_cr(cpu, 0, CR0_PE | CR0_PG | CR0_ET | CR0_NE | CR0_WP);
	cpu_far_jmp(cpu, 0x28, 0x7000, 4, 0);
	g_assert_true(cpu_code64(cpu));
	flat_put(cpu, FLAT_TSS + 4, 0x8000, 8);       /* RSP0 */
	flat_put(cpu, FLAT_TSS + 0x24, 0x6000, 8);    /* IST1 */
	flat_descriptor(cpu, FLAT_GDT + 0x40, FLAT_TSS, 0x1ff, 0x89);
	flat_put(cpu, FLAT_GDT + 0x48, 0, 8);
	cpu_ltr(cpu, 0x40);
}
