/*
 * i8254.h - the speaker channel, as port 61h controls and reads it. Machine lock held.
 */
#ifndef VIV_HW_TIMER_I8254_H
#define VIV_HW_TIMER_I8254_H

#include "core/device.h"

void i8254_set_gate(Device *pit, bool gate); /* of channel 2 */
bool i8254_gate(Device *pit);
bool i8254_output(Device *pit);              /* of channel 2, now */

#endif
