/*
 * accels.h - the accelerators there are, best first.
 */
#ifndef VIV_ACCEL_ACCELS_H
#define VIV_ACCEL_ACCELS_H

#include "accel/accel.h"

extern const AccelClass accel_kvm;
extern const AccelClass accel_interp, accel_jit;

/* NULL-terminated, in the order in which a default is chosen among equals. */
extern const AccelClass *const accel_classes[];

/* By name or alias; NULL: there is no such accelerator. */
const AccelClass *accel_find(const char *name);

#endif
