/*
 * rtc.h - the CMOS memory behind the clock, which the board fills for the firmware.
 * Machine lock held.
 */
#ifndef VIV_HW_TIMER_RTC_H
#define VIV_HW_TIMER_RTC_H

#include "core/device.h"

/* index 0..127; the clock's own registers (0..9, 32h) are not meant. Survives reset. */
void rtc_set_cmos(Device *rtc, unsigned index, uint8_t value);
uint8_t rtc_get_cmos(Device *rtc, unsigned index);

#endif
