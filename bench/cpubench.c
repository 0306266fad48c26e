/*
 * cpubench.c - fifteen small workloads, each timed: one line "bench NAME SECONDS CHECKSUM" apiece.
 *
 * Runs natively, or in a guest from a shell or as its init (then it reboots at the end; `div=N` on
 * the kernel's command line divides the amount of work, as the first argument does). The ratio of
 * the two times is how much slower the guest's processor is. `only=NAME,NAME` (or the second argument)
 * leaves the others out. Static, so that it needs nothing else:
 * gcc -O2 -static -o cpubench cpubench.c -lm
 */
#define _GNU_SOURCE
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

__attribute__((noinline)) static int fib(int n)
{
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}
static uint64_t w_calls(int n)
{
	volatile int k = 25;
	uint64_t s = 0;
	while (n--)
		s += fib(k);
	return s;
}

static uint64_t w_sieve(int n)
{
	enum { N = 1 << 18 };
	static uint8_t a[N];
	uint64_t c = 0;
	while (n--) {
		memset(a, 1, N);
		for (int i = 2; i * i < N; i++)
			if (a[i])
				for (int j = i * i; j < N; j += i)
					a[j] = 0;
		for (int i = 2; i < N; i++)
			c += a[i];
	}
	return c;
}

static int cmp_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

static uint64_t w_sort(int n)
{
	enum { N = 40000 };
	static uint32_t v[N];
	uint64_t s = 0;
	while (n--) {
		uint32_t x = 12345;
		for (int i = 0; i < N; i++)
			v[i] = x = x * 1664525u + 1013904223u;
		qsort(v, N, 4, cmp_u32);
		s += v[N / 2];
	}
	return s;
}

static uint64_t w_crc(int n)
{
	static uint32_t t[256];
	static uint8_t buf[65536];
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;
		for (int k = 0; k < 8; k++)
			c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
		t[i] = c;
	}
	for (int i = 0; i < 65536; i++)
		buf[i] = i * 7;
	uint32_t c = ~0u;
	while (n--)
		for (int i = 0; i < 65536; i++)
			c = t[(c ^ buf[i]) & 255] ^ (c >> 8);
	return c;
}

/* SHA-256 compression rounds, plain C */
static uint64_t w_sha(int n)
{
	static const uint32_t K[64] = {
	    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
	    0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
	    0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
	    0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
	    0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
	    0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
	    0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
	    0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
	    0xc67178f2};
	uint32_t h[8] = {1, 2, 3, 4, 5, 6, 7, 8}, w[64];
	while (n--) {
		for (int i = 0; i < 16; i++)
			w[i] = h[i & 7] + i * 77;
#define R(x, k) ((x) >> (k) | (x) << (32 - (k)))
		for (int i = 16; i < 64; i++)
			w[i] = w[i - 16] + w[i - 7] +
			       (R(w[i - 15], 7) ^ R(w[i - 15], 18) ^ w[i - 15] >> 3) +
			       (R(w[i - 2], 17) ^ R(w[i - 2], 19) ^ w[i - 2] >> 10);
		uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6],
			 x = h[7];
		for (int i = 0; i < 64; i++) {
			uint32_t t1 = x + (R(e, 6) ^ R(e, 11) ^ R(e, 25)) + ((e & f) ^ (~e & g)) +
				      K[i] + w[i];
			uint32_t t2 =
			    (R(a, 2) ^ R(a, 13) ^ R(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
			x = g;
			g = f;
			f = e;
			e = d + t1;
			d = c;
			c = b;
			b = a;
			a = t1 + t2;
		}
		h[0] += a;
		h[1] += b;
		h[2] += c;
		h[3] += d;
		h[4] += e;
		h[5] += f;
		h[6] += g;
		h[7] += x;
	}
	return h[0] ^ h[7];
}

/* dependent loads over 4 MiB */
static uint64_t w_chase(int n)
{
	enum { N = 1 << 19 };
	uint64_t *a = malloc(N * 8);
	uint64_t x = 0, s = 1;
	for (int i = 0; i < N; i++)
		a[i] = i;
	for (int i = N - 1; i > 0; i--) {
		s = s * 6364136223846793005ull + 1442695040888963407ull;
		int j = (s >> 33) % i;
		uint64_t t = a[i];
		a[i] = a[j];
		a[j] = t;
	}
	for (long i = 0; i < (long)n * N; i++)
		x = a[x];
	free(a);
	return x;
}

typedef uint64_t (*op_fn)(uint64_t, uint64_t);
static uint64_t o_add(uint64_t a, uint64_t b)
{
	return a + b;
}
static uint64_t o_xor(uint64_t a, uint64_t b)
{
	return a ^ b;
}
static uint64_t o_mul(uint64_t a, uint64_t b)
{
	return a * (b | 1);
}
static uint64_t o_rot(uint64_t a, uint64_t b)
{
	return a << (b & 63) | a >> (-b & 63);
}
static uint64_t w_indirect(int n) /* indirect calls, unpredictable */
{
	static op_fn volatile ops[4] = {o_add, o_xor, o_mul, o_rot};
	uint64_t a = 1, r = 88172645463325252ull;
	for (long i = 0; i < (long)n * 100000; i++) {
		r ^= r << 13;
		r ^= r >> 7;
		r ^= r << 17;
		a = ops[r & 3](a, r);
	}
	return a;
}

static uint64_t w_nbody(int n)
{
	double p[5][3] = {{0, 0, 0},
			  {4.84, -1.16, -.10},
			  {8.34, 4.12, -.4},
			  {12.89, -15.11, -.22},
			  {15.37, -25.9, .17}};
	double v[5][3] = {
	    {0, 0, 0}, {.6, 2.8, -.02}, {-1.01, 1.8, .008}, {1.08, .86, -.01}, {.97, .59, -.03}};
	double m[5] = {39.47, .037, .011, .0017, .002};
	for (long s = 0; s < (long)n * 1000; s++) {
		for (int i = 0; i < 5; i++)
			for (int j = i + 1; j < 5; j++) {
				double d[3], r2 = 0;
				for (int k = 0; k < 3; k++) {
					d[k] = p[i][k] - p[j][k];
					r2 += d[k] * d[k];
				}
				double mag = .01 / (r2 * sqrt(r2));
				for (int k = 0; k < 3; k++) {
					v[i][k] -= d[k] * m[j] * mag;
					v[j][k] += d[k] * m[i] * mag;
				}
			}
		for (int i = 0; i < 5; i++)
			for (int k = 0; k < 3; k++)
				p[i][k] += .01 * v[i][k];
	}
	return (uint64_t)llround(p[0][0] * 1e9);
}

static uint64_t w_x87(int n)
{
	long double x = 0.5L, s = 0;
	for (long i = 0; i < (long)n * 10000; i++) {
		x = 3.7L * x * (1.0L - x);
		s += x / (1.0L + x);
	}
	return (uint64_t)(s * 1000);
}

/* vectorised float saxpy and sum, SSE2 */
static uint64_t w_simd(int n)
{
	enum { N = 4096 };
	static float a[N], b[N];
	for (int i = 0; i < N; i++) {
		a[i] = i * .5f;
		b[i] = 1.f / (i + 1);
	}
	typedef float v4 __attribute__((vector_size(16)));
	v4 acc = {0};
	for (long r = 0; r < (long)n * 100; r++) {
		v4 k = {.1f, .2f, .3f, .4f};
		for (int i = 0; i < N; i += 4) {
			v4 x = *(v4 *)(a + i), y = *(v4 *)(b + i);
			acc += x * y + k;
		}
		acc *= (v4){.5f, .5f, .5f, .5f};
	}
	return (uint64_t)(acc[0] + acc[1] + acc[2] + acc[3]);
}

static uint64_t w_memcpy(int n)
{
	enum { N = 1 << 20 };
	char *a = malloc(N), *b = malloc(N);
	memset(a, 3, N);
	while (n--) {
		memcpy(b, a, N);
		a[n & 1023]++;
	}
	uint64_t s = b[5];
	free(a);
	free(b);
	return s;
}

static uint64_t w_syscall(int n)
{
	uint64_t s = 0;
	for (long i = 0; i < (long)n * 1000; i++)
		s += syscall(SYS_getppid) >= 0;
	return s;
}

/* context switches */
static uint64_t w_pipe(int n)
{
	int p[2], q[2];
	char c = 0;
	if (pipe(p) || pipe(q))
		return 0;
	pid_t pid = fork();
	if (!pid) {
		while (read(p[0], &c, 1) == 1 && write(q[1], &c, 1) == 1)
			if (c)
				_exit(0);
		_exit(1);
	}
	for (long i = 0; i < (long)n * 100; i++)
		if (write(p[1], &c, 1) != 1 || read(q[0], &c, 1) != 1)
			return 0;
	c = 1;
	if (write(p[1], &c, 1) != 1)
		return 0;
	waitpid(pid, 0, 0);
	close(p[0]);
	close(p[1]);
	close(q[0]);
	close(q[1]);
	return n;
}

static uint64_t w_fork(int n)
{
	uint64_t s = 0;
	while (n--) {
		pid_t pid = fork();
		if (!pid)
			_exit(7);
		int st;
		waitpid(pid, &st, 0);
		s += WEXITSTATUS(st);
	}
	return s;
}

/* page faults: map, touch, unmap */
static uint64_t w_fault(int n)
{
	uint64_t s = 0;
	while (n--) {
		char *p =
		    mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		for (int i = 0; i < 1 << 20; i += 4096)
			p[i] = i >> 12, s += p[i];
		munmap(p, 1 << 20);
	}
	return s;
}

static const struct {
	const char *name;
	uint64_t (*f)(int);
	int n;
} work[] = {
    {"calls", w_calls, 60},	   {"sieve", w_sieve, 100},    {"sort", w_sort, 40},
    {"crc", w_crc, 600},	   {"sha", w_sha, 400000},     {"chase", w_chase, 20},
    {"indirect", w_indirect, 100}, {"nbody", w_nbody, 400},    {"x87", w_x87, 1500},
    {"simd", w_simd, 2500},	   {"memcpy", w_memcpy, 2000}, {"syscall", w_syscall, 600},
    {"pipe", w_pipe, 200},	   {"fork", w_fork, 600},      {"fault", w_fault, 200},
};

/* Is `name` in a list of names with commas between them, ended by a blank or the end? */
static int listed(const char *list, const char *name)
{
	size_t n = strlen(name);
	for (; *list; list += *list == ',') {
		size_t len = strcspn(list, ", \n");
		if (len == n && !memcmp(list, name, n))
			return 1;
		list += len;
		if (*list != ',')
			break;
	}
	return 0;
}

int main(int argc, char **argv)
{
	static char line[2048];
	const char *only = argc > 2 ? argv[2] : "";
	int init = getpid() == 1;
	int div = 1;
	if (argc > 1 && atoi(argv[1]) > 0)
		div = atoi(argv[1]);
	if (init) {
		mount("none", "/proc", "proc", 0, 0);
		FILE *f = fopen("/proc/cmdline", "r");
		char *p;
		if (f && fgets(line, sizeof line, f)) {
			if ((p = strstr(line, "div=")))
				div = atoi(p + 4);
			if ((p = strstr(line, "only=")))
				only = p + 5;
		}
		printf("CPUBENCH BOOTED\n");
	}
	if (div < 1)
		div = 1;
	for (unsigned i = 0; i < sizeof work / sizeof *work; i++) {
		int n = work[i].n / div;
		if (*only && !listed(only, work[i].name))
			continue;
		double t = now();
		uint64_t s = work[i].f(n ? n : 1);
		printf("bench %s %.4f %llx\n", work[i].name, now() - t, (unsigned long long)s);
		fflush(stdout);
	}
	printf("CPUBENCH DONE\n");
	fflush(stdout);
	if (init) {
		reboot(RB_AUTOBOOT);
		for (;;)
			pause();
	}
	return 0;
}
