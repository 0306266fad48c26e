/*
 * overlay.c - snapshot=on: writes go to a temporary qcow2 file that nobody else sees.
 *
 * Threads: see node.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block/node.h"

typedef struct Make { const char *path; uint64_t length; bool ok; GError **error; } Make;

static void make_fiber(void *opaque)
{
	Make *m = opaque;
	const Driver *qcow2 = driver_find("qcow2");
	json_t *opts = json_pack("{s:I}", "size", (json_int_t)m->length);
	m->ok = qcow2 && qcow2->create(m->path, opts, m->error);
	if (!qcow2)
		fail(m->error, VIV_ERROR_UNSUPPORTED,
		     "snapshot=on needs the qcow2 format, which is not in this build.");
	json_decref(opts);
}

Node *node_open_overlay(Node *base, GError **error)
{
	const char *dir = g_getenv("TMPDIR");
	char *path = g_build_filename(dir ? dir : "/var/tmp", "viv-XXXXXX", NULL);
	Node *node = NULL;
	int fd = g_mkstemp_full(path, O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0) {
		int err = errno;
		fail(error, VIV_ERROR_FAILED,
		     "Could not make the temporary file '%s' for snapshot=on: %s. TMPDIR names "
		     "another place.",
		     path, g_strerror(err));
	} else {
		Make m = { path, base->length, false, error };
		close(fd);
		loop_call(base->loop, make_fiber, &m);
		json_t *opts = json_pack("{s:s, s:s, s:{s:b, s:b}}", "driver", "qcow2", "backing",
					 base->name, "cache", "direct", false, "no-flush", true);
		if (m.ok)
			node = node_open(base->loop, path, opts,
					 NODE_WRITE | NODE_EXCLUSIVE | NODE_UNMAP, error);
		else
			json_decref(opts);
		unlink(path);
	}
	g_free(path);
	/* The overlay holds it now; on failure the caller's reference is all there was. */
	node_unref(base);
	return node;
}
