/*
 * virtio_scsi_tmf.c - control and event queue: task management, and what the driver is told.
 *
 * VIRTIO 1.2, 5.6.6.2 and 5.6.6.3; SAM-5 (INCITS 515) chapter 7. A function that ends tasks is done
 * when the last of them is: requests on their way to the medium are waited for, not torn out.
 * Asynchronous notifications are not known (none is ever subscribed). The adapter's loop.
 */
#include <string.h>

#include "hw/scsi/virtio_scsi.h"

#define LUN_FORM 1u          /* first byte of an address */
#define FLAT 0x40u           /* top bits of the number: flat space (SAM-5 4.6.7) */

bool virtio_scsi_address(const uint8_t lun[8], uint32_t *target, uint32_t *number)
{
	if (lun[0] != LUN_FORM || (lun[2] && (lun[2] & 0xc0) != FLAT))
		return false;
	*target = lun[1];
	*number = (uint32_t)(lun[2] << 8 | lun[3]) & 0x3fff;
	return true;
}

/* ---- the control queue ---- */

static void answer(VirtQueue *q, VirtElement *e, const void *data, size_t len)
{
	virtq_push(q, e, virt_write(e, 0, data, len));
	virtq_notify(q);
}

void virtio_scsi_task_gone(VirtioTmf *tmf)
{
	uint8_t response = VIRTIO_SCSI_S_OK;
	if (--tmf->tasks)
		return;
	answer(tmf->q, tmf->e, &response, sizeof(response));
	g_free(tmf);
}

/* Which tasks a function is about: of a unit (NULL: of the whole target), of a name (NULL: any). */
static bool meant(const VirtioTask *t, uint32_t target, const ScsiUnit *u, const uint64_t *id)
{
	return t->r->unit->id == target && (!u || t->r->unit == u) && (!id || t->id == *id);
}

/* The tasks end with `response`; then the function does. */
static void end_tasks(VirtioScsi *s, VirtioTmf *tmf, uint32_t target, const ScsiUnit *u,
	const uint64_t *id, uint8_t response)
{
	tmf->tasks = 1;
	for (GList *l = s->tasks.head; l; l = l->next) {
		VirtioTask *t = l->data;
		if (!meant(t, target, u, id))
			continue;
		t->response = response;
		t->killers = g_slist_prepend(t->killers, tmf);
		tmf->tasks++;
	}
	virtio_scsi_task_gone(tmf);
}

static uint8_t query(VirtioScsi *s, uint32_t target, const ScsiUnit *u, const uint64_t *id)
{
	for (GList *l = s->tasks.head; l; l = l->next)
		if (meant(l->data, target, u, id))
			return VIRTIO_SCSI_S_FUNCTION_SUCCEEDED;
	return VIRTIO_SCSI_S_OK;
}

static void reset_units(VirtioScsi *s, uint32_t target)
{
	for (unsigned i = 0; i < s->bus.units->len; i++) {
		ScsiUnit *u = s->bus.units->pdata[i];
		if (u->id == target)
			scsi_unit_reset(u);
	}
}

static VirtioTmf *waiting(VirtQueue *q, VirtElement *e)
{
	VirtioTmf *tmf = g_new(VirtioTmf, 1);
	*tmf = (VirtioTmf){ .q = q, .e = e };
	return tmf;
}

static void tmf_of_unit(
	VirtioScsi *s, VirtQueue *q, VirtElement *e, const VirtioScsiTmf *f, ScsiUnit *u)
{
	uint8_t response = VIRTIO_SCSI_S_FUNCTION_REJECTED;
	switch (f->subtype) {
	case VIRTIO_SCSI_TMF_ABORT_TASK:
		end_tasks(s, waiting(q, e), u->id, u, &f->id, VIRTIO_SCSI_S_ABORTED);
		return;
	case VIRTIO_SCSI_TMF_ABORT_TASK_SET: /* there is one initiator: both are the same */
	case VIRTIO_SCSI_TMF_CLEAR_TASK_SET:
		end_tasks(s, waiting(q, e), u->id, u, NULL, VIRTIO_SCSI_S_ABORTED);
		return;
	case VIRTIO_SCSI_TMF_LOGICAL_UNIT_RESET:
		scsi_unit_reset(u);
		end_tasks(s, waiting(q, e), u->id, u, NULL, VIRTIO_SCSI_S_RESET);
		return;
	case VIRTIO_SCSI_TMF_QUERY_TASK: response = query(s, u->id, u, &f->id); break;
	case VIRTIO_SCSI_TMF_QUERY_TASK_SET: response = query(s, u->id, u, NULL); break;
	default: break; /* CLEAR ACA, and what is not defined */
	}
	answer(q, e, &response, sizeof(response));
}

static void tmf(VirtioScsi *s, VirtQueue *q, VirtElement *e, const VirtioScsiTmf *f)
{
	uint8_t response = VIRTIO_SCSI_S_BAD_TARGET;
	uint32_t target, number;
	if (virtio_scsi_address(f->lun, &target, &number) &&
		scsi_bus_has_target(&s->bus, 0, target)) {
		ScsiUnit *u = scsi_bus_find(&s->bus, 0, target, number);
		if (f->subtype == VIRTIO_SCSI_TMF_I_T_NEXUS_RESET) {
			reset_units(s, target);
			end_tasks(s, waiting(q, e), target, NULL, NULL, VIRTIO_SCSI_S_RESET);
			return;
		}
		if (u) {
			tmf_of_unit(s, q, e, f, u);
			return;
		}
		response = VIRTIO_SCSI_S_INCORRECT_LUN;
	}
	answer(q, e, &response, sizeof(response));
}

static bool malformed(VirtQueue *q, VirtElement *e)
{
	virtq_drop(q, e);
	virtio_error(q->vdev, "queue %u: a control request too short for its type", q->index);
	return false;
}

bool virtio_scsi_control(VirtioScsi *s, VirtQueue *q, VirtElement *e)
{
	static const VirtioScsiAnAnswer nothing = { 0, VIRTIO_SCSI_S_OK };
	VirtioScsiTmf f = { 0 };
	size_t len = virt_read(e, 0, &f, sizeof(f));

	if (len < sizeof(f.type))
		return malformed(q, e);
	switch (f.type) {
	case VIRTIO_SCSI_T_TMF:
		if (len < sizeof(f) || !e->in_bytes)
			return malformed(q, e);
		tmf(s, q, e, &f);
		return true;
	case VIRTIO_SCSI_T_AN_QUERY:
	case VIRTIO_SCSI_T_AN_SUBSCRIBE:
		if (len < sizeof(VirtioScsiAn) || e->in_bytes < sizeof(nothing))
			return malformed(q, e);
		answer(q, e, &nothing, sizeof(nothing));
		return true;
	default:
		virtq_push(q, e, 0);
		virtq_notify(q);
		return true;
	}
}

/* ---- the event queue ---- */

void virtio_scsi_event(VirtioScsi *s, const ScsiUnit *u, uint32_t event, uint32_t reason)
{
	VirtioDevice *vdev = &s->vp.vdev;
	VirtQueue *q = &vdev->queue[VIRTIO_SCSI_QUEUE_EVENT];

	if (!(vdev->status & VIRTIO_STATUS_DRIVER_OK) || !q->enabled)
		return;
	VirtElement *e = virtq_pop(q);
	if (!e) {
		s->events_missed = true;
		return;
	}
	VirtioScsiEvent out = { .event = event, .reason = reason };
	if (u) {
		out.lun[0] = LUN_FORM;
		out.lun[1] = (uint8_t)u->id;
		out.lun[2] = (uint8_t)(u->lun > 255 ? FLAT | u->lun >> 8 : 0);
		out.lun[3] = (uint8_t)u->lun;
	}
	if (e->in_bytes < sizeof(out)) {
		virtq_drop(q, e);
		virtio_error(vdev, "queue %u: a buffer too short for an event", q->index);
		return;
	}
	if (s->events_missed)
		out.event |= VIRTIO_SCSI_T_EVENTS_MISSED;
	s->events_missed = false;
	answer(q, e, &out, sizeof(out));
}
