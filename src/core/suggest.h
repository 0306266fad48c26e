/*
 * suggest.h - which word did the user mean?
 */
#ifndef VIV_CORE_SUGGEST_H
#define VIV_CORE_SUGGEST_H

/*
 * The candidate (array ends with NULL) nearest to `word` by edit distance, or
 * NULL if none is near enough to be a likely slip. The result is one of the
 * candidates. Any thread.
 */
const char *suggest_nearest(const char *word, const char *const *candidates);

#endif
