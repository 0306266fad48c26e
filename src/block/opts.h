/*
 * opts.h - options of nodes: flat words to nested objects, and typed into a driver's state.
 * Any thread.
 */
#ifndef VIV_BLOCK_OPTS_H
#define VIV_BLOCK_OPTS_H

#include "block/node.h"

/*
 * Takes every key of `table` that is in `opts` out of it and stores it in `state`, or its
 * default. False: a value is not of its type.
 */
bool opts_store(const BlockOption *table, json_t *opts, void *state, const char *driver,
		GError **error);
/* Frees what opts_store allocated. */
void opts_clear(const BlockOption *table, void *state);
/* False, naming the first key left in `opts`, the valid ones and the nearest. */
bool opts_empty(const BlockOption *table, json_t *opts, const char *driver, GError **error);
/* Checks creation options (text values): known, typed. */
bool opts_check(const BlockOption *table, json_t *opts, const char *driver, GError **error);
/* Takes `key` out as text (caller frees) or NULL. Numbers and bools become text. */
char *opts_take_text(json_t *opts, const char *key);
/* Takes on|off out; false: neither. *out is untouched if the key is absent. */
bool opts_take_bool(json_t *opts, const char *key, bool *out, GError **error);
/* Puts key "a.b.c" of a flat list into nested objects; a later word replaces an earlier. */
bool opts_put(json_t *opts, const char *dotted, const char *value, GError **error);

#endif
