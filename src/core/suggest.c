/*
 * suggest.c - nearest word by edit distance (optimal string alignment: insertion,
 * deletion, substitution and swap of neighbours cost 1; case and '_' for '-' nothing).
 *
 * Any thread enters.
 */
#include "core/suggest.h"

#include <string.h>
#include <glib.h>

#define WORD_MAX 64 /* longer words get no suggestion */

static char fold(char c)
{
	return c == '_' ? '-' : g_ascii_tolower(c);
}

static unsigned distance(const char *a, unsigned la, const char *b, unsigned lb)
{
	unsigned row[3][WORD_MAX + 1];
	unsigned *before = row[0], *last = row[1], *now = row[2];

	for (unsigned j = 0; j <= lb; j++)
		last[j] = j;
	for (unsigned i = 1; i <= la; i++) {
		now[0] = i;
		for (unsigned j = 1; j <= lb; j++) {
			char ca = fold(a[i - 1]), cb = fold(b[j - 1]);
			unsigned best = last[j - 1] + (ca != cb);
			best = MIN(best, last[j] + 1);
			best = MIN(best, now[j - 1] + 1);
			if (i > 1 && j > 1 && ca == fold(b[j - 2]) && fold(a[i - 2]) == cb)
				best = MIN(best, before[j - 2] + 1);
			now[j] = best;
		}
		unsigned *spare = before;
		before = last;
		last = now;
		now = spare;
	}
	return last[lb];
}

const char *suggest_nearest(const char *word, const char *const *candidates)
{
	size_t len = strlen(word);
	const char *nearest = NULL;
	/* A third of the letters may be wrong; short words forgive one. */
	unsigned best = (unsigned)MAX(len / 3, 1) + 1;

	if (len == 0 || len > WORD_MAX)
		return NULL;
	for (; *candidates; candidates++) {
		size_t lc = strlen(*candidates);
		if (lc > WORD_MAX)
			continue;
		unsigned d = distance(word, (unsigned)len, *candidates, (unsigned)lc);
		if (d < best) {
			best = d;
			nearest = *candidates;
		}
	}
	return nearest;
}
