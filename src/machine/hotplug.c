/*
 * hotplug.c - devices that come and go while the machine exists: PCI slots, by ACPI (hw/acpi/pcihp.c), and buses whose
 * controllers tell the guest themselves.
 *
 * As QEMU 7.2 has it: the guest is told of a device when it is there, and asked before one goes. Main thread, but for
 * hotplug_eject.
 */
#include <string.h>

#include "block/blk.h"
#include "core/error.h"
#include "core/event.h"
#include "core/lock.h"
#include "hw/acpi/pcihp.h"
#include "hw/pci/pci.h"
#include "machine/private.h"

static bool on_pci(const Device *dev) { return !strcmp(dev->cls->bus, "pci"); }

static bool can_hotplug(Machine *m, const Device *dev, GError **error)
{
	if (on_pci(dev) ? m->hotplug != NULL : dev->bus && dev->bus->hotplug)
		return true;
	const char *bus = dev->bus ? dev->bus->name : dev->cls->bus;
	return fail(error, VIV_ERROR_INVALID, "Bus '%s' does not support hotplugging", bus);
}

bool machine_plug(Machine *m, const DeviceConfig *d, GError **error)
{
	machine_hold_vcpus(m);
	machine_lock();
	Device *dev = pc_new_user_device(m, d, error);
	bool ok = dev && device_choose_bus(dev, error) && can_hotplug(m, dev, error);
	if (dev && !ok)
		device_free(dev);
	ok = ok && device_realize(dev, error);
	if (ok && on_pci(dev))
		pcihp_plugged(m->hotplug, dev);
	machine_unlock();
	machine_release_vcpus(m);
	return ok;
}

/* The drive of -drive or drive_add goes with its device; of -blockdev's nodes the user disposes. */
static struct Blk *drive_of(Machine *m, const Device *dev)
{
	size_t len = strlen(dev->path);

	for (unsigned i = 0; i < m->blks->len; i++) {
		Blk *blk = g_ptr_array_index(m->blks, i);
		void *opaque;
		const BlkDevice *user = blk_device(blk, &opaque);
		/* Its id, its path, or that of its backend below. */
		if (user && (!strcmp(user->name, device_label(dev)) ||
			     (!strncmp(user->name, dev->path, len) && (!user->name[len] || user->name[len] == '/'))))
			return blk;
	}
	return NULL;
}

/* Vcpus stand still, machine lock held. */
static void remove_device(Machine *m, Device *dev)
{
	json_t *data = json_pack("{ss}", "path", dev->path);
	if (dev->id)
		json_object_set_new(data, "device", json_string(dev->id));
	struct Blk *blk = drive_of(m, dev);
	device_free(dev);
	if (blk)
		machine_drop_drive(m, blk);
	event_emit("DEVICE_DELETED", data);
}

static Device *device_of(Machine *m, const char *id)
{
	for (unsigned i = 0; i < m->board.devices->len; i++) {
		Device *d = g_ptr_array_index(m->board.devices, i);
		if (!g_strcmp0(d->id, id) || !g_strcmp0(d->path, id))
			return d;
	}
	return NULL;
}

/* A PCI function goes when the guest lets it; from another bus its controller takes it at once. */
static bool unplug(Machine *m, Device *dev, GError **error)
{
	if (!can_hotplug(m, dev, error))
		return false;
	if (!on_pci(dev))
		remove_device(m, dev);
	else if (pcihp_can_unplug(dev))
		pcihp_unplug_request(m->hotplug, dev);
	else
		return fail(error, VIV_ERROR_INVALID, "Device '%s' can not be unplugged", device_label(dev));
	return true;
}

bool machine_unplug(Machine *m, const char *id, GError **error)
{
	machine_hold_vcpus(m);
	machine_lock();
	Device *dev = device_of(m, id);
	bool ok = dev ? unplug(m, dev, error) : fail(error, VIV_ERROR_NO_DEVICE, "Device '%s' not found", id);
	machine_unlock();
	machine_release_vcpus(m);
	return ok;
}

static gboolean empty_slots(gpointer opaque)
{
	Machine *m = opaque;

	machine_hold_vcpus(m);
	machine_lock();
	uint32_t slots = atomic_exchange(&m->ejected, 0);
	for (unsigned devfn = 0; devfn < 256; devfn++) {
		PciDevice *d = slots >> (devfn >> 3) & 1 ? pci_bus_find(m->board.pci, (uint8_t)devfn) : NULL;
		if (d)
			remove_device(m, &d->dev);
	}
	machine_unlock();
	machine_release_vcpus(m);
	return G_SOURCE_REMOVE;
}

/* On a vcpu's thread: the device may not go from under the store that asks for it. */
void hotplug_eject(void *opaque, uint32_t slots)
{
	Machine *m = opaque;
	if (!atomic_fetch_or(&m->ejected, slots))
		g_idle_add_full(G_PRIORITY_HIGH, empty_slots, m, NULL);
}
