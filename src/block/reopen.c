/*
 * reopen.c - what may change of an open node: whether it is written to, and who else may.
 * Threads: see node.h.
 */
#include "block/node.h"

/* ---- Writing ---- */

/* Flags of an open node change from the bottom up when it becomes writable, else downwards. */
bool node_set_flags(Node *node, unsigned flags, GError **error)
{
	unsigned old = node->flags;
	node->flags = flags;
	bool writable = flags & NODE_WRITE;
	if (node->driver->set_writable && !node->driver->set_writable(node, writable, error)) {
		node->flags = old;
		return false;
	}
	node->read_only = !writable;
	return true;
}

bool node_set_writable(Node *node, bool writable, GError **error)
{
	unsigned old = node->flags;
	unsigned flags = writable ? old | NODE_WRITE : old & ~(unsigned)NODE_WRITE;
	if (node->read_only == !writable)
		return true;
	if (!node->driver->set_writable)
		return fail(error, VIV_ERROR_UNSUPPORTED,
			    "Driver %s cannot change between reading and writing.",
			    node->driver->name);
	if (writable && node->file && !node_set_writable(node->file, true, error))
		return false;
	if (!node_set_flags(node, flags, error)) {
		if (writable && node->file)
			node_set_writable(node->file, false, NULL);
		return false;
	}
	return writable || !node->file || node_set_writable(node->file, false, error);
}

/* ---- Locks ---- */

bool node_claim(Node *node, GError **error)
{
	if (node->driver->protocol && !node->claims &&
	    !node_set_flags(node, node->flags | NODE_EXCLUSIVE, error))
		return false;
	node->claims += node->driver->protocol;
	Node *file = node->driver->filter ? node->file : NULL;
	if (file && !node_claim(file, error))
		return false;
	if (!node->backing || node_claim(node->backing, error))
		return true;
	if (file)
		node_unclaim(file);
	return false;
}

void node_unclaim(Node *node)
{
	if (node->driver->protocol && node->claims && --node->claims == 0)
		node_set_flags(node, node->flags & ~(unsigned)NODE_EXCLUSIVE, NULL);
	if (node->driver->filter)
		node_unclaim(node->file);
	if (node->backing)
		node_unclaim(node->backing);
}
