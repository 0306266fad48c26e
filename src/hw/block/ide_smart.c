/*
 * ide_smart.c - SMART of a disk that never wears out: attributes, logs, self-tests.
 *
 * ATA/ATAPI-7 6.54, attributes as QEMU's disks show them. Self-tests end at once, without an error.
 * Machine lock held.
 */
#include "hw/block/ide.h"

#include <string.h>

#define SELFTESTS 10u

/* Number, flags, value, worst, first raw byte; and threshold. */
static const uint8_t attributes[][6] = {
	{ 1, 0x03, 100, 100, 0, 6 },      /* read error rate */
	{ 3, 0x03, 100, 100, 16, 0 },     /* time to spin up */
	{ 4, 0x02, 100, 100, 100, 20 },   /* starts and stops */
	{ 5, 0x03, 100, 100, 0, 36 },     /* remapped sectors */
	{ 9, 0x03, 100, 100, 1, 0 },      /* hours */
	{ 12, 0x03, 100, 100, 0, 0 },     /* power cycles */
	{ 190, 0x03, 69, 69, 31, 50 },    /* temperature of the air */
};

static void reply(IdeDrive *d)
{
	uint8_t sum = 0;
	for (unsigned i = 0; i < IDE_SECTOR - 1; i++)
		sum = (uint8_t)(sum + d->buf[i]);
	d->buf[IDE_SECTOR - 1] = (uint8_t)-sum;
	ide_reply(d, IDE_SECTOR);
}

static void begin(IdeDrive *d)
{
	memset(d->buf, 0, IDE_SECTOR);
	d->buf[0] = 1; /* structure revision */
}

static void thresholds(IdeDrive *d)
{
	begin(d);
	for (unsigned i = 0; i < G_N_ELEMENTS(attributes); i++) {
		d->buf[2 + 12 * i] = attributes[i][0];
		d->buf[3 + 12 * i] = attributes[i][5];
	}
	reply(d);
}

static void data(IdeDrive *d)
{
	begin(d);
	for (unsigned i = 0; i < G_N_ELEMENTS(attributes); i++) {
		const uint8_t *a = attributes[i];
		uint8_t *p = d->buf + 2 + 12 * i;
		p[0] = a[0];
		p[1] = a[1];
		p[3] = a[2];
		p[4] = a[3];
		p[5] = a[4];
	}
	d->buf[362] = 0x02 | (d->smart_offline ? 0x80 : 0);
	d->buf[363] = d->smart_log_count ? d->smart_log[2 * d->smart_log_at] : 0;
	d->buf[364] = 0x20; /* seconds an off-line collection takes */
	d->buf[367] = 1u << 4 | 1u << 3 | 1; /* self-tests, off-line collection at once */
	d->buf[368] = 3;
	d->buf[370] = 1; /* logs */
	d->buf[372] = 2; /* minutes of a short self-test */
	d->buf[373] = 54;
	d->buf[374] = 1;
	reply(d);
}

static void log_page(IdeDrive *d)
{
	begin(d);
	switch (d->lba_low[0]) {
	case 0x00: /* which logs there are, with their sectors */
		d->buf[2] = 1;
		d->buf[12] = 1;
		d->buf[0] = 1;
		break;
	case 0x01: /* errors: none */
		break;
	case 0x06:
		for (unsigned i = 0; i < d->smart_log_count && i < SELFTESTS; i++) {
			d->buf[2 + 24 * i] = d->smart_log[2 * i + 1];
			d->buf[3 + 24 * i] = d->smart_log[2 * i + 2];
			d->buf[4 + 24 * i] = 0x34; /* power-on hours */
			d->buf[5 + 24 * i] = 0x12;
		}
		d->buf[508] = d->smart_log_at;
		break;
	default:
		ide_abort(d);
		return;
	}
	reply(d);
}

static void self_test(IdeDrive *d)
{
	uint8_t test = d->lba_low[0];
	if (test > 2) {
		if (test == 127 || test == 129 || test == 130)
			ide_finish(d); /* abort, or captive ones */
		else
			ide_abort(d);
		return;
	}
	d->smart_log_at = (uint8_t)(d->smart_log_at % SELFTESTS + 1);
	d->smart_log_count = (uint8_t)MIN(d->smart_log_count + 1u, SELFTESTS);
	d->smart_log[2 * d->smart_log_at - 1] = test;
	d->smart_log[2 * d->smart_log_at] = 0;
	ide_finish(d);
}

static void set_switch(IdeDrive *d, bool *what)
{
	if (d->count[0] != 0 && d->count[0] != 0xf1) {
		ide_abort(d);
		return;
	}
	*what = d->count[0];
	ide_finish(d);
}

void ide_smart(IdeDrive *d)
{
	uint8_t what = d->feature[0];
	/* The key (ATA7 6.54.2), and only ENABLE while disabled. */
	if (d->lba_mid[0] != 0x4f || d->lba_high[0] != 0xc2 || (!d->smart && what != 0xd8)) {
		ide_abort(d);
		return;
	}
	switch (what) {
	case 0xd0: data(d); break;
	case 0xd1: thresholds(d); break;
	case 0xd2: set_switch(d, &d->smart_autosave); break;
	case 0xd3: case 0xda: ide_finish(d); break; /* SAVE; RETURN STATUS: the key unchanged is "well" */
	case 0xd4: self_test(d); break;
	case 0xd5: log_page(d); break;
	case 0xd8:
	case 0xd9:
		d->smart = what == 0xd8;
		ide_finish(d);
		break;
	case 0xdb: set_switch(d, &d->smart_offline); break;
	default: ide_abort(d);
	}
}
