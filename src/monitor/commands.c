/*
 * commands.c - the table of commands, and those that need no file of their own.
 *
 * Main thread, machine lock not held.
 */
#include <inttypes.h>
#include <string.h>

#include "core/lock.h"
#include "core/log.h"
#include "monitor/private.h"

static void append_args(const Command *c, GString *out)
{
	for (unsigned i = 0; c->args[i].name; i++) {
		const ArgDef *a = &c->args[i];
		bool bracket = a->optional && a->type != ARG_FORMAT;
		if (a->type == ARG_QMP)
			continue;
		g_string_append_printf(out, " %s%s%s", bracket ? "[" : "", a->name, bracket ? "]"
			: "");
	}
}

void command_help_line(const Command *c, const char *prefix, GString *out)
{
	g_string_append_printf(out, "%s%s%s%s", prefix, c->name, c->alias ? "|" : "", c->alias
		? c->alias : "");
	append_args(c, out);
	g_string_append_printf(out, " -- %s\n", c->help);
}

static void help_table(const Command *table, const char *prefix, GString *out)
{
	for (const Command *c = table; c->name || c->qmp; c++)
		if (c->name)
			command_help_line(c, prefix, out);
}

static void run_help(Monitor *mon, const Args *args, GString *out)
{
	if (!args->given[0]) {
		help_table(monitor_commands, "", out);
		return;
	}
	bool info = !strncmp(args->text[0], "info ", 5);
	const char *name = args->text[0] + (info ? 5 : 0);
	if (!strcmp(name, "info")) {
		help_table(monitor_info_commands, "info ", out);
		return;
	}
	if (!strcmp(name, "log")) {
		g_string_append(out, "none            nothing is logged\n");
		log_list_items(out);
		return;
	}
	const Command *c = command_find(info ? monitor_info_commands : monitor_commands, name);
	if (c)
		command_help_line(c, info ? "info " : "", out);
	else
		g_string_append_printf(out, "unknown command: '%s'\n", args->text[0]);
}

static void run_info(Monitor *mon, const Args *args, GString *out)
{
	help_table(monitor_info_commands, "info ", out);
}

static void run_later(Monitor *mon, const Args *args, GString *out)
{
	g_string_append(out, "Error: snapshots of a running machine come in a later version\n");
}

static void run_cpu(Monitor *mon, const Args *args, GString *out)
{
	if (args->number[0] < 0 || args->number[0] >= machine_board(mon->m)->cpu_count)
		g_string_append(out, "invalid CPU index\n");
	else
		mon->cpu = (unsigned)args->number[0];
}

static unsigned port_size(const Args *args)
{
	return args->format.size > 4 ? 4 : (unsigned)args->format.size;
}

static void run_in(Monitor *mon, const Args *args, GString *out)
{
	unsigned size = args->given[0] ? port_size(args) : 1;
	uint64_t port = (uint64_t)args->number[1] & 0xffff;
	uint64_t value = as_load(machine_board(mon->m)->io, port, size);
	g_string_append_printf(out, "port%c[0x%04" PRIx64 "] = 0x%0*" PRIx64 "\n", size == 1 ? 'b'
		: size == 2 ? 'w' : 'l',
		port, (int)size * 2, value);
}

static void run_out(Monitor *mon, const Args *args, GString *out)
{
	unsigned size = args->given[0] ? port_size(args) : 1;
	as_store(machine_board(mon->m)->io, (uint64_t)args->number[1] & 0xffff,
		(uint64_t)args->number[2], size);
}

static void run_sum(Monitor *mon, const Args *args, GString *out)
{
	uint64_t addr = (uint64_t)args->number[0], size = (uint64_t)args->number[1];
	uint16_t sum = 0;
	for (uint64_t i = 0; i < size; i++) {
		uint8_t byte;
		if (!guest_read(machine_board(mon->m)->mem, addr + i, &byte, 1)) {
			g_string_append(out, "Cannot access memory\n");
			return;
		}
		/* The algorithm of BSD sum(1). */
		sum = (uint16_t)((sum >> 1 | sum << 15) + byte);
	}
	g_string_append_printf(out, "%05d\n", sum);
}

#define FMT { "/fmt", ARG_FORMAT, true }
#define ADDR { "addr", ARG_EXPR, false }
#define SAVE { "addr", ARG_EXPR, false, "val" }, { "size", ARG_EXPR, false }, { "file", ARG_WORD, false, "filename" }
#define DRIVE QMP("device", true), QMP("id", true)
#define QMP(name_, ...) { name_, ARG_QMP, __VA_ARGS__ }

const Command monitor_commands[] = {
	{ "help", "?", { { "cmd", ARG_REST, true } }, "show the commands, or one of them",
	  run_help },
	{ "block_resize", NULL, { { "device", ARG_WORD, false, NULL, NULL, true }, { "size", ARG_SIZE, false }, QMP("node-name", true) },
	  "make a drive's medium longer or shorter", NULL, "block_resize", NULL, serve_block_resize },
	{ "block_set_io_throttle", NULL,
	  { { "device", ARG_WORD, false, NULL, NULL, true }, { "bps", ARG_EXPR, false }, { "bps_rd", ARG_EXPR, false },
	    { "bps_wr", ARG_EXPR, false }, { "iops", ARG_EXPR, false }, { "iops_rd", ARG_EXPR, false },
	    { "iops_wr", ARG_EXPR, false }, QMP("id", true), QMP("bps_max", true, NULL, "int"),
	    QMP("bps_rd_max", true, NULL, "int"), QMP("bps_wr_max", true, NULL, "int"), QMP("iops_max", true, NULL, "int"),
	    QMP("iops_rd_max", true, NULL, "int"), QMP("iops_wr_max", true, NULL, "int"), QMP("iops_size", true, NULL, "int") },
	  "limit a drive's bytes and requests a second; 0: not at all", NULL, "block_set_io_throttle", NULL, serve_throttle },
	{ "boot_set", NULL, { { "bootdevice", ARG_WORD, false } }, "what the firmware boots from the next reset on: a, c, d, n",
	  command_boot_set },
	{ "change", NULL, { { "-f", ARG_FLAG, true }, { "device", ARG_WORD, false }, { "target", ARG_WORD, true },
	    { "format", ARG_WORD, true }, { "read-only-mode", ARG_WORD, true } },
	  "put another medium into a drive; -f: even if the guest locked it. vnc password WORD: VNC's password", command_change },
	{ "chardev-add", NULL, { { "args", ARG_WORD, false } }, "add a character device, in -chardev's words",
	  command_chardev_add },
	{ "chardev-change", NULL, { { "id", ARG_WORD, false }, { "args", ARG_WORD, false } },
	  "put another character device in its place", command_chardev_change },
	{ "chardev-remove", NULL, { { "id", ARG_WORD, false } }, "remove a character device", NULL, "chardev-remove", NULL,
	  serve_chardev_remove },
	{ "chardev-send-break", NULL, { { "id", ARG_WORD, false } }, "send a break to whoever listens on it", NULL,
	  "chardev-send-break", NULL, serve_chardev_break },
	{ "commit", NULL, { { "device|all", ARG_WORD, false } }, "write what a drive's image holds into its backing file",
	  command_commit },
	{ "cont", "c", { { NULL } }, "let the guest run", NULL, "cont", NULL, serve_cont },
	{ "cpu", NULL, { { "index", ARG_EXPR, false } },
	  "choose the vcpu that x and info registers speak of", run_cpu },
	{ "device_add", NULL, { { "driver[,prop=value][,...]", ARG_REST, false, "" }, QMP("driver", false), QMP("bus", true),
	    QMP("id", true) }, "put a device into a PCI slot", command_device_add, "device_add", NULL, serve_device_add,
	  .flags = COMMAND_OPEN },
	{ "device_del", NULL, { { "id", ARG_WORD, false } }, "ask the guest to let a device go, and take it away then", NULL,
	  "device_del", NULL, serve_device_del },
	{ "drive_add", NULL, { { "addr", ARG_WORD, false }, { "if=none[,file=file][,key=value][,...]", ARG_REST, false } },
	  "open a drive for a device that device_add is to make", command_drive_add },
	{ "drive_del", NULL, { { "id", ARG_WORD, false } }, "take a drive's medium away, and the drive if no device has it",
	  command_drive_del },
	{ "eject", NULL, { { "-f", ARG_FLAG, true, "force" }, { "device", ARG_WORD, false, NULL, NULL, true }, QMP("id", true) },
	  "take the medium out of a drive; -f: even if the guest locked it", NULL, "eject", NULL, serve_eject },
	{ "expire_password", NULL, { { "protocol", ARG_WORD, false, NULL, "DisplayProtocol" }, { "time", ARG_WORD, false },
	    { "-d display", ARG_REST, true, "" }, QMP("display", true) },
	  "when VNC's password ends: now, never, +SECONDS, or seconds since 1970", command_expire_password,
	  "expire_password", NULL, serve_expire_password },
	{ "gpa2hpa", NULL, { ADDR }, "the host's physical address of a physical one of the guest", command_gpa2hpa },
	{ "gpa2hva", NULL, { ADDR }, "where viv has what stands at a physical address", command_gpa2hva },
	{ "gva2gpa", NULL, { ADDR }, "physical address of a virtual one", command_gva2gpa },
	{ "i", NULL, { FMT, ADDR }, "read an I/O port", run_in },
	{ "info", NULL, { { "subcommand", ARG_WORD, true } }, "show something about the machine",
	  run_info },
	{ "log", NULL, { { "item1[,...]", ARG_WORD, false } }, "log these items from now on; none: nothing, "
	  "help: lists them", command_log },
	{ "logfile", NULL, { { "filename", ARG_WORD, false } }, "write the log to a file from now on",
	  command_logfile },
	{ "memsave", NULL, { SAVE, { "cpu-index", ARG_QMP, true, NULL, "int" } },
	  "write virtual memory to a file", NULL, "memsave", NULL, serve_memsave },
	{ "mouse_button", NULL, { { "state", ARG_EXPR, false } }, "press these mouse buttons and release the others (1=L, 2=M, 4=R)",
	  command_mouse_button },
	{ "mouse_move", NULL, { { "dx", ARG_EXPR, false }, { "dy", ARG_EXPR, false }, { "dz", ARG_EXPR, true } },
	  "move the mouse, and its wheel", command_mouse_move },
	{ "mouse_set", NULL, { { "index", ARG_EXPR, false } }, "choose the pointer that is used (see info mice)",
	  command_mouse_set },
	{ "gdbserver", NULL, { { "device", ARG_REST, true } }, "debuggers come by this device (default tcp::1234), or by none",
	  command_gdbserver },
	{ "nmi", NULL, { { NULL } }, "inject an NMI into each vcpu", NULL, "inject-nmi", NULL, serve_nmi },
	{ "object_add", NULL, { { "[qom-type=]type,id=str[,prop=value][,...]", ARG_REST, false, "" }, QMP("qom-type", false), QMP("id", false) },
	  "make an iothread or a secret", command_object_add, "object-add", NULL, serve_object_add, .flags = COMMAND_OPEN },
	{ "object_del", NULL, { { "id", ARG_WORD, false } }, "take an object away that nothing uses", NULL, "object-del", NULL,
	  serve_object_del },
	{ "o", NULL, { FMT, ADDR, { "value", ARG_EXPR, false } }, "write an I/O port", run_out },
	{ "pmemsave", NULL, { SAVE },
	  "write physical memory to a file", NULL, "pmemsave", NULL, serve_pmemsave },
	{ "print", "p", { FMT, { "expr", ARG_EXPR, false } },
	  "print the value of an expression ($reg for registers)",
	  command_print },
	{ "quit", "q", { { NULL } }, "end viv", NULL, "quit", NULL, serve_quit },
	{ "savevm", NULL, { { "tag", ARG_WORD, true } }, "not in this version", run_later },
	{ "loadvm", NULL, { { "tag", ARG_WORD, false } }, "not in this version", run_later },
	{ "delvm", NULL, { { "tag", ARG_WORD, false } }, "not in this version", run_later },
	{ "screendump", NULL, { { "filename", ARG_WORD, false }, { "-f", ARG_FLAG, true, "" },
	    { "format", ARG_WORD, true, NULL, "ImageFormat" }, { "device", ARG_WORD, true }, QMP("head", true, NULL, "int") },
	  "write what a screen shows to a file, as PPM or with -f png as PNG", command_screendump, "screendump", NULL,
	  serve_screendump },
	{ "sendkey", NULL, { { "keys", ARG_WORD, false }, { "hold_ms", ARG_EXPR, true } },
	  "type keys together, e.g. ctrl-alt-delete, and hold them for 100 ms or as said", command_sendkey },
	{ "qom-get", NULL, { { "path", ARG_WORD, false }, { "property", ARG_WORD, false } }, "show a property of an object", NULL,
	  "qom-get", "any", serve_qom_get, show_qom_value },
	{ "qom-list", NULL, { { "path", ARG_WORD, false } }, "list an object's properties and children", NULL, "qom-list",
	  "[ObjectPropertyInfo]", serve_qom_list, show_qom_list },
	{ "qom-set", NULL, { { "path", ARG_WORD, false }, { "property", ARG_WORD, false }, { "value", ARG_REST, false, NULL, "any" } },
	  "set a property of an object", NULL, "qom-set", NULL, serve_qom_set },
	{ "ringbuf_read", NULL, { { "device", ARG_WORD, false }, { "size", ARG_EXPR, false }, QMP("format", true, NULL, "DataFormat") },
	  "show what a ring buffer holds, and take it out", NULL, "ringbuf-read", "str", serve_ringbuf_read, show_ringbuf },
	{ "ringbuf_write", NULL, { { "device", ARG_WORD, false }, { "data", ARG_WORD, false }, QMP("format", true, NULL, "DataFormat") },
	  "write into a ring buffer", NULL, "ringbuf-write", NULL, serve_ringbuf_write },
	{ "set_password", NULL, { { "protocol", ARG_WORD, false, NULL, "DisplayProtocol" }, { "password", ARG_WORD, false },
	    { "-d display] [action-if-connected", ARG_REST, true, "" }, QMP("connected", true, NULL, "SetPasswordAction"),
	    QMP("display", true) },
	  "set VNC's password", command_set_password, "set_password", NULL, serve_set_password },
	{ "stop", "s", { { NULL } }, "pause the guest", NULL, "stop", NULL, serve_stop },
	{ "sum", NULL, { ADDR, { "size", ARG_EXPR, false } }, "16-bit checksum of physical memory",
	  run_sum },
	{ "system_powerdown", NULL, { { NULL } }, "press the power button", NULL, "system_powerdown", NULL, serve_powerdown },
	{ "system_reset", NULL, { { NULL } }, "reset the machine", NULL, "system_reset", NULL, serve_reset },
	{ "system_wakeup", NULL, { { NULL } }, "wake the guest from suspend", NULL, "system_wakeup", NULL, serve_wakeup },
	{ "trace-event", NULL, { { "name", ARG_WORD, false }, { "on|off", ARG_WORD, false, "enable", "bool" },
	    { "vcpu", ARG_EXPR, true }, QMP("ignore-unavailable", true, NULL, "bool") },
	  "switch trace events by name or pattern", command_trace_event, "trace-event-set-state", NULL, serve_trace_set },
	{ "watchdog_action", NULL, { { "action", ARG_WORD, false, NULL, "WatchdogAction" } },
	  "what a watchdog that expires does: reset, shutdown, poweroff, pause, debug, none, inject-nmi", command_watchdog_action,
	  "watchdog-set-action", NULL, serve_watchdog_set_action },
	{ "web_address", NULL, { { NULL } }, "a new address for the console in a browser; it lets one in, once", command_web_address },
	{ "x", NULL, { FMT, ADDR }, "dump virtual memory from addr; fmt: count, x d u o c i s, b "
	  "h w g", command_x },
	{ "xp", NULL, { FMT, ADDR }, "dump physical memory from addr", command_xp },

	/* for programs only */
	{ NULL, NULL, { QMP("driver", false), QMP("node-name", true) }, NULL, NULL, "blockdev-add", NULL, serve_blockdev_add,
	  .flags = COMMAND_OPEN },
	{ NULL, NULL, { DRIVE, QMP("filename", false), QMP("format", true), QMP("force", true, NULL, "bool"),
	    QMP("read-only-mode", true, NULL, "BlockdevChangeReadOnlyMode") }, NULL, NULL, "blockdev-change-medium", NULL,
	  serve_change_medium },
	{ NULL, NULL, { DRIVE }, NULL, NULL, "blockdev-close-tray", NULL, serve_close_tray },
	{ NULL, NULL, { QMP("id", false), QMP("backend", false, NULL, "ChardevBackend") }, NULL, NULL, "chardev-add", "ChardevReturn",
	  serve_chardev_add },
	{ NULL, NULL, { QMP("id", false), QMP("backend", false, NULL, "ChardevBackend") }, NULL, NULL, "chardev-change",
	  "ChardevReturn", serve_chardev_change },
	{ NULL, NULL, { QMP("node-name", false) }, NULL, NULL, "blockdev-del", NULL, serve_blockdev_del },
	{ NULL, NULL, { QMP("id", false), QMP("node-name", false) }, NULL, NULL, "blockdev-insert-medium", NULL,
	  serve_insert_medium },
	{ NULL, NULL, { DRIVE, QMP("force", true, NULL, "bool") }, NULL, NULL, "blockdev-open-tray", NULL, serve_open_tray },
	{ NULL, NULL, { QMP("id", false) }, NULL, NULL, "blockdev-remove-medium", NULL, serve_remove_medium },
	{ NULL, NULL, { QMP("enable", true, NULL, "[QMPCapability]") }, NULL, NULL, "qmp_capabilities", /* served by qmp.c */
	  .flags = COMMAND_OOB },
	{ NULL, NULL, { QMP("typename", false) }, NULL, NULL, "device-list-properties", "[ObjectPropertyInfo]",
	  serve_device_list_properties },
	{ NULL, NULL, { QMP("password", false) }, NULL, NULL, "change-vnc-password", NULL, serve_change_vnc_password },
	{ NULL, NULL, { QMP("command-line", false), QMP("cpu-index", true, NULL, "int") }, NULL, NULL, "human-monitor-command", "str",
	  serve_human },
	{ NULL, NULL, { QMP("device", true), QMP("head", true, NULL, "int"), QMP("events", false, NULL, "[InputEvent]") }, NULL, NULL,
	  "input-send-event", NULL, serve_input_event },
	{ NULL, NULL, { QMP("implements", true), QMP("abstract", true, NULL, "bool") }, NULL, NULL, "qom-list-types",
	  "[ObjectTypeInfo]", serve_qom_list_types },
	{ NULL, NULL, { QMP("typename", false) }, NULL, NULL, "qom-list-properties", "[ObjectPropertyInfo]",
	  serve_qom_list_properties },
	{ NULL, NULL, { { NULL } }, NULL, NULL, "query-commands", "[CommandInfo]", serve_commands },
	{ NULL, NULL, { { NULL } }, NULL, NULL, "query-acpi-ospm-status", "[ACPIOSTInfo]", serve_nothing },
	{ NULL, NULL, { { NULL } }, NULL, NULL, "query-balloon", "BalloonInfo", serve_balloon },
	{ NULL, NULL, { { NULL } }, NULL, NULL, "query-block-jobs", "[JobInfo]", serve_nothing },
	{ NULL, NULL, { QMP("option", true) }, NULL, NULL, "query-command-line-options", "[CommandLineOptionInfo]",
	  serve_command_line_options },
	{ NULL, NULL, { { NULL } }, NULL, NULL, "query-jobs", "[JobInfo]", serve_nothing },
	{ NULL, NULL, { QMP("name", true) }, NULL, NULL, "query-rx-filter", "[RxFilterInfo]", serve_nothing },
	{ NULL, NULL, { { NULL } }, NULL, NULL, "query-cpu-definitions", "[CpuDefinitionInfo]", serve_cpu_definitions },
	{ NULL, NULL, { QMP("type", false, NULL, "CpuModelExpansionType"), QMP("model", false, NULL, "CpuModelInfo") }, NULL, NULL,
	  "query-cpu-model-expansion", "CpuModelExpansionInfo", serve_cpu_model_expansion },
	{ NULL, NULL, { { NULL } }, NULL, NULL, "query-current-machine", "CurrentMachineParams", serve_current_machine },
	{ NULL, NULL, { { NULL } }, NULL, NULL, "query-machines", "[MachineInfo]", serve_machines },
	{ NULL, NULL, { { NULL } }, NULL, NULL, "query-memory-devices", "[MemoryDeviceInfo]", serve_nothing },
	{ NULL, NULL, { { NULL } }, NULL, NULL, "query-qmp-schema", "[any]", serve_schema },
	{ NULL, NULL, { { NULL } }, NULL, NULL, "query-target", "TargetInfo", serve_target },
	{ NULL, NULL, { { NULL } }, NULL, NULL, "query-vnc", "VncInfo", serve_vnc },
	{ NULL, NULL, { QMP("reboot", true, NULL, "RebootAction"), QMP("shutdown", true, NULL, "ShutdownAction"),
	    QMP("panic", true, NULL, "PanicAction"), QMP("watchdog", true, NULL, "WatchdogAction") }, NULL, NULL, "set-action", NULL,
	  serve_set_action },
	{ NULL, NULL, { QMP("keys", false, NULL, "[KeyValue]"), QMP("hold-time", true, NULL, "int") }, NULL, NULL, "send-key", NULL,
	  serve_send_key },
	{ NULL },
};

const Command monitor_info_commands[] = {
	{ "accel", NULL, { { NULL } }, "how vcpus run, with counts", info_accel },
	{ "block", NULL, { { "-n", ARG_FLAG, true, "" }, { "device", ARG_WORD, true, "" } },
	  "drives and what is in them, or one of them; -n: the nodes of images", info_block, "query-block", "[BlockInfo]",
	  serve_block },
	{ NULL, NULL, { QMP("flat", true, NULL, "bool") }, NULL, NULL, "query-named-block-nodes", "[BlockDeviceInfo]",
	  serve_named_nodes },
	{ "blockstats", NULL, { QMP("query-nodes", true, NULL, "bool") }, "what each drive has read and written", NULL,
	  "query-blockstats", "[BlockStats]", serve_blockstats, show_blockstats },
	{ "chardev", NULL, { { NULL } }, "character devices and what is behind them", NULL, "query-chardev", "[ChardevInfo]",
	  serve_chardevs, show_chardevs },
	{ NULL, NULL, { { NULL } }, NULL, NULL, "query-chardev-backends", "[ChardevBackendInfo]", serve_chardev_backends },
	{ "cpus", NULL, { { NULL } }, "vcpus and their threads", NULL, "query-cpus-fast",
	  "[CpuInfoFast]", serve_cpus, show_cpus },
	{ "hotpluggable-cpus", NULL, { { NULL } }, "places for vcpus", NULL, "query-hotpluggable-cpus",
	  "[HotpluggableCPU]", serve_hotpluggable_cpus, show_hotpluggable_cpus },
	{ "iothreads", NULL, { { NULL } }, "threads of -object iothread", NULL, "query-iothreads", "[IOThreadInfo]",
	  serve_iothreads, show_iothreads },
	{ "history", NULL, { { NULL } }, "lines typed before", info_history },
	{ "irq", NULL, { { NULL } }, "how often each interrupt line rose", info_irq },
	{ "jit", NULL, { { NULL } }, "what the translator did, with counts", info_jit },
	{ "kvm", NULL, { { NULL } }, "is KVM in use?", NULL, "query-kvm", "KvmInfo", serve_kvm, show_kvm },
	{ "lapic", NULL, { { "cpu", ARG_EXPR, true } }, "a vcpu's local APIC", info_lapic },
	{ "mice", NULL, { { NULL } }, "pointers, and which one is used", NULL, "query-mice", "[MouseInfo]", serve_mice,
	  show_mice },
	{ "mem", NULL, { { NULL } }, "virtual memory that is mapped, and the rights to it", info_mem },
	{ "memdev", NULL, { { NULL } }, "memory backends", NULL, "query-memdev", "[Memdev]", serve_memdev, show_memdev },
	{ "memory_size_summary", NULL, { { NULL } }, "how much memory the guest has", NULL, "query-memory-size-summary", "MemoryInfo",
	  serve_memory_size, show_memory_size },
	{ "mtree", NULL, { { "-f", ARG_FLAG, true } }, "memory and I/O as the guest sees them",
	  info_mtree },
	{ "name", NULL, { { NULL } }, "the guest's name", NULL, "query-name", "NameInfo", serve_name, show_name },
	{ "numa", NULL, { { NULL } }, "NUMA nodes", info_numa },
	{ "pci", NULL, { { NULL } }, "PCI functions", NULL, "query-pci", "[PciInfo]", serve_pci, show_pci },
	{ "pic", NULL, { { NULL } }, "8259s and I/O APIC", info_pic },
	{ "qdm", NULL, { { NULL } }, "classes of devices", info_qdm },
	{ "qom-tree", NULL, { { "path", ARG_WORD, true } }, "the tree of objects", info_qom_tree },
	{ "qtree", NULL, { { NULL } }, "devices and their properties", info_qtree },
	{ "registers", NULL, { { "-a", ARG_FLAG, true }, { "vcpu", ARG_EXPR, true } },
	  "registers of the chosen vcpu, of one, or of all (-a)", info_registers },
	{ "roms", NULL, { { NULL } }, "read-only memory", info_roms },
	{ "snapshots", NULL, { { NULL } }, "snapshots in the images of drives", info_snapshots },
	{ "status", NULL, { { NULL } }, "running or paused", NULL, "query-status", "StatusInfo", serve_status,
	  show_status },
	{ "tlb", NULL, { { NULL } }, "each page that the page tables map", info_tlb },
	{ "trace-events", NULL, { { "name", ARG_WORD, true, "" }, { "vcpu", ARG_EXPR, true }, QMP("name", false) },
	  "trace events, or those of a name or pattern, and whether they are on", info_trace_events, "trace-event-get-state",
	  "[TraceEventInfo]", serve_trace_get },
	{ "uuid", NULL, { { NULL } }, "the machine's UUID", NULL, "query-uuid", "UuidInfo", serve_uuid, show_uuid },
	{ "version", NULL, { { NULL } }, "viv's version", NULL, "query-version", "VersionInfo", serve_version,
	  show_version },
	{ "vnc", NULL, { { NULL } }, "VNC servers and viewers", NULL, "query-vnc-servers", "[VncInfo2]", serve_vnc_servers,
	  show_vnc_servers },
	{ "web", NULL, { { NULL } }, "the console in a browser", info_web },
	{ NULL },
};
