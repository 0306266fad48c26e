/*
 * test-sdhci.c - an SD card through its host controller: identification, the data port, SDMA,
 * ADMA2, erasing, errors of the drive, of the guest and of descriptors, write protection.
 */
#include <errno.h>
#include <string.h>

#include "core/lock.h"
#include "hw/classes.h"
#include "sd-rig.h"

#define DATA	0x100000u /* in guest memory */
#define TABLE	0x8000u
#define NOWHERE 0x70000000u
#define R1	0x1a
#define R1B	0x1b
#define R2	0x09
#define R3	0x02
#define READ	(MODE_READ)
#define WRITE	0
#define MANY	(MODE_MULTIPLE | MODE_COUNT)

/* ---- the driver ---- */

/* Until one of `bits` or an error is in the status: all that is there; 0: nothing came. */
static uint32_t look_for(SdRig *r, uint32_t bits)
{
	for (unsigned i = 0; i < 5000; i++) {
		uint32_t status = load(r, SDHC_STATUS, 4);
		if (status & (bits | INT_ERROR))
			return status;
		harness_run(r->h, 200000);
	}
	return 0;
}

/* The same, acknowledged. */
static uint32_t wait_for(SdRig *r, uint32_t bits)
{
	uint32_t status = look_for(r, bits);
	store(r, SDHC_STATUS, status, 4);
	return status;
}

/* The response; ~0: an error. What the data phase says is left for wait_for(). */
static uint32_t command(SdRig *r, unsigned index, uint32_t arg, unsigned flags)
{
	store(r, SDHC_ARGUMENT, arg, 4);
	store(r, SDHC_COMMAND, index << 8 | flags, 2);
	if (!(look_for(r, INT_COMMAND) & INT_COMMAND)) {
		g_assert_cmphex(wait_for(r, INT_ERROR) & INT_ERROR, ==, INT_ERROR);
		return ~0u;
	}
	store(r, SDHC_STATUS, INT_COMMAND, 4);
	return load(r, SDHC_RESPONSE, 4);
}

static uint32_t app(SdRig *r, uint32_t rca, unsigned index, uint32_t arg, unsigned flags)
{
	g_assert_cmphex(command(r, 55, rca, R1) & SD_APP_CMD, ==, SD_APP_CMD);
	return command(r, index, arg, flags);
}

static void power(SdRig *r)
{
	store(r, SDHC_POWER_CONTROL, 0x0f, 1);
	store(r, SDHC_CLOCK_CONTROL, CLOCK_INTERNAL, 2);
	g_assert_cmphex(load(r, SDHC_CLOCK_CONTROL, 2) & CLOCK_STABLE, ==, CLOCK_STABLE);
	store(r, SDHC_CLOCK_CONTROL, CLOCK_INTERNAL | CLOCK_CARD, 2);
	store(r, SDHC_STATUS_ENABLE, 0x03ff00ff, 4);
	store(r, SDHC_SIGNAL_ENABLE, 0x03ff00ff, 4);
}

/* To the transfer state; the card's address. */
static uint32_t identify(SdRig *r, uint32_t ocr)
{
	power(r);
	command(r, 0, 0, 0);
	g_assert_cmphex(command(r, 8, 0x1aa, R1), ==, 0x1aa);
	g_assert_cmphex(app(r, 0, 41, 0, R3), ==, SD_OCR_VOLTAGES);
	g_assert_cmphex(app(r, 0, 41, SD_OCR_CCS | 0x300000, R3), ==, ocr);
	command(r, 2, 0, R2);
	uint32_t rca = command(r, 3, 0, R1) & 0xffff0000;
	g_assert_cmphex(rca, ==, 0x45670000);
	command(r, 9, rca, R2);
	g_assert_cmphex(command(r, 7, rca, R1B) >> 9 & 15, ==, SD_STBY);
	wait_for(r, INT_TRANSFER);
	g_assert_cmphex(command(r, 13, rca, R1), ==, SD_TRAN << 9 | SD_READY_FOR_DATA);
	return rca;
}

#define SDSC_OCR (SD_OCR_POWERED | SD_OCR_VOLTAGES)

/* Sets a transfer of blocks up and sends its command; its response. */
static uint32_t transfer(SdRig *r, unsigned index, uint32_t arg, unsigned mode, unsigned size,
			 unsigned blocks)
{
	store(r, SDHC_BLOCK_SIZE, blocks << 16 | size, 4);
	store(r, SDHC_ARGUMENT, arg, 4);
	store(r, SDHC_TRANSFER_MODE, mode, 2);
	return command(r, index, arg, R1 | COMMAND_DATA);
}

static void reset_lines(SdRig *r)
{
	store(r, SDHC_SOFTWARE_RESET, RESET_COMMAND | RESET_DATA, 1);
	g_assert_cmphex(load(r, SDHC_SOFTWARE_RESET, 1), ==, 0);
	g_assert_cmphex(load(r, SDHC_PRESENT_STATE, 4) & 3, ==, 0);
}

static uint32_t stop(SdRig *r)
{
	uint32_t r1 = command(r, 12, 0, R1B | COMMAND_ABORT);
	g_assert_cmphex(wait_for(r, INT_TRANSFER) & INT_TRANSFER, ==, INT_TRANSFER);
	return r1;
}

static void adma(SdRig *r, unsigned n, uint16_t attributes, uint16_t len, uint32_t addr)
{
	uint32_t words[2] = {attributes | (uint32_t)len << 16, addr};
	memcpy(r->h->board.ram + TABLE + 8 * n, words, 8);
	store(r, SDHC_ADMA_ADDRESS, TABLE, 4);
	store(r, SDHC_HOST_CONTROL, DMA_ADMA2, 1);
}

static void check_pci(SdRig *r)
{
	g_assert_cmphex(pci_in(r->h, RIG_SLOT, 0, PCI_VENDOR, 4), ==, 0x00071b36);
	g_assert_cmphex(pci_in(r->h, RIG_SLOT, 0, PCI_REVISION, 4), ==, 0x08050100);
}

/* ---- tests ---- */

static void test_identify(void)
{
	SdRig r;
	rig_new(&r, RIG_BYTES, false, "2");
	check_pci(&r);
	g_assert_cmphex(load(&r, SDHC_CAPABILITIES, 4), ==, 0x057834b4);
	g_assert_cmphex(load(&r, SDHC_VERSION, 2), ==, 0x2401);
	g_assert_cmphex(load(&r, SDHC_PRESENT_STATE, 4), ==, 0x01ff0000);
	uint32_t rca = identify(&r, SDSC_OCR);
	command(&r, 7, 0, 0);
	g_assert_cmphex(command(&r, 10, rca, R2), ==, 0xbeef0062);
	g_assert_cmphex(load(&r, SDHC_RESPONSE + 12, 4), ==, 0x00aa5859);
	/* CSD: 1 MiB is 512 << 2 times 512. */
	command(&r, 9, rca, R2);
	uint32_t high = load(&r, SDHC_RESPONSE + 8, 4), low = load(&r, SDHC_RESPONSE + 4, 4);
	uint64_t csd = (uint64_t)high << 32 | low; /* bits 135..72, without the checksum's byte */
	uint32_t c_size = (uint32_t)(csd >> (62 - 40)) & 0xfff,
		 mult = (uint32_t)(csd >> (47 - 40)) & 7;
	g_assert_cmpuint((c_size + 1) << (mult + 2), ==, RIG_BYTES / 512);
	/* Another card is asked; an unknown command is told with the next. */
	g_assert_cmphex(command(&r, 13, 0x12340000, R1), ==, ~0u);
	g_assert_cmphex(command(&r, 40, 0, R1), ==, ~0u);
	g_assert_cmphex(command(&r, 13, rca, R1) & SD_ILLEGAL_COMMAND, ==, SD_ILLEGAL_COMMAND);
	g_assert_cmphex(command(&r, 13, rca, R1) & SD_ILLEGAL_COMMAND, ==, 0);
	/* Without power or clock nobody answers. */
	store(&r, SDHC_POWER_CONTROL, 0, 1);
	g_assert_cmphex(command(&r, 13, rca, R1), ==, ~0u);
	store(&r, SDHC_CLOCK_CONTROL, 0, 2);
	store(&r, SDHC_COMMAND, 13 << 8 | R1, 2);
	g_assert_cmphex(load(&r, SDHC_STATUS, 4), ==, 0);
	rig_free(&r);
}

static void test_registers(void)
{
	SdRig r;
	rig_new(&r, RIG_BYTES, false, "3");
	uint32_t rca = identify(&r, SDSC_OCR);
	command(&r, 55, rca, R1);
	transfer(&r, 51, 0, READ, 8, 1);
	wait_for(&r, INT_CAN_READ);
	g_assert_cmphex(load(&r, SDHC_DATA_PORT, 4), ==,
			0x02800502); /* SD_SPEC 2, 1 and 4 lines, 3.0, CMD23 */
	g_assert_cmphex(load(&r, SDHC_DATA_PORT, 4), ==, 0x00000000);
	g_assert_cmphex(wait_for(&r, INT_TRANSFER) & INT_TRANSFER, ==, INT_TRANSFER);
	app(&r, rca, 6, 2, R1);
	command(&r, 55, rca, R1);
	adma(&r, 0, 0x23, 64, DATA);
	transfer(&r, 13, 0, READ | MODE_DMA, 64, 1);
	g_assert_cmphex(wait_for(&r, INT_TRANSFER) & INT_TRANSFER, ==, INT_TRANSFER);
	g_assert_cmphex(r.h->board.ram[DATA], ==, 0x80);
	/* High speed: asked for, not possible for group 2, then done. */
	transfer(&r, 6, 0x80ffff11, READ | MODE_DMA, 64, 1);
	store(&r, SDHC_ADMA_ADDRESS, TABLE, 4);
	reset_lines(&r);
	adma(&r, 0, 0x23, 64, DATA);
	transfer(&r, 6, 0x80fffff1, READ | MODE_DMA, 64, 1);
	g_assert_cmphex(wait_for(&r, INT_TRANSFER) & INT_TRANSFER, ==, INT_TRANSFER);
	g_assert_cmphex(r.h->board.ram[DATA + 13], ==, 3);
	g_assert_cmphex(r.h->board.ram[DATA + 16], ==, 1);
	g_assert_true(((SdCard *)r.card)->high_speed);
	/* A register is not as long as the host thinks. */
	command(&r, 55, rca, R1);
	transfer(&r, 51, 0, READ, 512, 1);
	g_assert_cmphex(wait_for(&r, INT_TRANSFER) & ERR_DATA_TIMEOUT, ==, ERR_DATA_TIMEOUT);
	rig_free(&r);
}

static void port_read(SdRig *r, uint8_t *to, unsigned bytes)
{
	g_assert_cmphex(wait_for(r, INT_CAN_READ) & INT_CAN_READ, ==, INT_CAN_READ);
	for (unsigned i = 0; i < bytes; i += 4) {
		uint32_t v = load(r, SDHC_DATA_PORT, 4);
		memcpy(to + i, &v, 4);
	}
}

static void port_write(SdRig *r, uint8_t value, unsigned bytes)
{
	g_assert_cmphex(wait_for(r, INT_CAN_WRITE) & INT_CAN_WRITE, ==, INT_CAN_WRITE);
	for (unsigned i = 0; i < bytes; i += 2)
		store(r, SDHC_DATA_PORT, value * 0x101u, 2);
}

static void test_port(void)
{
	uint8_t got[1024];
	SdRig r;
	rig_new(&r, RIG_BYTES, false, "2");
	uint32_t rca = identify(&r, SDSC_OCR);
	transfer(&r, 17, 1024, READ, 512, 1);
	port_read(&r, got, 512);
	g_assert_cmpmem(got, 512, r.m->data + 1024, 512);
	g_assert_cmphex(wait_for(&r, INT_TRANSFER), ==, INT_TRANSFER);
	/* Two blocks, CMD12 by the controller. */
	transfer(&r, 18, 4096, READ | MANY | MODE_AUTO12, 512, 2);
	port_read(&r, got, 512);
	port_read(&r, got + 512, 512);
	g_assert_cmpmem(got, 1024, r.m->data + 4096, 1024);
	g_assert_cmphex(wait_for(&r, INT_TRANSFER), ==, INT_TRANSFER);
	g_assert_cmphex(load(&r, SDHC_BLOCK_COUNT, 2), ==, 0);
	g_assert_cmphex(command(&r, 13, rca, R1) >> 9 & 15, ==, SD_TRAN);
	transfer(&r, 25, 8192, WRITE | MANY, 512, 2);
	port_write(&r, 0x11, 512);
	port_write(&r, 0x22, 512);
	g_assert_cmphex(wait_for(&r, INT_TRANSFER), ==, INT_TRANSFER);
	g_assert_cmphex(command(&r, 13, rca, R1) >> 9 & 15, ==, SD_RCV);
	stop(&r);
	g_assert_cmphex(r.m->data[8192], ==, 0x11);
	g_assert_cmphex(r.m->data[8192 + 1023], ==, 0x22);
	/* Without an end: until CMD12. Shorter blocks of a small card. */
	command(&r, 16, 64, R1);
	transfer(&r, 18, 512, READ | MODE_MULTIPLE, 64, 0);
	for (unsigned i = 0; i < 5; i++)
		port_read(&r, got + 64 * i, 64);
	g_assert_cmpmem(got, 320, r.m->data + 512, 320);
	g_assert_cmphex(load(&r, SDHC_PRESENT_STATE, 4) & STATE_DATA_INHIBIT, ==,
			STATE_DATA_INHIBIT);
	stop(&r);
	g_assert_cmphex(load(&r, SDHC_PRESENT_STATE, 4) & STATE_DATA_INHIBIT, ==, 0);
	g_assert_cmphex(load(&r, SDHC_DATA_PORT, 4), ==, 0);
	rig_free(&r);
}

static void test_sdma(void)
{
	SdRig r;
	rig_new(&r, RIG_BYTES, false, "2");
	uint32_t rca = identify(&r, SDSC_OCR);
	uint8_t *ram = r.h->board.ram;
	/* From the middle of a page, with boundaries of 4 KiB: stops at each. */
	store(&r, SDHC_SYSTEM_ADDRESS, DATA + 256, 4);
	transfer(&r, 18, 0, READ | MANY | MODE_DMA | MODE_AUTO12, 512, 32);
	unsigned stops = 0;
	while (wait_for(&r, INT_DMA | INT_TRANSFER) & INT_DMA) {
		uint32_t at = load(&r, SDHC_SYSTEM_ADDRESS, 4);
		g_assert_cmphex(at, ==, DATA + 4096 * ++stops);
		store(&r, SDHC_SYSTEM_ADDRESS, at, 4);
	}
	g_assert_cmpuint(stops, ==, 4);
	g_assert_cmpmem(ram + DATA + 256, 16384, r.m->data, 16384);
	/* A boundary of 512 KiB, and more than the card buffers. */
	memset(ram + DATA, 0x77, 400 << 9);
	store(&r, SDHC_SYSTEM_ADDRESS, DATA, 4);
	transfer(&r, 25, 65536, WRITE | MANY | MODE_DMA, 0x7000 | 512, 400);
	g_assert_cmphex(wait_for(&r, INT_TRANSFER), ==, INT_TRANSFER);
	stop(&r);
	g_assert_cmpmem(r.m->data + 65536, 400 << 9, ram + DATA, 400 << 9);
	/* Written blocks, as the card counts them. */
	command(&r, 55, rca, R1);
	transfer(&r, 22, 0, READ, 4, 1);
	wait_for(&r, INT_CAN_READ);
	g_assert_cmphex(load(&r, SDHC_DATA_PORT, 4), ==, GUINT32_SWAP_LE_BE(400));
	wait_for(&r, INT_TRANSFER);
	/* Where no memory is the transfer ends all the same. */
	store(&r, SDHC_SYSTEM_ADDRESS, NOWHERE, 4);
	transfer(&r, 17, 0, READ | MODE_DMA, 0x7000 | 512, 1);
	g_assert_cmphex(wait_for(&r, INT_TRANSFER), ==, INT_TRANSFER);
	rig_free(&r);
}

static void test_adma(void)
{
	SdRig r;
	rig_new(&r, RIG_BYTES, false, "3");
	identify(&r, SDSC_OCR);
	uint8_t *ram = r.h->board.ram;
	/* Pieces of odd lengths, a NOP and a link between them, an interrupt at the second. */
	adma(&r, 0, 0x21, 100, DATA);
	adma(&r, 1, 0x31, 0, TABLE + 8 * 9);
	adma(&r, 9, 0x01, 0, 0);
	adma(&r, 10, 0x25, 900, DATA + 100);
	adma(&r, 11, 0x23, 24, DATA + 1000);
	command(&r, 23, 2, R1);
	transfer(&r, 18, 512, READ | MANY | MODE_DMA, 512, 2);
	g_assert_cmphex(wait_for(&r, INT_TRANSFER), ==, INT_TRANSFER | INT_DMA);
	g_assert_cmpmem(ram + DATA, 1024, r.m->data + 512, 1024);
	/* CMD23 ended it: the card is back. A write with CMD23 by the controller, 64 KiB in a
	 * piece. */
	memset(ram + DATA, 0x3c, 65536);
	adma(&r, 0, 0x23, 0, DATA);
	store(&r, SDHC_SYSTEM_ADDRESS, 128, 4);
	transfer(&r, 25, 131072, WRITE | MANY | MODE_DMA | MODE_AUTO23, 512, 128);
	g_assert_cmphex(wait_for(&r, INT_TRANSFER), ==, INT_TRANSFER);
	g_assert_cmpuint(((SdCard *)r.card)->state, ==, SD_TRAN);
	g_assert_cmpmem(r.m->data + 131072, 65536, ram + DATA, 65536);
	rig_free(&r);
}

static void test_adma_errors(void)
{
	static const struct {
		uint16_t attributes, len;
		uint32_t addr;
		uint8_t error;
	} bad[] = {
	    {0x20, 512, DATA, ADMA_FETCH}, /* not valid */
	    {0x21, 512, NOWHERE, ADMA_TRANSFER},
	    {0x23, 100, DATA, ADMA_TRANSFER | ADMA_LENGTH},
	    {0x31, 0, NOWHERE, ADMA_FETCH},
	};
	SdRig r;
	rig_new(&r, RIG_BYTES, false, "2");
	uint32_t rca = identify(&r, SDSC_OCR);
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		adma(&r, 0, bad[i].attributes, bad[i].len, bad[i].addr);
		transfer(&r, 17, 0, READ | MODE_DMA, 512, 1);
		g_assert_cmphex(wait_for(&r, INT_TRANSFER), ==, ERR_ADMA | INT_ERROR);
		g_assert_cmphex(load(&r, SDHC_ADMA_ERROR, 1), ==, bad[i].error);
		reset_lines(&r);
	}
	/* A table that goes in circles: the machine goes on, and the guest can give up. */
	adma(&r, 0, 0x01, 0, 0);
	adma(&r, 1, 0x31, 0, TABLE);
	transfer(&r, 17, 0, READ | MODE_DMA, 512, 1);
	harness_run(r.h, 5000000);
	g_assert_cmphex(load(&r, SDHC_PRESENT_STATE, 4) & STATE_DATA_INHIBIT, ==,
			STATE_DATA_INHIBIT);
	g_assert_cmphex(load(&r, SDHC_STATUS, 4), ==, 0);
	reset_lines(&r);
	/* Without bus mastering there is no table. */
	pci_out(r.h, RIG_SLOT, 0, PCI_COMMAND, 2, 2);
	transfer(&r, 17, 0, READ | MODE_DMA, 512, 1);
	g_assert_cmphex(wait_for(&r, INT_TRANSFER), ==, ERR_ADMA | INT_ERROR);
	g_assert_cmphex(command(&r, 13, rca, R1) >> 9 & 15, ==, SD_TRAN);
	rig_free(&r);
}

static void test_erase(void)
{
	SdRig r;
	rig_new(&r, RIG_BYTES, false, "2");
	uint32_t rca = identify(&r, SDSC_OCR);
	command(&r, 32, 4096, R1);
	command(&r, 33, 8192 - 512, R1);
	r.m->hold = true;
	command(&r, 38, 0, R1B);
	g_assert_cmphex(load(&r, SDHC_PRESENT_STATE, 4) & (STATE_DAT0 | STATE_DATA_INHIBIT), ==,
			STATE_DATA_INHIBIT);
	g_assert_cmphex(command(&r, 13, rca, R1), ==, SD_PRG << 9);
	r.m->hold = false;
	g_assert_cmphex(wait_for(&r, INT_TRANSFER), ==, INT_TRANSFER);
	g_assert_cmpuint(r.m->unmaps, ==, 1);
	g_assert_cmphex(r.m->data[4095], !=, 0);
	for (unsigned i = 4096; i < 8192; i++)
		g_assert_cmphex(r.m->data[i], ==, 0);
	g_assert_cmphex(r.m->data[8193], !=, 0);
	/* Out of order, the wrong way round, disturbed. */
	command(&r, 38, 0, R1B);
	g_assert_cmphex(command(&r, 13, rca, R1) & SD_ERASE_SEQ_ERROR, ==,
			0); /* told by CMD38 itself */
	g_assert_cmphex(command(&r, 33, 0, R1) & SD_ERASE_SEQ_ERROR, ==, SD_ERASE_SEQ_ERROR);
	command(&r, 32, 8192, R1);
	command(&r, 33, 4096, R1);
	g_assert_cmphex(command(&r, 38, 0, R1B) & SD_ERASE_PARAM, ==, SD_ERASE_PARAM);
	command(&r, 32, 8192, R1);
	g_assert_cmphex(command(&r, 16, 512, R1) & SD_ERASE_RESET, ==, SD_ERASE_RESET);
	g_assert_cmpuint(r.m->zeroes, ==, 1);
	rig_free(&r);
}

static void test_errors(void)
{
	SdRig r;
	rig_new(&r, RIG_BYTES, false, "2");
	uint32_t rca = identify(&r, SDSC_OCR);
	g_assert_cmphex(transfer(&r, 17, RIG_BYTES, READ, 512, 1) & SD_OUT_OF_RANGE, ==,
			SD_OUT_OF_RANGE);
	g_assert_cmphex(wait_for(&r, INT_TRANSFER), ==, ERR_DATA_TIMEOUT | INT_ERROR);
	g_assert_cmphex(transfer(&r, 24, 7, WRITE, 512, 1) & SD_ADDRESS_ERROR, ==,
			SD_ADDRESS_ERROR);
	reset_lines(&r);
	/* Across the end: what is there, then a timeout. */
	memset(r.h->board.ram + DATA, 0, 1024);
	adma(&r, 0, 0x23, 1024, DATA);
	transfer(&r, 18, RIG_BYTES - 512, READ | MANY | MODE_DMA, 512, 2);
	g_assert_cmphex(wait_for(&r, INT_TRANSFER), ==, ERR_DATA_TIMEOUT | INT_ERROR);
	g_assert_cmpmem(r.h->board.ram + DATA, 512, r.m->data + RIG_BYTES - 512, 512);
	g_assert_cmphex(stop(&r) & SD_OUT_OF_RANGE, ==, SD_OUT_OF_RANGE);
	/* The drive fails. */
	r.m->error = -EIO;
	adma(&r, 0, 0x23, 512, DATA);
	transfer(&r, 17, 0, READ | MODE_DMA, 512, 1);
	g_assert_cmphex(wait_for(&r, INT_TRANSFER), ==, ERR_DATA_TIMEOUT | INT_ERROR);
	g_assert_cmphex(command(&r, 13, rca, R1) & SD_CARD_ECC_FAILED, ==, SD_CARD_ECC_FAILED);
	transfer(&r, 24, 0, WRITE | MODE_DMA, 512, 1);
	g_assert_cmphex(wait_for(&r, INT_TRANSFER), ==, ERR_DATA_CRC | INT_ERROR);
	g_assert_cmphex(command(&r, 13, rca, R1) & SD_ERROR, ==, SD_ERROR);
	g_assert_cmphex(command(&r, 13, rca, R1), ==, SD_TRAN << 9 | SD_READY_FOR_DATA);
	r.m->error = 0;
	/* Given up while the drive works; the next one waits for its turn. */
	r.m->hold = true;
	transfer(&r, 18, 0, READ | MANY | MODE_DMA, 512, 1);
	harness_run(r.h, 1000000);
	stop(&r);
	adma(&r, 0, 0x23, 512, DATA);
	transfer(&r, 17, 2048, READ | MODE_DMA, 512, 1);
	harness_run(r.h, 1000000);
	g_assert_cmpuint(r.m->waiting, ==, 1);
	r.m->hold = false;
	g_assert_cmphex(wait_for(&r, INT_TRANSFER), ==, INT_TRANSFER);
	g_assert_cmpmem(r.h->board.ram + DATA, 512, r.m->data + 2048, 512);
	rig_free(&r);
}

static void test_stopped(void)
{
	SdRig r;
	rig_new(&r, RIG_BYTES, false, "2");
	identify(&r, SDSC_OCR);
	blk_set_error_policy(r.blk, ERROR_STOP, ERROR_STOP);
	r.m->error = -EIO;
	adma(&r, 0, 0x23, 512, DATA);
	transfer(&r, 24, 0, WRITE | MODE_DMA, 512, 1);
	harness_run(r.h, 2000000);
	g_assert_cmpint(blk_stopped_error(r.blk), ==, -EIO);
	g_assert_cmphex(load(&r, SDHC_STATUS, 4), ==, 0);
	r.m->error = 0;
	machine_lock();
	blk_retry_all();
	machine_unlock();
	g_assert_cmphex(wait_for(&r, INT_TRANSFER), ==, INT_TRANSFER);
	g_assert_cmpmem(r.h->board.ram + DATA, 512, r.m->data, 512);
	rig_free(&r);
}

static void test_gap(void)
{
	uint8_t got[1024];
	SdRig r;
	rig_new(&r, RIG_BYTES, false, "2");
	identify(&r, SDSC_OCR);
	transfer(&r, 18, 0, READ | MANY, 512, 2);
	store(&r, SDHC_BLOCK_GAP, GAP_STOP, 1);
	port_read(&r, got, 512);
	g_assert_cmphex(wait_for(&r, INT_BLOCK_GAP), ==, INT_BLOCK_GAP | INT_TRANSFER);
	store(&r, SDHC_BLOCK_GAP, GAP_CONTINUE, 1);
	port_read(&r, got + 512, 512);
	g_assert_cmphex(wait_for(&r, INT_TRANSFER), ==, INT_TRANSFER);
	g_assert_cmpmem(got, 1024, r.m->data, 1024);
	rig_free(&r);
}

static void test_locked(void)
{
	SdRig r;
	rig_new(&r, RIG_BYTES, true, "2");
	uint32_t rca = identify(&r, SDSC_OCR);
	g_assert_cmphex(load(&r, SDHC_PRESENT_STATE, 4) & STATE_WRITABLE, ==, 0);
	g_assert_cmphex(transfer(&r, 24, 0, WRITE, 512, 1) & SD_WP_VIOLATION, ==, SD_WP_VIOLATION);
	g_assert_cmphex(command(&r, 13, rca, R1) >> 9 & 15, ==, SD_TRAN);
	reset_lines(&r);
	command(&r, 32, 0, R1);
	command(&r, 33, 0, R1);
	g_assert_cmphex(command(&r, 38, 0, R1B) & SD_WP_ERASE_SKIP, ==, SD_WP_ERASE_SKIP);
	g_assert_cmpuint(r.m->zeroes, ==, 0);
	rig_free(&r);
}

/* Above 2 GiB: addresses in blocks; a card comes out and a smaller one goes in. */
static void test_large(void)
{
	SdRig r;
	rig_new(&r, 4ull << 30, false, "2");
	identify(&r, SDSC_OCR | SD_OCR_CCS);
	adma(&r, 0, 0x23, 512, DATA);
	transfer(&r, 17, 5, READ | MODE_DMA, 512, 1);
	g_assert_cmphex(wait_for(&r, INT_TRANSFER), ==, INT_TRANSFER);
	g_assert_cmpmem(r.h->board.ram + DATA, 512, r.m->data + 5 * 512, 512);
	machine_lock();
	blk_insert(r.blk, NULL);
	machine_unlock();
	g_assert_cmphex(wait_for(&r, INT_REMOVED), ==, INT_REMOVED);
	g_assert_cmphex(load(&r, SDHC_PRESENT_STATE, 4) & STATE_INSERTED, ==, 0);
	store(&r, SDHC_POWER_CONTROL, 0x0f, 1);
	g_assert_cmphex(load(&r, SDHC_POWER_CONTROL, 1), ==, 0x0e);
	r.m->shown = RIG_BYTES;
	machine_lock();
	blk_insert(r.blk, medium_node(r.m, "again"));
	machine_unlock();
	g_assert_cmphex(wait_for(&r, INT_INSERTED), ==, INT_INSERTED);
	identify(&r, SDSC_OCR);
	rig_free(&r);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	loop_attach_main();
	g_test_add_func("/sdhci/identify", test_identify);
	g_test_add_func("/sdhci/registers", test_registers);
	g_test_add_func("/sdhci/port", test_port);
	g_test_add_func("/sdhci/sdma", test_sdma);
	g_test_add_func("/sdhci/adma", test_adma);
	g_test_add_func("/sdhci/adma-errors", test_adma_errors);
	g_test_add_func("/sdhci/erase", test_erase);
	g_test_add_func("/sdhci/errors", test_errors);
	g_test_add_func("/sdhci/stopped", test_stopped);
	g_test_add_func("/sdhci/gap", test_gap);
	g_test_add_func("/sdhci/locked", test_locked);
	g_test_add_func("/sdhci/large", test_large);
	return g_test_run();
}
