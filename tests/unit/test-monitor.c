/* test-monitor.c - expressions, line editing, values, and the disassembler. */
#include <string.h>

#include "cpu/decode.h"
#include "monitor/private.h"

static void test_expressions(void)
{
	static const struct { const char *text; int64_t value; const char *why; } cases[] = {
		{ "1+2*3", 7, NULL }, { "(1+2)*3", 9, NULL }, { "0x10 - 010", 8, NULL },
		  { "-5 % 3", -2, NULL },
		{ "~0", -1, NULL }, { "6 & 3 | 8", 10, NULL }, { "'A'", 65, NULL },
		  { "$rax + 1", 43, NULL },
		{ "$eip", 0x1000, NULL }, { "1/0", 0, "division by zero" },
		  { "1+", 0, "unexpected end of expression" },
		{ "(1", 0, "')' expected" }, { "$foo", 0, "unknown register" },
		  { "@", 0, "invalid char '%c' in expression" },
		{ "0x8000000000000000 / -1", INT64_MIN, NULL },
		  { "99999999999999999999", 0, "number too large" },
	};
	Cpu *cpu = g_new0(Cpu, 1);
	cpu->gpr[RAX] = 42;
	cpu->rip = 0x1000;
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		const char *p = cases[i].text, *why;
		int64_t value;
		bool ok = expr_parse(&p, cpu, &value, &why);
		g_assert_cmpstr(why, ==, cases[i].why);
		g_assert_true(ok == !cases[i].why);
		if (ok)
			g_assert_cmpint(value, ==, cases[i].value);
	}
	char deep[2000];
	memset(deep, '(', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = 0;
	const char *p = deep, *why;
	int64_t value;
	g_assert_false(expr_parse(&p, cpu, &value, &why));
	g_free(cpu);
}

static GPtrArray *complete(const char *line, void *opaque)
{
	GPtrArray *words = g_ptr_array_new();
	static const char *const all[] = { "stop", "status", "system_reset" };
	for (unsigned i = 0; i < G_N_ELEMENTS(all); i++)
		if (g_str_has_prefix(all[i], line))
			g_ptr_array_add(words, (gpointer)all[i]);
	return words;
}

static char *feed(Readline *r, const char *keys)
{
	GString *echo = g_string_new(NULL);
	char *line = NULL;
	for (; *keys; keys++) {
		char *done = readline_byte(r, (uint8_t)*keys, echo);
		if (done) {
			g_free(line);
			line = done;
		}
	}
	g_string_free(echo, TRUE);
	return line;
}

static void test_readline(void)
{
	static const struct { const char *keys, *line; } cases[] = {
		{ "abc\r", "abc" }, { "abd\177c\r", "abc" }, { "junk\025ok\r", "ok" },
		  { "one two\027three\r", "one three" },
		{ "bc\001a\r", "abc" }, { "ac\033[Db\r", "abc" }, { "\033[A\r", "abc" },
		  { "\033[A\033[A\033[B\r", "abc" },
		{ "abcd\033[D\033[3~\r", "abc" }, { "sto\t\r", "stop " },
		  { "st\ta\t\r", "status " }, { "zz\t\r", "zz" },
		{ "abc\002\002\013\r", "a" }, { "x\003y\r", "y" }, { "\r", "" },
	};
	Readline *r = readline_new("> ", complete, NULL);
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		char *line = feed(r, cases[i].keys);
		g_assert_cmpstr(line, ==, cases[i].line);
		g_free(line);
		if (i == 5) { /* the next two recall it */
			g_assert_cmpstr(readline_history(r, 0), ==, "abc");
			g_assert_null(readline_history(r, 50));
		}
	}
	GRand *rand = g_rand_new_with_seed(3);
	for (unsigned i = 0; i < 100000; i++) {
		char key[2] = { (char)g_rand_int_range(rand, 1, 256), 0 };
		g_free(feed(r, key));
	}
	g_rand_free(rand);
	readline_free(r);
}

static void test_values(void)
{
	static const struct { char format; unsigned size; uint64_t value; const char *text;
		} cases[] = {
		{ 'x', 1, 0xea, "0xea" }, { 'x', 8, 1, "0x0000000000000001" },
		  { 'd', 1, 0xff, "-1" },
		{ 'u', 1, 0xff, "255" }, { 'o', 1, 8, "0010" }, { 'c', 1, 'A', "'A'" },
		  { 'c', 1, 0, "'\\x00'" },
	};
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		GString *s = g_string_new(NULL);
		append_value(s, cases[i].format, cases[i].size, cases[i].value);
		g_assert_cmpstr(g_strchug(s->str), ==, cases[i].text);
		g_string_free(s, TRUE);
	}
}

static void test_disassembler(void)
{
	static const struct { unsigned mode; uint8_t bytes[16]; const char *text; } cases[] = {
		{ MODE_CODE64 | MODE_PROT, { 0x48, 0x89, 0xd8 }, "mov rax, rbx" },
		{ MODE_CODE64 | MODE_PROT, { 0x41, 0x8a, 0x44, 0x8d, 0xf0 },
		  "mov al, byte ptr [r13+rcx*4-0x10]" },
		{ MODE_CODE64 | MODE_PROT, { 0x48, 0x8d, 0x05, 0x10, 0, 0, 0 },
		  "lea rax, [0x1017]" },
		{ MODE_CODE64 | MODE_PROT, { 0x83, 0xc0, 0xff }, "add eax, 0xffffffff" },
		{ MODE_CODE64 | MODE_PROT, { 0xe8, 0xfb, 0xff, 0xff, 0xff }, "call 0x1000" },
		{ MODE_CODE64 | MODE_PROT, { 0x75, 0xfe }, "jne 0x1000" },
		{ MODE_CODE64 | MODE_PROT, { 0xf3, 0x48, 0xa5 }, "rep movsq" },
		{ MODE_CODE64 | MODE_PROT, { 0xf0, 0x0f, 0xb1, 0x0b },
		  "lock cmpxchg dword ptr [rbx], ecx" },
		{ MODE_CODE64 | MODE_PROT, { 0x0f, 0x22, 0xd8 }, "mov cr3, rax" },
		{ MODE_CODE64 | MODE_PROT, { 0x48, 0xcf }, "iretq" },
		{ MODE_CODE64 | MODE_PROT, { 0x90 }, "nop" },
		{ MODE_CODE64 | MODE_PROT, { 0x48, 0x99 }, "cqo" },
		{ MODE_CODE64 | MODE_PROT, { 0x66, 0x0f, 0xef, 0xc1 }, "pxor xmm0, xmm1" },
		{ MODE_CODE32 | MODE_PROT, { 0x64, 0xa1, 0x10, 0, 0, 0 },
		  "mov eax, dword ptr fs:[0x10]" },
		{ MODE_CODE32 | MODE_PROT, { 0xc8, 0x10, 0x00, 0x01 }, "enter 0x10, 0x1" },
		{ MODE_CODE16, { 0xea, 0x5b, 0xe0, 0x00, 0xf0 }, "jmp 0xf000:0xe05b" },
		{ MODE_CODE16, { 0x30, 0x36, 0x2f, 0x32 }, "xor byte ptr [0x322f], dh" },
		{ MODE_CODE16, { 0x39, 0x39 }, "cmp word ptr [bx+di], di" },
		{ MODE_CODE16, { 0x66, 0x98 }, "cwde" },
		{ MODE_CODE16, { 0xcd, 0x10 }, "int 0x10" },
	};
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		Decoded d;
		GString *s = g_string_new(NULL);
		g_assert_cmpint(decode(cases[i].bytes, 16, cases[i].mode, NULL, &d), ==, DECODE_OK);
		disassemble(&d, 0x1000, s);
		g_assert_cmpstr(s->str, ==, cases[i].text);
		g_string_free(s, TRUE);
	}
}

/* Whatever decodes has a text. */
static void test_disassembler_noise(void)
{
	GRand *rand = g_rand_new_with_seed(11);
	static const unsigned modes[] = { MODE_CODE16, MODE_CODE32 | MODE_PROT, MODE_CODE64 |
		MODE_PROT };
	for (unsigned i = 0; i < 300000; i++) {
		uint8_t bytes[16];
		Decoded d;
		for (unsigned k = 0; k < sizeof(bytes); k++)
			bytes[k] = (uint8_t)g_rand_int(rand);
		if (decode(bytes, 15, modes[i % 3], NULL, &d) != DECODE_OK)
			continue;
		GString *s = g_string_new(NULL);
		disassemble(&d, 0, s);
		g_assert_cmpuint(s->len, >, 1);
		g_string_free(s, TRUE);
	}
	g_rand_free(rand);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/monitor/expressions", test_expressions);
	g_test_add_func("/monitor/readline", test_readline);
	g_test_add_func("/monitor/values", test_values);
	g_test_add_func("/monitor/disassembler", test_disassembler);
	g_test_add_func("/monitor/disassembler/noise", test_disassembler_noise);
	return g_test_run();
}
