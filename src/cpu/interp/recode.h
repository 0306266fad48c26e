/*
 * recode.h - a guest's vector or x87 instruction, encoded anew for the host.
 */
#ifndef VIV_CPU_INTERP_RECODE_H
#define VIV_CPU_INTERP_RECODE_H

#include "cpu/interp/interp.h"

/* The host registers that stand for the guest's; vector, mask and x87 registers keep their numbers. */
typedef struct Recode {
	uint8_t g;      /* a general register in modrm.reg */
	uint8_t e;      /* one in modrm.rm */
	uint8_t v;      /* one in VEX.vvvv */
	uint8_t mem;    /* the memory operand is at this one, */
	int8_t index;   /* plus this one << scale (-1: none), */
	uint8_t scale;
	int32_t disp;   /* plus this */
} Recode;

/* Is an operand of d a general register in modrm.reg ('G'), modrm.rm ('E'), VEX.vvvv ('B')? */
bool recode_names(const Decoded *d, char which);
/* Writes it at p, 20 bytes at most; gives the end. SDM vol. 2, 2.1 to 2.7. Any thread. */
uint8_t *recode(uint8_t *p, const Decoded *d, const Recode *with);

#endif
