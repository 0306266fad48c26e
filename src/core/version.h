/* version.h - the program's version, as meson.build's project() has it. */
#ifndef VIV_CORE_VERSION_H
#define VIV_CORE_VERSION_H

#define VIV_VERSION "0.1.0"
/* Whose words it speaks: clients ask QMP for it, to know what there is. */
#define QEMU_MAJOR 7
#define QEMU_MINOR 2
#define QEMU_MICRO 0

#endif
