/*
 * linux_boot.h - what -kernel, -initrd and -append give the guest.
 *
 * From files to blobs that an option ROM (roms/linuxboot.S) copies to their places
 * through the firmware configuration device. The files are not trusted. One thread.
 */
#ifndef VIV_MACHINE_LINUX_BOOT_H
#define VIV_MACHINE_LINUX_BOOT_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

typedef struct Blob {
	uint8_t *data;   /* owned; NULL when size is 0 */
	uint64_t size;   /* bytes, below 4 GiB */
	uint32_t addr;   /* guest-physical place */
} Blob;

typedef enum KernelKind { KERNEL_LINUX, KERNEL_PVH, KERNEL_MULTIBOOT } KernelKind;

typedef struct LinuxBoot {
	KernelKind kind;
	Blob kernel, initrd, cmdline, setup;
	uint32_t entry;      /* flat kinds: first instruction; Linux: real-mode code segment */
	uint32_t eax, ebx;   /* flat kinds: at entry; Linux: SP and data segment */
	uint8_t map_offset, map_scale; /* memory map wanted (flat kinds), see roms/linuxboot.S */
	uint16_t map_segment, count_segment;
	uint8_t *rom;        /* the finished option ROM, owned */
	uint32_t rom_size;
} LinuxBoot;

/* Files as bytes; borrowed. */
typedef struct LinuxBootInput {
	const char *kernel_name, *append, *initrd_arg; /* initrd_arg: for multiboot's "file args,file args" */
	const uint8_t *kernel;
	uint64_t kernel_size;
	const uint8_t *initrd;  /* NULL: none */
	uint64_t initrd_size;
	uint64_t ram_below_4g;
} LinuxBootInput;

/* Reads the files and lays everything out. On failure *out is empty. */
bool linux_boot_load(const char *kernel, const char *initrd, const char *append, uint64_t ram_below_4g,
	LinuxBoot *out, GError **error);
/* The same from bytes in memory (multiboot modules are still read from files). */
bool linux_boot_parse(const LinuxBootInput *in, LinuxBoot *out, GError **error);
void linux_boot_free(LinuxBoot *b);

/* elf_boot.c: true when the bytes are a multiboot kernel, an ELF file. */
bool multiboot_probe(const LinuxBootInput *in);
bool elf_probe(const LinuxBootInput *in);
bool multiboot_parse(const LinuxBootInput *in, LinuxBoot *out, GError **error);
bool pvh_parse(const LinuxBootInput *in, LinuxBoot *out, GError **error);

/* Top of the memory that firmware leaves alone (its tables lie at the end of RAM). */
#define FIRMWARE_TOP_RESERVE 0x28000u
/* Reads a whole file below 4 GiB. */
bool linux_boot_read(const char *what, const char *name, uint8_t **data, uint64_t *size, GError **error);
/* Places `size` bytes as high as possible below `limit`, page aligned, above `floor`. */
bool linux_boot_place(const char *what, uint64_t size, uint64_t floor, uint64_t limit, uint32_t *addr,
	GError **error);

#endif
