/*
 * test-claim.c - a page that turns into code while a device writes there: whoever decodes it must learn of the next store.
 */
#include <glib.h>

#include "cpu/interp/interp.h"

typedef struct World {
	RamArena arena;
	uint8_t *ram;
	unsigned writes_left;    /* DMA, while the other vcpus are asked to forget the page */
} World;

static void flush_others(void *opaque, Cpu *cpu)
{
	World *w = opaque;

	if (!w->writes_left)
		return;
	w->writes_left--;
	ram_written(&w->arena, w->ram, 1);
}

static const CpuWorld world_ops = { .flush_others = flush_others };

static void test_written_meanwhile(void)
{
	World w = { .writes_left = 0 };
	GError *error = NULL;

	g_assert_true(ram_arena_init(&w.arena, 1u << 16, &error));
	w.ram = ram_arena_alloc(&w.arena, 1u << 16, &error);
	Cpu *cpu = cpu_new(0, &world_ops, &w, &w.arena);
	g_assert_true(interp_init(cpu, &error));
	for (unsigned writes = 0; writes < 2; writes++) {
		ram_written(&w.arena, w.ram, 1);
		w.writes_left = writes;
		uint32_t state = icache_claim(cpu, w.ram + 100, 16);
		g_assert_cmpuint(w.writes_left, ==, 0);
		g_assert_true(state & PAGE_CODE);
		g_assert_cmpuint(atomic_load(ram_page_state(&w.arena, w.ram)), ==, state);
		g_assert_cmphex(atomic_load(ram_page_lines(&w.arena, w.ram)) & 2, ==, 2);
		ram_written(&w.arena, w.ram, 1); /* it is seen */
		g_assert_cmpuint(atomic_load(ram_page_state(&w.arena, w.ram)), !=, state);
	}
	interp_free(cpu);
	cpu_free(cpu);
	ram_arena_free(&w.arena);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/cpu/claim/written meanwhile", test_written_meanwhile);
	return g_test_run();
}
