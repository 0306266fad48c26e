/*
 * irq.h - an interrupt line: a function, who owns it, and a number.
 *
 * A device raises a line and knows no controller. Lines are levels; an edge is
 * a raise followed by a lower. Called with the machine lock held.
 */
#ifndef VIV_CORE_IRQ_H
#define VIV_CORE_IRQ_H

#include <stdbool.h>

typedef void (*IrqFn)(void *opaque, int number, int level);

typedef struct Irq {
	IrqFn fn; /* NULL: the line is not connected, and setting it does nothing */
	void *opaque;
	int number;
} Irq;

static inline void irq_set(const Irq *irq, int level)
{
	if (irq->fn)
		irq->fn(irq->opaque, irq->number, level);
}

static inline void irq_raise(const Irq *irq) { irq_set(irq, 1); }
static inline void irq_lower(const Irq *irq) { irq_set(irq, 0); }

static inline void irq_pulse(const Irq *irq)
{
	irq_set(irq, 1);
	irq_set(irq, 0);
}

#endif
