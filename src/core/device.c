/*
 * device.c - life of a device: properties, lines, realize, reset.
 *
 * Machine lock held (set-up may run before there are other threads).
 */
#include "core/device.h"

#include <errno.h>
#include <string.h>

#include "core/board.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/suggest.h"
#include "core/units.h"

static void *field(Device *dev, size_t offset)
{
	return (uint8_t *)dev + offset;
}

static const Property *find_property(const DeviceClass *cls, const char *key)
{
	for (const Property *p = cls->props; p && p->name; p++)
		if (!strcmp(p->name, key))
			return p;
	return NULL;
}

static bool has_bus(const DeviceClass *cls)
{
	return cls->bus && strcmp(cls->bus, "system");
}

static bool user_settable(const Property *p)
{
	return p->type != PROP_PTR;
}

/* "Valid: a, b, c. Did you mean 'b'?" for words of `list` (ends with NULL). */
static char *hint(const char *word, const char *const *list)
{
	GString *s = g_string_new(NULL);
	const char *nearest = suggest_nearest(word, list);
	if (nearest)
		g_string_append_printf(s, "Did you mean '%s'? ", nearest);
	g_string_append(s, "Valid: ");
	if (!*list)
		g_string_append(s, "none");
	for (const char *const *l = list; *l; l++)
		g_string_append_printf(s, "%s%s", l == list ? "" : ", ", *l);
	return g_string_free(s, FALSE);
}

static bool unknown_property(const DeviceClass *cls, const char *key, GError **error)
{
	GPtrArray *names = g_ptr_array_new();
	for (const Property *p = cls->props; p && p->name; p++)
		if (user_settable(p))
			g_ptr_array_add(names, (gpointer)p->name);
	g_ptr_array_add(names, NULL);
	char *text = hint(key, (const char *const *)names->pdata);
	fail(error, VIV_ERROR_INVALID, "Device '%s' has no property '%s'. %s.", cls->name, key, text);
	g_free(text);
	g_ptr_array_free(names, TRUE);
	return false;
}

static bool parse_bool(const char *value, bool *out)
{
	static const char *const yes[] = { "on", "yes", "true", "y" };
	static const char *const no[] = { "off", "no", "false", "n" };
	for (size_t i = 0; i < G_N_ELEMENTS(yes); i++) {
		if (!strcmp(value, yes[i])) {
			*out = true;
			return true;
		}
		if (!strcmp(value, no[i])) {
			*out = false;
			return true;
		}
	}
	return false;
}

static uint64_t type_max(PropType type)
{
	switch (type) {
	case PROP_U8: return UINT8_MAX;
	case PROP_U16: return UINT16_MAX;
	case PROP_U32: return UINT32_MAX;
	default: return UINT64_MAX;
	}
}

static bool parse_number(const char *value, uint64_t *out)
{
	char *end;
	if (!g_ascii_isdigit(value[0]))
		return false;
	errno = 0;
	*out = g_ascii_strtoull(value, &end, value[0] == '0' && (value[1] | 0x20) == 'x' ? 16 : 10);
	return !errno && !*end;
}

static void store_number(void *at, PropType type, uint64_t n)
{
	switch (type) {
	case PROP_U8: *(uint8_t *)at = (uint8_t)n; break;
	case PROP_U16: *(uint16_t *)at = (uint16_t)n; break;
	case PROP_U32: *(uint32_t *)at = (uint32_t)n; break;
	default: *(uint64_t *)at = n; break;
	}
}

static bool set_number(Device *dev, const Property *p, const char *value, GError **error)
{
	uint64_t n, max = p->max || p->min ? p->max : type_max(p->type);
	bool ok = p->type == PROP_SIZE ? parse_size(value, 1, &n) : parse_number(value, &n);
	if (!ok)
		return fail(error, VIV_ERROR_INVALID, "Device '%s': '%s' is not a %s (property '%s').",
			dev->cls->name, value, p->type == PROP_SIZE ? "size" : "number", p->name);
	if (n < p->min || n > max)
		return fail(error, VIV_ERROR_INVALID, "Device '%s': property '%s' must lie between "
			"%" G_GUINT64_FORMAT " and %" G_GUINT64_FORMAT ", not %s.",
			dev->cls->name, p->name, p->min, max, value);
	store_number(field(dev, p->offset), p->type, n);
	return true;
}

static bool set_enum(Device *dev, const Property *p, const char *value, GError **error)
{
	for (int i = 0; p->values[i]; i++)
		if (!strcmp(p->values[i], value)) {
			*(int *)field(dev, p->offset) = i;
			return true;
		}
	char *text = hint(value, p->values);
	fail(error, VIV_ERROR_INVALID, "Device '%s': property '%s' cannot be '%s'. %s.",
		dev->cls->name, p->name, value, text);
	g_free(text);
	return false;
}

static bool set_chardev(Device *dev, const Property *p, const char *value, GError **error)
{
	GHashTable *all = dev->board->chardevs;
	void *c = all ? g_hash_table_lookup(all, value) : NULL;
	if (!c)
		return fail(error, VIV_ERROR_INVALID, "Device '%s': there is no chardev '%s'. "
			"Define it with -chardev ...,id=%s.", dev->cls->name, value, value);
	*(void **)field(dev, p->offset) = c;
	return true;
}

static bool set_drive(Device *dev, const Property *p, const char *value, GError **error)
{
	struct Blk **at = field(dev, p->offset);
	*at = NULL;
	if (!*value)
		return true;
	if (!dev->board->find_drive)
		return fail(error, VIV_ERROR_INVALID, "Device '%s': this machine has no drives.", dev->cls->name);
	*at = dev->board->find_drive(dev->board, value, error);
	return *at;
}

static bool set_property(Device *dev, const Property *p, const char *value, GError **error)
{
	switch (p->type) {
	case PROP_BOOL:
		if (parse_bool(value, field(dev, p->offset)))
			return true;
		return fail(error, VIV_ERROR_INVALID, "Device '%s': property '%s' is on or off, "
			"not '%s'.", dev->cls->name, p->name, value);
	case PROP_STRING: {
		char **at = field(dev, p->offset);
		g_free(*at);
		*at = g_strdup(value);
		return true;
	}
	case PROP_ENUM:
		return set_enum(dev, p, value, error);
	case PROP_CHARDEV:
		return set_chardev(dev, p, value, error);
	case PROP_DRIVE:
		return set_drive(dev, p, value, error);
	default:
		return set_number(dev, p, value, error);
	}
}

Device *device_new(struct Board *board, const DeviceClass *cls, const char *id)
{
	Device *dev = g_malloc0(cls->size);
	dev->cls = cls;
	dev->board = board;
	dev->id = g_strdup(id);
	dev->bootindex = -1;
	for (const Property *p = cls->props; p && p->name; p++) {
		GError *error = NULL;
		if (p->def && !set_property(dev, p, p->def, &error))
			g_error("default of %s.%s: %s", cls->name, p->name, error->message);
	}
	return dev;
}

static bool set_bootindex(Device *dev, const char *value, GError **error)
{
	gint64 n;
	if (!g_ascii_string_to_signed(value, 10, -1, INT32_MAX, &n, NULL))
		return fail(error, VIV_ERROR_INVALID, "Device '%s': bootindex=%s is not a number from 0.", dev->cls->name, value);
	for (unsigned i = 0; n >= 0 && dev->board->devices && i < dev->board->devices->len; i++) {
		const Device *other = g_ptr_array_index(dev->board->devices, i);
		if (other != dev && other->bootindex == n)
			return fail(error, VIV_ERROR_INVALID, "The bootindex %d has already been used", (int)n);
	}
	dev->bootindex = (int)n;
	return true;
}

bool device_set(Device *dev, const char *key, const char *value, GError **error)
{
	const Property *p = find_property(dev->cls, key);
	if (!p && !strcmp(key, "bus") && has_bus(dev->cls)) {
		g_free(dev->bus_name);
		dev->bus_name = g_strdup(value);
		return true;
	}
	if (!p && !strcmp(key, "bootindex") && dev->cls->boot_path)
		return set_bootindex(dev, value, error);
	if (!p || !user_settable(p))
		return unknown_property(dev->cls, key, error);
	return set_property(dev, p, value, error);
}

void device_set_ptr(Device *dev, const char *key, void *ptr)
{
	const Property *p = find_property(dev->cls, key);
	if (!p || (p->type != PROP_PTR && p->type != PROP_CHARDEV && p->type != PROP_DRIVE))
		g_error("%s has no pointer property %s", dev->cls->name, key);
	*(void **)field(dev, p->offset) = ptr;
}

/* The id under which the board knows a chardev. */
static const char *chardev_id(const Device *dev, const void *chardev)
{
	GHashTableIter iter;
	gpointer key, value;
	if (!dev->board->chardevs)
		return "";
	g_hash_table_iter_init(&iter, dev->board->chardevs);
	while (g_hash_table_iter_next(&iter, &key, &value))
		if (value == chardev)
			return key;
	return "";
}

char *device_get(Device *dev, const Property *p)
{
	const void *at = field(dev, p->offset);
	switch (p->type) {
	case PROP_BOOL: return g_strdup(*(const bool *)at ? "true" : "false");
	case PROP_U8: return g_strdup_printf("%u (0x%x)", *(const uint8_t *)at, *(const uint8_t *)at);
	case PROP_U16: return g_strdup_printf("%u (0x%x)", *(const uint16_t *)at, *(const uint16_t *)at);
	case PROP_U32: return g_strdup_printf("%u (0x%x)", *(const uint32_t *)at, *(const uint32_t *)at);
	case PROP_U64:
	case PROP_SIZE:
		return g_strdup_printf("%" G_GUINT64_FORMAT " (0x%" G_GINT64_MODIFIER "x)",
			*(const uint64_t *)at, *(const uint64_t *)at);
	case PROP_STRING: {
		const char *text = *(char *const *)at;
		return g_strdup_printf("\"%s\"", text ? text : "");
	}
	case PROP_ENUM: return g_strdup_printf("\"%s\"", p->values[*(const int *)at]);
	case PROP_CHARDEV: return g_strdup_printf("\"%s\"", chardev_id(dev, *(void *const *)at));
	default: return g_strdup(*(void *const *)at ? "set" : "unset");
	}
}

bool device_is_on(const Device *dev, const char *key)
{
	return *(const bool *)field((Device *)dev, find_property(dev->cls, key)->offset);
}

void device_connect(Device *dev, const char *output, unsigned n, Irq to)
{
	for (const LineOut *l = dev->cls->outputs; l && l->name; l++)
		if (!strcmp(l->name, output) && n < l->count) {
			((Irq *)field(dev, l->offset))[n] = to;
			return;
		}
	g_error("%s has no output %s[%u]", dev->cls->name, output, n);
}

Irq device_input(Device *dev, const char *input, unsigned n)
{
	for (const LineIn *l = dev->cls->inputs; l && l->name; l++)
		if (!strcmp(l->name, input) && n < l->count)
			return (Irq){ l->fn, dev, (int)n };
	g_error("%s has no input %s[%u]", dev->cls->name, input, n);
}

/* A bus of the class's type: the one that the user named, or the youngest with room, as QEMU has it. */
bool device_choose_bus(Device *dev, GError **error)
{
	const GPtrArray *buses = dev->board->buses;
	bool any = false;
	if (!has_bus(dev->cls) || dev->bus)
		return true;
	for (unsigned i = buses ? buses->len : 0; i-- > 0;) {
		Bus *bus = g_ptr_array_index(buses, i);
		if (dev->bus_name && strcmp(bus->name, dev->bus_name))
			continue;
		if (strcmp(bus->type, dev->cls->bus)) {
			if (dev->bus_name)
				return fail(error, VIV_ERROR_INVALID, "Device '%s' can't go on %s bus", dev->cls->name, bus->type);
			continue;
		}
		any = true;
		if (bus->max && bus->devices->len >= bus->max)
			continue;
		dev->bus = bus;
		return true;
	}
	if (any)
		return fail(error, VIV_ERROR_INVALID, dev->bus_name ? "Bus '%s' is full" :
			"No free place on a '%s' bus for another device", dev->bus_name ? dev->bus_name : dev->cls->bus);
	if (dev->bus_name)
		return fail(error, VIV_ERROR_INVALID, "Bus '%s' not found", dev->bus_name);
	/* The buses of the board itself need no object in a test. */
	return !strcmp(dev->cls->bus, "pci") || !strcmp(dev->cls->bus, "isa") ||
		fail(error, VIV_ERROR_INVALID, "No '%s' bus found for device '%s'", dev->cls->bus, dev->cls->name);
}

bool device_realize(Device *dev, GError **error)
{
	if (!device_choose_bus(dev, error)) {
		device_free(dev);
		return false;
	}
	if (dev->cls->realize && !dev->cls->realize(dev, error)) {
		device_free(dev);
		return false;
	}
	dev->realized = true;
	if (dev->board->devices)
		g_ptr_array_add(dev->board->devices, dev);
	if (dev->bus)
		g_ptr_array_add(dev->bus->devices, dev);
	device_reset(dev);
	return true;
}

/* A field of the struct at `base`. */
static void reset_field(void *base, const StateField *f)
{
	static const uint8_t width[] = {
		[FIELD_BOOL] = sizeof(bool), [FIELD_U8] = 1, [FIELD_U16] = 2, [FIELD_U32] = 4,
		[FIELD_U64] = 8, [FIELD_I64] = 8, [FIELD_TIMER] = sizeof(Timer),
	};
	uint8_t *at = (uint8_t *)base + f->offset;

	for (unsigned i = 0; i < f->count; i++, at += width[f->type]) {
		if (f->type == FIELD_TIMER) {
			Timer *t = (Timer *)(void *)at;
			if (t->clock)
				timer_cancel(t);
		} else {
			memcpy(at, &f->reset, width[f->type]); /* the host is little-endian */
		}
	}
}

static void reset_group(void *base, const StateField *f)
{
	uint8_t *element = *(uint8_t **)((uint8_t *)base + f->offset);
	unsigned count = *(unsigned *)((uint8_t *)base + f->group_count);

	for (unsigned i = 0; element && i < count; i++, element += f->group_size)
		state_reset(element, f->group);
}

void state_reset(void *base, const StateField *fields)
{
	for (const StateField *f = fields; f && f->name; f++) {
		if (f->type == FIELD_STRUCT)
			state_reset((uint8_t *)base + f->offset, f->group);
		else if (f->type == FIELD_GROUP)
			reset_group(base, f);
		else if (!f->keep)
			reset_field(base, f);
	}
}

const char *device_label(const Device *dev)
{
	if (dev->id)
		return dev->id;
	return dev->path ? dev->path : dev->cls->name;
}

void device_reset(Device *dev)
{
	if (dev->cls->quiesce)
		dev->cls->quiesce(dev);
	state_reset(dev, dev->cls->state);
	if (dev->cls->reset)
		dev->cls->reset(dev);
}

void device_free(Device *dev)
{
	if (!dev)
		return;
	if (dev->realized && dev->cls->unrealize)
		dev->cls->unrealize(dev);
	/* A timer still armed would fire into freed memory, whatever unrealize forgot. */
	for (const StateField *f = dev->cls->state; f && f->name; f++)
		if (f->type == FIELD_TIMER)
			reset_field(dev, f);
	if (dev->board->devices)
		g_ptr_array_remove(dev->board->devices, dev);
	if (dev->bus)
		g_ptr_array_remove(dev->bus->devices, dev);
	for (const Property *p = dev->cls->props; p && p->name; p++)
		if (p->type == PROP_STRING)
			g_free(*(char **)field(dev, p->offset));
	g_free(dev->bus_name);
	g_free(dev->id);
	g_free(dev->path);
	g_free(dev);
}
