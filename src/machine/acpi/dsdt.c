/*
 * dsdt.c - the differentiated description table: PCI root, interrupt links, ISA devices.
 *
 * ACPI Specification 6.4, chapters 5.6, 6, 9 and 7.4; PIIX3 (Intel 290550) section
 * 2.2 for the PIRQ route registers; hot plug of PCI slots by GPE 1 (hw/acpi/pcihp.c). Leaves
 * out sleep states other than S5. One thread.
 */
#include "hw/acpi/pcihp.h"
#include "machine/acpi/acpi.h"
#include "machine/acpi/aml.h"

#define GIB (1024ull * 1024 * 1024)

static const char *const links[4] = { "LNKA", "LNKB", "LNKC", "LNKD" };
static const char *const routes[4] = { "PRQ0", "PRQ1", "PRQ2", "PRQ3" };

/* Bit 7 of a PIRQ route register disables it; bits 3:0 are the ISA interrupt. */
static void link_device(Aml *a, unsigned n)
{
	static const uint32_t possible[] = { 5, 10, 11 };
	char *route = g_strdup_printf("\\_SB.PCI0.ISA.%s", routes[n]);
	aml_begin_device(a, links[n]);
	aml_name_eisa_id(a, "_HID", "PNP0C0F");
	aml_name_int(a, "_UID", n + 1);
	aml_name(a, "_PRS");
	aml_begin_buffer(a);
	aml_res_ext_irq(a, possible, G_N_ELEMENTS(possible));
	aml_res_end(a);
	aml_end(a);

	aml_begin_method(a, "_STA", 0, false);
	aml_begin_if(a);
	aml_op(a, AML_AND), aml_path(a, route), aml_int(a, 0x80), aml_op(a, AML_ZERO);
	aml_op(a, AML_RETURN), aml_int(a, 0x09);
	aml_end(a);
	aml_op(a, AML_RETURN), aml_int(a, 0x0b);
	aml_end(a);

	aml_begin_method(a, "_DIS", 0, false);
	aml_op(a, AML_OR), aml_path(a, route), aml_int(a, 0x80), aml_path(a, route);
	aml_end(a);

	/* The interrupt number stands at byte 5 of the descriptor. */
	static const uint32_t none[] = { 0 };
	aml_begin_method(a, "_CRS", 0, true);
	aml_name(a, "PRR0");
	aml_begin_buffer(a);
	aml_res_ext_irq(a, none, 1);
	aml_res_end(a);
	aml_end(a);
	aml_op(a, AML_DWORD_FIELD), aml_path(a, "PRR0"), aml_int(a, 5), aml_path(a, "PRRI");
	aml_op(a, AML_AND), aml_path(a, route), aml_int(a, 0x0f), aml_path(a, "PRRI");
	aml_op(a, AML_RETURN), aml_path(a, "PRR0");
	aml_end(a);

	aml_begin_method(a, "_SRS", 1, true);
	aml_op(a, AML_DWORD_FIELD), aml_arg(a, 0), aml_int(a, 5), aml_path(a, "PRRI");
	aml_op(a, AML_STORE), aml_path(a, "PRRI"), aml_path(a, route);
	aml_end(a);
	aml_end(a);
	g_free(route);
}

/* Pin p of slot d is wired to link (d + p - 1) mod 4, as on PIIX boards. */
static void pci_routing(Aml *a)
{
	aml_name(a, "_PRT");
	aml_begin_package(a, 32 * 4);
	for (unsigned slot = 0; slot < 32; slot++) {
		for (unsigned pin = 0; pin < 4; pin++) {
			aml_begin_package(a, 4);
			aml_int(a, slot << 16 | 0xffff);
			aml_int(a, pin);
			aml_path(a, links[(slot + pin + 3) % 4]);
			aml_int(a, 0);
			aml_end(a);
		}
	}
	aml_end(a);
}

/* SeaBIOS puts 32-bit BARs above RAM, from one of three places on. */
static uint32_t pci_hole_start(uint64_t below_4g)
{
	return below_4g <= 2 * GIB ? 0x80000000u : below_4g <= 3 * GIB ? 0xc0000000u : 0xe0000000u;
}

static void pci_windows(Aml *a, const AcpiInput *in)
{
	aml_name(a, "_CRS");
	aml_begin_buffer(a);
	aml_res_bus(a, 0, 0xff);
	aml_res_io(a, 0xcf8, 8);
	aml_res_io_window(a, 0, 0xcf7);
	aml_res_io_window(a, 0xd00, 0xffff);
	aml_res_mem_window(a, 0xa0000, 0xbffff, true);
	aml_res_mem_window(a, pci_hole_start(in->ram_below_4g), 0xfebfffff, false);
	uint64_t first = (MAX(in->reserved_end, 4 * GIB) + GIB - 1) & ~(GIB - 1);
	uint64_t limit = 1ull << MIN(in->phys_bits, 48);
	if (limit > first) {
		uint64_t last = MIN(first + 32 * GIB, limit) - 1;
		aml_res_mem_window(a, first, last, true);
	}
	aml_res_end(a);
	aml_end(a);
}

/* A device with fixed ports and interrupts. ports[].length 0 ends; irq < 0: none. */
static void isa_device(Aml *a, const char *name, const char *hid, unsigned uid, uint16_t port, uint8_t length,
	int irq)
{
	aml_begin_device(a, name);
	aml_name_eisa_id(a, "_HID", hid);
	if (uid)
		aml_name_int(a, "_UID", uid);
	aml_name_int(a, "_STA", 0x0f);
	aml_name(a, "_CRS");
	aml_begin_buffer(a);
	if (length)
		aml_res_io(a, port, length);
	if (irq >= 0)
		aml_res_irq(a, irq);
	aml_res_end(a);
	aml_end(a);
	aml_end(a);
}

static void keyboard(Aml *a)
{
	aml_begin_device(a, "KBD");
	aml_name_eisa_id(a, "_HID", "PNP0303");
	aml_name_int(a, "_STA", 0x0f);
	aml_name(a, "_CRS");
	aml_begin_buffer(a);
	aml_res_io(a, 0x60, 1);
	aml_res_io(a, 0x64, 1);
	aml_res_irq(a, 1);
	aml_res_end(a);
	aml_end(a);
	aml_end(a);
}

/* The firmware configuration device: published HID QEMU0002, ports 510h..51bh. */
static void paravirtual_devices(Aml *a, const AcpiInput *in)
{
	aml_begin_device(a, "FWCF");
	aml_name_string(a, "_HID", "QEMU0002");
	aml_name_int(a, "_STA", 0x0b);
	aml_name(a, "_CRS");
	aml_begin_buffer(a);
	aml_res_io(a, 0x510, 0x0c);
	aml_res_end(a);
	aml_end(a);
	aml_end(a);
	if (!in->pvpanic_port)
		return;
	aml_begin_device(a, "PEVT");
	aml_name_string(a, "_HID", "QEMU0001");
	aml_name_int(a, "_STA", 0x0b);
	aml_name(a, "_CRS");
	aml_begin_buffer(a);
	aml_res_io(a, in->pvpanic_port, 1);
	aml_res_end(a);
	aml_end(a);
	aml_end(a);
}

static void isa_bridge(Aml *a, const AcpiInput *in)
{
	static const uint16_t com_port[4] = { 0x3f8, 0x2f8, 0x3e8, 0x2e8 };
	static const int8_t com_irq[4] = { 4, 3, 4, 3 };
	static const uint16_t lpt_port[3] = { 0x378, 0x278, 0x3bc };
	static const int8_t lpt_irq[3] = { 7, 5, 7 };
	aml_begin_device(a, "ISA");
	aml_name_int(a, "_ADR", 0x00010000);
	aml_region(a, "P40C", AML_REGION_PCI, 0x60, 4);
	aml_begin_field(a, "P40C");
	for (unsigned i = 0; i < 4; i++)
		aml_field_unit(a, routes[i], 8);
	aml_end(a);
	isa_device(a, "RTC", "PNP0B00", 0, 0x70, 8, 8);
	keyboard(a);
	isa_device(a, "MOU", "PNP0F13", 0, 0, 0, 12);
	for (unsigned i = 0; i < 4; i++) {
		char name[5] = { 'C', 'O', 'M', (char)('1' + i), 0 };
		if (in->serials & 1u << i)
			isa_device(a, name, "PNP0501", i + 1, com_port[i], 8, com_irq[i]);
	}
	for (unsigned i = 0; i < 3; i++) {
		char name[5] = { 'L', 'P', 'T', (char)('1' + i), 0 };
		if (in->parallels & 1u << i)
			isa_device(a, name, "PNP0400", i + 1, lpt_port[i], 8, lpt_irq[i]);
	}
	aml_end(a);
}

#define HOTPLUG_FIRST 2 /* slots 0 and 1 are the chipset's */

static void slot_name(char name[5], unsigned slot) { g_snprintf(name, 5, "S%02X_", slot << 3); }

/* A slot that the user fills and empties (6.3.3 _EJ0, 6.1.11 _SUN). */
static void hotplug_slot(Aml *a, unsigned slot)
{
	char name[5];
	slot_name(name, slot);
	aml_begin_device(a, name);
	aml_name_int(a, "_SUN", slot);
	aml_name_int(a, "_ADR", slot << 16);
	aml_begin_method(a, "_EJ0", 1, false);
	aml_op(a, AML_STORE), aml_int(a, 1u << slot), aml_path(a, "B0EJ");
	aml_end(a);
	aml_end(a);
}

/* Tells the slots of `reg` what happened: 1 device check, 3 eject request (5.6.6). */
static void notify_slots(Aml *a, const char *reg, unsigned what)
{
	aml_op(a, AML_STORE), aml_path(a, reg), aml_local(a, 0);
	for (unsigned slot = HOTPLUG_FIRST; slot < 32; slot++) {
		char name[5];
		slot_name(name, slot);
		aml_begin_if(a);
		aml_op(a, AML_AND), aml_local(a, 0), aml_int(a, 1u << slot), aml_op(a, AML_ZERO);
		aml_op(a, AML_NOTIFY), aml_path(a, name), aml_int(a, what);
		aml_end(a);
	}
}

/* In the scope of PCI0. */
static void pci_hotplug(Aml *a)
{
	static const char *const regs[] = { "PCIU", "PCID", "B0EJ", "B0RM" };
	aml_region(a, "PCIH", AML_REGION_IO, PCIHP_BASE, 16);
	aml_begin_field(a, "PCIH");
	for (unsigned i = 0; i < G_N_ELEMENTS(regs); i++)
		aml_field_unit(a, regs[i], 32);
	aml_end(a);
	for (unsigned slot = HOTPLUG_FIRST; slot < 32; slot++)
		hotplug_slot(a, slot);
	aml_begin_method(a, "PCNT", 0, true);
	notify_slots(a, "PCIU", 1);
	notify_slots(a, "PCID", 3);
	aml_end(a);
}

static void general_events(Aml *a)
{
	aml_begin_scope(a, "\\_GPE");
	aml_begin_method(a, "_E01", 0, false);
	aml_path(a, "\\_SB.PCI0.PCNT");
	aml_end(a);
	aml_end(a);
}

static void hpet_device(Aml *a)
{
	aml_begin_device(a, "HPET");
	aml_name_eisa_id(a, "_HID", "PNP0103");
	aml_name_int(a, "_UID", 0);
	aml_name_int(a, "_STA", 0x0f);
	aml_name(a, "_CRS");
	aml_begin_buffer(a);
	aml_res_mem32(a, 0xfed00000, 0x400, false);
	aml_res_end(a);
	aml_end(a);
	aml_end(a);
}

static void processors(Aml *a, const AcpiInput *in)
{
	for (unsigned i = 0; i < in->cpu_max && i < 255; i++) {
		char name[5];
		g_snprintf(name, sizeof(name), "C%03X", i);
		aml_begin_processor(a, name, i);
		aml_end(a);
	}
}

GByteArray *acpi_dsdt(const AcpiInput *in)
{
	Aml aml, *a = &aml;
	aml_init(a);
	aml_begin_scope(a, "\\_SB");
	processors(a, in);
	for (unsigned i = 0; i < 4; i++)
		link_device(a, i);
	aml_begin_device(a, "PCI0");
	aml_name_eisa_id(a, "_HID", "PNP0A03");
	aml_name_int(a, "_ADR", 0);
	aml_name_int(a, "_UID", 0);
	pci_windows(a, in);
	pci_routing(a);
	isa_bridge(a, in);
	if (in->pci_hotplug)
		pci_hotplug(a);
	aml_end(a);
	paravirtual_devices(a, in);
	if (in->hpet)
		hpet_device(a);
	aml_end(a);
	if (in->pci_hotplug)
		general_events(a);
	/* SLP_TYP 0 is the PIIX4's soft off; the other states are not offered. */
	aml_name(a, "\\_S5");
	aml_begin_package(a, 4);
	for (unsigned i = 0; i < 4; i++)
		aml_int(a, 0);
	aml_end(a);
	return aml_finish(a);
}
