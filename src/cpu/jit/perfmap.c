/*
 * perfmap.c - /tmp/perf-PID.map: translated blocks as perf(1) finds them, by the guest's addresses.
 *
 * The format is that of the kernel's tools/perf/Documentation/jit-interface.txt: start and size in
 * hexadecimal, then a name. A dropped block's line stays; the later one of an address is the newer.
 * Vcpu threads write lines; opened and closed by the main thread.
 */
#include "cpu/jit/jit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "core/error.h"

static FILE *map; /* NULL: nobody asked. stdio's lock keeps lines whole */

bool jit_perfmap_open(GError **error)
{
	char path[64];

	g_snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
	/* /tmp is everybody's: what is there already may be somebody's trap. */
	unlink(path);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return fail(error, VIV_ERROR_FAILED, "perfmap: cannot create %s: %s", path, g_strerror(errno));
	map = fdopen(fd, "w");
	setvbuf(map, NULL, _IOLBF, 0);
	return true;
}

void jit_perfmap_close(void)
{
	if (map)
		fclose(map);
	map = NULL;
}

void perfmap_add(const uint8_t *code, size_t size, uint64_t rip, bool user)
{
	if (map)
		fprintf(map, "%" PRIxPTR " %zx guest 0x%" PRIx64 " %s\n", (uintptr_t)code, size, rip, user ? "user" : "kernel");
}

void perfmap_add_stubs(const uint8_t *code, size_t size)
{
	if (map)
		fprintf(map, "%" PRIxPTR " %zx viv: code all blocks share\n", (uintptr_t)code, size);
}
