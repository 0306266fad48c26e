/*
 * table.c - every option there is, in the order and sections of qemu 7.2's manual.
 *
 * An option with `missing` is known and refused: it is not built in this version. Constants;
 * main thread.
 */
#include <string.h>

#include "cli/options.h"
#include "core/log.h"
#include "core/trace.h"

#define MIB (1024ull * 1024)
#define M(member) offsetof(Cli, machine.member)
#define H(member) offsetof(Cli, host.member)
#define END { NULL }

static const char *const split_values[] = { "on", "off", "split", NULL };
static const char *const rtc_clocks[] = { "host", "rt", "vm", NULL };
static const char *const driftfix_values[] = { "none", "slew", NULL };
static const char *const monitor_modes[] = { "readline", "control", NULL };
static const char *const thread_values[] = { "single", "multi", NULL };

static const SubKey machine_keys[] = {
	{ "type", KEY_STRING, M(type), "pc", "board; -machine help lists them" },
	{ "accel", KEY_SPECIAL, 0, NULL,
	  "accelerators in order of preference, with colons: kvm:interp" },
	{ "kernel-irqchip", KEY_ENUM, 0, NULL, "interrupt controllers in the kernel (KVM)",
	  split_values },
	{ "acpi", KEY_TRI, M(props.acpi), "on", "ACPI tables" },
	{ "hpet", KEY_TRI, M(props.hpet), "on", "high precision event timer" },
	{ "graphics", KEY_TRI, M(props.graphics), "on",
	  "off: firmware speaks on the first serial line" },
	{ "usb", KEY_TRI, M(props.usb), "off", "USB controller on the board", .only = "off" },
	{ "vmport", KEY_TRI, M(props.vmport), "off", "VMware I/O port", .only = "off" },
	{ "smm", KEY_TRI, M(props.smm), "off", "system management mode", .only = "off" },
	{ "nvdimm", KEY_TRI, M(props.nvdimm), "off", "non-volatile memory modules", .only = "off" },
	{ "pic", KEY_TRI, M(props.pic), "on", "8259 interrupt controllers", .only = "on" },
	{ "pit", KEY_TRI, M(props.pit), "on", "8254 timer", .only = "on" },
	{ "i8042", KEY_TRI, M(props.i8042), "on", "keyboard controller", .only = "on" },
	{ "smbus", KEY_TRI, M(props.smbus), "off", "system management bus", .only = "off" },
	{ "sata", KEY_TRI, M(props.sata), "off", "SATA controller on the board", .only = "off" },
	{ "suppress-vmdesc", KEY_TRI, M(props.suppress_vmdesc), "on",
	  "no description in migration streams",
	  .only = "on" },
	{ "dump-guest-core", KEY_TRI, H(dump_guest_core), "on",
	  "guest memory is part of core files" },
	{ "mem-merge", KEY_TRI, H(mem_merge), "off", "the host may merge equal pages (KSM)" },
	{ "max-ram-below-4g", KEY_SIZE, M(props.max_ram_below_4g), NULL,
	  "memory below the PCI window" },
	{ "memory-backend", KEY_STRING, M(props.memory_backend), NULL,
	  "memory object (not built yet)" },
	{ "firmware", KEY_STRING, M(props.firmware), NULL, "the same as -bios" },
	{ "kernel", KEY_STRING, M(kernel), NULL, "the same as -kernel" },
	{ "initrd", KEY_STRING, M(initrd), NULL, "the same as -initrd" },
	{ "append", KEY_STRING, M(append), NULL, "the same as -append" },
	{ "x-oem-id", KEY_STRING, M(props.oem_id), "BOCHS",
	  "maker in ACPI tables, up to 6 characters" },
	{ "x-oem-table-id", KEY_STRING, M(props.oem_table_id), "BXPC",
	  "table name in ACPI tables, up to 8" },
	END
};

static const SubKey accel_keys[] = {
	{ "accel", KEY_SPECIAL, 0, NULL, "its name; -accel help lists them" },
	{ "thread", KEY_ENUM, 0, "multi", "host threads for vcpus", thread_values,
	  .only = "multi" },
	{ "kernel-irqchip", KEY_ENUM, 0, NULL, "interrupt controllers in the kernel (KVM)",
	  split_values },
	{ "tb-size", KEY_UINT, M(accel_options.tb_size), "128", "MiB of translated code for each vcpu (jit); 0: the default",
	  .min = 0, .max = 1024 },
	{ "one-insn-per-tb", KEY_FLAG, M(accel_options.one_insn), "off", "one instruction a block (jit, interp)" },
	{ "perfmap", KEY_FLAG, M(accel_options.perfmap), "off", "tell perf(1) of translated code: /tmp/perf-PID.map (jit)" },
	END
};

static const SubKey smp_keys[] = {
	{ "cpus", KEY_UINT, M(smp.cpus), "1", "vcpus that run from the start", .min = 1,
	  .max = 65536 },
	{ "maxcpus", KEY_UINT, M(smp.maxcpus), "cpus", "places for vcpus", .min = 1, .max = 65536 },
	{ "sockets", KEY_UINT, M(smp.sockets), "1", "packages", .min = 1, .max = 65536 },
	{ "dies", KEY_UINT, M(smp.dies), "1", "dies in a package", .min = 1, .max = 65536 },
	{ "clusters", KEY_UINT, 0, "1", "clusters in a die", .min = 1, .max = 65536, .only = "1" },
	{ "cores", KEY_UINT, M(smp.cores), "the rest", "cores in a die", .min = 1, .max = 65536 },
	{ "threads", KEY_UINT, M(smp.threads), "1", "threads in a core", .min = 1, .max = 65536 },
	END
};

static const SubKey numa_keys[] = {
	{ "type", KEY_SPECIAL, 0, NULL, "node, dist or cpu" },
	{ "nodeid", KEY_UINT, 0, "next", "number of the node", .max = MACHINE_NODES_MAX - 1 },
	{ "cpus", KEY_SPECIAL, 0, NULL, "vcpus of the node: 0-3; may repeat" },
	{ "mem", KEY_SIZE, 0, "a share", "memory of the node; MiB without suffix", .unit = MIB },
	{ "memdev", KEY_STRING, 0, NULL, "memory object (not built yet)" },
	{ "src", KEY_UINT, 0, NULL, "node of a distance", .max = MACHINE_NODES_MAX - 1 },
	{ "dst", KEY_UINT, 0, NULL, "the other node of it", .max = MACHINE_NODES_MAX - 1 },
	{ "val", KEY_UINT, 0, NULL, "the distance", .min = 10, .max = 254 },
	{ "node-id", KEY_UINT, 0, NULL, "node of a cpu", .max = MACHINE_NODES_MAX - 1 },
	{ "socket-id", KEY_UINT, 0, NULL, "its socket" },
	{ "die-id", KEY_UINT, 0, NULL, "its die" },
	{ "core-id", KEY_UINT, 0, NULL, "its core" }, { "thread-id", KEY_UINT, 0, NULL,
	  "its thread" },
	END
};

static const SubKey memory_keys[] = {
	{ "size", KEY_SIZE, M(ram_size), "128M", "guest memory; MiB without suffix", .unit = MIB },
	{ "slots", KEY_UINT, M(ram_slots), "0", "sockets for memory modules", .only = "0" },
	{ "maxmem", KEY_SIZE, M(ram_max), "size", "size that hot-plugged modules may lead to" },
	END
};

static const SubKey boot_keys[] = {
	{ "order", KEY_STRING, M(boot.order), "cad", "a floppy, c hard disk, d CD-ROM, n network" },
	{ "once", KEY_STRING, M(boot.once), NULL, "the order of the first boot only" },
	{ "menu", KEY_TRI, M(boot.menu), "off", "firmware's boot menu" },
	{ "splash", KEY_STRING, M(boot.splash), NULL, "picture shown with the menu, JPEG or BMP" },
	{ "splash-time", KEY_I64, M(boot.splash_time), NULL, "ms for which it is shown",
	  .max = 65535 },
	{ "reboot-timeout", KEY_I64, M(boot.reboot_timeout), "-1",
	  "ms until a failed boot is tried again",
	  .min = -1, .max = 65535 },
	{ "strict", KEY_TRI, M(boot.strict), "off", "boot from nothing but what has a boot index" },
	END
};

static const SubKey name_keys[] = {
	{ "guest", KEY_STRING, M(name), NULL, "name of the guest" },
	{ "process", KEY_STRING, H(process_name), NULL, "name of the process, 15 characters" },
	{ "debug-threads", KEY_FLAG, H(debug_threads), "on", "threads carry names", .only = "on" },
	END
};

static const SubKey rtc_keys[] = {
	{ "base", KEY_SPECIAL, 0, "utc",
	  "utc, localtime, or a date: 2006-06-17T16:01:21, 2006-06-17" },
	{ "clock", KEY_ENUM, M(rtc.clock), "host", "what drives it", rtc_clocks },
	{ "driftfix", KEY_ENUM, 0, "none", "make up for lost ticks", driftfix_values },
	END
};

static const SubKey fw_cfg_keys[] = {
	{ "name", KEY_STRING, 0, NULL, "item name: opt/ORGANISATION/..." },
	{ "file", KEY_STRING, 0, NULL, "file with its content" },
	{ "string", KEY_STRING, 0, NULL, "its content" },
	END
};

static const SubKey global_keys[] = {
	{ "driver", KEY_STRING, 0, NULL, "device class" },
	{ "property", KEY_STRING, 0, NULL, "its property" },
	{ "value", KEY_STRING, 0, NULL, "new default" },
	END
};

static const SubKey rom_keys[] = {
	{ "romfile", KEY_STRING, 0, NULL, "file" },
	{ "file", KEY_STRING, 0, NULL, "the same as romfile" },
	{ "bootindex", KEY_UINT, 0, NULL, "place in the boot order", .max = INT32_MAX },
	END
};

static const SubKey action_keys[] = {
	{ "reboot", KEY_ENUM, M(actions.reboot), "reset", "what a reset does", reboot_actions },
	{ "shutdown", KEY_ENUM, M(actions.shutdown), "poweroff", "what a guest's power-off does", shutdown_actions },
	{ "panic", KEY_ENUM, M(actions.panic), "shutdown", "what a guest's panic does", panic_actions },
	{ "watchdog", KEY_ENUM, M(actions.watchdog), "reset", "what a watchdog does that expires", watchdog_actions },
	END
};

static const SubKey trace_keys[] = {
	{ "enable", KEY_SPECIAL, 0, NULL, "name or pattern of events; - in front: switch off" },
	{ "events", KEY_SPECIAL, 0, NULL, "file with a name or pattern a line" },
	{ "file", KEY_STRING, H(trace_file), NULL, "the log goes there, whatever -D says" },
	END
};

static const SubKey msg_keys[] = {
	{ "timestamp", KEY_FLAG, H(msg_timestamp), "off", "time before each message" },
	{ "guest-name", KEY_FLAG, H(msg_guest_name), "off",
	  "the guest's name before each message" },
	END
};

static const SubKey mon_keys[] = {
	{ "chardev", KEY_STRING, 0, NULL, "id of a -chardev" },
	{ "mode", KEY_ENUM, 0, "readline", "for people, or for programs (QMP)", monitor_modes },
	{ "pretty", KEY_TRI, 0, "off", "control: with line breaks and indentation" },
	END
};

static const SubKey object_keys[] = {
	{ "qom-type", KEY_SPECIAL, 0, NULL, "type of the object: iothread, secret" },
	{ "id", KEY_SPECIAL, 0, NULL, "its name" },
	{ "poll-max-ns", KEY_SPECIAL, 0, NULL, "taken for compatibility: threads do not spin" },
	{ "poll-grow", KEY_SPECIAL, 0, NULL, "likewise" },
	{ "poll-shrink", KEY_SPECIAL, 0, NULL, "likewise" },
	{ "aio-max-batch", KEY_SPECIAL, 0, NULL, "likewise" },
	{ "data", KEY_SPECIAL, 0, NULL, "secret: itself" },
	{ "file", KEY_SPECIAL, 0, NULL, "secret: where it is" },
	{ "format", KEY_SPECIAL, 0, "raw", "secret: raw or base64" },
	END
};

#define NOT(name_, arg_, help_, section_, instead) \
	{ .name = name_, .arg = arg_, .help = help_, .section = section_, .missing = instead }
#define NONE_ONLY(name_, arg_, help_, section_, accept_, instead) \
	{ .name = name_, .arg = arg_, .help = help_, .section = section_, .missing = instead, \
	  .accept = accept_ }
#define DISK "boot a kernel with -kernel and -initrd"

const OptionDef option_table[] = {
	{ "h", NULL, "this help", SECTION_STANDARD },
	{ "help", NULL, "this help", SECTION_STANDARD },
	{ "version", NULL, "version and libraries", SECTION_STANDARD },
	{ "machine", "[type=]NAME[,KEY=VALUE...]", "the board (-machine help)", SECTION_STANDARD,
	  "machine", "type",
	  machine_keys, 0, apply_machine, .list = list_machines },
	{ "M", "[type=]NAME[,KEY=VALUE...]", "the same as -machine", SECTION_STANDARD, NULL, "type",
	  machine_keys, 0, apply_machine, .list = list_machines },
	{ "cpu", "MODEL[,+FEATURE|-FEATURE|KEY=VALUE...]", "processor model (-cpu help)",
	  SECTION_STANDARD,
	  .at = M(cpu_model), .list = list_cpus },
	{ "accel", "[accel=]NAME[,KEY=VALUE...]", "how vcpus run (-accel help); may repeat",
	  SECTION_STANDARD,
	  "accel", "accel", accel_keys, 0, apply_accel, .list = list_accels },
	{ "smp", "[cpus=]N[,maxcpus=N][,sockets=N][,dies=N][,cores=N][,threads=N]",
	  "number of vcpus and topology",
	  SECTION_STANDARD, "smp-opts", "cpus", smp_keys },
	{ "numa", "node|dist|cpu[,KEY=VALUE...]", "NUMA node, distance between two, node of a cpu",
	  SECTION_STANDARD, "numa", "type", numa_keys, 0, apply_numa },
	NOT("add-fd", "fd=FD,set=SET", "hand a descriptor over", SECTION_STANDARD, ""),
	NOT("set", "GROUP.ID.ARG=VALUE", "change another option's item", SECTION_STANDARD,
	    "write the item where it belongs"),
	{ "global", "DRIVER.PROPERTY=VALUE", "default of a device property", SECTION_STANDARD,
	  "global", NULL,
	  global_keys, 0, apply_global, .free_keys = true },
	{ "boot", "[order=]DRIVES[,once=DRIVES][,menu=on|off][,KEY=VALUE...]",
	  "what the firmware boots",
	  SECTION_STANDARD, "boot-opts", "order", boot_keys },
	{ "m", "[size=]SIZE", "guest memory, 128M if not given; MiB without suffix",
	  SECTION_STANDARD, "memory",
	  "size", memory_keys, 0, apply_memory },
	NOT("mem-path", "FILE", "guest memory in a file", SECTION_STANDARD, "leave it out"),
	NOT("mem-prealloc", NULL, "commit guest memory at once", SECTION_STANDARD, "leave it out"),
	{ "k", "LANGUAGE", "layout of VNC viewers' keyboards: en-us, de, fr, ...", SECTION_STANDARD, .at = H(layout) },
	NOT("audio-help", NULL, "audio drivers", SECTION_STANDARD, "leave it out"),
	NONE_ONLY("audio", "DRIVER[,KEY=VALUE...]", "sound", SECTION_STANDARD, "none",
	  "use -audio none"),
	NOT("audiodev", "DRIVER,id=ID[,KEY=VALUE...]", "sound back end", SECTION_STANDARD,
	  "leave it out"),
	NOT("soundhw", "CARD", "sound card", SECTION_STANDARD, "leave it out"),
	{ "device", "DRIVER[,KEY=VALUE...]", "add a device (-device help, -device DRIVER,help)",
	  SECTION_STANDARD,
	  "device", "driver", NULL, 0, apply_device, .free_keys = true, .list = list_devices },
	{ "name", "[guest=]NAME[,process=NAME][,debug-threads=on]", "names of guest and process",
	  SECTION_STANDARD, "name", "guest", name_keys },
	{ "uuid", "UUID", "the machine's UUID", SECTION_STANDARD, .apply = apply_uuid },

	{ "fda", "FILE", "floppy disk A", SECTION_BLOCK, .apply = apply_disk_file },
	{ "fdb", "FILE", "floppy disk B", SECTION_BLOCK, .apply = apply_disk_file },
	{ "hda", "FILE", "hard disk 0", SECTION_BLOCK, .apply = apply_disk_file },
	{ "hdb", "FILE", "hard disk 1", SECTION_BLOCK, .apply = apply_disk_file },
	{ "hdc", "FILE", "hard disk 2", SECTION_BLOCK, .apply = apply_disk_file },
	{ "hdd", "FILE", "hard disk 3", SECTION_BLOCK, .apply = apply_disk_file },
	{ "cdrom", "FILE", "CD-ROM", SECTION_BLOCK, .apply = apply_disk_file },
	{ "blockdev", "[driver=]DRIVER,node-name=NAME[,KEY=VALUE...]", "disk back end", SECTION_BLOCK,
	  .apply = apply_blockdev },
	{ "drive", "[file=]FILE[,if=TYPE][,media=disk|cdrom][,KEY=VALUE...]", "disk", SECTION_BLOCK,
	  "drive", "file", NULL, 0, apply_drive, .free_keys = true },
	{ "mtdblock", "FILE", "flash memory", SECTION_BLOCK, .apply = apply_disk_file },
	{ "sd", "FILE", "SD card", SECTION_BLOCK, .apply = apply_disk_file },
	{ "snapshot", NULL, "leave disk images unchanged", SECTION_BLOCK, .at = M(snapshot) },
	NOT("fsdev", "DRIVER,id=ID[,KEY=VALUE...]", "shared folder back end", SECTION_BLOCK,
	  "leave it out"),
	NOT("virtfs", "DRIVER,path=PATH,mount_tag=TAG[,KEY=VALUE...]", "shared folder",
	  SECTION_BLOCK, "leave it out"),
	NOT("iscsi", "KEY=VALUE...", "iSCSI session", SECTION_BLOCK, "leave it out"),
	NOT("hdachs", "C,H,S", "disk geometry", SECTION_BLOCK, "leave it out"),

	NOT("usb", NULL, "USB controller", SECTION_USB,
	  "leave it out; keys come through the serial line"),
	NOT("usbdevice", "NAME", "USB device", SECTION_USB, "leave it out"),

	{ "display", "none|vnc=DISPLAY[,KEY=VALUE...]|web[,addr=ADDRESS][,port=N]", "where the screen is seen", SECTION_DISPLAY, .apply = apply_display,
	  .list = list_displays },
	{ "nographic", NULL, "no display; serial line and monitor on the terminal (C-a h)",
	  SECTION_DISPLAY,
	  .at = H(nographic) },
	NOT("spice", "KEY=VALUE...", "SPICE server", SECTION_DISPLAY, "use -nographic"),
	NOT("portrait", NULL, "turned screen", SECTION_DISPLAY, "leave it out"),
	NOT("rotate", "DEGREES", "turned screen", SECTION_DISPLAY, "leave it out"),
	NOT("sdl", NULL, "SDL window", SECTION_DISPLAY, "use -nographic"),
	NOT("curses", NULL, "text display", SECTION_DISPLAY, "use -nographic"),
	{ "vga", "std|none", "display adapter", SECTION_DISPLAY, .apply = apply_vga, .list = list_vga },
	NOT("full-screen", NULL, "whole screen", SECTION_DISPLAY, "leave it out"),
	{ "g", "WxH[xDEPTH]", "resolution that the monitor prefers", SECTION_DISPLAY, .apply = apply_resolution },
	{ "vnc", "DISPLAY[,KEY=VALUE...]", "VNC server: host:N, unix:PATH, none; localhost:0 without any display option",
	  SECTION_DISPLAY, .apply = apply_vnc },

	{ "win2k-hack", NULL, "for installing Windows 2000 on IDE disks", SECTION_X86,
	  .missing = "leave it out: there are no disks" },
	{ "no-fd-bootchk", NULL, "boot floppies without a signature", SECTION_X86,
	  .at = M(no_fd_bootchk) },
	{ "no-acpi", NULL, "no ACPI tables", SECTION_X86, .at = M(no_acpi) },
	{ "no-hpet", NULL, "no HPET", SECTION_X86, .at = M(no_hpet) },
	NOT("acpitable", "KEY=VALUE...", "add an ACPI table", SECTION_X86, "leave it out"),
	{ "smbios", "file=FILE | type=N[,KEY=VALUE...]",
	  "SMBIOS fields (types 0-4, 11, 17) or raw structures",
	  SECTION_X86, "smbios", NULL, NULL, 0, apply_smbios, .free_keys = true },

	NOT("netdev", "TYPE,id=ID[,KEY=VALUE...]", "network back end", SECTION_NETWORK,
	  "leave it out"),
	NONE_ONLY("nic", "TYPE[,KEY=VALUE...]", "network card with back end", SECTION_NETWORK,
	  "none", "use -nic none"),
	NONE_ONLY("net", "TYPE[,KEY=VALUE...]", "network, old words", SECTION_NETWORK, "none",
	  "use -net none"),

	{ "chardev", "TYPE,id=ID[,KEY=VALUE...]", "character device (-chardev help)",
	  SECTION_CHARDEV,
	  "chardev", NULL,
	  NULL, 0, apply_chardev, .free_keys = true, .list = list_chardevs },

	NOT("tpmdev", "TYPE,id=ID[,KEY=VALUE...]", "TPM back end", SECTION_TPM, "leave it out"),

	{ "bios", "FILE", "firmware", SECTION_BOOT, .at = M(bios) },
	{ "pflash", "FILE", "flash memory with firmware", SECTION_BOOT, .apply = apply_disk_file },
	{ "kernel", "FILE", "Linux (bzImage), PVH or multiboot kernel", SECTION_BOOT,
	  .at = M(kernel) },
	{ "append", "TEXT", "the kernel's command line", SECTION_BOOT, .at = M(append) },
	{ "initrd", "FILE", "the kernel's initial ramdisk", SECTION_BOOT, .at = M(initrd) },
	{ "dtb", "FILE", "device tree: not on a PC", SECTION_BOOT, .apply = apply_dtb },
	NOT("shim", "FILE", "boot shim", SECTION_BOOT, "leave it out"),
	NOT("compat", "KEY=VALUE...", "deprecated interfaces", SECTION_BOOT, "leave it out"),
	{ "fw_cfg", "[name=]NAME,file=FILE|string=TEXT", "firmware configuration item",
	  SECTION_BOOT, "fw_cfg",
	  "name", fw_cfg_keys, 0, apply_fw_cfg },
	{ "serial", "DEV", "serial line: stdio, mon:stdio, pty, tcp:HOST:PORT, unix:PATH, "
	  "chardev:ID, none...; up to 4", SECTION_EXPERT, .apply = apply_serial },
	{ "parallel", "DEV", "parallel port, in the same words; up to 3", SECTION_EXPERT,
	  .apply = apply_parallel },
	{ "monitor", "DEV", "monitor, in the same words", SECTION_EXPERT, .apply = apply_monitor },
	{ "qmp", "DEV", "monitor for programs (QMP)", SECTION_EXPERT, .apply = apply_monitor },
	{ "qmp-pretty", "DEV", "the same, indented", SECTION_EXPERT, .apply = apply_monitor },
	{ "mon", "[chardev=]ID[,mode=readline|control][,pretty=on|off]",
	  "monitor on a character device", SECTION_EXPERT, "mon", "chardev", mon_keys, 0, apply_mon },
	{ "debugcon", "DEV", "debug port E9h", SECTION_EXPERT, .at = H(debugcon) },
	{ "pidfile", "FILE", "write and lock a file with the process id", SECTION_EXPERT,
	  .at = H(pidfile) },
	{ "singlestep", NULL, "the same as -accel ...,one-insn-per-tb=on", SECTION_EXPERT, .at = M(accel_options.one_insn) },
	{ "perfmap", NULL, "the same as -accel jit,perfmap=on", SECTION_EXPERT, .at = M(accel_options.perfmap) },
	NOT("preconfig", NULL, "wait before the machine is made", SECTION_EXPERT, "use -S"),
	{ "S", NULL, "do not start; `c` in the monitor does", SECTION_EXPERT,
	  .at = M(start_paused) },
	NOT("overcommit", "[mem-lock=on|off][,cpu-pm=on|off]", "lock memory", SECTION_EXPERT,
	  "leave it out"),
	{ "gdb", "DEV", "debuggers come by this device, in the words of -serial", SECTION_EXPERT, .at = H(gdb) },
	{ "s", NULL, "the same as -gdb tcp::1234", SECTION_EXPERT, .apply = apply_s },
	{ "d", "ITEM,...", "log items (-d help)", SECTION_EXPERT, .apply = apply_log,
	  .list = log_list_items },
	{ "D", "FILE", "log goes there, not to stderr; %d in it: the process id", SECTION_EXPERT, .at = H(log_file) },
	{ "dfilter", "RANGE,...", "addresses whose blocks are logged: START+LENGTH, END-LENGTH, "
	  "FIRST..LAST", SECTION_EXPERT, .at = H(log_filter), .apply = apply_dfilter },
	NOT("seed", "NUMBER", "random number seed", SECTION_EXPERT, "leave it out"),
	{ "L", "DIR", "look for firmware there first; may repeat", SECTION_EXPERT,
	  .apply = apply_data_dir },
	{ "enable-kvm", NULL, "the same as -accel kvm", SECTION_EXPERT, .apply = apply_enable_kvm },
	NOT("xen-domid", "ID", "Xen domain", SECTION_EXPERT, "leave it out"),
	NOT("xen-attach", NULL, "attach to a Xen domain", SECTION_EXPERT, "leave it out"),
	NOT("xen-domid-restrict", NULL, "restrict Xen operations", SECTION_EXPERT, "leave it out"),
	{ "no-reboot", NULL, "the same as -action reboot=shutdown", SECTION_EXPERT, .apply = apply_action_short },
	{ "no-shutdown", NULL, "the same as -action shutdown=pause", SECTION_EXPERT, .apply = apply_action_short },
	{ "action", "EVENT=ACTION[,...]", "what follows on reboot, shutdown, panic, watchdog", SECTION_EXPERT,
	  "action", NULL, action_keys },
	NOT("loadvm", "TAG", "start from a snapshot", SECTION_EXPERT, "leave it out"),
	{ "daemonize", NULL, "go to the background once the machine is there", SECTION_EXPERT,
	  .at = H(daemonize) },
	{ "option-rom", "[romfile=]FILE[,bootindex=N]", "option ROM", SECTION_EXPERT, "option-rom",
	  "romfile", rom_keys,
	  0, apply_rom },
	{ "rtc", "[base=]utc|localtime|DATE[,clock=host|rt|vm][,driftfix=none|slew]",
	  "real-time clock",
	  SECTION_EXPERT, "rtc", "base", rtc_keys, 0, apply_rtc },
	NOT("icount", "KEY=VALUE...", "time by instructions", SECTION_EXPERT, "leave it out"),
	{ "watchdog-action", "ACTION", "the same as -action watchdog=ACTION", SECTION_EXPERT, .apply = apply_action_short },
	NOT("echr", "CHAR", "escape character of the terminal", SECTION_EXPERT, "use C-a"),
	NOT("incoming", "URI", "take a migrating guest", SECTION_EXPERT, "leave it out"),
	NOT("only-migratable", NULL, "only devices that migrate", SECTION_EXPERT, "leave it out"),
	{ "nodefaults", NULL, "no serial line and monitor unless asked for", SECTION_EXPERT,
	  .at = M(no_defaults) },
	NOT("chroot", "DIR", "change the root directory", SECTION_EXPERT,
	  "start viv through chroot(8)"),
	NOT("runas", "USER", "change the user", SECTION_EXPERT, "start viv through setpriv(1)"),
	NOT("prom-env", "VAR=VALUE", "OpenBIOS variable", SECTION_EXPERT,
	  "leave it out: a PC has none"),
	NOT("semihosting", NULL, "semihosting", SECTION_EXPERT, "leave it out: a PC has none"),
	NOT("semihosting-config", "KEY=VALUE...", "semihosting", SECTION_EXPERT,
	  "leave it out: a PC has none"),
	NONE_ONLY("sandbox", "on|off[,KEY=VALUE...]", "filter system calls", SECTION_EXPERT, "off",
	  "use -sandbox off"),
	{ "readconfig", "FILE", "read options from a file", SECTION_EXPERT,
	  .apply = apply_readconfig },
	{ "writeconfig", "FILE", "write the options to a file, - for stdout", SECTION_EXPERT,
	  .at = H(write_config) },
	{ "no-user-config", NULL, "no file is read unasked, with or without it", SECTION_EXPERT,
	  .at = H(no_user_config) },
	{ "print-config", NULL, "print the machine as one command line and leave", SECTION_EXPERT,
	  .at = H(print_config) },
	{ "trace", "[enable=]PATTERN[,events=FILE][,file=FILE]", "trace events (-trace help); may repeat", SECTION_EXPERT,
	  "trace", "enable", trace_keys, .apply = apply_trace, .list = trace_list },
	NOT("plugin", "FILE[,KEY=VALUE...]", "plugin", SECTION_EXPERT, "leave it out"),
	NOT("async-teardown", NULL, "free memory in the background", SECTION_EXPERT,
	  "leave it out"),
	{ "msg", "[timestamp=on|off][,guest-name=on|off]", "form of messages", SECTION_EXPERT,
	  "msg", NULL, msg_keys },
	NOT("dump-vmstate", "FILE", "description of the migration stream", SECTION_EXPERT,
	  "leave it out"),
	NOT("enable-sync-profile", NULL, "profile locks", SECTION_EXPERT, "leave it out"),

	{ "object", "iothread|secret,id=ID[,KEY=VALUE...]", "thread that serves disks; password", SECTION_OBJECT, "object",
	  "qom-type", object_keys, .apply = apply_object },
	{ NULL }
};

const char *const section_names[SECTION_COUNT] = {
	"Standard options", "Disks", "USB", "Display", "PC", "Network", "Character devices", "TPM",
	"Kernel, firmware and its configuration", "Debugging and expert options", "Objects",
};

const OptionDef *option_find(const char *name)
{
	for (const OptionDef *d = option_table; d->name; d++)
		if (!strcmp(d->name, name))
			return d;
	return NULL;
}

const OptionDef *option_find_group(const char *group)
{
	for (const OptionDef *d = option_table; d->name; d++)
		if (d->group && !strcmp(d->group, group))
			return d;
	return NULL;
}
