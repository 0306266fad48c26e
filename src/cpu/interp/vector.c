/* vector.c - doors to the vector and x87 units. */
#include "cpu/interp/interp.h"

static const Insn *fwait(Cpu *cpu, const Insn *i)
{
	NEXT(cpu, i);
}

InsnFn bind_vector(Binder *b)
{
	return b->d->row->exec == X_FWAIT ? fwait : NULL;
}
