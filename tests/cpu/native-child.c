/*
 * native-child.c - the process in which native.c's code runs on the host's own CPU.
 *
 * usage: native-child PARENT CODE-FD DATA-FD SHARED-FD, started by native.c only.
 *
 * A program of its own, and never built with a sanitizer: the code under test reaches for random addresses, and
 * whatever lies there answers instead of faulting. AddressSanitizer maps its shadow from 7fff8000h on, where the
 * numbers 7fffffffh and 80000000h point. Here nothing lies below 2^46 but the two areas.
 */
#include "native.h"

#include <asm/prctl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <ucontext.h>
#include <unistd.h>

static NativeShared *child_shared;
static uint32_t offset_of[32];

/* Where component n lies in the kernel's (standard format) XSAVE frame. */
static void learn_offsets(void)
{
	for (unsigned n = 2; n < 20; n++) {
		unsigned a = 0, b = 0, c = 0, d = 0;
		__cpuid_count(0xd, n, a, b, c, d);
		offset_of[n] = b;
	}
}

static void copy_vectors(uint8_t *frame, NativeState *s, bool to_frame)
{
	uint64_t xcr0 = native_host_xcr0(), *header = (uint64_t *)(frame + 512);
	struct { unsigned bit, at, from, n, size; } parts[] = {
		{1, 160, 0, 16, 16}, {2, offset_of[2], 16, 16, 16}, {6, offset_of[6], 32, 16, 32}};

	for (unsigned p = 0; p < 3; p++) {
		if (!(xcr0 >> parts[p].bit & 1))
			continue;
		for (unsigned i = 0; i < parts[p].n; i++) {
			uint8_t *a = frame + parts[p].at + i * parts[p].size, *b = s->zmm[i] + parts[p].from;
			if (to_frame)
				memcpy(a, b, parts[p].size);
			else if (header[0] >> parts[p].bit & 1)
				memcpy(b, a, parts[p].size);
			else
				memset(b, 0, parts[p].size);
		}
	}
	if (xcr0 >> 7 & 1) {
		if (to_frame)
			memcpy(frame + offset_of[7], s->zmm[16], 16 * 64);
		else if (header[0] >> 7 & 1)
			memcpy(s->zmm[16], frame + offset_of[7], 16 * 64);
		else
			memset(s->zmm[16], 0, 16 * 64);
	}
	if (xcr0 >> 5 & 1) {
		if (to_frame)
			memcpy(frame + offset_of[5], s->k, 64);
		else if (header[0] >> 5 & 1)
			memcpy(s->k, frame + offset_of[5], 64);
		else
			memset(s->k, 0, 64);
	}
	if (to_frame)
		header[0] |= xcr0 & 0xe7;
}

static const int greg_of[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
				REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static void await_turn(void)
{
	for (int spin = 0; atomic_load(&child_shared->turn) != 1; spin++)
		if (spin > 2000)
			syscall(SYS_futex, &child_shared->turn, FUTEX_WAIT, 0, NULL, NULL, 0);
}

/* Every exception of the code lands here: report, wait for the next state, leave through it. */
static void on_signal(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	NativeState *s = &child_shared->state;
	uint8_t *frame = (uint8_t *)uc->uc_mcontext.fpregs;

	if (sig != SIGUSR1) {
		for (int i = 0; i < 16; i++)
			s->regs[i] = (uint64_t)uc->uc_mcontext.gregs[greg_of[i]];
		s->rip = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
		s->rflags = (uint32_t)uc->uc_mcontext.gregs[REG_EFL];
		s->trap = (int)uc->uc_mcontext.gregs[REG_TRAPNO];
		s->signal = sig;
		memcpy(s->fx, frame, 160);
		memcpy(&s->mxcsr, frame + 24, 4);
		copy_vectors(frame, s, false);
		native_hand_over(child_shared, 0);
	}
	await_turn();
	for (int i = 0; i < 16; i++)
		uc->uc_mcontext.gregs[greg_of[i]] = (greg_t)s->regs[i];
	uc->uc_mcontext.gregs[REG_RIP] = (greg_t)s->rip;
	uc->uc_mcontext.gregs[REG_EFL] = s->rflags | 0x202;
	/* The kernel's user code segments, 32 and 64 bits. */
	greg_t *segments = &uc->uc_mcontext.gregs[REG_CSGSFS];
	*segments = (*segments & ~0xffffll) | (s->code32 ? 0x23 : 0x33);
	memcpy(frame, s->fx, 160);
	memcpy(frame + 24, &s->mxcsr, 4);
	*(uint64_t *)(frame + 512) |= 3;
	copy_vectors(frame, s, true);
}

static void *map(uint64_t at, size_t size, int prot, const char *fd)
{
	void *p = mmap((void *)at, size, prot, MAP_SHARED | (at ? MAP_FIXED_NOREPLACE : 0), atoi(fd), 0);

	if (p == MAP_FAILED)
		_exit(3);
	return p;
}

int main(int argc, char **argv)
{
	static uint8_t stack[1 << 16];
	stack_t ss = { .ss_sp = stack, .ss_size = sizeof(stack) };
	static const int signals[] = {SIGUSR1, SIGSEGV, SIGILL, SIGFPE, SIGTRAP, SIGBUS};
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (argc != 5 || getppid() != atoi(argv[1]))
		return 1;
	learn_offsets();
	map(NATIVE_CODE, NATIVE_CODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, argv[2]); /* it may change itself */
	map(NATIVE_DATA, NATIVE_DATA_SIZE, PROT_READ | PROT_WRITE, argv[3]);
	child_shared = map(0, sizeof(*child_shared), PROT_READ | PROT_WRITE, argv[4]);
	sigaltstack(&ss, NULL);
	for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &sa, NULL);
	if (syscall(SYS_arch_prctl, ARCH_SET_GS, NATIVE_GS))
		return 1;
	asm volatile("movl %0, %%ds; movl %0, %%es" : : "r"(0x2b)); /* for 32-bit code */
	raise(SIGUSR1);
	return 2;
}
