/* fuzz.c - see fuzz.h. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/loop.h"

uint32_t below(GRand *g, uint32_t n)
{
	return (uint32_t)g_rand_int_range(g, 0, (gint32)n);
}

bool fuzz_ram_only(const Harness *h)
{
	const RamArena *a = &h->board.arena;
	for (uint64_t i = a->used; i < a->reserved; i++)
		if (a->host[i])
			return false;
	return true;
}

static bool run(const Fuzzer *f, uint32_t seed)
{
	GRand *g = g_rand_new_with_seed(seed);
	bool ok = f->run(g, seed);
	g_rand_free(g);
	if (!ok)
		printf("# failed: --seed %u\n", seed);
	return ok;
}

int fuzz_main(int argc, char **argv, const Fuzzer *f)
{
	double seconds = 5;
	uint32_t seed = (uint32_t)g_get_real_time();
	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--seconds"))
			seconds = g_ascii_strtod(argv[i + 1], NULL);
		else if (!strcmp(argv[i], "--seed"))
			seed = (uint32_t)strtoul(argv[i + 1], NULL, 0);
	}
	int64_t end = g_get_monotonic_time() + (int64_t)(seconds * 1e6);
	unsigned runs = 0;
	bool ok = true;
	printf("1..1\n# seed %u\n", seed);
	fflush(stdout);
	loop_attach_main();
	do
		ok = run(f, seed + runs);
	while (++runs, ok && g_get_monotonic_time() < end);
	printf("# %u runs of %u steps\n", runs, f->steps);
	ok = ok && (!f->finish || f->finish(runs));
	printf("%s 1 - %s\n", ok ? "ok" : "not ok", f->what);
	return !ok;
}
