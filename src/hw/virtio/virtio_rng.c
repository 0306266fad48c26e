/*
 * virtio_rng.c - entropy device: fills the guest's buffers with the host kernel's random bytes.
 *
 * VIRTIO 1.2, 5.4. At most max-bytes in each period of milliseconds, as QEMU's device has it. Left
 * out: back ends other than getrandom(2). Vcpu threads and the main loop's timer, under the machine
 * lock.
 */
#include <errno.h>
#include <sys/random.h>

#include "core/error.h"
#include "hw/classes.h"
#include "hw/virtio/virtio_pci.h"

#define QUEUE_SIZE 8
#define TRANSITIONAL_ID 0x1005
#define CLASS_OTHER 0x00ff
#define NS_PER_MS 1000000LL
/*
 * A buffer may be filled in part (5.4.6.1): no guest keeps the machine lock for longer than this
 * takes.
 */
#define STEP_MAX 65536u

typedef struct VirtioRng {
	VirtioPci vp;          /* first */
	VirtQueue *queue;
	/* properties */
	uint64_t max_bytes;    /* in a period */
	uint32_t period;       /* ms */
	/* state */
	uint64_t quota;        /* bytes left in this period */
	Timer refill;          /* end of the period; armed from the first byte on */
	Timer again;           /* more to do at once */
} VirtioRng;

/* Random bytes into the element; how many. getrandom(2) gives fewer only if a signal comes. */
static size_t fill(const VirtElement *e, uint64_t limit)
{
	size_t done = 0;

	for (unsigned i = 0; i < e->in_count && done < limit; i++) {
		size_t want = MIN(e->in[i].iov_len, limit - done);
		ssize_t got;
		do
			got = getrandom(e->in[i].iov_base, want, 0);
		while (got < 0 && errno == EINTR);
		if (got <= 0)
			break;
		done += (size_t)got;
		if ((size_t)got < want)
			break; /* no gap */
	}
	return done;
}

static void serve(VirtioRng *s)
{
	Clock *clock = s->vp.vdev.board->clock;
	unsigned left = QUEUE_SIZE;

	while (s->quota && left) {
		VirtElement *e = virtq_pop(s->queue);
		if (!e)
			break;
		size_t done = fill(e, MIN(s->quota, STEP_MAX));
		s->quota -= done;
		if (!timer_armed(&s->refill))
			timer_arm(&s->refill, clock_now(clock) + (int64_t)s->period * NS_PER_MS);
		virtq_push(s->queue, e, done);
		left--;
	}
	virtq_notify(s->queue);
	/*
	 * Other vcpus may go on adding: the main loop takes a turn, and the lock is free in
	 * between.
	 */
	if (!left)
		timer_arm(&s->again, clock_now(clock));
}

static void serve_again(void *opaque)
{
	serve(opaque);
}

static void period_over(void *opaque)
{
	VirtioRng *s = opaque;
	s->quota = s->max_bytes;
	serve(s);
}

static void notify(VirtioDevice *vdev, VirtQueue *q)
{
	serve((VirtioRng *)vdev->dev);
}

static const VirtioClass rng = { .name = "virtio-rng", .id = VIRTIO_ID_RNG, .notify = notify };

static bool realize(Device *dev, GError **error)
{
	VirtioRng *s = (VirtioRng *)dev;

	if (!virtio_pci_init(&s->vp, &rng, error))
		return false;
	timer_init(&s->refill, dev->board->clock, period_over, s);
	timer_init(&s->again, dev->board->clock, serve_again, s);
	s->queue = virtio_add_queue(&s->vp.vdev, QUEUE_SIZE);
	return virtio_pci_realize(&s->vp, CLASS_OTHER, TRANSITIONAL_ID, error);
}

static bool realize_modern(Device *dev, GError **error)
{
	virtio_pci_modern_only(dev);
	return realize(dev, error);
}

/* A driver's reset leaves the quota alone: it is the host's protection. */
static void reset(Device *dev)
{
	VirtioRng *s = (VirtioRng *)dev;
	virtio_pci_reset(dev);
	s->quota = s->max_bytes; /* a property, so not in the table */
}

static void unrealize(Device *dev)
{
	VirtioRng *s = (VirtioRng *)dev;
	timer_cancel(&s->refill);
	timer_cancel(&s->again);
	virtio_pci_exit(&s->vp);
}

static const Property props[] = {
	VIRTIO_PCI_PROPERTIES,
	{ "max-bytes", PROP_U64, offsetof(VirtioRng, max_bytes), "9223372036854775807",
	  "bytes in a period at most", .min = 1, .max = INT64_MAX },
	{ "period", PROP_U32, offsetof(VirtioRng, period), "65536", "length of a period, in ms",
	  .min = 1, .max = UINT32_MAX },
	{ 0 }
};

static const StateField state[] = {
	VIRTIO_PCI_STATE,
	{ "quota", FIELD_U64, offsetof(VirtioRng, quota), 1, 1, 0, .keep = true },
	STATE(FIELD_TIMER, VirtioRng, refill, 0),
	STATE(FIELD_TIMER, VirtioRng, again, 0),
	{ 0 }
};

#define CLASS(kind, props_, realize_) \
	.name = "virtio-rng-pci" kind, .props = props_, .realize = realize_, \
	.desc = "entropy device", .bus = "pci", .category = DEVICE_MISC, .size = sizeof(VirtioRng), \
	.user_creatable = true, .version = 1, .state = state, .quiesce = virtio_pci_quiesce, \
	.reset = reset, .unrealize = unrealize, .info = virtio_pci_info

const DeviceClass virtio_rng_pci_class = { CLASS("", props, realize), .alias = "virtio-rng" };
const DeviceClass virtio_rng_pci_transitional_class = {
	CLASS("-transitional", VIRTIO_PCI_FIXED(props), realize)
};
const DeviceClass virtio_rng_pci_non_transitional_class = {
	CLASS("-non-transitional", VIRTIO_PCI_FIXED(props), realize_modern)
};
