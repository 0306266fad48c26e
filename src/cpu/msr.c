/*
 * msr.c - model-specific registers, RDMSR and WRMSR.
 *
 * SDM vol. 4, ch. 2 (tables 2-2 and on); vol. 3A: 2.2.1 (EFER), 11.11 (MTRRs), 11.12 (PAT), 15.3
 * (machine check), 17.17 (TSC); AMD APM vol. 2, appendix A. One table row a register
 * or run of registers. Those that only tune real silicon read 0 and drop writes, as
 * guests probe them by family. Registers of the local APIC and of the hypervisor are
 * asked of cpu->apic_ops and cpu->world. Performance counters are left out.
 * Thread: the vcpu's own.
 */
#include <inttypes.h>
#include <stddef.h>

#include "core/log.h"
#include "cpu/protect.h"
#include "cpu/features.h"

#define MC_BANKS 10
#define MCG_CTL_P (1u << 8)
#define MCG_SER_P (1u << 24)
#define AMD_EBX 0x68747541u /* "Auth" */

typedef struct MsrRow MsrRow;
typedef bool MsrRead(Cpu *cpu, const MsrRow *row, unsigned i, uint64_t *value);
typedef bool MsrWrite(Cpu *cpu, const MsrRow *row, unsigned i, uint64_t value);

struct MsrRow {
	uint32_t first, last;
	const char *name;
	MsrRead *read;     /* NULL: #GP */
	MsrWrite *write;   /* NULL: #GP */
	size_t offset;     /* of the field in Cpu, for *_field */
	uint64_t value;    /* reserved bits of a field; what read_const gives */
	unsigned feature;  /* FEAT_*; 0 (FPU): always there */
};

static uint64_t *field(Cpu *cpu, const MsrRow *row, unsigned i)
{
	return (uint64_t *)((char *)cpu + row->offset) + i;
}

static bool read_field(Cpu *cpu, const MsrRow *row, unsigned i, uint64_t *value)
{
	*value = *field(cpu, row, i);
	return true;
}

static bool write_field(Cpu *cpu, const MsrRow *row, unsigned i, uint64_t value)
{
	if (value & row->value)
		return false;
	*field(cpu, row, i) = value;
	return true;
}

static bool write_canonical(Cpu *cpu, const MsrRow *row, unsigned i, uint64_t value)
{
	if (!cpu_canonical(cpu, value))
		return false;
	*field(cpu, row, i) = value;
	return true;
}

static bool read_const(Cpu *cpu, const MsrRow *row, unsigned i, uint64_t *value)
{
	*value = row->value;
	return true;
}

static bool write_drop(Cpu *cpu, const MsrRow *row, unsigned i, uint64_t value)
{
	return true;
}

static bool is_amd(const Cpu *cpu)
{
	return cpu->cpuid_count && cpu->cpuid[0].leaf == 0 && cpu->cpuid[0].ebx == AMD_EBX;
}

uint64_t cpu_tsc(Cpu *cpu)
{
	uint64_t base = cpu->world && cpu->world->tsc ? cpu->world->tsc(cpu->world_opaque) : 0;
	return base + cpu->tsc_adjust;
}

static bool read_tsc(Cpu *cpu, const MsrRow *row, unsigned i, uint64_t *value)
{
	*value = cpu_tsc(cpu);
	return true;
}

/* 17.17.3: a write moves IA32_TSC_ADJUST along. */
static bool write_tsc(Cpu *cpu, const MsrRow *row, unsigned i, uint64_t value)
{
	cpu->tsc_adjust += value - cpu_tsc(cpu);
	return true;
}

static bool write_feature_control(Cpu *cpu, const MsrRow *row, unsigned i, uint64_t value)
{
	if (cpu->feature_control & 1)
		return false; /* locked until reset */
	cpu->feature_control = value;
	return true;
}

static bool has_spec_ctrl(const Cpu *cpu)
{
	return cpu_has(cpu, FEAT_SPEC_CTRL) || cpu_has(cpu, FEAT_STIBP) ||
	       cpu_has(cpu, FEAT_SSBD) || cpu_has(cpu, FEAT_IBRS) ||
	       cpu_has(cpu, FEAT_AMD_STIBP) || cpu_has(cpu, FEAT_AMD_SSBD);
}

static bool read_spec_ctrl(Cpu *cpu, const MsrRow *row, unsigned i, uint64_t *value)
{
	*value = cpu->spec_ctrl;
	return has_spec_ctrl(cpu);
}

static bool write_spec_ctrl(Cpu *cpu, const MsrRow *row, unsigned i, uint64_t value)
{
	if (!has_spec_ctrl(cpu) || (value & row->value))
		return false;
	cpu->spec_ctrl = value;
	return true;
}

static bool write_pred_cmd(Cpu *cpu, const MsrRow *row, unsigned i, uint64_t value)
{
	return (has_spec_ctrl(cpu) || cpu_has(cpu, FEAT_IBPB)) && !(value & ~UINT64_C(1));
}

/* A microcode level that no guest finds too old to use. */
static bool read_ucode(Cpu *cpu, const MsrRow *row, unsigned i, uint64_t *value)
{
	*value = cpu->bios_sign_id ? cpu->bios_sign_id :
		 is_amd(cpu) ? 0x01000065 : UINT64_C(1) << 32;
	return true;
}

/* Bits 15:8: TSC frequency in units of 100 MHz. */
static bool read_platform_info(Cpu *cpu, const MsrRow *row, unsigned i, uint64_t *value)
{
	*value = MIN(cpu->tsc_khz / 100000, 255u) << 8;
	return true;
}

static bool read_arch_caps(Cpu *cpu, const MsrRow *row, unsigned i, uint64_t *value)
{
	*value = cpu->features[FEAT_WORD_ARCH_CAPS];
	return true;
}

static bool memory_type(uint64_t type)
{
	return type <= 6 && type != 2 && type != 3; /* table 11-8 */
}

static bool write_mtrr_var(Cpu *cpu, const MsrRow *row, unsigned i, uint64_t value)
{
	uint64_t high = cpu->phys_bits < 64 ? UINT64_MAX << cpu->phys_bits : 0;
	bool mask = i & 1;
	if (value & (high | (mask ? 0x7ff : 0xf00)))
		return false;
	if (!mask && !memory_type(value & 0xff))
		return false;
	cpu->mtrr_var[i] = value;
	return true;
}

static bool write_mtrr_fixed(Cpu *cpu, const MsrRow *row, unsigned i, uint64_t value)
{
	for (unsigned shift = 0; shift < 64; shift += 8)
		if (!memory_type(value >> shift & 0xff))
			return false;
	return write_field(cpu, row, i, value);
}

static bool write_mtrr_def(Cpu *cpu, const MsrRow *row, unsigned i, uint64_t value)
{
	return memory_type(value & 0xff) && write_field(cpu, row, i, value);
}

static bool write_pat(Cpu *cpu, const MsrRow *row, unsigned i, uint64_t value)
{
	for (unsigned shift = 0; shift < 64; shift += 8) {
		uint64_t type = value >> shift & 0xff;
		if (type != 7 && !memory_type(type))
			return false;
	}
	cpu->pat = value;
	return true;
}

/* Of each bank CTL, STATUS, ADDR, MISC: all but CTL may only be cleared (15.3.2). */
static bool write_mc_bank(Cpu *cpu, const MsrRow *row, unsigned i, uint64_t value)
{
	if ((i & 3) && value)
		return false;
	cpu->mc_bank[i] = value;
	return true;
}

static bool write_efer(Cpu *cpu, const MsrRow *row, unsigned i, uint64_t value)
{
	uint64_t valid = 0, changed;
	if (cpu_has(cpu, FEAT_SYSCALL))
		valid |= EFER_SCE;
	if (cpu_has(cpu, FEAT_LM))
		valid |= EFER_LME | EFER_LMA;
	if (cpu_has(cpu, FEAT_NX))
		valid |= EFER_NXE;
	if (value & ~valid)
		return false;
	value = (value & ~(uint64_t)EFER_LMA) | (cpu->efer & EFER_LMA);
	changed = value ^ cpu->efer;
	if ((changed & EFER_LME) && (cpu->cr0 & CR0_PG))
		return false;
	cpu->efer = value;
	if (changed & EFER_NXE)
		cpu_tlb_flush(cpu, true);
	cpu_update_mode(cpu);
	return true;
}

static bool read_seg_base(Cpu *cpu, const MsrRow *row, unsigned i, uint64_t *value)
{
	*value = cpu->seg[FS + i].base;
	return true;
}

static bool write_seg_base(Cpu *cpu, const MsrRow *row, unsigned i, uint64_t value)
{
	if (!cpu_canonical(cpu, value))
		return false;
	cpu->seg[FS + i].base = value;
	return true;
}

static bool has_tsc_aux(const Cpu *cpu)
{
	return cpu_has(cpu, FEAT_RDTSCP) || cpu_has(cpu, FEAT_RDPID);
}

static bool read_tsc_aux(Cpu *cpu, const MsrRow *row, unsigned i, uint64_t *value)
{
	*value = cpu->tsc_aux;
	return has_tsc_aux(cpu);
}

static bool write_tsc_aux(Cpu *cpu, const MsrRow *row, unsigned i, uint64_t value)
{
	if (!has_tsc_aux(cpu) || value >> 32)
		return false;
	cpu->tsc_aux = value;
	return true;
}

#define FIELD(first, last, name, member, reserved, feature) \
	{ first, last, name, read_field, write_field, offsetof(Cpu, member), reserved, feature }
#define CHECKED(first, last, name, member, write, reserved, feature) \
	{ first, last, name, read_field, write, offsetof(Cpu, member), reserved, feature }
#define CONST(first, last, name, value, feature) \
	{ first, last, name, read_const, NULL, 0, value, feature }
#define TUNING(first, last, name, value) \
	{ first, last, name, read_const, write_drop, 0, value, 0 }

/* Sorted by number. */
static const MsrRow rows[] = {
	TUNING(0x000, 0x001, "P5_MC", 0),
	{ 0x010, 0x010, "TSC", read_tsc, write_tsc, 0, 0, FEAT_TSC },
	CONST(0x017, 0x017, "PLATFORM_ID", 0, 0),
	FIELD(0x01b, 0x01b, "APIC_BASE", apic_base_shadow, 0, FEAT_APIC), /* only without an APIC */
	TUNING(0x02a, 0x02a, "EBL_CR_POWERON", 0),
	TUNING(0x02c, 0x02c, "EBC_FREQUENCY_ID", 0),
	CONST(0x034, 0x034, "SMI_COUNT", 0, 0),
	CHECKED(0x03a, 0x03a, "FEATURE_CONTROL", feature_control, write_feature_control, 0, 0),
	FIELD(0x03b, 0x03b, "TSC_ADJUST", tsc_adjust, 0, FEAT_TSC_ADJUST),
	{ 0x048, 0x048, "SPEC_CTRL", read_spec_ctrl, write_spec_ctrl, 0, ~UINT64_C(7), 0 },
	{ 0x049, 0x049, "PRED_CMD", NULL, write_pred_cmd, 0, 0, 0 },
	{ 0x079, 0x079, "BIOS_UPDT_TRIG", NULL, write_drop, 0, 0, 0 },
	{ 0x08b, 0x08b, "BIOS_SIGN_ID", read_ucode, write_drop, 0, 0, 0 },
	CONST(0x09b, 0x09b, "SMM_MONITOR_CTL", 0, 0),
	TUNING(0x0c1, 0x0c2, "PERFCTR", 0),
	CONST(0x0cd, 0x0cd, "FSB_FREQ", 3, 0),
	{ 0x0ce, 0x0ce, "PLATFORM_INFO", read_platform_info, write_drop, 0, 0, 0 },
	TUNING(0x0e2, 0x0e2, "PKG_CST_CONFIG_CONTROL", 0),
	TUNING(0x0e7, 0x0e8, "MPERF, APERF", 0),
	CONST(0x0fe, 0x0fe, "MTRRCAP", 0x508, FEAT_MTRR), /* 8 variable, fixed, WC */
	{ 0x10a, 0x10a, "ARCH_CAPABILITIES", read_arch_caps, NULL, 0, 0, FEAT_ARCH_CAPABILITIES },
	{ 0x10b, 0x10b, "FLUSH_CMD", NULL, write_drop, 0, 0, FEAT_FLUSH_L1D },
	TUNING(0x119, 0x119, "BBL_CR_CTL", 0),
	TUNING(0x11e, 0x11e, "BBL_CR_CTL3", 0),
	TUNING(0x140, 0x140, "MISC_FEATURES_ENABLES", 0),
	FIELD(0x174, 0x174, "SYSENTER_CS", sysenter_cs, 0, FEAT_SEP),
	CHECKED(0x175, 0x175, "SYSENTER_ESP", sysenter_esp, write_canonical, 0, FEAT_SEP),
	CHECKED(0x176, 0x176, "SYSENTER_EIP", sysenter_eip, write_canonical, 0, FEAT_SEP),
	CONST(0x179, 0x179, "MCG_CAP", MC_BANKS | MCG_CTL_P | MCG_SER_P, FEAT_MCA),
	FIELD(0x17a, 0x17a, "MCG_STATUS", mcg_status, ~UINT64_C(7), FEAT_MCA),
	FIELD(0x17b, 0x17b, "MCG_CTL", mcg_ctl, 0, FEAT_MCA),
	TUNING(0x186, 0x187, "PERFEVTSEL", 0),
	CONST(0x198, 0x198, "PERF_STATUS", 1000 | UINT64_C(4) << 40, 0),
	TUNING(0x199, 0x199, "PERF_CTL", 0),
	TUNING(0x19a, 0x19d, "CLOCK_MODULATION, THERM", 0),
	FIELD(0x1a0, 0x1a0, "MISC_ENABLE", misc_enable, 0, 0),
	TUNING(0x1a2, 0x1a2, "TEMPERATURE_TARGET", 0),
	TUNING(0x1a4, 0x1a4, "MISC_FEATURE_CONTROL", 0),
	TUNING(0x1aa, 0x1aa, "MISC_PWR_MGMT", 0),
	CONST(0x1ad, 0x1ad, "TURBO_RATIO_LIMIT", 0, 0),
	TUNING(0x1b0, 0x1b2, "ENERGY_PERF_BIAS, PACKAGE_THERM", 0),
	CONST(0x1c9, 0x1c9, "LASTBRANCH_TOS", 0, 0),
	FIELD(0x1d9, 0x1d9, "DEBUGCTL", debugctl, ~UINT64_C(3), 0),
	CONST(0x1db, 0x1de, "LASTBRANCH, LASTINT", 0, 0),
	TUNING(0x1fc, 0x1fc, "POWER_CTL", 0),
	CHECKED(0x200, 0x20f, "MTRR_PHYS", mtrr_var, write_mtrr_var, 0, FEAT_MTRR),
	CHECKED(0x250, 0x250, "MTRR_FIX64K", mtrr_fixed[0], write_mtrr_fixed, 0, FEAT_MTRR),
	CHECKED(0x258, 0x259, "MTRR_FIX16K", mtrr_fixed[1], write_mtrr_fixed, 0, FEAT_MTRR),
	CHECKED(0x268, 0x26f, "MTRR_FIX4K", mtrr_fixed[3], write_mtrr_fixed, 0, FEAT_MTRR),
	CHECKED(0x277, 0x277, "PAT", pat, write_pat, 0, FEAT_PAT),
	CHECKED(0x2ff, 0x2ff, "MTRR_DEF_TYPE", mtrr_def_type, write_mtrr_def, ~UINT64_C(0xcff),
		FEAT_MTRR),
	CONST(0x345, 0x345, "PERF_CAPABILITIES", 0, FEAT_PDCM),
	CHECKED(0x400, 0x400 + 4 * MC_BANKS - 1, "MC", mc_bank, write_mc_bank, 0, FEAT_MCA),
	FIELD(0xda0, 0xda0, "XSS", xss, UINT64_MAX, FEAT_XSAVES), /* no supervisor component */
	CHECKED(0xc0000080, 0xc0000080, "EFER", efer, write_efer, 0, 0),
	FIELD(0xc0000081, 0xc0000081, "STAR", star, 0, FEAT_SYSCALL),
	CHECKED(0xc0000082, 0xc0000082, "LSTAR", lstar, write_canonical, 0, FEAT_LM),
	CHECKED(0xc0000083, 0xc0000083, "CSTAR", cstar, write_canonical, 0, FEAT_LM),
	FIELD(0xc0000084, 0xc0000084, "SFMASK", sfmask, 0, FEAT_LM),
	{ 0xc0000100, 0xc0000101, "FS_BASE, GS_BASE", read_seg_base, write_seg_base, 0, 0,
	  FEAT_LM },
	CHECKED(0xc0000102, 0xc0000102, "KERNEL_GS_BASE", kernel_gs_base, write_canonical, 0,
		FEAT_LM),
	{ 0xc0000103, 0xc0000103, "TSC_AUX", read_tsc_aux, write_tsc_aux, 0, 0, 0 },
	/* AMD. HWCR bit 24: the TSC runs at the P0 rate; DE_CFG bit 1: LFENCE serialises. */
	TUNING(0xc0010000, 0xc0010007, "K7_EVNTSEL, K7_PERFCTR", 0),
	TUNING(0xc0010010, 0xc0010010, "SYSCFG", 0),
	TUNING(0xc0010015, 0xc0010015, "HWCR", 1 << 24),
	TUNING(0xc001001a, 0xc001001a, "TOP_MEM", 0),
	TUNING(0xc001001d, 0xc001001d, "TOP_MEM2", 0),
	TUNING(0xc001001f, 0xc001001f, "NB_CFG", 0),
	TUNING(0xc0010055, 0xc0010055, "INT_PENDING", 0),
	TUNING(0xc0010058, 0xc0010058, "MMIO_CFG_BASE", 0),
	TUNING(0xc0010061, 0xc001006b, "PSTATE", 0),
	TUNING(0xc0010111, 0xc0010113, "SMM_BASE, SMM_ADDR, SMM_MASK", 0),
	{ 0xc001011f, 0xc001011f, "VIRT_SPEC_CTRL", read_const, write_drop, 0, 0,
	  FEAT_VIRT_SSBD },
	TUNING(0xc0010140, 0xc0010141, "OSVW", 0),
	{ 0xc0010200, 0xc001020b, "PERF_CTL, PERF_CTR", read_const, write_drop, 0, 0,
	  FEAT_PERFCTR_CORE },
	TUNING(0xc0011020, 0xc0011023, "LS_CFG, IC_CFG, DC_CFG, BU_CFG", 0),
	TUNING(0xc0011029, 0xc0011029, "DE_CFG", 2),
	TUNING(0xc001102a, 0xc001102a, "BU_CFG2", 0),
};

static const MsrRow *find_row(const Cpu *cpu, uint32_t msr)
{
	unsigned low = 0, high = G_N_ELEMENTS(rows);
	while (low < high) {
		unsigned mid = (low + high) / 2;
		if (rows[mid].last < msr)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == G_N_ELEMENTS(rows) || msr < rows[low].first)
		return NULL;
	if (rows[low].feature && !cpu_has(cpu, rows[low].feature))
		return NULL;
	return &rows[low];
}

static bool belongs_to_apic(const Cpu *cpu, uint32_t msr)
{
	if (!cpu->apic || !cpu->apic_ops)
		return false;
	return msr == 0x1b || (msr == 0x6e0 && cpu_has(cpu, FEAT_TSC_DEADLINE)) ||
	       (msr >= 0x800 && msr <= 0x8ff && cpu_has(cpu, FEAT_X2APIC));
}

uint64_t cpu_rdmsr(Cpu *cpu, uint32_t msr)
{
	uint64_t value = 0;
	bool ok = false;

	if (belongs_to_apic(cpu, msr)) {
		ok = cpu->apic_ops->msr_read(cpu->apic, msr, &value);
	} else {
		const MsrRow *row = find_row(cpu, msr);
		if (row)
			ok = row->read && row->read(cpu, row, msr - row->first, &value);
		else if (cpu->world && cpu->world->msr_read)
			ok = cpu->world->msr_read(cpu->world_opaque, cpu, msr, &value);
	}
	if (!ok) {
		if (log_on(LOG_UNIMP))
			log_printf("RDMSR %08x: #GP\n", msr);
		cpu_gp0(cpu);
	}
	return value;
}

void cpu_wrmsr(Cpu *cpu, uint32_t msr, uint64_t value)
{
	bool ok = false;

	if (belongs_to_apic(cpu, msr)) {
		ok = cpu->apic_ops->msr_write(cpu->apic, msr, value);
	} else {
		const MsrRow *row = find_row(cpu, msr);
		if (row)
			ok = row->write && row->write(cpu, row, msr - row->first, value);
		else if (cpu->world && cpu->world->msr_write)
			ok = cpu->world->msr_write(cpu->world_opaque, cpu, msr, value);
	}
	if (!ok) {
		if (log_on(LOG_UNIMP))
			log_printf("WRMSR %08x with %016" PRIx64 ": #GP\n", msr, value);
		cpu_gp0(cpu);
	}
}
