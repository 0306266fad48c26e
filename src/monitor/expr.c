/*
 * expr.c - integer expressions: + - * / % & | ^ ~, brackets, 'c', $register.
 *
 * 64 bits, wrapping. Main thread.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "monitor/private.h"

#define DEPTH_MAX 64 /* brackets and signs */

typedef struct Parser {
	const char *p;
	const Cpu *cpu;
	const char *why; /* NULL: fine so far */
	unsigned depth;
} Parser;

static int64_t sum(Parser *s);

static const char *const gprs[] = { "ax", "cx", "dx", "bx", "sp", "bp", "si", "di" };
static const char *const segments[] = { "es", "cs", "ss", "ds", "fs", "gs" };

bool expr_register(const Cpu *cpu, const char *name, int64_t *out)
{
	unsigned n;
	char end;
	for (unsigned i = 0; i < G_N_ELEMENTS(gprs); i++) {
		if ((name[0] == 'r' || name[0] == 'e') && !strcmp(name + 1, gprs[i])) {
			*out = (int64_t)(name[0] == 'r' ? cpu->gpr[i] : (uint32_t)cpu->gpr[i]);
			return true;
		}
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(segments); i++) {
		if (!strcmp(name, segments[i])) {
			*out = cpu->seg[i].sel;
			return true;
		}
	}
	if (sscanf(name, "r%u%c", &n, &end) == 1 && n >= 8 && n < 16) {
		*out = (int64_t)cpu->gpr[n];
		return true;
	}
	if (!strcmp(name, "pc")) /* linear, as x wants it */
		*out = (int64_t)(cpu_code64(cpu) ? cpu->rip
			: (uint32_t)(cpu->seg[CS].base + cpu->rip));
	else if (!strcmp(name, "rip") || !strcmp(name, "eip"))
		*out = (int64_t)cpu->rip;
	else if (!strcmp(name, "sp"))
		*out = (int64_t)cpu->gpr[RSP];
	else if (!strcmp(name, "fp"))
		*out = (int64_t)cpu->gpr[RBP];
	else if (!strcmp(name, "eflags") || !strcmp(name, "rflags"))
		*out = cpu_rflags(cpu);
	else if (!strcmp(name, "cr0"))
		*out = (int64_t)cpu->cr0;
	else if (!strcmp(name, "cr2"))
		*out = (int64_t)cpu->cr2;
	else if (!strcmp(name, "cr3"))
		*out = (int64_t)cpu->cr3;
	else if (!strcmp(name, "cr4"))
		*out = (int64_t)cpu->cr4;
	else
		return false;
	return true;
}

static void skip(Parser *s)
{
	while (g_ascii_isspace(*s->p))
		s->p++;
}

static int64_t give_up(Parser *s, const char *why)
{
	if (!s->why)
		s->why = why;
	return 0;
}

static int64_t register_value(Parser *s)
{
	char name[16];
	size_t n = 0;
	int64_t value;
	for (s->p++; (g_ascii_isalnum(*s->p) || *s->p == '_') && n + 1 < sizeof(name); s->p++)
		name[n++] = g_ascii_tolower(*s->p);
	name[n] = 0;
	if (!s->cpu || !expr_register(s->cpu, name, &value))
		return give_up(s, "unknown register");
	return value;
}

static int64_t number(Parser *s)
{
	char *end;
	if (!*s->p)
		return give_up(s, "unexpected end of expression");
	errno = 0;
	uint64_t value = g_ascii_isdigit(*s->p) ? g_ascii_strtoull(s->p, &end, 0)
		: (end = (char *)s->p, 0);
	if (end == s->p)
		return give_up(s, "invalid char '%c' in expression");
	if (errno == ERANGE)
		return give_up(s, "number too large");
	s->p = end;
	return (int64_t)value;
}

static int64_t primary(Parser *s)
{
	int64_t value;
	skip(s);
	if (s->why)
		return 0;
	if (++s->depth > DEPTH_MAX)
		return give_up(s, "expression too deep");
	switch (*s->p) {
	case '+': s->p++; value = primary(s); break;
	case '-': s->p++; value = (int64_t)-(uint64_t)primary(s); break;
	case '~': s->p++; value = ~primary(s); break;
	case '(':
		s->p++;
		value = sum(s);
		skip(s);
		if (*s->p == ')')
			s->p++;
		else
			give_up(s, "')' expected");
		break;
	case '\'':
		if (!s->p[1] || s->p[2] != '\'') {
			value = give_up(s, "\"'\" expected");
			break;
		}
		value = (uint8_t)s->p[1];
		s->p += 3;
		break;
	case '$': value = register_value(s); break;
	default: value = number(s); break;
	}
	s->depth--;
	return value;
}

static int64_t product(Parser *s)
{
	int64_t value = primary(s);
	for (;;) {
		skip(s);
		char op = *s->p;
		if (s->why || !op || !strchr("*/%", op))
			return value;
		s->p++;
		int64_t right = primary(s);
		if (op == '*')
			value = (int64_t)((uint64_t)value * (uint64_t)right);
		else if (!right)
			give_up(s, "division by zero");
		else if (right == -1) /* INT64_MIN / -1 traps */
			value = op == '/' ? (int64_t)-(uint64_t)value : 0;
		else
			value = op == '/' ? value / right : value % right;
	}
}

static int64_t logic(Parser *s)
{
	int64_t value = product(s);
	for (;;) {
		skip(s);
		char op = *s->p;
		if (s->why || !op || !strchr("&|^", op))
			return value;
		s->p++;
		int64_t right = product(s);
		value = op == '&' ? value & right : op == '|' ? value | right : value ^ right;
	}
}

static int64_t sum(Parser *s)
{
	int64_t value = logic(s);
	for (;;) {
		skip(s);
		char op = *s->p;
		if (s->why || (op != '+' && op != '-'))
			return value;
		s->p++;
		uint64_t right = (uint64_t)logic(s);
		value = (int64_t)(op == '+' ? (uint64_t)value + right : (uint64_t)value - right);
	}
}

bool expr_parse(const char **text, const Cpu *cpu, int64_t *out, const char **why)
{
	Parser s = { *text, cpu, NULL, 0 };
	*out = sum(&s);
	*text = s.p;
	*why = s.why;
	return !s.why;
}
