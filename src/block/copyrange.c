/*
 * copyrange.c - copying between images without looking at the bytes: the host's file system
 * shares them (reflinks) or moves them in the kernel. Threads: see node.h.
 */
#include <errno.h>

#include "block/node.h"

/* Down to the protocol's node that keeps the bytes at *offset as they are; *bytes shrinks to
 * what lies there in one piece. */
static int find_place(Node **node, uint64_t *offset, uint64_t *bytes)
{
	while (!(*node)->driver->protocol) {
		NodeStatus st;
		int ret = node_status(*node, *offset, *bytes, false, &st);
		if (ret < 0)
			return ret;
		Node *under = (*node)->backing;
		if (!(st.flags & STATUS_ALLOCATED) && under && *offset < under->length) {
			*bytes = MIN(*bytes, MIN(st.bytes, under->length - *offset));
			*node = under;
			continue;
		}
		if (!(st.flags & STATUS_OFFSET) || st.flags & STATUS_COMPRESSED || !st.bytes)
			return -ENOTSUP;
		*bytes = MIN(*bytes, st.bytes);
		*offset = st.map;
		*node = st.file ? st.file : (*node)->file;
	}
	return 0;
}

int64_t node_copy_range(Node *from, uint64_t from_offset, Node *to, uint64_t to_offset, uint64_t bytes)
{
	/* Other formats may have to give the bytes a place first, or share it with a snapshot. */
	if (to->read_only || (!to->driver->protocol && to->driver != driver_find("raw")))
		return -ENOTSUP;
	int ret = find_place(&from, &from_offset, &bytes);
	if (ret >= 0)
		ret = find_place(&to, &to_offset, &bytes);
	if (ret < 0)
		return ret;
	if (!to->driver->copy_range || from->driver->copy_range != to->driver->copy_range
		|| to_offset > to->length || bytes > to->length - to_offset
		|| from_offset > from->length || bytes > from->length - from_offset)
		return -ENOTSUP;
	return to->driver->copy_range(from, from_offset, to, to_offset, bytes);
}
