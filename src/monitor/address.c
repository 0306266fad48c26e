/*
 * address.c - gva2gpa, gpa2hva, gpa2hpa: where an address of the guest is.
 *
 * The host's physical addresses are from /proc/self/pagemap (Linux,
 * Documentation/admin-guide/mm/pagemap.rst), which shows zeroes to those who may not see them. Main
 * thread, machine lock not held.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "core/error.h"
#include "core/lock.h"
#include "monitor/private.h"

#define PAGEMAP_PRESENT (1ull << 63)
#define PAGEMAP_FRAME ((1ull << 55) - 1)

void command_gva2gpa(Monitor *mon, const Args *args, GString *out)
{
	uint64_t gpa;
	Cpu *cpu = monitor_hold(mon);
	machine_lock();
	if (cpu_walk_debug(cpu, (uint64_t)args->number[0], &gpa))
		g_string_append_printf(out, "gpa: 0x%" PRIx64 "\n", gpa);
	else
		g_string_append(out, "Unmapped\n");
	machine_unlock();
	monitor_release(mon);
}

/* What is seen at an address; NULL: nothing. Machine lock held. */
static const FlatRange *range_at(const Board *b, uint64_t gpa)
{
	size_t count;
	const FlatRange *ranges = as_ranges(b->mem, &count);

	for (size_t i = 0; i < count; i++)
		if (ranges[i].start <= gpa && gpa <= ranges[i].end)
			return &ranges[i];
	return NULL;
}

/* The memory behind an address and what it is called; NULL with *error. Machine lock held. */
static uint8_t *host_pointer(const Board *b, uint64_t gpa, const char **name, GError **error)
{
	const FlatRange *r = range_at(b, gpa);

	if (!r) {
		fail(error, VIV_ERROR_FAILED, "No memory is mapped at address 0x%" PRIx64, gpa);
		return NULL;
	}
	if (!r->region->host_read) {
		fail(error, VIV_ERROR_FAILED, "Memory at address 0x%" PRIx64 " is not RAM", gpa);
		return NULL;
	}
	uint8_t *p = r->region->host_read + (gpa - r->start + r->offset);
	*name = p - b->ram >= 0 && (uint64_t)(p - b->ram) < b->ram_size
		? "pc.ram" : r->region->name;
	return p;
}

void command_gpa2hva(Monitor *mon, const Args *args, GString *out)
{
	uint64_t gpa = (uint64_t)args->number[0];
	const char *name;
	GError *error = NULL;

	machine_lock();
	const uint8_t *p = host_pointer(machine_board(mon->m), gpa, &name, &error);
	if (p)
		g_string_append_printf(out, "Host virtual address for 0x%" PRIx64 " (%s) is %p\n",
			gpa, name, (const void *)p);
	machine_unlock();
	monitor_report(error, out);
}

/* The page of [p], which is touched first, so that it has one. */
static bool physical_of(const uint8_t *p, uint64_t *address, GError **error)
{
	uint64_t page = (uint64_t)getpagesize(), entry;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return fail(error, VIV_ERROR_FAILED, "Cannot open /proc/self/pagemap: %s",
			g_strerror(errno));
	(void)*(const volatile uint8_t *)p;
	ssize_t n = pread(fd, &entry, sizeof(entry), (off_t)((uintptr_t)p / page * sizeof(entry)));
	int err = errno;
	close(fd);
	if (n != sizeof(entry))
		return fail(error, VIV_ERROR_FAILED, "Cannot read pagemap: %s",
			n < 0 ? g_strerror(err) : "it is too short");
	if (!(entry & PAGEMAP_PRESENT))
		return fail(error, VIV_ERROR_FAILED, "Page not present");
	*address = (entry & PAGEMAP_FRAME) * page + (uintptr_t)p % page;
	return true;
}

void command_gpa2hpa(Monitor *mon, const Args *args, GString *out)
{
	uint64_t gpa = (uint64_t)args->number[0], address = 0;
	const char *name;
	GError *error = NULL;

	machine_lock();
	const uint8_t *p = host_pointer(machine_board(mon->m), gpa, &name, &error);
	if (p && physical_of(p, &address, &error))
		g_string_append_printf(out,
			"Host physical address for 0x%" PRIx64 " (%s) is 0x%" PRIx64 "\n", gpa, name,
			address);
	machine_unlock();
	monitor_report(error, out);
}
