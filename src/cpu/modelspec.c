/*
 * modelspec.c - from -cpu's text to a processor's features and identity.
 *
 * SDM vol. 2A, CPUID. Enlightenments of other hypervisors (hv-*) are not offered: they
 * are named in a warning. Main thread, before the vcpus run.
 */
#include <string.h>

#include "core/error.h"
#include "core/suggest.h"
#include "cpu/models.h"

/* Versions and spellings that are another row of the table. */
static const struct { const char *alias, *name; } versions[] = {
	{ "Nehalem-v2", "Nehalem-IBRS" }, { "Westmere-v2", "Westmere-IBRS" },
	{ "SandyBridge-v2", "SandyBridge-IBRS" }, { "IvyBridge-v2", "IvyBridge-IBRS" },
	{ "Haswell-v2", "Haswell-noTSX" }, { "Haswell-v3", "Haswell-IBRS" },
	{ "Haswell-v4", "Haswell-noTSX-IBRS" }, { "Broadwell-v2", "Broadwell-noTSX" },
	{ "Broadwell-v3", "Broadwell-IBRS" }, { "Broadwell-v4", "Broadwell-noTSX-IBRS" },
	{ "Skylake-Client-v2", "Skylake-Client-IBRS" },
	{ "Skylake-Client-v3", "Skylake-Client-noTSX-IBRS" },
	{ "Skylake-Client-v4", "Skylake-Client-noTSX-IBRS" },
	{ "Skylake-Server-v2", "Skylake-Server-IBRS" },
	{ "Skylake-Server-v3", "Skylake-Server-noTSX-IBRS" },
	{ "Skylake-Server-v4", "Skylake-Server-noTSX-IBRS" },
	{ "Skylake-Server-v5", "Skylake-Server-noTSX-IBRS" },
	{ "Cascadelake-Server-v2", "Cascadelake-Server" },
	{ "Cascadelake-Server-v3", "Cascadelake-Server-noTSX" },
	{ "Cascadelake-Server-v4", "Cascadelake-Server-noTSX" },
	{ "Cascadelake-Server-v5", "Cascadelake-Server-noTSX" },
	{ "Cooperlake-v2", "Cooperlake" }, { "Icelake-Server-v2", "Icelake-Server-noTSX" },
	{ "Icelake-Server-v3", "Icelake-Server-noTSX" },
	{ "Icelake-Server-v4", "Icelake-Server-noTSX" },
	{ "Icelake-Server-v5", "Icelake-Server-noTSX" },
	{ "Icelake-Server-v6", "Icelake-Server-noTSX" }, { "EPYC-v2", "EPYC-IBPB" },
	{ "EPYC-v3", "EPYC-IBPB" }, { "EPYC-v4", "EPYC-IBPB" }, { "EPYC-Rome-v2", "EPYC-Rome" },
	{ "EPYC-Milan-v2", "EPYC-Milan" },
};

/* Options that are not features. A fixed one has one value that is built. */
enum { OPT_VENDOR, OPT_MODEL_ID, OPT_FAMILY, OPT_MODEL, OPT_STEPPING, OPT_LEVEL, OPT_MIN_LEVEL,
       OPT_XLEVEL, OPT_MIN_XLEVEL, OPT_PHYS_BITS, OPT_PHYS_LIMIT, OPT_TSC, OPT_CHECK, OPT_ENFORCE,
       OPT_KVM, OPT_SIGNATURE, OPT_L3, OPT_HOST_PHYS, OPT_ANY, OPT_FIXED_ON, OPT_FIXED_OFF };
static const struct { const char *name; int option; } options[] = {
	{ "vendor", OPT_VENDOR }, { "model-id", OPT_MODEL_ID }, { "family", OPT_FAMILY },
	{ "model", OPT_MODEL }, { "stepping", OPT_STEPPING }, { "level", OPT_LEVEL },
	{ "min-level", OPT_MIN_LEVEL }, { "xlevel", OPT_XLEVEL }, { "min-xlevel", OPT_MIN_XLEVEL },
	{ "phys-bits", OPT_PHYS_BITS }, { "host-phys-bits-limit", OPT_PHYS_LIMIT },
	{ "tsc-frequency", OPT_TSC }, { "check", OPT_CHECK }, { "enforce", OPT_ENFORCE },
	{ "kvm", OPT_KVM }, { "tcg-cpuid", OPT_SIGNATURE }, { "l3-cache", OPT_L3 },
	{ "host-phys-bits", OPT_HOST_PHYS }, { "migratable", OPT_ANY }, { "pmu", OPT_FIXED_OFF },
	{ "lmce", OPT_FIXED_OFF }, { "host-cache-info", OPT_FIXED_OFF },
	{ "fill-mtrr-mask", OPT_FIXED_ON }, { "cpuid-0xb", OPT_FIXED_ON },
	{ "full-cpuid-auto-level", OPT_FIXED_ON }, { "legacy-cache", OPT_ANY },
};

/* One -cpu being read. */
typedef struct Spec {
	Cpu *cpu;
	CpuIdentity *id;
	const CpuModel *model;
	uint32_t words[FEAT_WORD_COUNT];
	uint32_t on[FEAT_WORD_COUNT], off[FEAT_WORD_COUNT]; /* +name and -name: they win */
	bool level_set, xlevel_set, host_phys;
	unsigned phys_bits, phys_limit;
	GPtrArray *warnings;
	GError **error;
} Spec;

static void warn(GPtrArray *warnings, char *line)
{
	if (warnings)
		g_ptr_array_add(warnings, line);
	else
		g_free(line);
}

const char *cpu_model_name(unsigned i)
{
	return i < 1000 && cpu_models[i].name ? cpu_models[i].name : NULL;
}

static const CpuModel *exact_model(const char *name)
{
	for (const CpuModel *m = cpu_models; m->name; m++)
		if (!strcmp(m->name, name))
			return m;
	return NULL;
}

static const CpuModel *find_model(const char *name, GError **error)
{
	const CpuModel *m = exact_model(name);
	for (unsigned i = 0; !m && i < G_N_ELEMENTS(versions); i++)
		if (!strcmp(versions[i].alias, name))
			m = exact_model(versions[i].name);
	if (!m && g_str_has_suffix(name, "-v1")) {
		char *base = g_strndup(name, strlen(name) - 3);
		m = exact_model(base);
		g_free(base);
	}
	if (m)
		return m;

	GPtrArray *names = g_ptr_array_new();
	for (const CpuModel *c = cpu_models; c->name; c++)
		g_ptr_array_add(names, (void *)c->name);
	g_ptr_array_add(names, NULL);
	const char *near = suggest_nearest(name, (const char *const *)names->pdata);
	g_ptr_array_free(names, TRUE);
	if (near)
		fail(error, VIV_ERROR_INVALID, "unable to find CPU model '%s'. Did you mean '%s'?",
		     name, near);
	else
		fail(error, VIV_ERROR_INVALID,
		     "unable to find CPU model '%s'. '-cpu help' lists the models.", name);
	return NULL;
}

static void apply_list(uint32_t *words, const char *list, bool set)
{
	char **names = g_strsplit(list ? list : "", " ", -1);
	for (char **n = names; *n; n++) {
		int f = **n ? cpu_feature_lookup(*n) : -1;
		if (f < 0)
			continue;
		if (set)
			words[f >> 5] |= 1u << (f & 31);
		else
			words[f >> 5] &= ~(1u << (f & 31));
	}
	g_strfreev(names);
}

static void model_features(const CpuModel *m, uint32_t *words)
{
	if (m->parent)
		model_features(exact_model(m->parent), words);
	apply_list(words, m->add, true);
	apply_list(words, m->drop, false);
}

void cpu_model_features(const char *name, uint32_t *words)
{
	memset(words, 0, FEAT_WORD_COUNT * sizeof(*words));
	model_features(exact_model(name), words);
}

/* Vector units that the host's kernel has not enabled cannot be used (vol. 1, 14.3 and 15.2). */
static void drop_disabled(uint32_t *host)
{
	static const uint16_t avx[] = {FEAT_AVX, FEAT_AVX2, FEAT_FMA, FEAT_F16C, FEAT_VAES, FEAT_VPCLMULQDQ, FEAT_AVX_VNNI};
	static const uint16_t avx512[] = {FEAT_AVX512F, FEAT_AVX512DQ, FEAT_AVX512IFMA, FEAT_AVX512CD, FEAT_AVX512BW,
		FEAT_AVX512VL, FEAT_AVX512VBMI, FEAT_AVX512VBMI2, FEAT_AVX512VNNI, FEAT_AVX512BITALG,
		FEAT_AVX512_VPOPCNTDQ};
	uint32_t xcr0 = 0, high, regs[4];

	cpu_host_cpuid(1, 0, regs);
	if (regs[2] & 1u << (FEAT_OSXSAVE & 31))
		asm volatile("xgetbv" : "=a"(xcr0), "=d"(high) : "c"(0));
	for (unsigned i = 0; i < G_N_ELEMENTS(avx) && (xcr0 & 6) != 6; i++)
		host[avx[i] >> 5] &= ~(1u << (avx[i] & 31));
	for (unsigned i = 0; i < G_N_ELEMENTS(avx512) && (xcr0 & 0xe6) != 0xe6; i++)
		host[avx512[i] >> 5] &= ~(1u << (avx512[i] & 31));
}

void cpu_software_features(uint32_t *words)
{
	uint32_t host[FEAT_WORD_COUNT];
	cpu_host_features(host);
	drop_disabled(host);
	for (unsigned w = 0; w < FEAT_WORD_COUNT; w++)
		words[w] = cpu_interp_features[w] | (cpu_interp_host_features[w] & host[w]);
}

static void host_identity(CpuIdentity *id)
{
	uint32_t r[4];
	cpu_host_cpuid(0, 0, r);
	id->level = MIN(r[0], 0x20u);
	memcpy(id->vendor, &r[1], 4);
	memcpy(id->vendor + 4, &r[3], 4);
	memcpy(id->vendor + 8, &r[2], 4);
	cpu_host_cpuid(1, 0, r);
	id->stepping = r[0] & 15;
	id->model = (r[0] >> 4 & 15) | (r[0] >> 12 & 0xf0);
	id->family = (r[0] >> 8 & 15) + (r[0] >> 20 & 255);
	cpu_host_cpuid(0x80000000, 0, r);
	id->xlevel = CLAMP(r[0], 0x80000008u, 0x8000001eu);
	for (unsigned i = 0; i < 3; i++) {
		cpu_host_cpuid(0x80000002 + i, 0, r);
		memcpy(id->model_id + 16 * i, r, 16);
	}
}

static void start_from_model(Spec *s)
{
	const CpuModel *m = s->model;
	CpuIdentity *id = s->id;
	bool everything = !strcmp(m->name, "host") || !strcmp(m->name, "max");

	g_strlcpy(id->vendor, m->vendor, sizeof(id->vendor));
	g_strlcpy(id->model_id, m->model_id, sizeof(id->model_id));
	id->family = m->family;
	id->model = m->model;
	id->stepping = m->stepping;
	id->level = m->level;
	id->xlevel = m->xlevel;
	if (everything && id->kvm)
		cpu_host_features(s->words);
	else if (everything)
		cpu_software_features(s->words);
	else
		model_features(m, s->words);
	if (!strcmp(m->name, "host") || (everything && id->kvm)) {
		host_identity(id);
		s->host_phys = true;
	}
	if (strcmp(m->name, "base"))
		s->words[FEAT_WORD_1_ECX] |= 1u << (FEAT_HYPERVISOR & 31);
	if (id->kvm && strcmp(m->name, "base"))
		s->words[FEAT_WORD_KVM] = 0x010000ff & ~4u;
	/* These follow control registers; nobody chooses them. */
	s->words[FEAT_WORD_1_ECX] &= ~(1u << (FEAT_OSXSAVE & 31));
	s->words[FEAT_WORD_7_ECX] &= ~(1u << (FEAT_OSPKE & 31));
}

static bool parse_bool(const char *key, const char *value, bool *out, GError **error)
{
	if (!value || !strcmp(value, "on") || !strcmp(value, "yes") || !strcmp(value, "true"))
		*out = true;
	else if (!strcmp(value, "off") || !strcmp(value, "no") || !strcmp(value, "false"))
		*out = false;
	else
		return fail(error, VIV_ERROR_INVALID, "CPU property '%s' expects 'on' or 'off', not '%s'",
			    key, value);
	return true;
}

static bool parse_number(const char *key, const char *value, uint64_t max, uint64_t *out,
			 GError **error)
{
	char *end = NULL;
	*out = value ? g_ascii_strtoull(value, &end, 0) : 0;
	if (!value || end == value || *value == '-')
		return fail(error, VIV_ERROR_INVALID, "CPU property '%s' expects a number", key);
	uint64_t unit = 1;
	if (*end == 'k' || *end == 'K')
		unit = 1000;
	else if (*end == 'M')
		unit = 1000000;
	else if (*end == 'G')
		unit = 1000000000;
	if (unit > 1)
		end++;
	if (*end || *out > max / unit)
		return fail(error, VIV_ERROR_INVALID,
			    "CPU property '%s' expects a number up to %" G_GUINT64_FORMAT
			    ", not '%s'", key, max, value);
	*out *= unit;
	return true;
}

static bool apply_text(Spec *s, const char *key, const char *value, int option)
{
	if (option == OPT_VENDOR) {
		if (!value || strlen(value) != 12)
			return fail(s->error, VIV_ERROR_INVALID,
				    "CPU property 'vendor' expects 12 characters");
		g_strlcpy(s->id->vendor, value, sizeof(s->id->vendor));
		return true;
	}
	memset(s->id->model_id, 0, sizeof(s->id->model_id));
	g_strlcpy(s->id->model_id, value ? value : "", sizeof(s->id->model_id));
	return true;
}

static bool apply_number(Spec *s, const char *key, const char *value, int option)
{
	static const uint64_t max[] = {
		[OPT_FAMILY] = 0xff + 0xf, [OPT_MODEL] = 0xff, [OPT_STEPPING] = 0xf,
		[OPT_LEVEL] = UINT32_MAX, [OPT_MIN_LEVEL] = UINT32_MAX, [OPT_XLEVEL] = UINT32_MAX,
		[OPT_MIN_XLEVEL] = UINT32_MAX, [OPT_PHYS_BITS] = 52, [OPT_PHYS_LIMIT] = 52,
		[OPT_TSC] = UINT64_C(100000000000),
	};
	CpuIdentity *id = s->id;
	uint64_t n;
	if (!parse_number(key, value, max[option], &n, s->error))
		return false;
	switch (option) {
	case OPT_FAMILY:
		id->family = (unsigned)n;
		break;
	case OPT_MODEL:
		id->model = (unsigned)n;
		break;
	case OPT_STEPPING:
		id->stepping = (unsigned)n;
		break;
	case OPT_LEVEL:
		id->level = (uint32_t)n;
		s->level_set = true;
		break;
	case OPT_MIN_LEVEL:
		id->level = MAX(id->level, (uint32_t)n);
		break;
	case OPT_XLEVEL:
		id->xlevel = (uint32_t)n;
		s->xlevel_set = true;
		break;
	case OPT_MIN_XLEVEL:
		id->xlevel = MAX(id->xlevel, (uint32_t)n);
		break;
	case OPT_PHYS_BITS:
		if (n && n < 32)
			return fail(s->error, VIV_ERROR_INVALID,
				    "CPU property 'phys-bits' expects 32 to 52");
		s->phys_bits = (unsigned)n;
		break;
	case OPT_PHYS_LIMIT:
		s->phys_limit = (unsigned)n;
		break;
	default:
		s->cpu->tsc_khz = n / 1000;
	}
	return true;
}

static bool apply_switch(Spec *s, const char *key, const char *value, int option)
{
	bool on;
	if (!parse_bool(key, value, &on, s->error))
		return false;
	switch (option) {
	case OPT_CHECK:
		s->id->check = on;
		break;
	case OPT_ENFORCE:
		s->id->enforce = on;
		break;
	case OPT_KVM:
		if (s->id->kvm)
			s->id->signature = on;
		break;
	case OPT_SIGNATURE:
		if (!s->id->kvm)
			s->id->signature = on;
		break;
	case OPT_L3:
		s->id->l3_cache = on;
		break;
	case OPT_HOST_PHYS:
		s->host_phys = on;
		break;
	case OPT_FIXED_ON:
	case OPT_FIXED_OFF:
		if (on != (option == OPT_FIXED_ON))
			warn(s->warnings, g_strdup_printf("CPU property '%s=%s' is not built; it stays %s",
							  key, on ? "on" : "off",
							  on ? "off" : "on"));
		break;
	default:
		break;
	}
	return true;
}

static bool unknown_property(const char *key, GError **error)
{
	GPtrArray *names = g_ptr_array_new();
	for (unsigned i = 0; i < G_N_ELEMENTS(options); i++)
		g_ptr_array_add(names, (void *)options[i].name);
	for (unsigned f = 0; f < FEAT_WORD_COUNT * 32; f++)
		if (cpu_feature_names[f >> 5][f & 31])
			g_ptr_array_add(names, (void *)cpu_feature_names[f >> 5][f & 31]);
	g_ptr_array_add(names, NULL);
	const char *near = suggest_nearest(key, (const char *const *)names->pdata);
	g_ptr_array_free(names, TRUE);
	if (near)
		return fail(error, VIV_ERROR_INVALID, "CPU property '%s' not found. Did you mean '%s'?",
			    key, near);
	return fail(error, VIV_ERROR_INVALID,
		    "CPU property '%s' not found. '-cpu help' lists the features.", key);
}

static bool apply_property(Spec *s, const char *key, const char *value)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(options); i++) {
		int option = options[i].option;
		if (strcmp(key, options[i].name))
			continue;
		if (option <= OPT_MODEL_ID)
			return apply_text(s, key, value, option);
		if (option <= OPT_TSC)
			return apply_number(s, key, value, option);
		return apply_switch(s, key, value, option);
	}
	int f = cpu_feature_lookup(key);
	if (f >= 0) {
		bool on;
		if (!parse_bool(key, value, &on, s->error))
			return false;
		if (on)
			s->words[f >> 5] |= 1u << (f & 31);
		else
			s->words[f >> 5] &= ~(1u << (f & 31));
		return true;
	}
	if (g_str_has_prefix(key, "hv-") || g_str_has_prefix(key, "hv_")) {
		if (!value || strcmp(value, "off"))
			warn(s->warnings, g_strdup_printf("CPU property '%s': this enlightenment is not "
							  "offered", key));
		return true;
	}
	return unknown_property(key, s->error);
}

static bool apply_word(Spec *s, char *word)
{
	if (*word == '+' || *word == '-') {
		int f = cpu_feature_lookup(word + 1);
		if (f < 0)
			return unknown_property(word + 1, s->error);
		(*word == '+' ? s->on : s->off)[f >> 5] |= 1u << (f & 31);
		return true;
	}
	char *value = strchr(word, '=');
	if (value)
		*value++ = '\0';
	return apply_property(s, word, value);
}

/* What cannot be had without another feature goes with it, silently. */
static void drop_dependents(Cpu *cpu)
{
	uint32_t *f = cpu->features;
	if (!cpu_has(cpu, FEAT_XSAVE)) {
		f[FEAT_WORD_D_1_EAX] = 0;
		f[FEAT_WORD_1_ECX] &= ~(1u << (FEAT_AVX & 31));
	}
	if (!cpu_has(cpu, FEAT_AVX)) {
		f[FEAT_WORD_1_ECX] &= ~(1u << (FEAT_FMA & 31) | 1u << (FEAT_F16C & 31));
		f[FEAT_WORD_7_EBX] &= ~(1u << (FEAT_AVX2 & 31));
		f[FEAT_WORD_7_ECX] &= ~(1u << (FEAT_VAES & 31) | 1u << 10);
		f[FEAT_WORD_8001_ECX] &= ~(1u << (FEAT_XOP & 31) | 1u << (FEAT_FMA4 & 31));
	}
	if (!cpu_has(cpu, FEAT_AVX2)) {
		f[FEAT_WORD_7_EBX] &= ~(1u << (FEAT_AVX512F & 31));
		f[FEAT_WORD_7_1_EAX] &= ~(1u << 4);
	}
	if (!cpu_has(cpu, FEAT_AVX512F)) {
		f[FEAT_WORD_7_EBX] &= ~0xdc220000u;
		f[FEAT_WORD_7_ECX] &= ~0x5842u;
		f[FEAT_WORD_7_EDX] &= ~0x80010cu;
		f[FEAT_WORD_7_1_EAX] &= ~(1u << 5);
	}
	if (!cpu_has(cpu, FEAT_ARCH_CAPABILITIES))
		f[FEAT_WORD_ARCH_CAPS] = 0;
}

/* Leaves that features need are there, unless the user set the limit. */
static void raise_levels(Spec *s)
{
	const Cpu *cpu = s->cpu;
	CpuIdentity *id = s->id;
	const uint32_t *f = cpu->features;
	if (!s->level_set) {
		if (f[FEAT_WORD_6_EAX])
			id->level = MAX(id->level, 6u);
		if (f[FEAT_WORD_7_EBX] | f[FEAT_WORD_7_ECX] | f[FEAT_WORD_7_EDX])
			id->level = MAX(id->level, 7u);
		if (cpu_has(cpu, FEAT_X2APIC))
			id->level = MAX(id->level, 0xbu);
		if (cpu_has(cpu, FEAT_XSAVE))
			id->level = MAX(id->level, 0xdu);
	}
	if (!s->xlevel_set) {
		if (f[FEAT_WORD_8001_EDX] | f[FEAT_WORD_8001_ECX])
			id->xlevel = MAX(id->xlevel, 0x80000008u);
		if (cpu_has(cpu, FEAT_SVM))
			id->xlevel = MAX(id->xlevel, 0x8000000au);
		if (cpu_has(cpu, FEAT_TOPOEXT))
			id->xlevel = MAX(id->xlevel, 0x8000001eu);
	}
}

static void choose_phys_bits(Spec *s)
{
	Cpu *cpu = s->cpu;
	uint32_t r[4];
	if (s->phys_bits) {
		cpu->phys_bits = (uint8_t)s->phys_bits;
	} else if (s->host_phys) {
		cpu_host_cpuid(0x80000008, 0, r);
		unsigned bits = CLAMP(r[0] & 0xff, 36u, 52u);
		if (s->phys_limit)
			bits = MIN(bits, s->phys_limit);
		cpu->phys_bits = (uint8_t)bits;
	} else {
		cpu->phys_bits = cpu_has(cpu, FEAT_LM) ? 40 :
				 cpu_has(cpu, FEAT_PSE36) || cpu_has(cpu, FEAT_PAE) ? 36 : 32;
	}
}

bool cpu_model_limit(Cpu *cpu, const uint32_t supported[FEAT_WORD_COUNT], GPtrArray *warnings,
		     GError **error)
{
	CpuIdentity *id = cpu->model;
	if (!id)
		return fail(error, VIV_ERROR_FAILED, "no CPU model was chosen");
	for (unsigned w = 0; w < FEAT_WORD_COUNT; w++) {
		uint32_t missing = cpu->features[w] & ~supported[w];
		cpu->features[w] &= supported[w];
		for (unsigned b = 0; b < 32; b++) {
			const char *name = cpu_feature_names[w][b];
			if (!(missing >> b & 1))
				continue;
			if (id->enforce)
				return fail(error, VIV_ERROR_FAILED,
					    "host or accelerator lacks feature %s (%s[%u])",
					    name ? name : "?", cpu_feature_word_names[w], b);
			if (id->check)
				warn(warnings, g_strdup_printf("host or accelerator lacks feature "
							       "%s (%s[%u])", name ? name : "?",
							       cpu_feature_word_names[w], b));
		}
	}
	drop_dependents(cpu);
	cpu_build_cpuid(cpu, id);
	return true;
}

static bool apply_words(Spec *s, char **words)
{
	for (char **w = words; *w; w++)
		if (**w && !apply_word(s, *w))
			return false;
	for (unsigned w = 0; w < FEAT_WORD_COUNT; w++)
		s->cpu->features[w] = (s->words[w] | s->on[w]) & ~s->off[w];
	return true;
}

bool cpu_model_apply(Cpu *cpu, const char *spec, const CpuTopology *topo, bool accel_kvm,
		     GPtrArray *warnings, GError **error)
{
	Spec s = { .cpu = cpu, .warnings = warnings, .error = error };
	char **words = g_strsplit(spec && *spec ? spec : "qemu64", ",", -1);
	bool ok = false;

	g_free(cpu->model);
	cpu->model = s.id = g_new0(CpuIdentity, 1);
	s.id->kvm = accel_kvm;
	s.id->signature = s.id->l3_cache = s.id->check = true;
	s.id->topo = topo ? *topo : (CpuTopology){ 1, 1, 1 };
	s.id->topo.cores = MAX(s.id->topo.cores, 1u);
	s.id->topo.threads = MAX(s.id->topo.threads, 1u);
	s.model = find_model(words[0], error);
	if (!s.model)
		goto out;
	start_from_model(&s);
	if (!apply_words(&s, words + 1))
		goto out;

	cpu->apic_id = cpu_topology_apic_id(&s.id->topo, cpu->index);
	drop_dependents(cpu);
	choose_phys_bits(&s);
	ok = true;
	if (!accel_kvm) {
		uint32_t supported[FEAT_WORD_COUNT];
		cpu_software_features(supported);
		ok = cpu_model_limit(cpu, supported, warnings, error);
	}
	raise_levels(&s);
	cpu_build_cpuid(cpu, s.id);
out:
	g_strfreev(words);
	return ok;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void cpu_models_help(GString *out)
{
	g_string_append(out, "Available CPUs:\n");
	for (const CpuModel *m = cpu_models; m->name; m++)
		g_string_append_printf(out, "x86 %-25s  %s\n", m->name,
				       !strcmp(m->name, "host") ? "the host's processor" : m->model_id);
	g_string_append(out, "\nRecognized CPUID flags:\n");

	const char *names[FEAT_WORD_COUNT * 32];
	unsigned n = 0, column = 0;
	for (unsigned f = 0; f < FEAT_WORD_COUNT * 32; f++)
		if (cpu_feature_names[f >> 5][f & 31])
			names[n++] = cpu_feature_names[f >> 5][f & 31];
	qsort(names, n, sizeof(names[0]), by_name);
	for (unsigned i = 0; i < n; i++) {
		if (column && column + strlen(names[i]) + 1 >= 75) {
			g_string_append_c(out, '\n');
			column = 0;
		}
		g_string_append_printf(out, "%s%s", column ? " " : "  ", names[i]);
		column += (unsigned)strlen(names[i]) + (column ? 1 : 2);
	}
	g_string_append_c(out, '\n');
}
