/* accels.c - the list of accelerators; see accels.h. */
#include "accel/accels.h"

#include <string.h>

const AccelClass *const accel_classes[] = {&accel_kvm, &accel_interp, &accel_jit, NULL};

const AccelClass *accel_find(const char *name)
{
	for (const AccelClass *const *c = accel_classes; *c; c++) {
		if (!strcmp((*c)->name, name))
			return *c;
		for (const char *const *a = (*c)->aliases; a && *a; a++)
			if (!strcmp(*a, name))
				return *c;
	}
	return NULL;
}
