/* version.h - the program's version, as meson.build's project() has it. */
#ifndef VIV_CORE_VERSION_H
#define VIV_CORE_VERSION_H

#define VIV_VERSION "0.1.0"

#endif
