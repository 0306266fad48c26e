/*
 * kvm_state.c - registers between struct Cpu and KVM.
 *
 * Linux, virt/kvm/api.rst; the XSAVE image: SDM vol. 1, 13.4. With KVM_CAP_SYNC_REGS the general and
 * system registers travel in the run page. The vcpu's own thread, or any while it is parked.
 */
#include "accel/kvm/kvm.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "core/error.h"
#include "cpu/features.h"
#include "cpu/models.h"

static const struct { uint32_t index; size_t offset; } msr_fields[] = {
	{0xc0000081, offsetof(Cpu, star)}, {0xc0000082, offsetof(Cpu, lstar)}, {0xc0000083, offsetof(Cpu, cstar)},
	{0xc0000084, offsetof(Cpu, sfmask)}, {0xc0000102, offsetof(Cpu, kernel_gs_base)},
	{0xc0000103, offsetof(Cpu, tsc_aux)}, {0x174, offsetof(Cpu, sysenter_cs)},
	{0x175, offsetof(Cpu, sysenter_esp)}, {0x176, offsetof(Cpu, sysenter_eip)}, {0x277, offsetof(Cpu, pat)},
	{0x1a0, offsetof(Cpu, misc_enable)},
};
#define MSR_FIELDS G_N_ELEMENTS(msr_fields)

static void segment_from(Segment *s, const struct kvm_segment *k)
{
	s->base = k->base;
	s->limit = k->limit;
	s->sel = k->selector;
	s->attr = k->type | (uint32_t)k->s << 4 | (uint32_t)k->dpl << 5 | (uint32_t)k->present << 7 |
		  (uint32_t)k->avl << 12 | (uint32_t)k->l << 13 | (uint32_t)k->db << 14 | (uint32_t)k->g << 15 |
		  (k->unusable ? SEG_NULL : 0);
}

static void segment_to(struct kvm_segment *k, const Segment *s)
{
	*k = (struct kvm_segment){
		.base = s->base, .limit = s->limit, .selector = s->sel, .type = s->attr & SEG_TYPE,
		.s = !!(s->attr & SEG_S), .dpl = SEG_DPL(s->attr), .present = !!(s->attr & SEG_P),
		.avl = !!(s->attr & SEG_AVL), .l = !!(s->attr & SEG_L), .db = !!(s->attr & SEG_DB),
		.g = !!(s->attr & SEG_G), .unusable = !!(s->attr & SEG_NULL),
	};
}

static void regs_from(Cpu *cpu, const struct kvm_regs *r)
{
	const uint64_t in[16] = {r->rax, r->rcx, r->rdx, r->rbx, r->rsp, r->rbp, r->rsi, r->rdi,
				 r->r8, r->r9, r->r10, r->r11, r->r12, r->r13, r->r14, r->r15};

	memcpy(cpu->regs, in, sizeof(in));
	cpu->rip = r->rip;
	cpu_set_rflags(cpu, (uint32_t)r->rflags);
}

static void regs_to(struct kvm_regs *r, const Cpu *cpu)
{
	const uint64_t *g = cpu->regs;

	*r = (struct kvm_regs){
		.rax = g[RAX], .rcx = g[RCX], .rdx = g[RDX], .rbx = g[RBX], .rsp = g[RSP], .rbp = g[RBP],
		.rsi = g[RSI], .rdi = g[RDI], .r8 = g[8], .r9 = g[9], .r10 = g[10], .r11 = g[11],
		.r12 = g[12], .r13 = g[13], .r14 = g[14], .r15 = g[15], .rip = cpu->rip, .rflags = cpu_rflags(cpu),
	};
}

static void sregs_from(Cpu *cpu, const struct kvm_sregs *s)
{
	const struct kvm_segment *seg[SEG_COUNT] = {&s->es, &s->cs, &s->ss, &s->ds, &s->fs, &s->gs};

	for (int i = 0; i < SEG_COUNT; i++)
		segment_from(&cpu->seg[i], seg[i]);
	segment_from(&cpu->tr, &s->tr);
	segment_from(&cpu->ldtr, &s->ldt);
	cpu->gdtr = (TableReg){ s->gdt.base, s->gdt.limit };
	cpu->idtr = (TableReg){ s->idt.base, s->idt.limit };
	cpu->cr0 = s->cr0;
	cpu->cr2 = s->cr2;
	cpu->cr3 = s->cr3;
	cpu->cr4 = s->cr4;
	cpu->efer = s->efer;
	cpu->apic_base_shadow = s->apic_base;
	cpu->cpl = cpu->cr0 & CR0_PE ? SEG_DPL(cpu->seg[SS].attr) : 0;
}

static void sregs_to(struct kvm_sregs *s, const Cpu *cpu)
{
	struct kvm_segment *seg[SEG_COUNT] = {&s->es, &s->cs, &s->ss, &s->ds, &s->fs, &s->gs};

	for (int i = 0; i < SEG_COUNT; i++)
		segment_to(seg[i], &cpu->seg[i]);
	segment_to(&s->tr, &cpu->tr);
	segment_to(&s->ldt, &cpu->ldtr);
	s->gdt.base = cpu->gdtr.base;
	s->gdt.limit = cpu->gdtr.limit;
	s->idt.base = cpu->idtr.base;
	s->idt.limit = cpu->idtr.limit;
	s->cr0 = cpu->cr0;
	s->cr2 = cpu->cr2;
	s->cr3 = cpu->cr3;
	s->cr4 = cpu->cr4;
	s->efer = cpu->efer;
}

/* ---- the XSAVE image ---- */
void kvm_learn_xsave(KvmAccel *k)
{
	uint32_t out[4];

	k->xsave_size = 4096;
	int size = ioctl(k->vm, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);
	if (size > 4096)
		k->xsave_size = ((unsigned)size + 4095) & ~4095u;
	for (unsigned n = 2; n < G_N_ELEMENTS(k->xsave_at); n++) {
		cpu_host_cpuid(0xd, n, out);
		k->xsave_at[n] = out[0] ? out[1] : 0;
	}
}

/* One component: `size` bytes for each of n registers, from byte `from` of the flat register. */
static void component(KvmAccel *k, uint8_t *image, unsigned bit, uint32_t at, CpuVector *v, unsigned first, unsigned n,
		      unsigned from, unsigned size, bool store)
{
	uint64_t bv;

	if (!at || at + n * size > k->xsave_size)
		return;
	memcpy(&bv, image + 512, 8);
	for (unsigned i = 0; i < n; i++) {
		uint8_t *p = image + at + i * size, *q = v->zmm[first + i] + from;
		if (store)
			memcpy(p, q, size);
		else if (bv >> bit & 1)
			memcpy(q, p, size);
		else
			memset(q, 0, size);
	}
	if (store) {
		bv |= 1ull << bit;
		memcpy(image + 512, &bv, 8);
	}
}

static void xsave_move(KvmAccel *k, Cpu *cpu, uint8_t *image, bool store)
{
	CpuVector *v = &cpu->vec;
	bool zmm = cpu->xcr0 & 0x40;

	if (store) {
		memset(image, 0, 576);
		memcpy(image, v->fx, 160);
		memcpy(image + 24, &v->mxcsr, 4);
		image[512] = 3;
	} else {
		memcpy(v->fx, image, 160);
		memcpy(&v->mxcsr, image + 24, 4);
	}
	component(k, image, 1, 160, v, 0, 16, 0, 16, store);
	if (cpu->xcr0 & 4)
		component(k, image, 2, k->xsave_at[2], v, 0, 16, 16, 16, store);
	if (zmm) {
		component(k, image, 6, k->xsave_at[6], v, 0, 16, 32, 32, store);
		component(k, image, 7, k->xsave_at[7], v, 16, 16, 0, 64, store);
	}
	if (zmm && k->xsave_at[5]) {
		if (store) {
			memcpy(image + k->xsave_at[5], v->k, 64);
			image[512] |= 0x20;
		} else {
			memcpy(v->k, image + k->xsave_at[5], 64);
		}
	}
}

static void get_vectors(KvmAccel *k, Cpu *cpu)
{
	KvmVcpu *v = kvm_vcpu(cpu);
	struct kvm_xcrs xcrs = { 0 };

	cpu->xcr0 = 1;
	if (ioctl(v->fd, KVM_GET_XCRS, &xcrs) == 0 && xcrs.nr_xcrs)
		cpu->xcr0 = xcrs.xcrs[0].value;
	if (ioctl(v->fd, k->xsave_size > 4096 ? KVM_GET_XSAVE2 : KVM_GET_XSAVE, v->xsave) == 0)
		xsave_move(k, cpu, v->xsave, false);
}

static void put_vectors(KvmAccel *k, Cpu *cpu)
{
	KvmVcpu *v = kvm_vcpu(cpu);
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs[0].value = cpu->xcr0 };

	if (cpu_has(cpu, FEAT_XSAVE))
		ioctl(v->fd, KVM_SET_XCRS, &xcrs);
	xsave_move(k, cpu, v->xsave, true);
	ioctl(v->fd, KVM_SET_XSAVE, v->xsave);
}

static void move_msrs(Cpu *cpu, bool store)
{
	struct { struct kvm_msrs head; struct kvm_msr_entry e[MSR_FIELDS]; } m = { 0 };

	/* One at a time: KVM stops at the first it does not know. */
	for (unsigned i = 0; i < MSR_FIELDS; i++) {
		uint64_t *field = (uint64_t *)((char *)cpu + msr_fields[i].offset);
		m.head.nmsrs = 1;
		m.e[0] = (struct kvm_msr_entry){ .index = msr_fields[i].index, .data = *field };
		if (store)
			ioctl(kvm_vcpu(cpu)->fd, KVM_SET_MSRS, &m);
		else if (ioctl(kvm_vcpu(cpu)->fd, KVM_GET_MSRS, &m) == 1)
			*field = m.e[0].data;
	}
}

void kvm_get_state(KvmAccel *k, Cpu *cpu)
{
	KvmVcpu *v = kvm_vcpu(cpu);
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_vcpu_events ev = { 0 };
	struct kvm_debugregs dbg;
	struct kvm_mp_state mp;

	if (ioctl(v->fd, KVM_GET_SREGS, &sregs) == 0)
		sregs_from(cpu, &sregs);
	if (ioctl(v->fd, KVM_GET_REGS, &regs) == 0)
		regs_from(cpu, &regs);
	if (ioctl(v->fd, KVM_GET_VCPU_EVENTS, &ev) == 0) {
		cpu->inhibit = ev.interrupt.shadow;
		cpu->nmi_blocked = ev.nmi.masked;
	}
	if (ioctl(v->fd, KVM_GET_DEBUGREGS, &dbg) == 0) {
		memcpy(cpu->dr, dbg.db, sizeof(dbg.db));
		cpu->dr[6] = dbg.dr6;
		cpu->dr[7] = dbg.dr7;
	}
	if (ioctl(v->fd, KVM_GET_MP_STATE, &mp) == 0) {
		cpu->halted = mp.mp_state == KVM_MP_STATE_HALTED;
		cpu->wait_sipi = mp.mp_state == KVM_MP_STATE_UNINITIALIZED || mp.mp_state == KVM_MP_STATE_INIT_RECEIVED;
	}
	get_vectors(k, cpu);
	move_msrs(cpu, false);
	cpu_update_mode(cpu);
	if (!cpu_long_mode(cpu) && cpu->cr4 & CR4_PAE && cpu->cr0 & CR0_PG)
		cpu_load_pdptes(cpu, cpu->cr3);
	/* The guest has changed its page tables without telling us. */
	cpu_tlb_flush(cpu, true);
}

void kvm_put_state(KvmAccel *k, Cpu *cpu)
{
	KvmVcpu *v = kvm_vcpu(cpu);
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_vcpu_events ev = { 0 };
	struct kvm_debugregs dbg = { 0 };
	struct kvm_mp_state mp = { .mp_state = cpu->wait_sipi ? KVM_MP_STATE_UNINITIALIZED :
				   cpu->halted ? KVM_MP_STATE_HALTED : KVM_MP_STATE_RUNNABLE };

	put_vectors(k, cpu);
	if (ioctl(v->fd, KVM_GET_SREGS, &sregs) == 0) {
		sregs_to(&sregs, cpu);
		ioctl(v->fd, KVM_SET_SREGS, &sregs);
	}
	regs_to(&regs, cpu);
	ioctl(v->fd, KVM_SET_REGS, &regs);
	move_msrs(cpu, true);
	if (ioctl(v->fd, KVM_GET_VCPU_EVENTS, &ev) == 0) {
		ev.interrupt.shadow = cpu->inhibit;
		ev.nmi.masked = cpu->nmi_blocked;
		ev.flags |= KVM_VCPUEVENT_VALID_SHADOW;
		ioctl(v->fd, KVM_SET_VCPU_EVENTS, &ev);
	}
	memcpy(dbg.db, cpu->dr, sizeof(dbg.db));
	dbg.dr6 = cpu->dr[6];
	dbg.dr7 = cpu->dr[7];
	ioctl(v->fd, KVM_SET_DEBUGREGS, &dbg);
	ioctl(v->fd, KVM_SET_MP_STATE, &mp);
}

/* ---- CPUID ---- */
#define CPUID_MAX 160

static struct kvm_cpuid2 *supported_cpuid(KvmAccel *k)
{
	struct kvm_cpuid2 *c = g_malloc0(sizeof(*c) + CPUID_MAX * sizeof(c->entries[0]));

	c->nent = CPUID_MAX;
	if (ioctl(k->fd, KVM_GET_SUPPORTED_CPUID, c) < 0)
		c->nent = 0;
	return c;
}

static void supported_words(const struct kvm_cpuid2 *c, uint32_t words[FEAT_WORD_COUNT])
{
	for (unsigned i = 0; i < FEAT_WORD_COUNT; i++)
		words[i] = UINT32_MAX;
	for (unsigned i = 0; i < c->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &c->entries[i];
		switch (e->function) {
		case 1:
			words[FEAT_WORD_1_EDX] = e->edx;
			/* KVM has these without saying so: its APIC timer and x2APIC are in the kernel. */
			words[FEAT_WORD_1_ECX] = e->ecx | 1u << 31 | 1u << 24 | 1u << 21;
			break;
		case 7:
			if (e->index == 0) {
				words[FEAT_WORD_7_EBX] = e->ebx;
				words[FEAT_WORD_7_ECX] = e->ecx;
				words[FEAT_WORD_7_EDX] = e->edx;
			} else if (e->index == 1) {
				words[FEAT_WORD_7_1_EAX] = e->eax;
			}
			break;
		case 0xd:
			if (e->index == 1)
				words[FEAT_WORD_D_1_EAX] = e->eax;
			break;
		case 0x80000001: words[FEAT_WORD_8001_EDX] = e->edx; words[FEAT_WORD_8001_ECX] = e->ecx; break;
		case 0x80000008: words[FEAT_WORD_8008_EBX] = e->ebx; break;
		case 0x40000001: words[FEAT_WORD_KVM] = e->eax; break;
		}
	}
}

void kvm_cpu_features(Accel *accel, uint32_t *words)
{
	struct kvm_cpuid2 *c = supported_cpuid((KvmAccel *)accel);
	supported_words(c, words);
	g_free(c);
}

bool kvm_set_cpuid(KvmAccel *k, Cpu *cpu, GError **error)
{
	struct kvm_cpuid2 *c = supported_cpuid(k);
	uint32_t words[FEAT_WORD_COUNT];

	supported_words(c, words);
	bool ok = cpu_model_limit(cpu, words, NULL, error);
	if (ok) {
		unsigned n = MIN(cpu->cpuid_count, CPUID_MAX);
		memset(c->entries, 0, CPUID_MAX * sizeof(c->entries[0]));
		for (unsigned i = 0; i < n; i++) {
			const CpuidLeaf *l = &cpu->cpuid[i];
			c->entries[i] = (struct kvm_cpuid_entry2){
				.function = l->leaf, .index = l->subleaf, .flags = l->indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
				.eax = l->eax, .ebx = l->ebx, .ecx = l->ecx, .edx = l->edx };
		}
		c->nent = n;
		if (ioctl(kvm_vcpu(cpu)->fd, KVM_SET_CPUID2, c) < 0)
			ok = fail(error, VIV_ERROR_FAILED, "KVM refused the CPU model: %s. Try -cpu host, or -accel interp.",
				  g_strerror(errno));
	}
	g_free(c);
	return ok;
}
