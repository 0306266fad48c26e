/*
 * threadbench.c - the same work by one thread after the other, then by two at a time: how much faster two processors are.
 *
 * As init of a guest, or natively. Integer work in registers and in 256 KiB of memory of each thread's own. Prints
 * "threads N seconds" for N = 1 and 2, where each round is the work of two threads.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/reboot.h>
#include <time.h>
#include <unistd.h>

#define WORDS (64 << 10)
#define TURNS 600

static uint32_t memory[2][WORDS];
static uint32_t result[2];

static void *work(void *arg)
{
	unsigned which = (unsigned)(uintptr_t)arg;
	uint32_t *m = memory[which], x = which + 1;

	for (unsigned turn = 0; turn < TURNS; turn++)
		for (unsigned i = 0; i < WORDS; i++) {
			x ^= x << 13;
			x ^= x >> 17;
			x ^= x << 5;
			m[x % WORDS] += x;
		}
	result[which] = x ^ m[0];
	return NULL;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double round_of(unsigned at_a_time)
{
	pthread_t t[2];
	double begin = now();

	for (unsigned i = 0; i < 2; i++) {
		pthread_create(&t[i], NULL, work, (void *)(uintptr_t)i);
		if (at_a_time == 1)
			pthread_join(t[i], NULL);
	}
	for (unsigned i = 0; at_a_time == 2 && i < 2; i++)
		pthread_join(t[i], NULL);
	return now() - begin;
}

int main(void)
{
	round_of(1); /* memory is there, and code translated */
	for (unsigned times = 0; times < 3; times++)
		for (unsigned n = 1; n <= 2; n++)
			printf("threads %u %.3f\n", n, round_of(n));
	printf("THREADBENCH DONE %u\n", result[0] ^ result[1]);
	fflush(stdout);
	if (getpid() == 1)
		reboot(RB_AUTOBOOT);
	return 0;
}
