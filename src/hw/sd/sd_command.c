/*
 * sd_command.c - the card's state machine: what each command does in which state.
 *
 * SD 4.7.4 (commands), 4.8 (state transitions), 4.10.1 (card status). Left out: write-protected
 * groups (class 6), locking by a password (class 7), programming of CID and CSD, the SPI mode,
 * UHS-I.
 */
#include <string.h>

#include "hw/sd/sd.h"

#define RCA_STEP      0x4567 /* what one CMD3 adds */
#define CHECK_VOLTAGE 0x1u   /* CMD8: 2.7 to 3.6 V */
#define SWITCH_BYTES  64u

/* Sets of states */
#define IN(state)   (1u << (state))
#define IN_TRANSFER (IN(SD_STBY) | IN(SD_TRAN) | IN(SD_DATA) | IN(SD_RCV) | IN(SD_PRG) | IN(SD_DIS))

typedef struct Call {
	SdCard *c;
	uint32_t arg;
	SdState state; /* when the command came */
	uint8_t *answer;
} Call;

typedef enum Reply { NO_REPLY, ILLEGAL, R1, R2_CID, R2_CSD, R3, R6, R7 } Reply;

static SdState state_now(const SdCard *c)
{
	if (!sd_card_programming(c))
		return (SdState)c->state;
	return c->state == SD_TRAN || c->state == SD_RCV ? SD_PRG
	       : c->state == SD_STBY			 ? SD_DIS
							 : (SdState)c->state;
}

static bool in(const Call *k, unsigned states)
{
	return IN(k->state) & states;
}

static bool addressed(const Call *k)
{
	return k->arg >> 16 == k->c->rca;
}

/* ---- identification ---- */

static Reply if_condition(Call *k) /* CMD8 */
{
	if (k->c->spec_version < 2 || !in(k, IN(SD_IDLE)))
		return ILLEGAL;
	return (k->arg >> 8 & 15) == CHECK_VOLTAGE ? R7 : NO_REPLY;
}

static Reply op_condition(Call *k) /* ACMD41 */
{
	SdCard *c = k->c;
	if (!in(k, IN(SD_IDLE)))
		return ILLEGAL;
	/* Without a voltage it is a question; a host that cannot address the card waits for ever.
	 */
	if (!(k->arg & 0x00ffffff) || (sd_is_sdhc(c) && !(k->arg & SD_OCR_CCS)))
		return R3;
	if (!(k->arg & SD_OCR_VOLTAGES)) {
		c->state = SD_INACTIVE;
		return NO_REPLY;
	}
	c->state = SD_READY;
	return R3;
}

static Reply new_address(Call *k) /* CMD3 */
{
	SdCard *c = k->c;
	if (!in(k, IN(SD_IDENT) | IN(SD_STBY)))
		return ILLEGAL;
	c->rca = (uint16_t)(c->rca + RCA_STEP);
	if (!c->rca) /* the address of no card */
		c->rca = RCA_STEP;
	c->state = SD_STBY;
	return R6;
}

static Reply all_send_cid(Call *k) /* CMD2 */
{
	if (!in(k, IN(SD_READY)))
		return ILLEGAL;
	k->c->state = SD_IDENT;
	return R2_CID;
}

static Reply select_card(Call *k) /* CMD7 */
{
	SdCard *c = k->c;
	if (addressed(k)) {
		if (!in(k, IN(SD_STBY) | IN(SD_DIS)))
			return ILLEGAL;
		c->state = SD_TRAN;
		return R1;
	}
	if (!in(k, IN(SD_TRAN) | IN(SD_DATA) | IN(SD_PRG) | IN(SD_STBY) | IN(SD_DIS)))
		return ILLEGAL;
	if (in(k, IN(SD_DATA)))
		sd_end_data(c);
	c->state = SD_STBY;
	return NO_REPLY;
}

static Reply of_addressed(Call *k, unsigned states, Reply reply)
{
	return !in(k, states) ? ILLEGAL : addressed(k) ? reply : NO_REPLY;
}

/* ---- data ---- */

static Reply send_register(Call *k, unsigned len, void (*get)(const SdCard *c, uint8_t *out))
{
	uint8_t bytes[SD_STATUS_BYTES];
	if (!in(k, IN(SD_TRAN)))
		return ILLEGAL;
	get(k->c, bytes);
	sd_begin_register(k->c, bytes, len);
	return R1;
}

static Reply switch_function(Call *k) /* CMD6 */
{
	uint8_t bytes[SWITCH_BYTES];
	if (k->c->spec_version < 1 || !in(k, IN(SD_TRAN)))
		return ILLEGAL;
	sd_switch_function(k->c, k->arg, bytes);
	sd_begin_register(k->c, bytes, sizeof(bytes));
	return R1;
}

static void written_blocks(const SdCard *c, uint8_t *out) /* ACMD22 */
{
	for (unsigned i = 0; i < 4; i++)
		out[i] = (uint8_t)(c->written >> (24 - 8 * i));
}

static Reply block_length(Call *k) /* CMD16 */
{
	if (!in(k, IN(SD_TRAN)))
		return ILLEGAL;
	if (!k->arg || k->arg > SD_BLOCK)
		k->c->status |= SD_BLOCK_LEN_ERROR;
	else
		k->c->block_len = (uint16_t)k->arg;
	return R1;
}

static Reply block_count(Call *k) /* CMD23 */
{
	if (k->c->spec_version < 3 || !in(k, IN(SD_TRAN)))
		return ILLEGAL;
	k->c->set_blocks = k->arg;
	return R1;
}

static uint64_t byte_address(const SdCard *c, uint32_t arg)
{
	return sd_is_sdhc(c) ? (uint64_t)arg * SD_BLOCK : arg;
}

/* Errors of the card status that keep a data phase from beginning. */
static uint32_t refuses(const SdCard *c, uint64_t address, bool write)
{
	uint32_t len = sd_is_sdhc(c) ? SD_BLOCK : c->block_len;
	if (address >= c->size)
		return SD_OUT_OF_RANGE;
	if (write && len != SD_BLOCK)
		return SD_BLOCK_LEN_ERROR;
	if (address % SD_BLOCK + len > SD_BLOCK)
		return SD_ADDRESS_ERROR;
	return write && !sd_card_writable(c) ? SD_WP_VIOLATION : 0;
}

static Reply medium(Call *k, bool write, bool multiple) /* CMD17, 18, 24, 25 */
{
	SdCard *c = k->c;
	uint64_t address = byte_address(c, k->arg);
	if (!in(k, IN(SD_TRAN)))
		return ILLEGAL;
	uint32_t errors = refuses(c, address, write);
	c->status |= errors;
	if (!errors)
		sd_begin_medium(c, write, multiple, address);
	c->set_blocks = 0;
	return R1;
}

static Reply stop_transmission(Call *k) /* CMD12 */
{
	if (!in(k, IN(SD_DATA) | IN(SD_RCV)) && k->c->state != SD_RCV)
		return ILLEGAL;
	sd_end_data(k->c);
	return R1;
}

/* ---- erase ---- */

static Reply erase_border(Call *k, unsigned which) /* CMD32, CMD33 */
{
	SdCard *c = k->c;
	uint64_t address = byte_address(c, k->arg) & ~(uint64_t)(SD_BLOCK - 1);
	if (!in(k, IN(SD_TRAN)))
		return ILLEGAL;
	if (which == 2 && c->erase_have != 1) {
		c->status |= SD_ERASE_SEQ_ERROR;
		c->erase_have = 0;
	} else if (address >= c->size) {
		c->status |= SD_OUT_OF_RANGE;
		c->erase_have = 0;
	} else {
		*(which == 1 ? &c->erase_start : &c->erase_end) = address;
		c->erase_have = which == 1 ? 1 : 3;
	}
	return R1;
}

static Reply erase(Call *k) /* CMD38 */
{
	SdCard *c = k->c;
	if (!in(k, IN(SD_TRAN)))
		return ILLEGAL;
	if (c->erase_have != 3)
		c->status |= SD_ERASE_SEQ_ERROR;
	else if (c->erase_start > c->erase_end)
		c->status |= SD_ERASE_PARAM;
	else if (!sd_card_writable(c))
		c->status |= SD_WP_ERASE_SKIP;
	else
		sd_erase(c);
	c->erase_have = 0;
	return R1;
}

/* ---- dispatch ---- */

static Reply app_command(Call *k, uint8_t index, bool *known)
{
	SdCard *c = k->c;
	*known = true;
	switch (index) {
	case 6:
		if (!in(k, IN(SD_TRAN)) || (k->arg & 3) == 1 || (k->arg & 3) == 3)
			return ILLEGAL;
		c->bus_width = k->arg & 3;
		return R1;
	case 13:
		return send_register(k, SD_STATUS_BYTES, sd_get_ssr);
	case 22:
		return send_register(k, 4, written_blocks);
	case 23: /* blocks to erase before a write: nothing to gain */
	case 42: /* the resistor at DAT3 */
		return in(k, IN(SD_TRAN)) ? R1 : ILLEGAL;
	case 41:
		return op_condition(k);
	case 51:
		return send_register(k, 8, sd_get_scr);
	default:
		*known = false;
		return ILLEGAL;
	}
}

static Reply command(Call *k, uint8_t index)
{
	SdCard *c = k->c;
	switch (index) {
	case 0:
		sd_card_power_cycle(c);
		return NO_REPLY;
	case 2:
		return all_send_cid(k);
	case 3:
		return new_address(k);
	case 4:
		return in(k, IN(SD_STBY)) ? NO_REPLY
					  : ILLEGAL; /* drivers' strength: there are none */
	case 6:
		return switch_function(k);
	case 7:
		return select_card(k);
	case 8:
		return if_condition(k);
	case 9:
		return of_addressed(k, IN(SD_STBY), R2_CSD);
	case 10:
		return of_addressed(k, IN(SD_STBY), R2_CID);
	case 12:
		return stop_transmission(k);
	case 13:
		return of_addressed(k, IN_TRANSFER, R1);
	case 15:
		if (of_addressed(k, IN_TRANSFER, R1) != R1)
			return in(k, IN_TRANSFER) ? NO_REPLY : ILLEGAL;
		sd_end_data(c);
		c->state = SD_INACTIVE;
		return NO_REPLY;
	case 16:
		return block_length(k);
	case 17:
		return medium(k, false, false);
	case 18:
		return medium(k, false, true);
	case 23:
		return block_count(k);
	case 24:
		return medium(k, true, false);
	case 25:
		return medium(k, true, true);
	case 32:
		return erase_border(k, 1);
	case 33:
		return erase_border(k, 2);
	case 38:
		return erase(k);
	case 55:
		if (!in(k, IN(SD_IDLE)) && !in(k, IN_TRANSFER))
			return ILLEGAL;
		if (!in(k, IN(SD_IDLE)) && !addressed(k))
			return NO_REPLY;
		c->app_command = true;
		return R1;
	default:
		return ILLEGAL;
	}
}

/* Any other command between the three ends an erase sequence (SD 4.3.5). */
static void watch_sequences(SdCard *c, uint8_t index)
{
	if (c->erase_have && index != 32 && index != 33 && index != 38 && index != 13) {
		c->erase_have = 0;
		c->status |= SD_ERASE_RESET;
	}
	if (index != 18 && index != 25 && index != 13)
		c->set_blocks = 0;
}

/* ---- answers ---- */

static void put32(uint8_t *p, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* The card status; errors are told once. */
static uint32_t take_status(const Call *k, bool app)
{
	SdCard *c = k->c;
	uint32_t r1 = c->status | (uint32_t)k->state << 9 | (app ? SD_APP_CMD : 0);
	if (!sd_card_busy(c) || !c->programming)
		r1 |= SD_READY_FOR_DATA;
	c->status = 0;
	return r1;
}

static unsigned answer(const Call *k, Reply reply, bool app)
{
	SdCard *c = k->c;
	uint32_t r1, ocr;
	switch (reply) {
	case R1:
		put32(k->answer, take_status(k, app));
		return 4;
	case R6: /* bits 23, 22, 19 and 12..0 of the status */
		r1 = take_status(k, app);
		put32(k->answer, (uint32_t)c->rca << 16 | (r1 >> 8 & 0xc000) | (r1 >> 6 & 0x2000) |
				     (r1 & 0x1fff));
		return 4;
	case R3:
		ocr = SD_OCR_VOLTAGES | (c->state == SD_READY ? SD_OCR_POWERED : 0);
		put32(k->answer, ocr | (c->state == SD_READY && sd_is_sdhc(c) ? SD_OCR_CCS : 0));
		return 4;
	case R7:
		put32(k->answer, k->arg & 0xfff);
		return 4;
	case R2_CID:
		sd_get_cid(c, k->answer);
		return 15;
	case R2_CSD:
		sd_get_csd(c, k->answer);
		return 15;
	default:
		return 0;
	}
}

unsigned sd_card_command(SdCard *c, uint8_t index, uint32_t arg, uint8_t out[16])
{
	Call k = {c, arg, state_now(c), out};
	bool app = c->app_command, known = false;
	Reply reply = ILLEGAL;

	if (!sd_card_present(c) || k.state == SD_INACTIVE)
		return 0;
	c->app_command = false;
	watch_sequences(c, index);
	if (app)
		reply = app_command(&k, index, &known);
	if (!known)
		reply = command(&k, index);
	if (reply == ILLEGAL)
		c->status |= SD_ILLEGAL_COMMAND;
	return answer(&k, reply, (app && known) || c->app_command);
}
