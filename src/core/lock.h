/*
 * lock.h - the machine lock.
 *
 * It protects devices, mappings, timers and run state. The dispatcher takes it
 * around device callbacks; vcpu threads run guest code without it. It nests: a
 * thread that holds it may take it again.
 */
#ifndef VIV_CORE_LOCK_H
#define VIV_CORE_LOCK_H

#include <stdbool.h>

void machine_lock(void);
void machine_unlock(void);
/* Takes it if that needs no waiting. For threads that a holder of the lock may be waiting for. */
bool machine_trylock(void);
bool machine_lock_held(void); /* by this thread */

#endif
