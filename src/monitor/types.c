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

	/* the machine */
	"enum RunState debug inmigrate internal-error io-error paused postmigrate prelaunch finish-migrate restore-vm running "
		"save-vm shutdown suspended watchdog guest-panicked colo",
	"struct StatusInfo running:bool singlestep:bool status:RunState",
	"enum ShutdownCause none host-error host-qmp-quit host-qmp-system-reset host-signal host-ui guest-shutdown guest-reset "
		"guest-panic subsystem-reset snapshot-load",
	"enum GuestPanicAction pause poweroff run",
	"enum WatchdogAction reset shutdown poweroff pause debug none inject-nmi",
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

	/* disks */
	"enum IoOperationType read write",
	"enum BlockErrorAction ignore report stop",

	/* VNC */
	"enum NetworkAddressFamily ipv4 ipv6 unix vsock unknown",
	"struct VncServerInfo host:str service:str family:NetworkAddressFamily websocket:bool auth?:str",
	"struct VncBasicInfo host:str service:str family:NetworkAddressFamily websocket:bool",
	"struct VncClientInfo host:str service:str family:NetworkAddressFamily websocket:bool x509_dname?:str sasl_username?:str",
	NULL
};
