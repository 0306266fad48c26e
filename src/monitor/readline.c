/*
 * readline.c - see readline.h.
 *
 * Leaves out characters wider than a byte: each byte counts as one column. Main thread.
 */
#include "monitor/readline.h"

#include <string.h>

#define HISTORY_MAX 64
#define LINE_MAX_BYTES 4095

struct Readline {
	const char *prompt;
	CompleteFn complete;
	void *opaque;
	GString *line;
	size_t cursor;
	GPtrArray *history;   /* char * */
	unsigned history_at;  /* == history->len: the line being typed */
	char *kept;           /* that line, while history is looked at */
	int escape;           /* 0 none, 1 ESC, 2 ESC [, 3 ESC O */
	int parameter;        /* digits after ESC [ */
};

Readline *readline_new(const char *prompt, CompleteFn complete, void *opaque)
{
	Readline *r = g_new0(Readline, 1);
	r->prompt = prompt;
	r->complete = complete;
	r->opaque = opaque;
	r->line = g_string_new(NULL);
	r->history = g_ptr_array_new_with_free_func(g_free);
	return r;
}

void readline_free(Readline *r)
{
	g_string_free(r->line, TRUE);
	g_ptr_array_free(r->history, TRUE);
	g_free(r->kept);
	g_free(r);
}

const char *readline_history(const Readline *r, unsigned i)
{
	return i < r->history->len ? g_ptr_array_index(r->history, i) : NULL;
}

void readline_show(Readline *r, GString *echo)
{
	g_string_append_printf(echo, "\r%s%s\033[K", r->prompt, r->line->str);
	if (r->cursor < r->line->len)
		g_string_append_printf(echo, "\033[%zuD", r->line->len - r->cursor);
}

static void insert(Readline *r, const char *text, GString *echo)
{
	size_t n = strlen(text);
	if (r->line->len + n > LINE_MAX_BYTES)
		return;
	bool end = r->cursor == r->line->len;
	g_string_insert(r->line, (gssize)r->cursor, text);
	r->cursor += n;
	if (end)
		g_string_append(echo, text);
	else
		readline_show(r, echo);
}

static void erase(Readline *r, size_t from, size_t to, GString *echo)
{
	if (from >= to)
		return;
	g_string_erase(r->line, (gssize)from, (gssize)(to - from));
	r->cursor = from;
	readline_show(r, echo);
}

static void move(Readline *r, size_t to, GString *echo)
{
	r->cursor = MIN(to, r->line->len);
	readline_show(r, echo);
}

static void recall(Readline *r, int step, GString *echo)
{
	if ((step < 0 && !r->history_at) || (step > 0 && r->history_at >= r->history->len))
		return;
	if (r->history_at == r->history->len) {
		g_free(r->kept);
		r->kept = g_strdup(r->line->str);
	}
	r->history_at += (unsigned)step;
	const char *text = readline_history(r, r->history_at);
	g_string_assign(r->line, text ? text : r->kept);
	r->cursor = r->line->len;
	readline_show(r, echo);
}

/* How many leading bytes all words share. */
static size_t common_prefix(const GPtrArray *words)
{
	const char *first = g_ptr_array_index(words, 0);
	size_t n = strlen(first);
	for (unsigned i = 1; i < words->len; i++) {
		const char *word = g_ptr_array_index(words, i);
		size_t k = 0;
		while (k < n && word[k] == first[k])
			k++;
		n = k;
	}
	return n;
}

static void complete(Readline *r, GString *echo)
{
	char *head = g_strndup(r->line->str, r->cursor);
	const char *blank = strrchr(head, ' ');
	const char *word = blank ? blank + 1 : head;
	GPtrArray *words = r->complete ? r->complete(head, r->opaque) : g_ptr_array_new();
	if (words->len) {
		const char *first = g_ptr_array_index(words, 0);
		size_t n = common_prefix(words), typed = strlen(word);
		char *more = g_strdup_printf("%.*s%s", (int)(n - MIN(n, typed)),
			first + MIN(n, typed),
			words->len == 1 ? " " : "");
		if (*more) {
			insert(r, more, echo);
		} else {
			g_string_append(echo, "\r\n");
			for (unsigned i = 0; i < words->len; i++)
				g_string_append_printf(echo, "%s%s", i ? "  " : "",
					(char *)g_ptr_array_index(words, i));
			g_string_append(echo, "\r\n");
			readline_show(r, echo);
		}
		g_free(more);
	}
	g_ptr_array_free(words, TRUE);
	g_free(head);
}

static char *finish(Readline *r, GString *echo)
{
	char *line = g_strdup(r->line->str);
	const char *last = r->history->len ? readline_history(r, r->history->len - 1) : NULL;
	if (*line && g_strcmp0(line, last)) {
		if (r->history->len == HISTORY_MAX)
			g_ptr_array_remove_index(r->history, 0);
		g_ptr_array_add(r->history, g_strdup(line));
	}
	r->history_at = r->history->len;
	g_string_truncate(r->line, 0);
	r->cursor = 0;
	g_string_append(echo, "\r\n");
	return line;
}

static void sequence(Readline *r, uint8_t byte, GString *echo)
{
	if (r->escape == 1) {
		r->escape = byte == '[' ? 2 : byte == 'O' ? 3 : 0;
		r->parameter = 0;
		return;
	}
	if (g_ascii_isdigit(byte)) {
		r->parameter = MIN(r->parameter * 10 + byte - '0', 99);
		return;
	}
	r->escape = 0;
	if (byte == 'A')
		recall(r, -1, echo);
	else if (byte == 'B')
		recall(r, 1, echo);
	else if (byte == 'C')
		move(r, r->cursor + 1, echo);
	else if (byte == 'D')
		move(r, r->cursor ? r->cursor - 1 : 0, echo);
	else if (byte == 'H' || (byte == '~' && (r->parameter == 1 || r->parameter == 7)))
		move(r, 0, echo);
	else if (byte == 'F' || (byte == '~' && (r->parameter == 4 || r->parameter == 8)))
		move(r, r->line->len, echo);
	else if (byte == '~' && r->parameter == 3 && r->cursor < r->line->len)
		erase(r, r->cursor, r->cursor + 1, echo);
}

static size_t word_start(const Readline *r)
{
	size_t at = r->cursor;
	while (at && r->line->str[at - 1] == ' ')
		at--;
	while (at && r->line->str[at - 1] != ' ')
		at--;
	return at;
}

#define CTRL(c) ((c) & 31)

char *readline_byte(Readline *r, uint8_t byte, GString *echo)
{
	if (r->escape) {
		sequence(r, byte, echo);
		return NULL;
	}
	switch (byte) {
	case '\r':
	case '\n':
		return finish(r, echo);
	case 27: r->escape = 1; break;
	case 8: case 127: erase(r, r->cursor ? r->cursor - 1 : 0, r->cursor, echo); break;
	case '\t': complete(r, echo); break;
	case CTRL('A'): move(r, 0, echo); break;
	case CTRL('B'): move(r, r->cursor ? r->cursor - 1 : 0, echo); break;
	case CTRL('C'):
		g_string_truncate(r->line, 0);
		r->cursor = 0;
		r->history_at = r->history->len;
		g_string_append(echo, "\r\n");
		readline_show(r, echo);
		break;
	case CTRL('D'):
		if (r->cursor < r->line->len)
			erase(r, r->cursor, r->cursor + 1, echo);
		break;
	case CTRL('E'): move(r, r->line->len, echo); break;
	case CTRL('F'): move(r, r->cursor + 1, echo); break;
	case CTRL('K'): erase(r, r->cursor, r->line->len, echo); break;
	case CTRL('L'):
		g_string_append(echo, "\033[2J\033[H");
		readline_show(r, echo);
		break;
	case CTRL('N'): recall(r, 1, echo); break;
	case CTRL('P'): recall(r, -1, echo); break;
	case CTRL('U'): erase(r, 0, r->cursor, echo); break;
	case CTRL('W'): erase(r, word_start(r), r->cursor, echo); break;
	default:
		if (byte >= 32)
			insert(r, (char[2]){ (char)byte, 0 }, echo);
		break;
	}
	return NULL;
}
