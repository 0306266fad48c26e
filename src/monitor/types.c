/*
 * types.c - QMP's types, as QEMU 7.2 names them and as far as commands of this version use them.
 *
 * A line each: "struct NAME member:type member?:type ...", "enum NAME value ...", "alternate NAME choice:type ...",
 * "union NAME member:type ... @TAG value=TYPE value= ..." (what follows the members that are always there depends on the
 * member TAG; a value without a type adds none).
 */
#include "monitor/schema.h"

const char *const schema_types[] = {
	/* the server itself */
	"enum QMPCapability oob",
	"struct VersionTriple major:int minor:int micro:int",
	"struct VersionInfo qemu:VersionTriple package:str",
	"struct CommandInfo name:str",

	"enum CommandLineParameterType string boolean number size",
	"struct CommandLineParameterInfo name:str type:CommandLineParameterType help?:str default?:str",
	"struct CommandLineOptionInfo option:str parameters:[CommandLineParameterInfo]",

	/* the machine */
	"enum RunState debug inmigrate internal-error io-error paused postmigrate prelaunch finish-migrate restore-vm running "
		"save-vm shutdown suspended watchdog guest-panicked colo",
	"struct StatusInfo running:bool singlestep:bool status:RunState",
	"enum ShutdownCause none host-error host-qmp-quit host-qmp-system-reset host-signal host-ui guest-shutdown guest-reset "
		"guest-panic subsystem-reset snapshot-load",
	"enum GuestPanicAction pause poweroff run",
	"enum RebootAction reset shutdown",
	"enum ShutdownAction poweroff pause",
	"enum PanicAction pause shutdown exit-failure none",
	"enum WatchdogAction reset shutdown poweroff pause debug none inject-nmi",
	"enum TraceEventState unavailable disabled enabled",
	"struct TraceEventInfo name:str state:TraceEventState vcpu:bool",
	"struct KvmInfo enabled:bool present:bool",
	"enum SysEmuTarget x86_64",
	"struct TargetInfo arch:SysEmuTarget",
	"struct NameInfo name?:str",
	"struct UuidInfo UUID:str",
	"struct MachineInfo name:str alias?:str is-default?:bool cpu-max:int hotpluggable-cpus:bool numa-mem-supported:bool "
		"deprecated:bool default-cpu-type?:str default-ram-id?:str",
	"struct CurrentMachineParams wakeup-suspend-support:bool",
	"struct MemoryInfo base-memory:int plugged-memory?:int",
	"enum HostMemPolicy default preferred bind interleave",
	"struct Memdev id?:str size:int merge:bool dump:bool prealloc:bool share:bool reserve?:bool host-nodes:[int] "
		"policy:HostMemPolicy",
	"struct MemoryDeviceInfo type:str data:any",
	"struct IOThreadInfo id:str thread-id:int poll-max-ns:int poll-grow:int poll-shrink:int aio-max-batch:int",
	"struct ACPIOSTInfo device?:str slot:str slot-type:str source:int status:int",

	"struct BalloonInfo actual:int",
	"struct JobInfo id:str type:str status:str current-progress:int total-progress:int error?:str",
	"struct RxFilterInfo name:str promiscuous:bool",

	/* vcpus */
	"struct CpuInstanceProperties node-id?:int socket-id?:int die-id?:int core-id?:int thread-id?:int",
	"struct CpuInfoFast cpu-index:int qom-path:str thread-id:int props?:CpuInstanceProperties target:SysEmuTarget",
	"struct HotpluggableCPU type:str vcpus-count:int props:CpuInstanceProperties qom-path?:str",
	"struct CpuDefinitionInfo name:str migration-safe?:bool static:bool unavailable-features?:[str] typename:str alias-of?:str "
		"deprecated:bool",
	"enum CpuModelExpansionType static full",
	"struct CpuModelInfo name:str props?:any",
	"struct CpuModelExpansionInfo model:CpuModelInfo",

	/* objects and types */
	"struct ObjectPropertyInfo name:str type:str description?:str default-value?:any",
	"struct ObjectTypeInfo name:str abstract?:bool parent?:str",

	/* PCI */
	"struct PciMemoryRegion bar:int type:str address:int size:int prefetch?:bool mem_type_64?:bool",
	"struct PciDeviceClass desc?:str class:int",
	"struct PciDeviceId device:int vendor:int subsystem?:int subsystem-vendor?:int",
	"struct PciDeviceInfo bus:int slot:int function:int class_info:PciDeviceClass id:PciDeviceId irq?:int irq_pin:int "
		"qdev_id:str regions:[PciMemoryRegion]",
	"struct PciInfo bus:int devices:[PciDeviceInfo]",

	/* input */
	"struct MouseInfo name:str index:int current:bool absolute:bool",
	"union KeyValue type:KeyValueKind @type number=IntWrapper qcode=StrWrapper",
	"enum KeyValueKind number qcode",
	"struct IntWrapper data:int",
	"struct StrWrapper data:str",
	"enum InputEventKind key btn rel abs",
	"enum InputButton left middle right wheel-up wheel-down side extra wheel-left wheel-right",
	"enum InputAxis x y",
	"struct InputKeyEvent key:KeyValue down:bool",
	"struct InputBtnEvent button:InputButton down:bool",
	"struct InputMoveEvent axis:InputAxis value:int",
	"struct InputKeyEventWrapper data:InputKeyEvent",
	"struct InputBtnEventWrapper data:InputBtnEvent",
	"struct InputMoveEventWrapper data:InputMoveEvent",
	"union InputEvent type:InputEventKind @type key=InputKeyEventWrapper btn=InputBtnEventWrapper rel=InputMoveEventWrapper "
		"abs=InputMoveEventWrapper",

	/* character devices */
	"struct ChardevInfo label:str filename:str frontend-open:bool",
	"struct ChardevBackendInfo name:str",
	"enum DataFormat utf8 base64",
	"struct ChardevReturn pty?:str",
	"enum SocketAddressType inet unix fd",
	"struct InetSocketAddress host:str port:str to?:int ipv4?:bool ipv6?:bool",
	"struct UnixSocketAddress path:str abstract?:bool tight?:bool",
	"struct String str:str",
	"struct InetSocketAddressWrapper data:InetSocketAddress",
	"struct UnixSocketAddressWrapper data:UnixSocketAddress",
	"struct StringWrapper data:String",
	"union SocketAddressLegacy type:SocketAddressType @type inet=InetSocketAddressWrapper unix=UnixSocketAddressWrapper "
		"fd=StringWrapper",
	"struct ChardevCommon logfile?:str logappend?:bool",
	"struct ChardevFile in?:str out:str append?:bool logfile?:str logappend?:bool",
	"struct ChardevHostdev device:str logfile?:str logappend?:bool",
	"struct ChardevSocket addr:SocketAddressLegacy server?:bool wait?:bool nodelay?:bool telnet?:bool reconnect?:int "
		"logfile?:str logappend?:bool",
	"struct ChardevUdp remote:SocketAddressLegacy local?:SocketAddressLegacy logfile?:str logappend?:bool",
	"struct ChardevStdio signal?:bool logfile?:str logappend?:bool",
	"struct ChardevVC width?:int height?:int cols?:int rows?:int logfile?:str logappend?:bool",
	"struct ChardevRingbuf size?:int logfile?:str logappend?:bool",
	"struct ChardevCommonWrapper data:ChardevCommon",
	"struct ChardevFileWrapper data:ChardevFile",
	"struct ChardevHostdevWrapper data:ChardevHostdev",
	"struct ChardevSocketWrapper data:ChardevSocket",
	"struct ChardevUdpWrapper data:ChardevUdp",
	"struct ChardevStdioWrapper data:ChardevStdio",
	"struct ChardevVCWrapper data:ChardevVC",
	"struct ChardevRingbufWrapper data:ChardevRingbuf",
	"enum ChardevBackendKind file serial parallel pipe socket udp pty null stdio vc ringbuf memory",
	"union ChardevBackend type:ChardevBackendKind @type file=ChardevFileWrapper serial=ChardevHostdevWrapper "
		"parallel=ChardevHostdevWrapper pipe=ChardevHostdevWrapper socket=ChardevSocketWrapper udp=ChardevUdpWrapper "
		"pty=ChardevCommonWrapper null=ChardevCommonWrapper stdio=ChardevStdioWrapper vc=ChardevVCWrapper "
		"ringbuf=ChardevRingbufWrapper memory=ChardevRingbufWrapper",

	/* pictures */
	"enum ImageFormat ppm png",

	/* disks */
	"struct SnapshotInfo id:str name:str vm-state-size:int date-sec:int date-nsec:int vm-clock-sec:int vm-clock-nsec:int "
		"icount?:int",
	"struct ImageInfo filename:str format:str dirty-flag?:bool actual-size?:int virtual-size:int cluster-size?:int "
		"encrypted?:bool compressed?:bool backing-filename?:str full-backing-filename?:str backing-filename-format?:str "
		"snapshots?:[SnapshotInfo] backing-image?:ImageInfo format-specific?:any",
	"struct BlockdevCacheInfo writeback:bool direct:bool no-flush:bool",
	"enum BlockdevDetectZeroesOptions off on unmap",
	"struct BlockDeviceInfo file:str node-name?:str ro:bool drv:str backing_file?:str backing_file_depth:int encrypted:bool "
		"detect_zeroes:BlockdevDetectZeroesOptions bps:int bps_rd:int bps_wr:int iops:int iops_rd:int iops_wr:int image:ImageInfo "
		"bps_max?:int bps_rd_max?:int bps_wr_max?:int iops_max?:int iops_rd_max?:int iops_wr_max?:int iops_size?:int group?:str "
		"cache:BlockdevCacheInfo write_threshold:int",
	"enum BlockDeviceIoStatus ok failed nospace",
	"struct BlockInfo device:str qdev?:str type:str removable:bool locked:bool inserted?:BlockDeviceInfo tray_open?:bool "
		"io-status?:BlockDeviceIoStatus",
	"struct BlockDeviceStats rd_bytes:int wr_bytes:int unmap_bytes:int rd_operations:int wr_operations:int flush_operations:int "
		"unmap_operations:int rd_total_time_ns:int wr_total_time_ns:int flush_total_time_ns:int unmap_total_time_ns:int "
		"wr_highest_offset:int rd_merged:int wr_merged:int unmap_merged:int failed_rd_operations:int failed_wr_operations:int "
		"failed_flush_operations:int failed_unmap_operations:int invalid_rd_operations:int invalid_wr_operations:int "
		"invalid_flush_operations:int invalid_unmap_operations:int account_invalid:bool account_failed:bool timed_stats:[any]",
	"struct BlockStats device?:str qdev?:str node-name?:str stats:BlockDeviceStats",
	"enum BlockdevChangeReadOnlyMode retain read-only read-write",
	"enum IoOperationType read write",
	"enum BlockErrorAction ignore report stop",

	/* VNC */
	"enum NetworkAddressFamily ipv4 ipv6 unix vsock unknown",
	"struct VncServerInfo host:str service:str family:NetworkAddressFamily websocket:bool auth?:str",
	"struct VncBasicInfo host:str service:str family:NetworkAddressFamily websocket:bool",
	"struct VncClientInfo host:str service:str family:NetworkAddressFamily websocket:bool x509_dname?:str sasl_username?:str",
	"struct VncInfo enabled:bool host?:str family?:NetworkAddressFamily service?:str auth?:str clients?:[VncClientInfo]",
	"enum VncPrimaryAuth none vnc ra2 ra2ne tight ultra tls vencrypt sasl",
	"struct VncServerInfo2 host:str service:str family:NetworkAddressFamily websocket:bool auth:VncPrimaryAuth",
	"struct VncInfo2 id:str server:[VncServerInfo2] clients:[VncClientInfo] auth:VncPrimaryAuth display?:str",
	"enum DisplayProtocol vnc spice",
	"enum SetPasswordAction keep fail disconnect",
	NULL
};
