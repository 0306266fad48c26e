/*
 * viv.c - runs one virtual machine.
 *
 * An early main that knows a handful of options by hand: -kernel, -initrd, -append, -m,
 * -smp, -cpu, -bios, -accel, -L, -name, -debugcon, -nographic, -no-reboot, -no-shutdown, -S,
 * -device. Main thread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <glib-unix.h>

#include "chardev/stdio.h"
#include "core/units.h"
#include "machine/machine.h"

static void add_device(MachineConfig *c, const char *text)
{
	char **parts = g_strsplit(text, ",", 0);
	DeviceConfig *d = machine_config_add_device(c, parts[0], NULL);
	for (unsigned i = 1; parts[0] && parts[i]; i++) {
		char **kv = g_strsplit(parts[i], "=", 2);
		device_config_set(d, kv[0], kv[0] && kv[1] ? kv[1] : "on");
		g_strfreev(kv);
	}
	g_strfreev(parts);
}

static bool flag(MachineConfig *c, const char *name)
{
	if (!strcmp(name, "nographic"))
		c->nographic = true;
	else if (!strcmp(name, "no-reboot"))
		c->no_reboot = true;
	else if (!strcmp(name, "no-shutdown"))
		c->no_shutdown = true;
	else if (!strcmp(name, "S"))
		c->start_paused = true;
	else if (!strcmp(name, "no-hpet"))
		c->no_hpet = true;
	else if (!strcmp(name, "no-acpi"))
		c->no_acpi = true;
	else
		return false;
	return true;
}

static bool option(MachineConfig *c, const char *name, const char *value)
{
	char **texts[] = { &c->kernel, &c->initrd, &c->append, &c->cpu_model, &c->bios, &c->accels[0], &c->name };
	static const char *const names[] = { "kernel", "initrd", "append", "cpu", "bios", "accel", "name" };
	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
		if (!strcmp(name, names[i])) {
			g_free(*texts[i]);
			*texts[i] = g_strdup(value);
			return true;
		}
	}
	if (!strcmp(name, "m"))
		return parse_size(value, 1024 * 1024, &c->ram_size);
	if (!strcmp(name, "smp"))
		return (c->smp.cpus = strtoul(value, NULL, 10)) > 0;
	if (!strcmp(name, "L"))
		g_ptr_array_add(c->data_dirs, g_strdup(value));
	else if (!strcmp(name, "debugcon")) { /* its port; takes the place of the serial line */
		DeviceConfig *d = machine_config_add_device(c, "isa-debugcon", "debugcon");
		device_config_set(d, "iobase", value);
		device_config_set(d, "chardev", "stdio");
	}
	else if (!strcmp(name, "device"))
		add_device(c, value);
	else
		return false;
	return true;
}

static gboolean on_signal(gpointer opaque)
{
	machine_request_quit(opaque, 0);
	return G_SOURCE_CONTINUE;
}

int main(int argc, char **argv)
{
	MachineConfig config;
	GError *error = NULL;
	machine_config_init(&config);
	for (int i = 1; i < argc; i++) {
		const char *name = argv[i] + strspn(argv[i], "-");
		if (argv[i][0] == '-' && flag(&config, name))
			continue;
		if (argv[i][0] != '-' || i + 1 >= argc || !option(&config, name, argv[i + 1])) {
			fprintf(stderr, "viv: %s: invalid option or value\n", argv[i]);
			return 1;
		}
		i++;
	}
	Chardev *console = chardev_stdio_new("stdio", true);
	config.chardevs = g_hash_table_new(g_str_hash, g_str_equal);
	g_hash_table_insert(config.chardevs, (void *)"stdio", console);
	bool debugcon = false;
	for (unsigned i = 0; i < config.devices->len; i++)
		debugcon |= !strcmp(((DeviceConfig *)g_ptr_array_index(config.devices, i))->driver, "isa-debugcon");
	if (!debugcon)
		config.serial[0] = g_strdup("stdio");
	Machine *m = machine_new(&config, &error);
	int status = 1;
	if (m) {
		g_unix_signal_add(SIGINT, on_signal, m);
		g_unix_signal_add(SIGTERM, on_signal, m);
		status = machine_run(m);
		machine_free(m);
	} else {
		fprintf(stderr, "viv: %s\n", error->message);
		g_error_free(error);
	}
	chardev_stdio_free(console);
	g_hash_table_unref(config.chardevs);
	machine_config_free(&config);
	return status;
}
