/*
 * test-virtio-scsi-control.c - task management and events of the SCSI host behind virtio queues.
 */
#include <string.h>

#include "core/lock.h"
#include "virtio-scsi-rig.h"

/* ---- the control queue ---- */

static uint8_t tmf(VsRig *r, unsigned subtype, Address to, unsigned n)
{
	vs_task_function(r, subtype, to, n);
	g_assert_cmpuint(vs_wait(r, 0), ==, 1);
	return r->ram[TASK_ANSWER];
}

/* Requests 0 to 3 of the first disk wait, and 4 of the second. */
static void hold_five(VsRig *r)
{
	vs_settle(r);
	r->s.m[0]->hold = r->s.m[1]->hold = true;
	for (unsigned n = 0; n < 4; n++)
		vs_add(r, FIRST, n, vs_disk, vs_read(n, 1), SECTOR, 0);
	vs_add(r, FIRST, 4, (Address){ { 1, 1 } }, vs_read(0, 1), SECTOR, 0);
	driver_kick(&r->q[FIRST]);
}

/* Lets them go; the function's answer comes with the last task that it ends. */
static void let_go(VsRig *r, const uint32_t *results)
{
	g_assert_false(vs_is_used(r, 0));
	r->s.m[0]->hold = r->s.m[1]->hold = false;
	g_assert_cmpuint(vs_wait(r, 0), ==, 1);
	g_assert_cmphex(r->ram[TASK_ANSWER], ==, VIRTIO_SCSI_S_OK);
	for (unsigned n = 0; n < 5; n++)
		vs_wait(r, FIRST);
	for (unsigned n = 0; n < 5; n++)
		g_assert_cmphex(vs_result(r, n), ==, results[n]);
}

static void test_tasks(gconstpointer kind)
{
	static const Address none = { { 1, 9 } }, no_unit = { { 1, 0, 0x40, 3 } };
	const uint32_t aborted = RESPONSE(ABORTED), reset = RESPONSE(RESET);
	VsRig r;
	vs_make(&r, "", "", (Kind)GPOINTER_TO_INT(kind), NULL);
	hold_five(&r);
	g_assert_cmphex(tmf(&r, VIRTIO_SCSI_TMF_QUERY_TASK, vs_disk, 1), ==,
		VIRTIO_SCSI_S_FUNCTION_SUCCEEDED);
	g_assert_cmphex(tmf(&r, VIRTIO_SCSI_TMF_QUERY_TASK, vs_disk, 4), ==, VIRTIO_SCSI_S_OK);
	g_assert_cmphex(tmf(&r, VIRTIO_SCSI_TMF_QUERY_TASK_SET, vs_disk, 0), ==,
		VIRTIO_SCSI_S_FUNCTION_SUCCEEDED);
	g_assert_cmphex(tmf(&r, VIRTIO_SCSI_TMF_QUERY_TASK_SET, vs_cd, 0), ==, VIRTIO_SCSI_S_OK);
	g_assert_cmphex(tmf(&r, VIRTIO_SCSI_TMF_ABORT_TASK, vs_disk, 77), ==, VIRTIO_SCSI_S_OK);
	vs_task_function(&r, VIRTIO_SCSI_TMF_ABORT_TASK, vs_disk, 2);
	let_go(&r, (uint32_t[]){ 0, 0, aborted, 0, 0 });
	hold_five(&r);
	vs_task_function(&r, VIRTIO_SCSI_TMF_ABORT_TASK_SET, vs_disk, 0);
	let_go(&r, (uint32_t[]){ aborted, aborted, aborted, aborted, 0 });
	hold_five(&r);
	vs_task_function(&r, VIRTIO_SCSI_TMF_LOGICAL_UNIT_RESET, vs_disk, 0);
	let_go(&r, (uint32_t[]){ reset, reset, reset, reset, 0 });
	g_assert_cmphex(vs_one(&r, vs_disk, TEST_UNIT_READY, 0, 0), ==, SENSE_POWER_ON);
	hold_five(&r);
	vs_task_function(&r, VIRTIO_SCSI_TMF_I_T_NEXUS_RESET, (Address){ { 1, 1 } }, 0);
	let_go(&r, (uint32_t[]){ 0, 0, 0, 0, reset });
	/* What there is not */
	g_assert_cmphex(tmf(&r, VIRTIO_SCSI_TMF_CLEAR_ACA, vs_disk, 0), ==,
		VIRTIO_SCSI_S_FUNCTION_REJECTED);
	g_assert_cmphex(tmf(&r, 8, vs_disk, 0), ==, VIRTIO_SCSI_S_FUNCTION_REJECTED);
	g_assert_cmphex(tmf(&r, VIRTIO_SCSI_TMF_ABORT_TASK, none, 0), ==, VIRTIO_SCSI_S_BAD_TARGET);
	g_assert_cmphex(tmf(&r, VIRTIO_SCSI_TMF_LOGICAL_UNIT_RESET, no_unit, 0), ==,
		VIRTIO_SCSI_S_INCORRECT_LUN);
	rig_free(&r.s);
}

/* Two functions wait for one task; the guest resets meanwhile. */
static void test_tasks_and_reset(void)
{
	VsRig r;
	vs_make(&r, "", "", KIND_MODERN, NULL);
	r.s.m[0]->patience = r.s.m[1]->patience = 300;
	for (unsigned i = 0; i < 3; i++) {
		hold_five(&r);
		vs_task_function(&r, VIRTIO_SCSI_TMF_ABORT_TASK, vs_disk, 2);
		vs_task_function(&r, VIRTIO_SCSI_TMF_LOGICAL_UNIT_RESET, vs_disk, 0);
		driver_reset(&r.q[FIRST]);
		g_assert_cmpuint(blk_in_flight(r.s.blk[0]), ==, 0);
		r.s.m[0]->hold = r.s.m[1]->hold = false;
		vs_start(&r, KIND_MODERN, 0);
	}
	vs_settle(&r);
	g_assert_cmphex(vs_one(&r, vs_disk, vs_read(0, 1), SECTOR, 0), ==, 0);
	rig_free(&r.s);
}

/* Asynchronous notifications are never subscribed; requests of unknown types are given back. */
static void test_control(void)
{
	VsRig r;
	vs_make(&r, "", "", KIND_MODERN, NULL);
	VirtioScsiAn an = { VIRTIO_SCSI_T_AN_QUERY, { 1 }, 2 };
	for (; an.type <= VIRTIO_SCSI_T_AN_SUBSCRIBE; an.type++) {
		memcpy(r.ram + TASK_FUNCTION, &an, sizeof(an));
		memset(r.ram + TASK_ANSWER, 0xee, 5);
		driver_add(&r.q[0],
			(Part[]){ { TASK_FUNCTION, sizeof(an), 0 }, { TASK_ANSWER, 5, W } }, 2);
		driver_kick(&r.q[0]);
		g_assert_cmpuint(vs_wait(&r, 0), ==, 5);
		g_assert_cmpmem(r.ram + TASK_ANSWER, 5, "\0\0\0\0\0", 5);
	}
	put32(r.h, TASK_FUNCTION, 99);
	driver_add(&r.q[0], (Part[]){ { TASK_FUNCTION, 4, 0 }, { TASK_ANSWER, 5, W } }, 2);
	driver_kick(&r.q[0]);
	g_assert_cmpuint(vs_wait(&r, 0), ==, 0);
	/* Too short for what they are: the device stands still until it is reset. */
	static const struct { uint32_t type, out, in; } bad[] = {
		{ VIRTIO_SCSI_T_TMF, 3, 1 }, { VIRTIO_SCSI_T_TMF, 23, 1 },
		{ VIRTIO_SCSI_T_TMF, 24, 0 },
		{ VIRTIO_SCSI_T_AN_QUERY, 15, 5 }, { VIRTIO_SCSI_T_AN_SUBSCRIBE, 16, 4 },
	};
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		vs_start(&r, KIND_MODERN, 0);
		put32(r.h, TASK_FUNCTION, bad[i].type);
		driver_add(&r.q[0], (Part[]){ { TASK_FUNCTION, bad[i].out, 0 },
			{ TASK_ANSWER, bad[i].in, W } }, bad[i].in ? 2 : 1);
		g_assert_false(vs_broken(&r));
		driver_kick(&r.q[0]);
		g_assert_true(vs_broken(&r));
	}
	rig_free(&r.s);
}

/* ---- the event queue ---- */

#define EVENT(n) (0x190000u + 16u * (n))

static void add_event(VsRig *r, unsigned n, unsigned bytes)
{
	memset(r->ram + EVENT(n), 0xee, 16);
	driver_add(&r->q[1], &(Part){ EVENT(n), bytes, W }, 1);
	driver_kick(&r->q[1]);
}

static void resize(VsRig *r, int64_t more)
{
	void *opaque;
	machine_lock();
	blk_node(r->s.blk[0])->length += (uint64_t)more;
	blk_device(r->s.blk[0], &opaque)->resized(opaque);
	machine_unlock();
}

static void check_event(VsRig *r, unsigned n, uint32_t event, const char *lun, uint32_t reason)
{
	g_assert_cmpuint(vs_wait(r, 1), ==, 16);
	g_assert_cmphex(readl(r->h, EVENT(n)), ==, event);
	g_assert_cmpmem(r->ram + EVENT(n) + 4, 8, lun, 8);
	g_assert_cmphex(readl(r->h, EVENT(n) + 12), ==, reason);
}

static void test_events(gconstpointer kind)
{
	const uint32_t capacity = 0x092a; /* qualifier and code of SENSE_CAPACITY_CHANGED */
	VsRig r;
	vs_make(&r, "", "", (Kind)GPOINTER_TO_INT(kind), NULL);
	vs_settle(&r);
	add_event(&r, 0, 16);
	resize(&r, -4096);
	check_event(&r, 0, VIRTIO_SCSI_T_PARAM_CHANGE, "\1\0\0\0\0\0\0", capacity);
	g_assert_cmphex(vs_one(&r, vs_disk, CDB(0x25), 8, 0), ==, SENSE_CAPACITY_CHANGED);
	g_assert_cmphex(vs_one(&r, vs_disk, CDB(0x25), 8, 0), ==, 0);
	g_assert_cmphex(scsi_get32(r.ram + DATA(0)), ==, (RIG_BYTES - 4096) / SECTOR - 1);
	/* No buffer: the driver learns that it missed something as soon as it gives one. */
	resize(&r, 4096);
	g_assert_false(vs_is_used(&r, 1));
	add_event(&r, 1, 16);
	check_event(&r, 1, VIRTIO_SCSI_T_EVENTS_MISSED, "\0\0\0\0\0\0\0", 0);
	/* A unit goes. */
	add_event(&r, 2, 16);
	machine_lock();
	device_free(r.s.unit[1]);
	machine_unlock();
	check_event(&r, 2, VIRTIO_SCSI_T_TRANSPORT_RESET, "\1\1\0\0\0\0\0",
		VIRTIO_SCSI_EVT_RESET_REMOVED);
	g_assert_cmphex(vs_one(&r, (Address){ { 1, 1 } }, TEST_UNIT_READY, 0, 0), ==,
		RESPONSE(BAD_TARGET));
	/* A driver that did not ask is not told. */
	vs_start(&r, (Kind)GPOINTER_TO_INT(kind), 0);
	add_event(&r, 0, 16);
	resize(&r, -4096);
	g_assert_false(vs_is_used(&r, 1));
	/* No room for an event */
	vs_start(&r, (Kind)GPOINTER_TO_INT(kind), VIRTIO_SCSI_F_CHANGE);
	add_event(&r, 0, 15);
	resize(&r, 4096);
	g_assert_true(vs_broken(&r));
	rig_free(&r.s);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	loop_attach_main();
	vs_test_kinds("tasks", test_tasks);
	g_test_add_func("/virtio-scsi/tasks-and-reset", test_tasks_and_reset);
	g_test_add_func("/virtio-scsi/control", test_control);
	vs_test_kinds("events", test_events);
	return g_test_run();
}
