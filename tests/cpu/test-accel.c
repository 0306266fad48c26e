/*
 * test-accel.c - the accelerators on a bare board: small images run to their end on KVM (where
 * /dev/kvm opens) and on the interpreter, and what they leave behind is compared.
 */
#include <glib.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "accel/accels.h"
#include "core/board.h"
#include "core/lock.h"
#include "cpu/features.h"
#include "cpu/models.h"

#define RAM_SIZE (4u << 20)
#define EXIT_PORT 0xf4
#define DOORBELL_PORT 0x600

/* ---- images: 16-bit code that runs at 0x1000, data at 0x2000, exit by OUT 0xf4 ---- */
#define IMAGE(name, code) \
	asm(".pushsection .rodata\n.globl " #name "_start, " #name "_end\n" #name "_start:\n" code \
	    "\n" #name "_end:\n.code64\n.popsection"); \
	extern const uint8_t name##_start[], name##_end[]

/* x87, SSE, BCD, bit scans: what a small instruction emulator does not know. */
IMAGE(mixed, ".code16\n"
      "xor %ax, %ax\n mov %ax, %ds\n mov %ax, %es\n mov %ax, %ss\n mov $0x3000, %sp\n"
      "fninit\n fldpi\n fld1\n faddp\n fstpl 0x2000\n fldl2e\n fsqrt\n fstpt 0x2010\n fnstsw %ax\n mov %ax, 0x2020\n"
      "mov $0x79, %al\n add $0x35, %al\n daa\n mov %al, 0x2022\n mov $0x205, %ax\n aad\n mov %ax, 0x2024\n"
      "mov $0x12345678, %eax\n bsf %eax, %ebx\n mov %ebx, 0x2028\n bsr %eax, %ecx\n mov %ecx, 0x202c\n"
      "mov $0x2000, %si\n mov $0x2040, %di\n mov $16, %cx\n rep movsb\n pushf\n pop %ax\n mov %ax, 0x2050\n"
      "bound %ax, 0x2060\n mov $0x55aa, %ax\n mov %ax, 0x2064\n mov $0, %al\n out %al, $0xf4\n 1: hlt\n jmp 1b\n");
/* Writes to a doorbell three times. */
IMAGE(doorbell, ".code16\n mov $0x600, %dx\n xor %ax, %ax\n out %ax, %dx\n out %ax, %dx\n out %ax, %dx\n"
      "out %al, $0xf4\n 1: hlt\n jmp 1b\n");
/* Programs the 8259s, waits for IRQ 5 (vector 0x25), leaves with a count of 1. */
IMAGE(waits, ".code16\n xor %ax, %ax\n mov %ax, %ds\n mov %ax, %ss\n mov $0x3000, %sp\n"
      "movw $0x1800, 0x94\n movw $0, 0x96\n mov $0x11, %al\n out %al, $0x20\n out %al, $0xa0\n"
      "mov $0x20, %al\n out %al, $0x21\n mov $0x28, %al\n out %al, $0xa1\n mov $4, %al\n out %al, $0x21\n"
      "mov $2, %al\n out %al, $0xa1\n mov $1, %al\n out %al, $0x21\n out %al, $0xa1\n mov $0xdf, %al\n out %al, $0x21\n"
      "mov $0x600, %dx\n out %ax, %dx\n sti\n 1: hlt\n cmpb $1, 0x2000\n jne 1b\n mov $1, %al\n out %al, $0xf4\n 2: hlt\n jmp 2b\n");
IMAGE(handler, ".code16\n push %ax\n incb 0x2000\n mov $0x20, %al\n out %al, $0x20\n pop %ax\n iret\n");
/* PIT channel 0 at 1 kHz through IRQ 0 (vector 0x20): leaves after three ticks. */
IMAGE(ticks, ".code16\n xor %ax, %ax\n mov %ax, %ds\n mov %ax, %ss\n mov $0x3000, %sp\n"
      "movw $0x1800, 0x80\n movw $0, 0x82\n mov $0x11, %al\n out %al, $0x20\n out %al, $0xa0\n"
      "mov $0x20, %al\n out %al, $0x21\n mov $0x28, %al\n out %al, $0xa1\n mov $4, %al\n out %al, $0x21\n"
      "mov $2, %al\n out %al, $0xa1\n mov $1, %al\n out %al, $0x21\n out %al, $0xa1\n mov $0xfe, %al\n out %al, $0x21\n"
      "mov $0x34, %al\n out %al, $0x43\n mov $0xa9, %al\n out %al, $0x40\n mov $4, %al\n out %al, $0x40\n"
      "sti\n 1: hlt\n cmpb $3, 0x2000\n jb 1b\n mov $3, %al\n out %al, $0xf4\n 2: hlt\n jmp 2b\n");
/* BSP, flat 32-bit code: INIT and SIPI (vector 8) to CPU 1 through the local APIC, then waits for its mark. */
IMAGE(starts, ".code32\n movl $0x1ff, 0xfee000f0\n movl $0x01000000, 0xfee00310\n movl $0x4500, 0xfee00300\n"
      "movl $0x01000000, 0xfee00310\n movl $0x4608, 0xfee00300\n"
      "1: pause\n cmpw $0x1234, 0x2000\n jne 1b\n mov $7, %al\n out %al, $0xf4\n 2: hlt\n jmp 2b\n");
IMAGE(started, ".code16\n xor %ax, %ax\n mov %ax, %ds\n movw $0x1234, 0x2000\n 1: hlt\n jmp 1b\n");
/* 64-bit, CPL 3, IOPL 3: a loop that computes, natively where the host can. */
IMAGE(user64, ".code64\n mov $20000000, %ecx\n xor %eax, %eax\n 1: add %ecx, %eax\n rol $3, %eax\n dec %ecx\n jnz 1b\n"
      "mov %eax, 0x2000\n xor %eax, %eax\n out %al, $0xf4\n 2: jmp 2b\n");

/* ---- a board with RAM, an exit port and nothing else ---- */
typedef struct Rig {
	Board board;
	Accel *accel;
	Region ram, exit_port, doorbell;
	unsigned cpus;
	_Atomic int exited;   /* -1: not yet */
	_Atomic int rung;
	_Atomic int failed;
} Rig;

static void exit_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	Rig *r = opaque;

	atomic_store(&r->exited, (int)(value & 0xff));
	for (unsigned i = 0; i < r->cpus; i++)
		cpu_post(r->board.cpus[i], CPU_EV_KICK);
}
static void bell_write(void *opaque, uint64_t offset, uint64_t value, unsigned size) { atomic_fetch_add(&((Rig *)opaque)->rung, 1); }
static const RegionOps exit_ops = { .write = exit_write };
static const RegionOps bell_ops = { .write = bell_write };

static bool w_translate(void *o, uint64_t gpa, Translation *t) { return as_translate(((Rig *)o)->board.mem, gpa, t); }
static uint64_t w_mmio_read(void *o, uint64_t gpa, unsigned size) { return as_load(((Rig *)o)->board.mem, gpa, size); }
static void w_mmio_write(void *o, uint64_t gpa, uint64_t v, unsigned size) { as_store(((Rig *)o)->board.mem, gpa, v, size); }
static uint32_t w_io_read(void *o, uint16_t port, unsigned size) { return (uint32_t)as_load(((Rig *)o)->board.io, port, size); }
static void w_io_write(void *o, uint16_t port, uint32_t v, unsigned size) { as_store(((Rig *)o)->board.io, port, v, size); }
static uint64_t w_tsc(void *o) { return (uint64_t)host_now(); }
static void w_triple(void *o, Cpu *cpu) { atomic_store(&((Rig *)o)->failed, 1); }
static const CpuWorld world = {
	.translate = w_translate, .mmio_read = w_mmio_read, .mmio_write = w_mmio_write, .io_read = w_io_read,
	.io_write = w_io_write, .tsc = w_tsc, .triple_fault = w_triple,
};

static void on_request(Board *board, RunRequest why) { atomic_store(&((Rig *)board)->failed, 1 + (int)why); }

static Rig *rig_new(const AccelClass *cls, unsigned cpus)
{
	Rig *r = g_new0(Rig, 1);
	GError *error = NULL;
	CpuTopology topo = { 1, cpus, 1 };

	r->cpus = cpus;
	r->exited = -1;
	g_assert_true(ram_arena_init(&r->board.arena, RAM_SIZE, &error));
	r->board.mem = as_new("memory", 0, &r->board.arena);
	r->board.io = as_new("io", 65536, NULL);
	r->board.request_fn = on_request;
	machine_lock();
	region_init_ram(&r->ram, "ram", ram_arena_alloc(&r->board.arena, RAM_SIZE, NULL), RAM_SIZE, false);
	as_map(r->board.mem, &r->ram, 0, 0);
	region_init_io(&r->exit_port, "exit", &exit_ops, r, 1);
	as_map(r->board.io, &r->exit_port, EXIT_PORT, 0);
	region_init_io(&r->doorbell, "doorbell", &bell_ops, r, 2);
	as_map(r->board.io, &r->doorbell, DOORBELL_PORT, 0);
	machine_unlock();
	r->board.cpus = g_new0(Cpu *, cpus);
	r->board.cpu_count = r->board.cpu_max = cpus;
	r->accel = cls->create(&r->board, &(AccelOptions){ 0 }, &error);
	g_assert_no_error(error);
	for (unsigned i = 0; i < cpus; i++) {
		Cpu *cpu = r->board.cpus[i] = cpu_new(i, &world, r, &r->board.arena);
		g_assert_true(cpu_model_apply(cpu, "qemu64", &topo, cls->irqchip, NULL, &error));
		cpu_reset(cpu);
		g_assert_true(cls->vcpu_create(r->accel, cpu, &error));
	}
	return r;
}

static void rig_free(Rig *r)
{
	for (unsigned i = 0; i < r->cpus; i++) {
		r->accel->cls->vcpu_destroy(r->accel, r->board.cpus[i]);
		cpu_free(r->board.cpus[i]);
	}
	r->accel->cls->destroy(r->accel);
	machine_lock();
	as_unmap(&r->ram);
	as_unmap(&r->exit_port);
	as_unmap(&r->doorbell);
	machine_unlock();
	as_free(r->board.mem);
	as_free(r->board.io);
	ram_arena_free(&r->board.arena);
	g_free(r->board.cpus);
	g_free(r);
}

static void put_image(Rig *r, uint64_t at, const uint8_t *start, const uint8_t *end)
{
	g_assert_true(guest_write(r->board.mem, at, start, (uint64_t)(end - start)));
}

/* Real mode at 0000:1000. */
static void start_real(Rig *r)
{
	Cpu *cpu = r->board.cpus[0];

	cpu_set_real_segment(&cpu->seg[CS], 0);
	cpu->rip = 0x1000;
	cpu_update_mode(cpu);
	if (r->accel->cls->vcpu_put)
		r->accel->cls->vcpu_put(r->accel, cpu);
}

/* Flat 32-bit protected mode at 1000h. */
static void start_flat32(Rig *r)
{
	Cpu *cpu = r->board.cpus[0];
	uint32_t attr = SEG_P | SEG_S | SEG_W | SEG_A | SEG_DB | SEG_G;

	cpu->cr0 |= CR0_PE;
	for (int i = 0; i < SEG_COUNT; i++)
		cpu->seg[i] = (Segment){ 0, UINT32_MAX, attr | (i == CS ? SEG_CODE : 0), i == CS ? 8 : 16 };
	cpu->rip = 0x1000;
	cpu_update_mode(cpu);
	if (r->accel->cls->vcpu_put)
		r->accel->cls->vcpu_put(r->accel, cpu);
}

typedef struct Runner { Rig *rig; Cpu *cpu; } Runner;

static void *run_vcpu(void *opaque)
{
	Runner *n = opaque;
	Rig *r = n->rig;

	while (atomic_load(&r->exited) < 0 && !atomic_load(&r->failed))
		if (r->accel->cls->vcpu_run(r->accel, n->cpu) == RUN_HALTED)
			g_usleep(200);
	return NULL;
}

/* Runs all vcpus until the exit port is written; -1 after 60 seconds, or when the accelerator gave up. */
static int run(Rig *r)
{
	pthread_t threads[4];
	Runner runners[4];

	for (unsigned i = 0; i < r->cpus; i++) {
		runners[i] = (Runner){ r, r->board.cpus[i] };
		pthread_create(&threads[i], NULL, run_vcpu, &runners[i]);
	}
	for (int ms = 0; ms < 60000 && atomic_load(&r->exited) < 0 && !atomic_load(&r->failed); ms++)
		g_usleep(1000);
	if (atomic_load(&r->exited) < 0) {
		g_test_message("no exit; failed=%d", atomic_load(&r->failed));
		atomic_store(&r->failed, 99);
	}
	for (unsigned i = 0; i < r->cpus; i++) {
		cpu_post(r->board.cpus[i], CPU_EV_KICK);
		pthread_join(threads[i], NULL);
	}
	for (unsigned i = 0; atomic_load(&r->exited) < 0 && i < r->cpus; i++) {
		Cpu *cpu = r->board.cpus[i];
		if (r->accel->cls->vcpu_get)
			r->accel->cls->vcpu_get(r->accel, cpu);
		g_test_message("cpu %u: cs %#x rip %#" G_GINT64_MODIFIER "x halted %d waits %d", i, cpu->seg[CS].sel, cpu->rip,
			       cpu->halted, cpu->wait_sipi);
	}
	return atomic_load(&r->exited);
}

static bool have_kvm(void)
{
	const char *why;

	if (accel_kvm.probe(&why))
		return true;
	g_test_skip(why);
	return false;
}

/* ---- the tests ---- */
static void mixed_on(const AccelClass *cls, uint8_t *result)
{
	Rig *r = rig_new(cls, 1);
	int16_t bounds[2] = { -32768, 32767 };

	put_image(r, 0x1000, mixed_start, mixed_end);
	guest_write(r->board.mem, 0x2060, bounds, 4);
	start_real(r);
	g_assert_cmpint(run(r), ==, 0);
	guest_read(r->board.mem, 0x2000, result, 0x100);
	if (cls == &accel_kvm) {
		GString *text = g_string_new(NULL);
		cls->info(r->accel, text);
		g_test_message("%s", text->str);
		g_string_free(text, TRUE);
	}
	rig_free(r);
}

static void test_completed_exact(void)
{
	uint8_t a[0x100], b[0x100];
	double pi1;

	mixed_on(&accel_interp, b);
	memcpy(&pi1, b, 8);
	g_assert_cmpfloat(pi1, ==, 4.14159265358979323846);
	g_assert_cmpint(b[0x64] | b[0x65] << 8, ==, 0x55aa);
	if (!have_kvm())
		return;
	mixed_on(&accel_kvm, a);
	g_assert_cmpmem(a, sizeof(a), b, sizeof(b));
}

static void test_ioeventfd(void)
{
	if (!have_kvm())
		return;
	Rig *r = rig_new(&accel_kvm, 1);
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	uint64_t count = 0;

	put_image(r, 0x1000, doorbell_start, doorbell_end);
	start_real(r);
	g_assert_true(accel_kvm.ioeventfd(r->accel, fd, DOORBELL_PORT, 2, true, -1, true));
	g_assert_cmpint(run(r), ==, 0);
	g_assert_cmpint(read(fd, &count, 8), ==, 8);
	g_assert_cmpuint(count, ==, 3);
	g_assert_cmpint(atomic_load(&r->rung), ==, 0);
	g_assert_true(accel_kvm.ioeventfd(r->accel, fd, DOORBELL_PORT, 2, true, -1, false));
	close(fd);
	rig_free(r);
}

static void *signal_irq(void *opaque)
{
	struct { Rig *r; int fd; } *a = opaque;
	uint64_t one = 1;

	for (int ms = 0; ms < 20000 && !atomic_load(&a->r->rung); ms++)
		g_usleep(1000);
	g_assert_cmpint(write(a->fd, &one, 8), ==, 8);
	return NULL;
}

static void test_irqfd(void)
{
	if (!have_kvm())
		return;
	Rig *r = rig_new(&accel_kvm, 1);
	struct { Rig *r; int fd; } arg = { r, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
	pthread_t thread;

	put_image(r, 0x1000, waits_start, waits_end);
	put_image(r, 0x1800, handler_start, handler_end);
	start_real(r);
	g_assert_true(accel_kvm.irqfd(r->accel, arg.fd, 5, true));
	pthread_create(&thread, NULL, signal_irq, &arg);
	g_assert_cmpint(run(r), ==, 1);
	pthread_join(thread, NULL);
	close(arg.fd);
	rig_free(r);
}

static void test_pit(void)
{
	if (!have_kvm())
		return;
	Rig *r = rig_new(&accel_kvm, 1);

	put_image(r, 0x1000, ticks_start, ticks_end);
	put_image(r, 0x1800, handler_start, handler_end);
	start_real(r);
	g_assert_cmpint(run(r), ==, 3);
	rig_free(r);
}

static void test_second_cpu(void)
{
	if (!have_kvm())
		return;
	Rig *r = rig_new(&accel_kvm, 2);

	put_image(r, 0x1000, starts_start, starts_end);
	put_image(r, 0x8000, started_start, started_end);
	start_flat32(r);
	g_assert_cmpint(run(r), ==, 7);
	rig_free(r);
}

static void user64_on(const AccelClass *cls, uint32_t *result)
{
	Rig *r = rig_new(cls, 1);
	Cpu *cpu = r->board.cpus[0];
	uint64_t tables[3] = { 0x11007, 0x12007, 0x87 };

	put_image(r, 0x1000, user64_start, user64_end);
	for (int i = 0; i < 3; i++)
		guest_write(r->board.mem, 0x10000 + 0x1000u * (unsigned)i, &tables[i], 8);
	cpu->cr0 = CR0_PE | CR0_PG | CR0_ET | CR0_NE | CR0_WP;
	cpu->cr3 = 0x10000;
	cpu->cr4 = CR4_PAE;
	cpu->efer = EFER_LME | EFER_LMA | EFER_NXE;
	cpu->cpl = 3;
	for (int i = 0; i < SEG_COUNT; i++)
		cpu->seg[i] = (Segment){ 0, UINT32_MAX, SEG_P | SEG_S | SEG_W | SEG_A | 3 << 5 | SEG_DB | SEG_G, 0x2b };
	cpu->seg[CS] = (Segment){ 0, UINT32_MAX, SEG_P | SEG_S | SEG_CODE | SEG_W | SEG_A | 3 << 5 | SEG_L | SEG_G, 0x33 };
	cpu->tr = (Segment){ 0x3000, 0x67, SEG_P | 11, 0x40 };
	cpu->rip = 0x1000;
	cpu_set_rflags(cpu, FLAGS_FIXED | FLAG_IOPL);
	cpu_update_mode(cpu);
	cpu_tlb_flush(cpu, true);
	if (cls->vcpu_put)
		cls->vcpu_put(r->accel, cpu);
	g_assert_cmpint(run(r), ==, 0);
	guest_read(r->board.mem, 0x2000, result, 4);
	rig_free(r);
}

static void test_user64(void)
{
	uint32_t a, b, want = 0;

	for (uint32_t c = 20000000; c; c--) {
		want += c;
		want = want << 3 | want >> 29;
	}
	user64_on(&accel_interp, &b);
	g_assert_cmpuint(b, ==, want);
	if (!have_kvm())
		return;
	user64_on(&accel_kvm, &a);
	g_assert_cmpuint(a, ==, want);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/accel/completed-instructions-exact", test_completed_exact);
	g_test_add_func("/accel/user64", test_user64);
	g_test_add_func("/accel/kvm/ioeventfd", test_ioeventfd);
	g_test_add_func("/accel/kvm/irqfd", test_irqfd);
	g_test_add_func("/accel/kvm/pit", test_pit);
	g_test_add_func("/accel/kvm/second-cpu", test_second_cpu);
	return g_test_run();
}
