/*
 * fuzz.h - the main of a fuzzer: machines of random steps, one after another, for some seconds.
 *
 *	fuzz-NAME [--seconds N] [--seed S]
 *
 * The seed decides all of a run, and the run that failed says which it had: give it to --seed.
 */
#ifndef VIV_TESTS_DEVICE_FUZZ_H
#define VIV_TESTS_DEVICE_FUZZ_H

#include <glib.h>

#include "harness.h"

typedef struct Fuzzer {
	const char *what; /* as the report names the test */
	unsigned steps;	  /* of a run, for the report */
	/* A machine of its own, its steps by `g`. Whether it came through: false ends the test. */
	bool (*run)(GRand *g, uint32_t seed);
	/* After `runs` of them: whether they did anything at all. NULL: nothing to ask. */
	bool (*finish)(unsigned runs);
} Fuzzer;

/* The exit status. */
int fuzz_main(int argc, char **argv, const Fuzzer *f);

/* 0 to n - 1. */
uint32_t below(GRand *g, uint32_t n);
/* Nothing was written behind the guest's RAM. */
bool fuzz_ram_only(const Harness *h);

#endif
