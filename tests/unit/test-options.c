/* test-options.c - the option grammar, typed keys, and what cli_parse makes of them. */
#include <string.h>

#include "cli/options.h"

static GArray *parse(const char *text, const char *implied)
{
	GArray *kv = kv_list_new();
	g_assert_true(kv_parse(text, implied, kv, NULL));
	return kv;
}

static void expect(const GArray *kv, unsigned i, const char *key, const char *value)
{
	g_assert_cmpuint(i, <, kv->len);
	g_assert_cmpstr(kv_at(kv, i)->key, ==, key);
	g_assert_cmpstr(kv_at(kv, i)->value, ==, value);
}

static void test_grammar(void)
{
	GArray *kv = parse("a,,b,c=d,,e=f,g,noh,i=", "first");
	expect(kv, 0, "first", "a,b");
	expect(kv, 1, "c", "d,e=f");
	expect(kv, 2, "g", NULL);
	expect(kv, 3, "noh", NULL);
	expect(kv, 4, "i", "");
	g_assert_cmpuint(kv->len, ==, 5);
	kv_list_free(kv);
	kv = parse("x=1,x=2", "first");
	g_assert_cmpstr(kv_list_get(kv, "x"), ==, "2");
	kv_list_free(kv);
	kv = parse("word,k=v,", NULL);
	expect(kv, 0, "word", NULL);
	g_assert_cmpuint(kv->len, ==, 2);
	kv_list_free(kv);
	kv = parse("help", "type");
	expect(kv, 0, "help", "help");
	kv_list_free(kv);
	kv = kv_list_new();
	GError *error = NULL;
	g_assert_false(kv_parse("a=1,=2", NULL, kv, &error));
	g_assert_nonnull(error);
	g_error_free(error);
	kv_list_free(kv);
}

static void test_escape_round_trip(void)
{
	static const char *const values[] = { "", ",", ",,", "a,b", "=,=", "plain", "a,,b," };
	for (unsigned i = 0; i < G_N_ELEMENTS(values); i++) {
		GString *s = g_string_new("k=");
		kv_append_escaped(s, values[i]);
		GArray *kv = parse(s->str, NULL);
		expect(kv, 0, "k", values[i]);
		g_assert_cmpuint(kv->len, ==, 1);
		kv_list_free(kv);
		g_string_free(s, TRUE);
	}
}

/* Any bytes must end in a list or an error. */
static void test_noise(void)
{
	GRand *rand = g_rand_new_with_seed(7);
	static const char letters[] = "ab,,==no\"'\\ \t%helpon";
	for (unsigned i = 0; i < 20000; i++) {
		char text[40] = { 0 };
		unsigned n = (unsigned)g_rand_int_range(rand, 0, sizeof(text) - 1);
		for (unsigned k = 0; k < n; k++)
			text[k] = letters[g_rand_int_range(rand, 0, sizeof(letters) - 1)];
		const OptionDef *def = NULL;
		unsigned count = 0;
		while (option_table[count].name)
			count++;
		def = &option_table[g_rand_int_range(rand, 0, (int)count)];
		if (!def->arg || !strcmp(def->name, "readconfig"))
			continue;
		Cli cli;
		GError *error = NULL;
		cli_init(&cli);
		bool ok = option_apply(&cli, def, text, &error);
		g_assert_true(ok != (error != NULL));
		g_clear_error(&error);
		cli_free(&cli);
	}
	g_rand_free(rand);
}

static void start(Cli *cli, const char *line, const char *error_part)
{
	int argc;
	char **argv;
	GError *error = NULL;
	cli_init(cli);
	g_assert_true(g_shell_parse_argv(line, &argc, &argv, NULL));
	bool ok = cli_parse(cli, argc, argv, &error);
	if (error_part) {
		g_assert_false(ok);
		g_assert_nonnull(strstr(error->message, error_part));
		g_error_free(error);
	} else {
		g_assert_no_error(error);
		g_assert_true(ok);
	}
	g_strfreev(argv);
}

static void test_machine(void)
{
	Cli cli;
	start(&cli, "viv -m 1.5G -smp 8,sockets=2,threads=2 -name guest=a,,b -machine "
		"pc,acpi=off,nohpet "
		"-boot order=dc,menu=on -device pvpanic,id=p,events=1 -accel interp", NULL);
	const MachineConfig *c = &cli.machine;
	g_assert_cmpuint(c->ram_size, ==, 1536ull << 20);
	g_assert_cmpuint(c->smp.cores, ==, 2);
	g_assert_cmpuint(c->smp.maxcpus, ==, 8);
	g_assert_cmpstr(c->name, ==, "a,b");
	g_assert_true(c->no_acpi && c->no_hpet);
	g_assert_cmpint(c->boot.menu, ==, TRI_ON);
	g_assert_cmpstr(c->accels[0], ==, "interp");
	const DeviceConfig *d = g_ptr_array_index(c->devices, 0);
	g_assert_cmpstr(d->id, ==, "p");
	g_assert_cmpuint(d->props->len, ==, 1);
	cli_free(&cli);
	start(&cli, "viv -m 64 -m size=96", NULL);
	g_assert_cmpuint(cli.machine.ram_size, ==, 96ull << 20);
	cli_free(&cli);
	start(&cli, "viv -smp 2,maxcpus=4", NULL);
	g_assert_cmpuint(cli.machine.smp.cpus, ==, 2);
	g_assert_cmpuint(cli.warnings->len, >, 0);
	cli_free(&cli);
	start(&cli, "viv -smp cpus=2,cores=0", "between 1 and");
	cli_free(&cli);
}

static void test_lines(void)
{
	static const struct { const char *line, *serial, *monitor; } cases[] = {
		{ "viv -nographic", "mon:stdio", NULL },
		  { "viv -nographic -serial null", "null", "stdio" },
		{ "viv -nographic -monitor none", "stdio", NULL },
		  { "viv -nographic -nodefaults", NULL, NULL },
		{ "viv -display none", "vc", NULL }, { "viv -serial none", "none", NULL },
		{ "viv -nographic -device isa-serial,chardev=c -chardev null,id=c", NULL, "stdio" },
	};
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		Cli cli;
		start(&cli, cases[i].line, NULL);
		const GPtrArray *s = cli.host.serials, *m = cli.host.monitors;
		g_assert_cmpstr(s->len ? g_ptr_array_index(s, 0) : NULL, ==, cases[i].serial);
		g_assert_cmpstr(m->len ? ((MonitorConfig *)g_ptr_array_index(m, 0))->words : NULL, ==, cases[i].monitor);
		cli_free(&cli);
	}
}

/* Every option is in help, and names are not given twice. */
static void test_table(void)
{
	GString *help = g_string_new(NULL);
	GHashTable *seen = g_hash_table_new(g_str_hash, g_str_equal);
	help_text(help);
	for (const OptionDef *d = option_table; d->name; d++) {
		char *word = g_strdup_printf("\n-%s", d->name);
		g_assert_nonnull(strstr(help->str, word));
		g_assert_true(g_hash_table_add(seen, (gpointer)d->name));
		g_assert_nonnull(d->help);
		g_free(word);
	}
	g_hash_table_unref(seen);
	g_string_free(help, TRUE);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/options/grammar", test_grammar);
	g_test_add_func("/options/escape", test_escape_round_trip);
	g_test_add_func("/options/noise", test_noise);
	g_test_add_func("/options/machine", test_machine);
	g_test_add_func("/options/lines", test_lines);
	g_test_add_func("/options/table", test_table);
	return g_test_run();
}
