/*
 * virtio_scsi.c - SCSI host: a bus of disks and CDs behind virtio queues.
 *
 * VIRTIO 1.2, 5.6; properties, limits and what the configuration shows as QEMU's device has them.
 * Left out: commands that move data both ways (F_INOUT), protection information (F_T10_PI). Control
 * and event queue are virtio_scsi_tmf.c's.
 *
 * Vcpu threads and the main loop under the machine lock; or, with iothread=, that loop's thread
 * under the loop's lock. Whoever tears queues down holds the machine lock and then enters the loop.
 */
#include <string.h>

#include "core/error.h"
#include "hw/classes.h"
#include "hw/scsi/virtio_scsi.h"

#define CLASS_SCSI 0x0100
#define TRANSITIONAL_ID 0x1004
#define QUEUES_AUTO UINT32_MAX
#define FIXED_QUEUES VIRTIO_SCSI_QUEUE_REQUEST
#define TARGET_MAX 255u
#define LUN_MAX 16383u
#define SENSE_LIMIT 65536u       /* bytes; what the driver may ask for lies below */
#define CDB_LIMIT 256u
#define COMMAND_HEAD offsetof(VirtioScsiCmd, cdb)
#define ANSWER_HEAD offsetof(VirtioScsiCmdAnswer, sense)

/* ---- the end of a command ---- */

static uint64_t answer_bytes(const VirtioScsi *s)
{
	return ANSWER_HEAD + s->sense_size;
}

static void finish(
	VirtQueue *q, VirtElement *e, const VirtioScsiCmdAnswer *a, uint64_t answer, uint64_t data)
{
	virt_write(e, 0, a, MIN(answer, sizeof(*a)));
	virtq_push(q, e, answer + data);
	virtq_notify(q);
}

static void refuse(VirtioScsi *s, VirtQueue *q, VirtElement *e, uint8_t response)
{
	finish(q, e, &(VirtioScsiCmdAnswer){ .response = response }, answer_bytes(s), 0);
}

static void task_end(VirtioTask *t)
{
	VirtioScsi *s = t->s;
	ScsiRequest *r = t->r;
	VirtioScsiCmdAnswer a = { .response = t->response };

	if (t->response == VIRTIO_SCSI_S_OK) {
		a.status = r->status;
		a.residual = (uint32_t)MIN(t->room - r->moved, UINT32_MAX);
		a.sense_len = (uint32_t)MIN(r->sense_len, t->answer - ANSWER_HEAD);
		memcpy(a.sense, r->sense, a.sense_len);
	}
	g_queue_unlink(&s->tasks, &t->link);
	finish(t->q, t->e, &a, t->answer, r->dir == SCSI_DIR_IN ? r->moved : 0);
	for (GSList *l = t->killers; l; l = l->next)
		virtio_scsi_task_gone(l->data);
	g_slist_free(t->killers);
	scsi_request_free(r);
	g_free(t);
}

/* All data was handed in at once: what is still to do after it needs none. */
static void go_on(VirtioTask *t)
{
	while (!t->r->ended)
		if (!scsi_go(t->r, NULL, 0))
			return;
	task_end(t);
}

static void ready(ScsiRequest *r)
{
	go_on(r->opaque);
}

/* ---- commands ---- */

static VirtioTask *task_new(VirtioScsi *s, VirtQueue *q, VirtElement *e, uint64_t id)
{
	unsigned pieces = e->out_count + e->in_count;
	VirtioTask *t = g_malloc0(sizeof(*t) + pieces * sizeof(struct iovec));
	*t = (VirtioTask){ .s = s, .q = q, .e = e, .id = id, .answer = answer_bytes(s) };
	t->link.data = t;
	return t;
}

static void begin(VirtioTask *t, uint64_t out, uint64_t in)
{
	VirtioScsi *s = t->s;
	VirtElement *e = t->e;
	ScsiRequest *r = t->r;
	unsigned n = 0;
	uint64_t fits = r->dir == SCSI_DIR_IN ? in : r->dir == SCSI_DIR_OUT ? out : UINT64_MAX;

	g_queue_push_tail_link(&s->tasks, &t->link);
	t->room = MAX(in, out);
	if (!r->ended && r->length > fits) {
		t->response = VIRTIO_SCSI_S_OVERRUN;
		task_end(t);
		return;
	}
	if (!r->ended && r->dir == SCSI_DIR_IN)
		n = virt_slice(e->in, e->in_count, t->answer, in, t->iov);
	else if (!r->ended && r->dir == SCSI_DIR_OUT)
		n = virt_slice(e->out, e->out_count, COMMAND_HEAD + s->cdb_size, out, t->iov);
	if (scsi_go(r, t->iov, n))
		go_on(t);
}

/* False: the driver does not know how a request looks. */
static bool command(VirtioScsi *s, VirtQueue *q, VirtElement *e)
{
	VirtioScsiCmd cmd = { 0 };
	uint64_t head = COMMAND_HEAD + s->cdb_size;
	uint32_t target, number;

	if (e->out_bytes < head || e->in_bytes < answer_bytes(s)) {
		virtq_drop(q, e);
		virtio_error(q->vdev, "queue %u: a request without header or room for its answer",
			q->index);
		return false;
	}
	virt_read(e, 0, &cmd, MIN(head, sizeof(cmd)));
	uint64_t out = e->out_bytes - head, in = e->in_bytes - answer_bytes(s);
	if (out && in) {
		refuse(s, q, e, VIRTIO_SCSI_S_FAILURE);
		return true;
	}
	VirtioTask *t = task_new(s, q, e, cmd.id);
	if (virtio_scsi_address(cmd.lun, &target, &number))
		t->r = scsi_bus_request(&s->bus, 0, target, number, cmd.cdb,
			MIN(s->cdb_size, VIRTIO_SCSI_CDB_DEFAULT), t);
	if (t->r) {
		begin(t, out, in);
	} else {
		g_free(t);
		refuse(s, q, e, VIRTIO_SCSI_S_BAD_TARGET);
	}
	return true;
}

/* ---- queues and threads ---- */

static bool serve(VirtioDevice *vdev, VirtQueue *q)
{
	VirtioScsi *s = (VirtioScsi *)vdev->dev;

	if (q->index == VIRTIO_SCSI_QUEUE_EVENT) {
		if (s->events_missed)
			virtio_scsi_event(s, NULL, VIRTIO_SCSI_T_NO_EVENT, 0);
		return false;
	}
	for (unsigned left = q->num; left; left--) {
		VirtElement *e = virtq_pop(q);
		if (!e)
			return false;
		if (q->index == VIRTIO_SCSI_QUEUE_CONTROL ? !virtio_scsi_control(s, q, e) :
							    !command(s, q, e))
			return false;
	}
	return true;
}

static void quiesce(VirtioDevice *vdev, VirtQueue *only)
{
	VirtioScsi *s = (VirtioScsi *)vdev->dev;
	virtio_loop_unwatch(&s->on, only);
	if (s->bus.bus)
		scsi_bus_drain(&s->bus);
}

/* ---- what the units tell ---- */

/* A disk of another length. (Of media in a CD drive its unit attention tells.) */
static void unit_event(ScsiUnit *u)
{
	VirtioScsi *s = u->opaque;
	uint32_t code = u->attention;
	if (!u->cd && code && virtio_has(&s->vp.vdev, VIRTIO_SCSI_F_CHANGE))
		virtio_scsi_event(
			s, u, VIRTIO_SCSI_T_PARAM_CHANGE, (code >> 8 & 0xff) | (code & 0xff) << 8);
}

static void plugged(ScsiBus *b, ScsiUnit *u, bool in)
{
	VirtioScsi *s = b->opaque;
	if (virtio_has(&s->vp.vdev, VIRTIO_SCSI_F_HOTPLUG))
		virtio_scsi_event(s, u, VIRTIO_SCSI_T_TRANSPORT_RESET,
			in ? VIRTIO_SCSI_EVT_RESET_RESCAN : VIRTIO_SCSI_EVT_RESET_REMOVED);
}

static const ScsiHost host = {
	.ready = ready, .event = unit_event, .autosense = true, .power_on_attention = true,
};

/* ---- configuration ---- */

static void config_read(VirtioDevice *vdev, void *config)
{
	const VirtioScsi *s = (const VirtioScsi *)vdev->dev;
	VirtioScsiConfig c = {
		.num_queues = s->num_queues,
		.seg_max = s->seg_max_adjust ? s->queue_size - 2 : 126,
		.max_sectors = s->max_sectors,
		.cmd_per_lun = s->cmd_per_lun,
		.event_info_size = sizeof(VirtioScsiEvent),
		.sense_size = s->sense_size,
		.cdb_size = s->cdb_size,
		.max_target = TARGET_MAX,
		.max_lun = LUN_MAX,
	};
	memcpy(config, &c, sizeof(c));
}

/* The driver may want other sizes of sense data and CDB (5.6.4.1). */
static void config_write(VirtioDevice *vdev, unsigned offset, const void *data, unsigned len)
{
	VirtioScsi *s = (VirtioScsi *)vdev->dev;
	VirtioScsiConfig c;

	config_read(vdev, &c);
	memcpy((uint8_t *)&c + offset, data, len);
	if (c.sense_size >= SENSE_LIMIT || c.cdb_size >= CDB_LIMIT) {
		virtio_error(vdev, "configuration: %u bytes of sense data, %u of CDB", c.sense_size,
			c.cdb_size);
		return;
	}
	loop_enter(s->on.loop);
	s->sense_size = c.sense_size;
	s->cdb_size = c.cdb_size;
	loop_leave(s->on.loop);
}

static void device_state_reset(VirtioDevice *vdev)
{
	VirtioScsi *s = (VirtioScsi *)vdev->dev;
	virtio_loop_reset(&s->on);
	s->sense_size = VIRTIO_SCSI_SENSE_DEFAULT;
	s->cdb_size = VIRTIO_SCSI_CDB_DEFAULT;
	s->events_missed = false;
}

static const VirtioClass scsi = {
	.name = "virtio-scsi", .id = VIRTIO_ID_SCSI, .config_size = sizeof(VirtioScsiConfig),
	.config_read = config_read, .config_write = config_write, .notify = virtio_loop_notify,
	.quiesce = quiesce, .reset = device_state_reset,
};

/* ---- life ---- */

static bool check(VirtioScsi *s, GError **error)
{
	Device *dev = &s->vp.pci.dev;

	if (s->num_queues == QUEUES_AUTO)
		s->num_queues = CLAMP(dev->board->cpu_count, 1, VIRTIO_QUEUES_MAX - FIXED_QUEUES);
	if (!s->num_queues || s->num_queues > VIRTIO_QUEUES_MAX - FIXED_QUEUES)
		return fail(error, VIV_ERROR_INVALID,
			"Invalid number of queues (= %u), must be a positive integer "
			"less than %u.",
			s->num_queues, VIRTIO_QUEUES_MAX - FIXED_QUEUES + 1);
	if (!virtio_check_queue_size(dev, "virtqueue_size", s->queue_size, error))
		return false;
	if (s->queue_size <= 2)
		return fail(error, VIV_ERROR_INVALID,
			"Invalid virtqueue_size property (= %u), must be > 2", s->queue_size);
	return virtio_loop_init(&s->on, &s->vp.vdev, dev, serve, error);
}

static bool realize(Device *dev, GError **error)
{
	VirtioScsi *s = (VirtioScsi *)dev;

	if (!check(s, error))
		return false;
	g_queue_init(&s->tasks);
	if (!virtio_pci_init(&s->vp, &scsi, error))
		return false;
	s->vp.vdev.features |= (s->hotplug ? VIRTIO_SCSI_F_HOTPLUG : 0) |
		(s->param_change ? VIRTIO_SCSI_F_CHANGE : 0);
	for (unsigned i = 0; i < FIXED_QUEUES + s->num_queues; i++)
		virtio_add_queue(&s->vp.vdev, s->queue_size);
	if (!virtio_pci_realize(&s->vp, CLASS_SCSI, TRANSITIONAL_ID, error))
		return false;
	s->bus.max_target = TARGET_MAX;
	s->bus.max_lun = LUN_MAX;
	s->bus.plugged = plugged;
	scsi_bus_init(&s->bus, &s->vp.pci, &host, s, s->on.loop);
	s->bus.bus->hotplug = s->hotplug;
	return true;
}

static bool realize_modern(Device *dev, GError **error)
{
	virtio_pci_modern_only(dev);
	return realize(dev, error);
}

static void unrealize(Device *dev)
{
	VirtioScsi *s = (VirtioScsi *)dev;
	virtio_quiesce(&s->vp.vdev, NULL);
	scsi_bus_exit(&s->bus);
	virtio_pci_exit(&s->vp);
	virtio_loop_exit(&s->on);
}

static void info(Device *dev, GString *out)
{
	const VirtioScsi *s = (const VirtioScsi *)dev;
	g_string_append_printf(out, "bus %s, %u units, %u commands\n", s->bus.bus->name,
		s->bus.units->len, s->tasks.length);
	virtio_pci_info(dev, out);
}

static const Property props[] = { VIRTIO_PCI_PROPERTIES,
	VIRTIO_LOOP_PROPERTY(VirtioScsi, on, "the bus"),
	{ "num_queues", PROP_U32, offsetof(VirtioScsi, num_queues), "4294967295",
		"request queues (default: one a vcpu)" },
	{ "virtqueue_size", PROP_U32, offsetof(VirtioScsi, queue_size), "256",
		"entries of a queue" },
	{ "seg_max_adjust", PROP_BOOL, offsetof(VirtioScsi, seg_max_adjust), "on",
		"pieces of a request follow virtqueue_size" },
	{ "max_sectors", PROP_U32, offsetof(VirtioScsi, max_sectors), "65535",
		"of one request; for the driver" },
	{ "cmd_per_lun", PROP_U32, offsetof(VirtioScsi, cmd_per_lun), "128",
		"commands a unit gets at once; for the driver" },
	{ "hotplug", PROP_BOOL, offsetof(VirtioScsi, hotplug), "on",
		"the driver learns of units that come and go" },
	{ "param_change", PROP_BOOL, offsetof(VirtioScsi, param_change), "on",
		"the driver learns of disks that change their length" },
	{ 0 } };

static const StateField state[] = {
	VIRTIO_PCI_STATE,
	VIRTIO_LOOP_STATE(VirtioScsi, on),
	STATE(FIELD_U32, VirtioScsi, sense_size, VIRTIO_SCSI_SENSE_DEFAULT),
	STATE(FIELD_U32, VirtioScsi, cdb_size, VIRTIO_SCSI_CDB_DEFAULT),
	STATE(FIELD_BOOL, VirtioScsi, events_missed, 0),
	{ 0 }
};

#define CLASS(kind, props_, realize_) \
	.name = "virtio-scsi-pci" kind, .props = props_, .realize = realize_, \
	.desc = "SCSI host", .bus = "pci", .category = DEVICE_STORAGE, \
	.size = sizeof(VirtioScsi), .user_creatable = true, \
	.version = 1, .state = state, .quiesce = virtio_pci_quiesce, .reset = virtio_pci_reset, \
	.unrealize = unrealize, .info = info

const DeviceClass virtio_scsi_pci_class = { CLASS("", props, realize), .alias = "virtio-scsi" };
const DeviceClass virtio_scsi_pci_transitional_class = {
	CLASS("-transitional", VIRTIO_PCI_FIXED(props), realize)
};
const DeviceClass virtio_scsi_pci_non_transitional_class = {
	CLASS("-non-transitional", VIRTIO_PCI_FIXED(props), realize_modern)
};
