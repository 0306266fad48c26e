/*
 * machine.c - makes and ends a machine, and answers questions about it.
 *
 * Follows no standard; the board is pc.c, its running run.c. Main thread.
 */
#include "machine/machine.h"

#include <string.h>

#include "core/lock.h"
#include "hw/intc/intc.h"
#include "machine/private.h"

Machine *machine_new(MachineConfig *config, GError **error)
{
	if (!machine_config_complete(config, error))
		return NULL;
	Machine *m = g_new0(Machine, 1);
	m->config = config;
	run_init(m);
	world_init(m);
	machine_lock();
	bool ok = pc_build(m, error);
	machine_unlock();
	if (ok)
		return m;
	machine_free(m);
	return NULL;
}

void machine_free(Machine *m)
{
	if (!m)
		return;
	run_free(m);
	machine_lock();
	pc_free(m);
	machine_unlock();
	g_free(m);
}

void machine_inject_nmi(Machine *m)
{
	machine_lock();
	if (m->accel->cls->irqchip) {
		for (unsigned i = 0; i < m->board.cpu_count; i++)
			cpu_post(m->board.cpus[i], CPU_EV_NMI);
	} else {
		for (unsigned i = 0; i < m->board.devices->len; i++) {
			Device *d = g_ptr_array_index(m->board.devices, i);
			if (!strcmp(d->cls->name, "apic"))
				apic_local_nmi(d);
		}
	}
	machine_unlock();
}

bool machine_set_boot_order(Machine *m, const char *order, GError **error)
{
	if (!machine_check_boot_order(order, error))
		return false;
	g_free(m->config->boot.order);
	m->config->boot.order = g_strdup(order);
	machine_lock();
	m->once_done = true;
	pc_fill_boot_cmos(m);
	machine_unlock();
	return true;
}

Board *machine_board(Machine *m)
{
	return &m->board;
}

Accel *machine_accel(Machine *m)
{
	return m->accel;
}

const MachineConfig *machine_config(Machine *m)
{
	return m->config;
}

MachineActions *machine_actions(Machine *m)
{
	return &m->config->actions;
}

Device *machine_find_device(Machine *m, const char *id)
{
	for (unsigned i = 0; i < m->board.devices->len; i++) {
		Device *d = g_ptr_array_index(m->board.devices, i);
		if (d->id && !strcmp(d->id, id))
			return d;
	}
	return NULL;
}

void machine_sync_get(Machine *m, Cpu *cpu)
{
	if (m->accel->cls->vcpu_get)
		m->accel->cls->vcpu_get(m->accel, cpu);
}

void machine_sync_put(Machine *m, Cpu *cpu)
{
	if (m->accel->cls->vcpu_put)
		m->accel->cls->vcpu_put(m->accel, cpu);
}
