/* test-registers.c - control registers, MSRs, CPUID models, XSAVE (SDM vol. 3A, 2.5; vol. 4). */
#include <string.h>

#include "cpu/models.h"
#include "flatworld.h"

static uint8_t ram[1u << 20];

static Cpu *fresh(void)
{
	memset(ram, 0, sizeof(ram));
	return flat_cpu_new(ram, sizeof(ram));
}

#define EXPECT_GP(cpu, statement) \
	do { \
		int vector_; \
		FLAT_TRY(cpu, vector_, statement); \
		g_assert_cmpint(vector_, ==, EXC_GP); \
	} while (0)

static void test_reset(void)
{
	Cpu *cpu = fresh();
	g_assert_cmphex(cpu->seg[CS].base + cpu->rip, ==, 0xfffffff0);
	g_assert_cmphex(cpu->cr0, ==, 0x60000010);
	g_assert_cmphex(cpu->dr[6], ==, 0xffff0ff0);
	uint32_t r[4];
	cpu_do_cpuid(cpu, 1, 0, r);
	g_assert_cmphex(cpu->regs[RDX], ==, r[0]);
	cpu_post(cpu, CPU_EV_KICK | CPU_EV_INTR);
	cpu_clear(cpu, CPU_EV_KICK);
	g_assert_cmphex(cpu->events, ==, CPU_EV_INTR);
	cpu->wait_sipi = true;
	cpu_sipi(cpu, 0x9a);
	g_assert_cmphex(cpu->seg[CS].base, ==, 0x9a000);
	/* A SIPI posted before the INIT was served is not lost. */
	cpu->index = 1;
	cpu->sipi_vector = 0x42;
	cpu_post(cpu, CPU_EV_INIT | CPU_EV_SIPI);
	cpu_init_ipi(cpu);
	g_assert_true(cpu->wait_sipi && cpu->halted);
	g_assert_cmphex(cpu->events & (CPU_EV_INIT | CPU_EV_SIPI), ==, CPU_EV_SIPI);
	g_assert_cmphex(cpu->sipi_vector, ==, 0x42);
	flat_cpu_free(cpu);
}

static void test_control(void)
{
	Cpu *cpu = fresh();
	EXPECT_GP(cpu, cpu_write_cr(cpu, 0, CR0_PG));
	EXPECT_GP(cpu, cpu_write_cr(cpu, 0, CR0_NW));
	EXPECT_GP(cpu, cpu_write_cr(cpu, 4, 1u << 13));
	EXPECT_GP(cpu, cpu_write_cr(cpu, 4, CR4_PCIDE));
	EXPECT_GP(cpu, cpu_write_xcr(cpu, 0, 4));
	EXPECT_GP(cpu, cpu_write_xcr(cpu, 0, 0));
	flat_long(cpu);
	EXPECT_GP(cpu, cpu_write_cr(cpu, 4, 0));
	EXPECT_GP(cpu, cpu_write_cr(cpu, 0, CR0_PE));
	EXPECT_GP(cpu, cpu_wrmsr(cpu, 0xc0000080, EFER_NXE));
	EXPECT_GP(cpu, cpu_write_cr(cpu, 3, UINT64_C(1) << 63 | 0x10000));
	cpu_write_cr(cpu, 4, cpu->cr4 | CR4_PCIDE);
	cpu_write_cr(cpu, 3, UINT64_C(1) << 63 | 0x10005);
	g_assert_cmphex(cpu->cr3, ==, 0x10005);
	EXPECT_GP(cpu, cpu_invpcid(cpu, 4, 0, 0));
	cpu_invpcid(cpu, 2, 0, 0);

	cpu_write_dr(cpu, 7, 0x000d0001); /* DR0: write, 4 bytes */
	cpu_write_dr(cpu, 0, 0x5004);
	g_assert_true(cpu->mode & MODE_STEP);
	cpu_check_watch(cpu, 0x5007, 1, false);
	g_assert_cmphex(cpu->db_pending, ==, 0);
	cpu_check_watch(cpu, 0x5000, 8, true);
	g_assert_cmphex(cpu->db_pending, ==, 1);
	cpu->db_pending = 0;
	int vector;
	cpu_write_dr(cpu, 7, 1);
	cpu_write_dr(cpu, 0, 0x7000);
	g_assert_true(cpu_insn_breakpoint(cpu, 0x7000));
	g_assert_cmphex(cpu->dr[6] & 15, ==, 1);
	cpu->rflags |= FLAG_RF;
	g_assert_false(cpu_insn_breakpoint(cpu, 0x7000));
	cpu_write_dr(cpu, 7, 1u << 13);
	FLAT_TRY(cpu, vector, cpu_read_dr(cpu, 0));
	g_assert_cmpint(vector, ==, EXC_DB);
	g_assert_true(cpu->dr[6] & 1u << 13);
	flat_cpu_free(cpu);
}

static void read_any(Cpu *cpu, uint32_t msr)
{
	int vector;
	FLAT_TRY(cpu, vector, cpu_rdmsr(cpu, msr));
	g_assert_true(vector == -1 || vector == EXC_GP);
}

static void test_msr(void)
{
	Cpu *cpu = fresh();
	EXPECT_GP(cpu, cpu_rdmsr(cpu, 0x12345));
	EXPECT_GP(cpu, cpu_wrmsr(cpu, 0xc0000100, UINT64_C(1) << 62));
	cpu_wrmsr(cpu, 0xc0000101, 0xffff800000000000);
	g_assert_cmphex(cpu->seg[GS].base, ==, 0xffff800000000000);
	EXPECT_GP(cpu, cpu_wrmsr(cpu, 0x277, 2));
	cpu_wrmsr(cpu, 0x277, 0x0407050600070106);
	EXPECT_GP(cpu, cpu_wrmsr(cpu, 0x200, 0x102));
	cpu_wrmsr(cpu, 0x200, 0x80000006);
	EXPECT_GP(cpu, cpu_wrmsr(cpu, 0x401, 1));
	flat_world(cpu)->tsc = 1000;
	cpu_wrmsr(cpu, 0x10, 5000);
	g_assert_cmpuint(cpu_rdmsr(cpu, 0x3b), ==, 4000);
	g_assert_cmpuint(cpu_tsc(cpu), ==, 5000);
	EXPECT_GP(cpu, cpu_wrmsr(cpu, 0xfe, 0));
	/* Every row can be read or refuses cleanly. */
	for (uint32_t msr = 0; msr < 0x2000; msr++)
		read_any(cpu, msr);
	for (uint32_t msr = 0xc0000000; msr < 0xc0012000; msr++)
		read_any(cpu, msr);
	flat_cpu_free(cpu);
}

static void test_models(void)
{
	Cpu *cpu = fresh();
	const char *name;
	for (unsigned i = 0; (name = cpu_model_name(i)); i++) {
		g_assert_true(cpu_model_apply(cpu, name, NULL, false, NULL, NULL));
		g_assert_cmpuint(cpu->cpuid_count, >, 5);
	}
	GError *error = NULL;
	GPtrArray *warnings = g_ptr_array_new_with_free_func(g_free);
	g_assert_true(cpu_model_apply(cpu, "qemu64", NULL, false, warnings, &error));
	g_assert_cmpuint(warnings->len, ==, 0);
	g_assert_true(cpu_model_apply(cpu, "Haswell-v4,+x2apic,-avx2,movbe=off,vendor=AuthenticAMD,"
				      "family=23,model-id=Some CPU,level=13,pmu=off",
				      &(CpuTopology){ 2, 3, 2 }, false, warnings, &error));
	g_assert_true(cpu_has(cpu, FEAT_X2APIC));
	g_assert_false(cpu_has(cpu, FEAT_AVX2) || cpu_has(cpu, FEAT_MOVBE));
	uint32_t r[4];
	cpu_do_cpuid(cpu, 0, 0, r);
	g_assert_cmpuint(r[0], ==, 13);
	g_assert_cmphex(r[1], ==, 0x68747541);
	cpu_do_cpuid(cpu, 1, 0, r);
	g_assert_cmphex(r[0] & 0x0ff00f00, ==, 0x00800f00);
	cpu_do_cpuid(cpu, 0xb, 1, r);
	g_assert_cmpuint(r[0], ==, 3);
	g_assert_cmpuint(r[1], ==, 6);
	cpu_do_cpuid(cpu, 0x40000000, 0, r);
	g_assert_cmpint(memcmp(&r[1], "Viva", 4), ==, 0);

	g_assert_false(cpu_model_apply(cpu, "Hasswell", NULL, false, NULL, &error));
	g_assert_nonnull(strstr(error->message, "Haswell"));
	g_clear_error(&error);
	g_assert_false(cpu_model_apply(cpu, "max,+x2apci", NULL, false, NULL, &error));
	g_assert_nonnull(strstr(error->message, "x2apic"));
	g_clear_error(&error);
	g_ptr_array_set_size(warnings, 0);
	g_assert_true(cpu_model_apply(cpu, "qemu64,+vmx", NULL, false, warnings, &error));
	g_assert_cmpuint(warnings->len, ==, 1);
	g_assert_cmpstr(g_ptr_array_index(warnings, 0), ==,
			"host or accelerator lacks feature vmx (CPUID.01H:ECX[5])");
	g_assert_false(cpu_model_apply(cpu, "qemu64,+vmx,enforce", NULL, false, warnings, &error));
	g_clear_error(&error);
	g_assert_true(cpu_model_apply(cpu, "host", NULL, true, warnings, &error));
	GString *help = g_string_new(NULL);
	cpu_models_help(help);
	g_assert_nonnull(strstr(help->str, "\nx86 Haswell "));
	g_assert_nonnull(strstr(help->str, "\nRecognized CPUID flags:\n"));
	g_string_free(help, TRUE);
	g_ptr_array_free(warnings, TRUE);
	g_assert_cmphex(cpu_topology_apic_id(&(CpuTopology){ 2, 3, 2 }, 11), ==, 0xd);
	flat_cpu_free(cpu);
}

static void scramble(Cpu *cpu)
{
	uint8_t *p = (uint8_t *)cpu->vec.zmm;
	for (size_t i = 0; i < sizeof(cpu->vec.zmm); i++)
		p[i] = (uint8_t)(i * 7 + 3);
	for (unsigned i = 0; i < 8; i++) {
		cpu->vec.k[i] = 0x0123456789abcdef * (i + 1);
		memset(cpu->vec.fx + 32 + 16 * i, 0x40 + (int)i, 10);
	}
	cpu->vec.fx[4] = 0x5a;
	cpu->vec.mxcsr = 0x1fa0;
	cpu->vec.pkru = 0x55;
}

static void test_xsave(void)
{
	Cpu *cpu = fresh();
	flat_long(cpu);
	cpu->xcr0_supported = 0x2e7;
	cpu->features[FEAT_WORD_D_1_EAX] = 15;
	cpu_write_xcr(cpu, 0, 0x2e7);
	g_assert_cmpuint(cpu_xsave_size(cpu, 0x2e7, false), ==, 2696);
	g_assert_cmpuint(cpu_xsave_size(cpu, 0x2e7, true), ==, 576 + 256 + 64 + 512 + 1024 + 8);
	for (int form = XSAVE; form <= XSAVES; form++) {
		CpuVector before;
		scramble(cpu);
		before = cpu->vec;
		memset(ram + 0x20000, 0, 4096);
		cpu_xsave(cpu, 0x20000, UINT64_MAX, form, true);
		g_assert_cmphex(flat_get(cpu, 0x20200, 8), ==, 0x2e7);
		memset(cpu->vec.zmm, 0, sizeof(cpu->vec.zmm));
		memset(cpu->vec.k, 0, sizeof(cpu->vec.k));
		cpu->vec.pkru = 0;
		cpu->vec.mxcsr = 0x1f80;
		cpu_xrstor(cpu, 0x20000, UINT64_MAX, form == XSAVES, true);
		g_assert_cmpint(memcmp(before.zmm, cpu->vec.zmm, sizeof(before.zmm)), ==, 0);
		g_assert_cmpint(memcmp(before.k, cpu->vec.k, sizeof(before.k)), ==, 0);
		g_assert_cmpint(memcmp(before.fx, cpu->vec.fx, 160), ==, 0);
		g_assert_cmphex(cpu->vec.mxcsr, ==, 0x1fa0);
		g_assert_cmphex(cpu->vec.pkru, ==, 0x55);
	}
	/* The init optimisation, and restoring what is not in XSTATE_BV. */
	memset(ram + 0x20200, 0, 64);
	cpu_xrstor(cpu, 0x20000, UINT64_MAX, false, true);
	g_assert_cmphex(cpu->vec.pkru | cpu->vec.k[3], ==, 0);
	g_assert_cmphex(cpu->vec.fx[0], ==, 0x7f);
	cpu_xsave(cpu, 0x20000, UINT64_MAX, XSAVEOPT, true);
	g_assert_cmphex(flat_get(cpu, 0x20200, 8), ==, 0);

	EXPECT_GP(cpu, cpu_xsave(cpu, 0x20020, 7, XSAVE, true));
	flat_put(cpu, 0x20208, 1, 8);
	EXPECT_GP(cpu, cpu_xrstor(cpu, 0x20000, 7, false, true));
	flat_put(cpu, 0x20208, 0, 8);
	flat_put(cpu, 0x20200, 1u << 30, 8);
	EXPECT_GP(cpu, cpu_xrstor(cpu, 0x20000, 7, false, true));
	flat_put(cpu, 0x20200, 2, 8);
	flat_put(cpu, 0x20018, 0x10000, 4);
	EXPECT_GP(cpu, cpu_xrstor(cpu, 0x20000, 7, false, true));

	scramble(cpu);
	cpu_fxsave(cpu, 0x21000, true);
	uint8_t xmm5[16];
	memcpy(xmm5, cpu->vec.zmm[5], 16);
	memset(cpu->vec.zmm[5], 0, 16);
	cpu_fxrstor(cpu, 0x21000, true);
	g_assert_cmpint(memcmp(xmm5, cpu->vec.zmm[5], 16), ==, 0);
	EXPECT_GP(cpu, cpu_fxsave(cpu, 0x21008, true));
	flat_cpu_free(cpu);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/cpu/registers/reset", test_reset);
	g_test_add_func("/cpu/registers/control", test_control);
	g_test_add_func("/cpu/registers/msr", test_msr);
	g_test_add_func("/cpu/registers/models", test_models);
	g_test_add_func("/cpu/registers/xsave", test_xsave);
	return g_test_run();
}
