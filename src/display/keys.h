/*
 * keys.h - the names of keys: Linux's number, the name that sendkey and QMP use, the code of the IBM PC keyboard.
 *
 * Any thread.
 */
#ifndef VIV_DISPLAY_KEYS_H
#define VIV_DISPLAY_KEYS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct KeyName {
	uint8_t key;      /* linux/input-event-codes.h */
	const char *name; /* QMP's QKeyCode */
	uint16_t set1;    /* scan code of set 1; 0xe0NN: behind a prefix E0 */
} KeyName;

/* All of them; ends with key 0. */
extern const KeyName key_names[];

/* NULL: unknown. */
const KeyName *key_by_number(unsigned key);
const KeyName *key_by_name(const char *name);
/* As RFB's extended key events and `sendkey 0xNN` have them: bit 7 stands for the prefix E0. 0: unknown. */
unsigned key_by_set1(unsigned code);

#endif
