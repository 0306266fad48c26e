/*
 * native.c - see native.h.
 */
#include "native.h"

#include <cpuid.h>
#include <glib.h>
#include <immintrin.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>
#include <linux/futex.h>
#include <sys/syscall.h>

typedef struct Shared {
	_Atomic int turn; /* 0: parent, 1: child */
	NativeState state;
} Shared;

struct Native {
	pid_t child;
	Shared *shared;
	int fd_code, fd_data;
	uint8_t *code, *data;
	uint64_t xcr0;
};

static Shared *child_shared;
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

static uint64_t host_xcr0(void)
{
	unsigned a, b, c, d;

	__cpuid(1, a, b, c, d);
	if (!(c & (1u << 27)))
		return 3;
	asm volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
	return a;
}

static void copy_vectors(uint8_t *frame, NativeState *s, bool to_frame)
{
	uint64_t xcr0 = host_xcr0(), *header = (uint64_t *)(frame + 512);
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

static void hand_over(int turn)
{
	atomic_store(&child_shared->turn, turn);
	syscall(SYS_futex, &child_shared->turn, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void await(int turn)
{
	for (int spin = 0; atomic_load(&child_shared->turn) != turn; spin++)
		if (spin > 2000)
			syscall(SYS_futex, &child_shared->turn, FUTEX_WAIT, !turn, NULL, NULL, 0);
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
		hand_over(0);
	}
	await(1);
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

static void child_main(Native *n, pid_t parent)
{
	static uint8_t stack[1 << 16];
	stack_t ss = { .ss_sp = stack, .ss_size = sizeof(stack) };
	static const int signals[] = {SIGUSR1, SIGSEGV, SIGILL, SIGFPE, SIGTRAP, SIGBUS};
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	sigaltstack(&ss, NULL);
	for (unsigned i = 0; i < G_N_ELEMENTS(signals); i++)
		sigaction(signals[i], &sa, NULL);
	mmap((void *)NATIVE_CODE, NATIVE_CODE_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, n->fd_code, 0);
	mmap((void *)NATIVE_DATA, NATIVE_DATA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, n->fd_data, 0);
	asm volatile("movl %0, %%ds; movl %0, %%es" : : "r"(0x2b)); /* for 32-bit code */
	raise(SIGUSR1);
	_exit(2);
}

static void start_child(Native *n)
{
	pid_t parent = getpid();

	atomic_store(&n->shared->turn, 0);
	n->child = fork();
	if (n->child == 0)
		child_main(n, parent);
}

Native *native_new(void)
{
	Native *n = g_new0(Native, 1);

	learn_offsets();
	n->xcr0 = host_xcr0();
	n->fd_code = memfd_create("code", MFD_CLOEXEC);
	n->fd_data = memfd_create("data", MFD_CLOEXEC);
	if (ftruncate(n->fd_code, NATIVE_CODE_SIZE) || ftruncate(n->fd_data, NATIVE_DATA_SIZE))
		g_error("no memory for the native child");
	n->code = mmap(NULL, NATIVE_CODE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, n->fd_code, 0);
	n->data = mmap(NULL, NATIVE_DATA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, n->fd_data, 0);
	n->shared = mmap(NULL, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	child_shared = n->shared;
	start_child(n);
	return n;
}

void native_free(Native *n)
{
	kill(n->child, SIGKILL);
	waitpid(n->child, NULL, 0);
	munmap(n->shared, sizeof(Shared));
	munmap(n->code, NATIVE_CODE_SIZE);
	munmap(n->data, NATIVE_DATA_SIZE);
	close(n->fd_code);
	close(n->fd_data);
	g_free(n);
}

bool native_has(const Native *n, unsigned bit) { return n->xcr0 >> bit & 1; }
uint8_t *native_code(Native *n) { return n->code; }
uint8_t *native_data(Native *n) { return n->data; }

bool native_run(Native *n, NativeState *state)
{
	n->shared->state = *state;
	hand_over(1);
	while (atomic_load(&n->shared->turn) != 0) {
		struct timespec t = { .tv_nsec = 20000000 };
		syscall(SYS_futex, &n->shared->turn, FUTEX_WAIT, 1, &t, NULL, 0);
		if (atomic_load(&n->shared->turn) != 0 && waitpid(n->child, NULL, WNOHANG) == n->child) {
			start_child(n);
			return false;
		}
	}
	*state = n->shared->state;
	return true;
}
