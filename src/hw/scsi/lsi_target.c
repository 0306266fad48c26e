/*
 * lsi_target.c - the other end of the parallel bus: what targets ask for, command by command.
 *
 * SPI-4 (INCITS 362) clauses 10 (phases) and 16 (messages). Targets are narrow and asynchronous and
 * refuse to negotiate; they disconnect, if they may, while their drive works, and have a buffer for
 * that. Phases change as soon as the last byte of one has moved, without waiting for ACK to fall.
 * Left out: linked commands, asynchronous events. Main loop and vcpu threads, machine lock held.
 */
#include <string.h>

#include "hw/scsi/lsi.h"

#define TASK_SET_FULL 0x28

/* Messages (SPI-4 16.2) */
enum {
	MSG_COMPLETE = 0x00, MSG_EXTENDED = 0x01, MSG_SAVE_POINTERS = 0x02, MSG_DISCONNECT = 0x04,
	MSG_ERROR = 0x05, MSG_ABORT = 0x06, MSG_REJECT = 0x07, MSG_NOP = 0x08, MSG_PARITY = 0x09,
	MSG_ABORT_TAG = 0x0d, MSG_TARGET_RESET = 0x0c, MSG_CLEAR_QUEUE = 0x0e, MSG_TAG = 0x20,
	MSG_TAG_LAST = 0x22, MSG_IDENTIFY = 0x80,
};
#define IDENTIFY_DISCONNECT 0x40u
#define IDENTIFY_LUN 0x3fu

/* ---- commands ---- */

static void command_free(LsiCommand *c)
{
	if (c->r)
		scsi_request_free(c->r);
	g_free(c->buf);
	g_free(c);
}

/* Off the list; freed now, or when the drive has let go of its buffer. */
static void command_drop(LsiCommand *c)
{
	g_queue_unlink(&c->lsi->commands, &c->link);
	if (c->lsi->current == c)
		c->lsi->current = NULL;
	if (c->busy)
		c->dead = true;
	else
		command_free(c);
}

/* Of a target (of all: -1), a unit (-1), a tag (-1). */
static void abort_commands(Lsi *s, int target, int lun, int tag)
{
	for (GList *l = s->commands.head, *next; l; l = next) {
		LsiCommand *c = l->data;
		next = l->next;
		if ((target < 0 || c->target == target) && (lun < 0 || c->lun == lun) &&
		    (tag < 0 || (c->tagged && c->tag == tag)))
			command_drop(c);
	}
}

static void leave_bus(Lsi *s)
{
	s->connected = s->req = false;
	s->current = NULL;
	s->reg[SCNTL1] &= (uint8_t)~SCNTL1_CON;
	s->msg_at = s->msg_have = s->cdb_have = 0;
	s->free_after = false;
	lsi_bus_changed(s);
}

void lsi_bus_reset(Lsi *s)
{
	abort_commands(s, -1, -1, -1);
	leave_bus(s);
	for (unsigned i = 0; i < s->bus.units->len; i++)
		scsi_unit_reset(s->bus.units->pdata[i]);
}

/* A unit that is unplugged takes its commands along. */
void lsi_plugged(ScsiBus *b, ScsiUnit *u, bool in)
{
	Lsi *s = b->opaque;
	if (in)
		return;
	abort_commands(s, u->id, u->lun, -1);
	if (s->connected && s->target == u->id)
		leave_bus(s);
}

void lsi_give_up(Lsi *s)
{
	scsi_bus_drain(&s->bus);
	abort_commands(s, -1, -1, -1);
	leave_bus(s);
}

/* ---- phases ---- */

static void ask(Lsi *s, LsiPhase phase)
{
	s->phase = (uint8_t)phase;
	s->req = true;
	lsi_bus_changed(s);
}

static void say(Lsi *s, uint8_t byte)
{
	if (s->msg_have < sizeof(s->msg_in))
		s->msg_in[s->msg_have++] = byte;
}

/* The drive works: others may have the bus meanwhile. */
static void wait_for_drive(Lsi *s, LsiCommand *c)
{
	if (!c->may_disconnect) {
		s->req = false;
		return;
	}
	say(s, MSG_SAVE_POINTERS);
	say(s, MSG_DISCONNECT);
	s->free_after = true;
	c->disconnected = true;
	ask(s, PHASE_MESSAGE_IN);
}

/* Bytes of the buffer's next filling. */
static uint32_t chunk(const LsiCommand *c)
{
	return (uint32_t)MIN(c->r->length - c->r->moved, LSI_CHUNK);
}

/* A step of the request ended. */
static void step_done(LsiCommand *c)
{
	c->busy = false;
	c->fill = c->at = 0;
	c->have = c->r->dir == SCSI_DIR_IN ? (uint32_t)(c->r->moved - c->before) : 0;
}

/* Hands the request its buffer. */
static void step(LsiCommand *c)
{
	uint32_t len = c->r->dir == SCSI_DIR_NONE ? 0 : chunk(c);
	c->vec = (struct iovec){ c->buf, len };
	c->before = c->r->moved;
	c->busy = true;
	if (scsi_go(c->r, &c->vec, len ? 1 : 0))
		step_done(c);
}

/* What the command of this connection needs next. */
static void advance(Lsi *s)
{
	LsiCommand *c = s->current;
	while (c->at == c->have && !c->busy && c->r && !c->r->ended) {
		if (c->r->dir == SCSI_DIR_OUT && c->fill < chunk(c)) {
			ask(s, PHASE_DATA_OUT);
			return;
		}
		step(c);
	}
	if (c->at < c->have) {
		ask(s, PHASE_DATA_IN);
	} else if (c->busy) {
		wait_for_drive(s, c);
	} else {
		s->status = c->r ? c->r->status : TASK_SET_FULL;
		ask(s, PHASE_STATUS);
	}
}

/* After messages: where the target left off. */
static void go_on(Lsi *s)
{
	if (s->msg_at < s->msg_have)
		ask(s, PHASE_MESSAGE_IN);
	else if (s->current)
		advance(s);
	else
		ask(s, PHASE_COMMAND);
}

static void ready(ScsiRequest *r)
{
	LsiCommand *c = r->opaque;
	Lsi *s = c->lsi;
	step_done(c);
	if (c->dead) {
		command_free(c);
		return;
	}
	c->ready = c->disconnected;
	if (c == s->current && !c->disconnected && s->connected)
		advance(s);
	lsi_bus_changed(s);
}

const ScsiHost lsi_host = { .ready = ready, .power_on_attention = true };

/* ---- connections ---- */

bool lsi_select(Lsi *s, unsigned target, bool attention)
{
	if (!scsi_bus_has_target(&s->bus, 0, target))
		return false;
	s->connected = true;
	s->target = (uint8_t)target;
	s->lun = 0;
	s->tagged = s->may_disconnect = false;
	s->reg[SCNTL1] |= SCNTL1_CON;
	ask(s, attention ? PHASE_MESSAGE_OUT : PHASE_COMMAND);
	return true;
}

static void connect_again(Lsi *s, LsiCommand *c)
{
	s->connected = true;
	s->current = c;
	s->target = c->target;
	s->lun = c->lun;
	s->tag = c->tag;
	s->tagged = c->tagged;
	s->may_disconnect = c->may_disconnect;
	c->disconnected = c->ready = false;
	s->reg[SCNTL1] |= SCNTL1_CON;
	s->reg[SSID] = 0x80 | c->target;
	if (!(s->reg[DCNTL] & DCNTL_COM)) /* as the 53C700 has it */
		s->reg[SFBR] = (uint8_t)(1u << (c->target & 7));
	say(s, MSG_IDENTIFY | c->lun);
	if (c->tagged) {
		say(s, MSG_TAG);
		say(s, c->tag);
	}
	ask(s, PHASE_MESSAGE_IN);
}

bool lsi_reselect(Lsi *s)
{
	for (GList *l = s->commands.head; l; l = l->next) {
		LsiCommand *c = l->data;
		if (!c->ready)
			continue;
		connect_again(s, c);
		return true;
	}
	return false;
}

static void start(Lsi *s)
{
	LsiCommand *c = g_new0(LsiCommand, 1);
	*c = (LsiCommand){ .lsi = s, .target = s->target, .lun = s->lun, .tag = s->tag,
		.tagged = s->tagged, .may_disconnect = s->may_disconnect };
	c->link.data = c;
	if (s->commands.length < LSI_COMMANDS) {
		c->r = scsi_bus_request(&s->bus, 0, c->target, c->lun, s->cdb, s->cdb_have, c);
		c->buf = g_malloc(LSI_CHUNK);
	}
	s->cdb_have = 0;
	g_queue_push_tail_link(&s->commands, &c->link);
	s->current = c;
	advance(s);
}

/* ---- messages ---- */

/* One message of n bytes at most; how many it has. *gone: the target leaves the bus. */
static uint32_t hear(Lsi *s, const uint8_t *m, uint32_t n, bool *gone)
{
	if (m[0] & MSG_IDENTIFY) {
		s->lun = m[0] & IDENTIFY_LUN;
		s->may_disconnect = m[0] & IDENTIFY_DISCONNECT;
		return 1;
	}
	if (m[0] >= MSG_TAG && m[0] <= MSG_TAG_LAST && n > 1) {
		s->tagged = true;
		s->tag = m[1];
		return 2;
	}
	switch (m[0]) {
	case MSG_NOP: case MSG_REJECT: case MSG_ERROR: case MSG_PARITY:
		return 1;
	case MSG_ABORT: case MSG_CLEAR_QUEUE:
		abort_commands(s, s->target, s->lun, -1);
		break;
	case MSG_ABORT_TAG:
		abort_commands(s, s->target, s->lun, s->tagged ? s->tag : -1);
		break;
	case MSG_TARGET_RESET:
		abort_commands(s, s->target, -1, -1);
		for (unsigned i = 0; i < s->bus.units->len; i++) {
			ScsiUnit *u = s->bus.units->pdata[i];
			if (u->id == s->target)
				scsi_unit_reset(u);
		}
		break;
	default: /* negotiations too: narrow and asynchronous it stays */
		say(s, MSG_REJECT);
		return m[0] == MSG_EXTENDED && n > 1 ? MIN(2u + m[1], n) : 1;
	}
	*gone = true;
	return 1;
}

static void hear_all(Lsi *s, uint32_t len)
{
	bool gone = false;
	for (uint32_t at = 0; at < len && !gone;)
		at += hear(s, s->msg_out + at, len - at, &gone);
	if (gone)
		leave_bus(s);
	else
		go_on(s);
}

/* SeaBIOS selects without ATN and sends IDENTIFY nevertheless: its block move is taken for the
 * line. */
bool lsi_yields(Lsi *s, LsiPhase wanted)
{
	if (wanted != PHASE_MESSAGE_OUT || s->phase != PHASE_COMMAND || s->current || s->cdb_have)
		return false;
	lsi_attention(s, true);
	return true;
}

void lsi_attention(Lsi *s, bool on)
{
	if (!s->connected)
		return;
	if (on)
		ask(s, PHASE_MESSAGE_OUT);
	else if (s->phase == PHASE_MESSAGE_OUT)
		go_on(s);
}

/* ---- bytes ---- */

uint8_t *lsi_window(Lsi *s, uint32_t *len)
{
	LsiCommand *c = s->current;
	switch (s->phase) {
	case PHASE_MESSAGE_OUT:
		*len = sizeof(s->msg_out);
		return s->msg_out;
	case PHASE_MESSAGE_IN:
		*len = s->msg_have - s->msg_at;
		return s->msg_in + s->msg_at;
	case PHASE_COMMAND:
		*len = sizeof(s->cdb) - s->cdb_have;
		return s->cdb + s->cdb_have;
	case PHASE_STATUS:
		*len = 1;
		return &s->status;
	case PHASE_DATA_IN:
		*len = c->have - c->at;
		return c->buf + c->at;
	default:
		*len = chunk(c) - c->fill;
		return c->buf + c->fill;
	}
}

/* Firmware sends 16 bytes of whatever command: what the command does not need is taken too. */
static void command_bytes(Lsi *s, uint32_t len, bool last)
{
	unsigned need = scsi_cdb_length(s->cdb[0]);
	s->cdb_have = (uint8_t)(s->cdb_have + len);
	if (s->cdb_have == sizeof(s->cdb) || (last && s->cdb_have >= need))
		start(s);
}

static void message_in_moved(Lsi *s, uint32_t len)
{
	s->msg_at = (uint8_t)(s->msg_at + len);
	if (s->msg_at < s->msg_have)
		return;
	s->msg_at = s->msg_have = 0;
	if (s->free_after)
		leave_bus(s);
	else
		go_on(s);
}

void lsi_moved(Lsi *s, uint32_t len, bool last)
{
	LsiCommand *c = s->current;
	switch (s->phase) {
	case PHASE_MESSAGE_OUT:
		hear_all(s, len);
		break;
	case PHASE_MESSAGE_IN:
		message_in_moved(s, len);
		break;
	case PHASE_COMMAND:
		command_bytes(s, len, last);
		break;
	case PHASE_STATUS:
		command_drop(c);
		say(s, MSG_COMPLETE);
		s->free_after = true;
		ask(s, PHASE_MESSAGE_IN);
		break;
	case PHASE_DATA_IN:
		c->at += len;
		advance(s);
		break;
	default:
		c->fill += len;
		advance(s);
	}
}
