/*
 * medium.h - a medium in memory, as a block node, that fails or waits as the test says.
 */
#ifndef VIV_TESTS_DEVICE_MEDIUM_H
#define VIV_TESTS_DEVICE_MEDIUM_H

#include "block/node.h"

typedef struct Medium {
	uint8_t *data;
	uint64_t bytes;	    /* of `data`; requests beyond fail */
	uint64_t shown;	    /* length of the nodes to come; `bytes` at first */
	int error;	    /* what the next requests give; 0: what they ask */
	bool hold;	    /* requests wait, at most `patience` tenths of a millisecond */
	unsigned patience;  /* ten seconds at first */
	unsigned waiting;   /* requests that do */
	unsigned flushes, discards, zeroes; /* requests seen */
	unsigned unmaps;    /* those of `zeroes` that may deallocate */
} Medium;

/* No two blocks alike, and none like its neighbour of another `seed`. Owned by the caller; the
 * nodes of a medium go first. */
Medium *medium_new(uint64_t bytes, unsigned seed);
void medium_free(Medium *m);
/* A node of the main loop over `m`, a reference of the caller's. */
Node *medium_node(Medium *m, const char *name);

#endif
