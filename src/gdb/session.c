/*
 * session.c - what packets ask for, and their answers.
 *
 * "Debugging with GDB", E.2 to E.4. What is not known is answered by nothing, as the protocol wants it.
 */
#include <string.h>

#include "core/lock.h"
#include "gdb/private.h"

#define MEMORY_MAX ((PACKET_MAX - 16) / 2) /* bytes whose digits fit a packet */

static Board *board_of(const Gdb *g) { return machine_board(g->m); }
static void not_known(Gdb *g) { gdb_send(g, "", 0); }

/* Registers of the vcpu are current; put(g, cpu) after changes. */
static Cpu *chosen_cpu(Gdb *g)
{
	Cpu *cpu = board_of(g)->cpus[g->cpu_g];

	machine_sync_get(g->m, cpu);
	return cpu;
}

/* ---- registers ---- */

static void send_registers(Gdb *g)
{
	g_autoptr(GString) out = g_string_new(NULL);
	Cpu *cpu = chosen_cpu(g);
	unsigned count = gdb_register_count(g);

	for (unsigned n = 0; n < count; n++)
		gdb_append_register(g, cpu, n, out);
	gdb_send(g, out->str, out->len);
}

/* What may not be set stays as it is: gdb writes all back when one has changed. */
static void take_registers(Gdb *g, const char *p)
{
	Cpu *cpu = chosen_cpu(g);
	unsigned count = gdb_register_count(g);

	for (unsigned n = 0; n < count && *p; n++)
		gdb_set_register(g, cpu, n, &p);
	machine_sync_put(g->m, cpu);
	gdb_ok(g);
}

static void send_register(Gdb *g, const char *p)
{
	g_autoptr(GString) out = g_string_new(NULL);
	uint64_t n;

	if (gdb_take_number(&p, &n) && n < UINT16_MAX && gdb_append_register(g, chosen_cpu(g), (unsigned)n, out))
		gdb_send(g, out->str, out->len);
	else
		gdb_error(g, GDB_EINVAL);
}

static void take_register(Gdb *g, const char *p)
{
	uint64_t n;
	Cpu *cpu = chosen_cpu(g);

	bool ok = gdb_take_number(&p, &n) && gdb_take_char(&p, '=') && n < UINT16_MAX && gdb_set_register(g, cpu, (unsigned)n, &p);
	machine_sync_put(g->m, cpu);
	if (ok)
		gdb_ok(g);
	else
		gdb_error(g, GDB_EINVAL);
}

/* ---- memory ---- */

static bool take_range(const char **p, uint64_t *address, uint64_t *count)
{
	return gdb_take_number(p, address) && gdb_take_char(p, ',') && gdb_take_number(p, count);
}

static void send_memory(Gdb *g, const char *p)
{
	uint8_t bytes[MEMORY_MAX];
	uint64_t address, count;

	if (!take_range(&p, &address, &count) || count > MEMORY_MAX) {
		gdb_error(g, GDB_EINVAL);
		return;
	}
	if (!gdb_read_memory(g, chosen_cpu(g), address, bytes, count)) {
		gdb_error(g, GDB_EFAULT);
		return;
	}
	g_autoptr(GString) out = g_string_new(NULL);
	gdb_append_hex(out, bytes, count);
	gdb_send(g, out->str, out->len);
}

static void store(Gdb *g, uint64_t address, const uint8_t *bytes, size_t count)
{
	if (gdb_write_memory(g, chosen_cpu(g), address, bytes, count))
		gdb_ok(g);
	else
		gdb_error(g, GDB_EFAULT);
}

/* M: digits, X: bytes. */
static void take_memory(Gdb *g, const char *p, bool binary)
{
	uint8_t bytes[PACKET_MAX];
	uint64_t address, count;

	bool ok = take_range(&p, &address, &count) && gdb_take_char(&p, ':');
	size_t rest = (size_t)(g->packet->str + g->packet->len - p);
	ok = ok && count <= sizeof(bytes) && rest == count * (binary ? 1 : 2);
	if (ok && binary)
		memcpy(bytes, p, rest);
	else
		ok = ok && gdb_take_hex(&p, bytes, count);
	if (ok)
		store(g, address, bytes, count);
	else
		gdb_error(g, GDB_EINVAL);
}

/* ---- threads ---- */

static void choose_thread(Gdb *g, const char *p)
{
	char what = *p;
	int index;

	if (what)
		p++;
	if ((what != 'g' && what != 'c') || !gdb_take_thread(g, &p, &index)) {
		gdb_error(g, GDB_EINVAL);
		return;
	}
	if (index >= 0)
		*(what == 'g' ? &g->cpu_g : &g->cpu_c) = (unsigned)index;
	gdb_ok(g);
}

static void is_alive(Gdb *g, const char *p)
{
	int index;

	if (gdb_take_thread(g, &p, &index))
		gdb_ok(g);
	else
		gdb_error(g, GDB_EINVAL);
}

static void send_threads(Gdb *g)
{
	g_autoptr(GString) out = g_string_new("m");

	while (g->threads_told < board_of(g)->cpu_count && out->len < PACKET_MAX - 32) {
		if (out->len > 1)
			g_string_append_c(out, ',');
		gdb_append_thread(g, g->threads_told++, out);
	}
	if (out->len > 1)
		gdb_send(g, out->str, out->len);
	else
		gdb_say(g, "l");
}

static void send_thread_info(Gdb *g, const char *p)
{
	int index;

	if (!gdb_take_thread(g, &p, &index) || index < 0) {
		gdb_error(g, GDB_EINVAL);
		return;
	}
	const Cpu *cpu = board_of(g)->cpus[index];
	g_autofree char *text = g_strdup_printf("CPU#%d [%s]", index, cpu->halted ? "halted " : "running");
	g_autoptr(GString) out = g_string_new(NULL);
	gdb_append_hex(out, text, strlen(text));
	gdb_send(g, out->str, out->len);
}

/* ---- queries ---- */

static void supported(Gdb *g, const char *p)
{
	g->multiprocess = strstr(p, "multiprocess+");
	gdb_say(g, "PacketSize=%x;qXfer:features:read+;vContSupported+;multiprocess+;QStartNoAckMode+", PACKET_MAX);
}

/* ANNEX:OFFSET,LENGTH */
static void send_features(Gdb *g, const char *p)
{
	uint64_t at, count;

	if (!g_str_has_prefix(p, "target.xml:")) {
		gdb_error(g, 0);
		return;
	}
	p += strlen("target.xml:");
	if (!take_range(&p, &at, &count)) {
		gdb_error(g, GDB_EINVAL);
		return;
	}
	g->long_registers = true;
	g_autofree char *text = gdb_describe_target(g);
	size_t len = strlen(text);
	at = MIN(at, len);
	count = MIN(MIN(count, len - at), PACKET_MAX - 16);
	g_autofree char *part = g_strdup_printf("%c%.*s", at + count < len ? 'm' : 'l', (int)count, text + at);
	gdb_send(g, part, strlen(part));
}

/* The monitor's words come as console output, in pieces, before the OK. */
static void run_command(Gdb *g, const char *p)
{
	size_t count = strlen(p) / 2;
	g_autofree char *line = g_malloc0(count + 1);
	g_autoptr(GString) said = g_string_new(NULL);

	if (!g->execute || !gdb_take_hex(&p, line, count) || *p) {
		gdb_error(g, GDB_EINVAL);
		return;
	}
	g->execute(g->execute_opaque, line, said);
	for (size_t at = 0; at < said->len; at += MEMORY_MAX) {
		g_autoptr(GString) out = g_string_new("O");
		gdb_append_hex(out, said->str + at, MIN(MEMORY_MAX, said->len - at));
		gdb_send(g, out->str, out->len);
	}
	gdb_ok(g);
}

static void set_step_bits(Gdb *g, const char *p)
{
	uint64_t bits;

	if (!gdb_take_number(&p, &bits) || bits > 7) {
		gdb_error(g, GDB_EINVAL);
		return;
	}
	g->step_flags = (uint8_t)(bits | CPU_STEP_ON);
	gdb_ok(g);
}

static void set_physical(Gdb *g, const char *p)
{
	g->physical = *p == '1';
	gdb_ok(g);
}

static void no_ack(Gdb *g, const char *p)
{
	gdb_ok(g);
	g->no_ack = true;
}

static void first_threads(Gdb *g, const char *p)
{
	g->threads_told = 0;
	send_threads(g);
}

static void next_threads(Gdb *g, const char *p) { send_threads(g); }
static void attached(Gdb *g, const char *p) { gdb_say(g, "1"); }
static void step_bits(Gdb *g, const char *p) { gdb_say(g, "ENABLE=1,NOIRQ=2,NOTIMER=4"); }
static void step_now(Gdb *g, const char *p) { gdb_say(g, "0x%x", g->step_flags); }
static void is_physical(Gdb *g, const char *p) { gdb_say(g, "%d", g->physical); }
static void qemu_words(Gdb *g, const char *p) { gdb_say(g, "sstepbits;sstep;PhyMemMode"); }

static void current_thread(Gdb *g, const char *p)
{
	g_autoptr(GString) out = g_string_new("QC");

	gdb_append_thread(g, g->cpu_c, out);
	gdb_send(g, out->str, out->len);
}

static const struct { const char *word; void (*fn)(Gdb *g, const char *rest); } queries[] = {
	{ "qSupported", supported }, { "QStartNoAckMode", no_ack }, { "qXfer:features:read:", send_features },
	{ "qRcmd,", run_command }, { "qfThreadInfo", first_threads }, { "qsThreadInfo", next_threads },
	{ "qThreadExtraInfo,", send_thread_info }, { "qAttached", attached }, { "qC", current_thread },
	{ "qqemu.sstepbits", step_bits }, { "qqemu.sstep", step_now }, { "Qqemu.sstep=", set_step_bits },
	{ "qqemu.PhyMemMode", is_physical }, { "Qqemu.PhyMemMode:", set_physical }, { "qqemu.Supported", qemu_words },
};

static void query(Gdb *g)
{
	const char *text = g->packet->str;

	for (unsigned i = 0; i < G_N_ELEMENTS(queries); i++)
		if (g_str_has_prefix(text, queries[i].word)) {
			queries[i].fn(g, text + strlen(queries[i].word));
			return;
		}
	not_known(g);
}

/* ---- the session ---- */

/* A peer that asks anew why all stands begins anew. */
static void begin_anew(Gdb *g)
{
	gdb_forget_points(g);
	gdb_say_stop(g);
}

static void detach(Gdb *g)
{
	gdb_forget_points(g);
	gdb_ok(g);
	gdb_continue(g);
}

static void letter_v(Gdb *g, const char *p)
{
	if (g_str_has_prefix(p, "Cont"))
		gdb_handle_vcont(g, p + 4);
	else if (g_str_has_prefix(p, "Kill;")) {
		gdb_ok(g);
		machine_request_quit(g->m, 0);
	} else if (g_str_has_prefix(p, "Attach;"))
		gdb_say_stop(g);
	else
		not_known(g);
}

void gdb_handle(Gdb *g)
{
	const char *p = g->packet->str + 1;

	if (g->packet->len && strlen(g->packet->str) < g->packet->len && g->packet->str[0] != 'X') {
		gdb_error(g, GDB_EINVAL); /* zeros are for X alone */
		return;
	}
	switch (g->packet->len ? g->packet->str[0] : 0) {
	case '?': begin_anew(g); break;
	case 'g': send_registers(g); break;
	case 'G': take_registers(g, p); break;
	case 'p': send_register(g, p); break;
	case 'P': take_register(g, p); break;
	case 'm': send_memory(g, p); break;
	case 'M': take_memory(g, p, false); break;
	case 'X': take_memory(g, p, true); break;
	case 'c': gdb_handle_resume(g, p, false); break;
	case 'C': gdb_handle_resume(g, "", false); break;
	case 's': gdb_handle_resume(g, p, true); break;
	case 'S': gdb_handle_resume(g, "", true); break;
	case 'Z': gdb_handle_point(g, p, true); break;
	case 'z': gdb_handle_point(g, p, false); break;
	case 'H': choose_thread(g, p); break;
	case 'T': is_alive(g, p); break;
	case 'D': detach(g); break;
	case 'k': machine_request_quit(g->m, 0); break;
	case 'v': letter_v(g, p); break;
	case 'q':
	case 'Q': query(g); break;
	default: not_known(g); break;
	}
}

void gdb_begin_session(Gdb *g)
{
	gdb_reset_frames(g);
	g->cpu_g = g->cpu_c = 0;
	g->multiprocess = g->long_registers = g->physical = g->running = false;
	g->step_flags = CPU_STEP_ON | CPU_STEP_NO_INTERRUPTS | CPU_STEP_NO_TIMERS;
	machine_stop(g->m, STATE_PAUSED);
}

void gdb_end_session(Gdb *g)
{
	bool running = machine_running(g->m);

	g->running = false;
	machine_hold_vcpus(g->m);
	gdb_forget_points(g);
	machine_release_vcpus(g->m);
	if (!running)
		gdb_on_stop(g);
}
