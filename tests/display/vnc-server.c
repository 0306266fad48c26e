/*
 * vnc-server.c - a VNC server with a screen that does what standard input says; for test-vnc.py.
 *
 * usage: vnc-server LAYOUT WORDS... (LAYOUT "-": none). Each line of input is answered by "ok" when
 * it is done. What viewers type and point at is told as it comes: "key 30 1", "place X Y", "move DX
 * DY", "button 0 1", "wish W H".
 */
#include <glib.h>
#include <glib-unix.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/lock.h"
#include "display/input.h"
#include "display/vnc.h"

typedef struct Test {
	Display *display;
	Screen *screen;
	GMainLoop *loop;
	Rect damage;
	unsigned refreshes;
	ScreenCursor cursor;
} Test;

static void refresh(void *opaque)
{
	Test *t = opaque;

	t->refreshes++;
	screen_damage(t->screen, t->damage);
	t->damage = (Rect){ 0 };
}

static void invalidate(void *opaque)
{
	Test *t = opaque;

	t->damage = (Rect){ 0, 0, SCREEN_WIDTH_MAX, SCREEN_HEIGHT_MAX };
}

static void wish(void *opaque, unsigned width, unsigned height)
{
	printf("wish %u %u\n", width, height);
}

static const ScreenSource source = { .refresh = refresh, .invalidate = invalidate, .wish = wish };

static void on_key(void *opaque, unsigned key, bool down) { printf("key %u %d\n", key, down); }
static void on_move(void *opaque, int dx, int dy) { printf("move %d %d\n", dx, dy); }
static void on_place(void *opaque, unsigned x, unsigned y) { printf("place %u %u\n", x, y); }
static void on_button(void *opaque, InputButton button, bool down)
{
	printf("button %d %d\n", (int)button, down);
}

static const InputHandler keyboard = { .name = "keyboard", .key = on_key };
static const InputHandler mouse = { .name = "mouse", .move = on_move, .button = on_button };
static const InputHandler tablet = { .name = "tablet", .place = on_place, .button = on_button };

/* The same as picture() in rfb.py: flat areas, stripes, noise. */
static uint32_t pixel(unsigned x, unsigned y, unsigned n)
{
	unsigned area = x / 50 + y / 40 + n;

	if (area % 3 == 0)
		return area * 0x123457 & 0xffffff;
	return area % 3 == 1 ? (x % 4 < 2 ? 0xff8000 : 0x0080ff)
			     : (x * x * 7919 + y * y * 104729 + n * 31) & 0xffffff;
}

static void draw(Test *t, unsigned n)
{
	unsigned width, height;

	screen_size(t->screen, &width, &height);
	for (unsigned y = 0; y < height; y++)
		for (unsigned x = 0; x < width; x++)
			screen_line(t->screen, y)[x] = pixel(x, y, n);
	t->damage = (Rect){ 0, 0, width, height };
}

static void fill(Test *t, Rect r, uint32_t colour)
{
	for (unsigned y = r.y; y < r.y + r.height; y++)
		for (unsigned x = r.x; x < r.x + r.width; x++)
			screen_line(t->screen, y)[x] = colour;
	t->damage = r;
}

static void set_cursor(Test *t, unsigned colour)
{
	t->cursor = (ScreenCursor){ .width = 10, .height = 6, .hot_x = 1, .hot_y = 2 };
	for (unsigned i = 0; i < 60; i++)
		t->cursor.pixels[i] = i % 2 ? 0xff000000 | colour : 0;
	screen_set_cursor(t->screen, &t->cursor);
	screen_move_cursor(t->screen, 5, 5, true);
}

static void set_pointer(Test *t, const InputHandler *handler)
{
	input_remove(t->display, (void *)&mouse);
	input_add(t->display, handler, (void *)&mouse);
}

static bool obey_locked(Test *t, const char *line)
{
	Rect r;
	unsigned a, b;

	if (sscanf(line, "draw %u", &a) == 1)
		draw(t, a);
	else if (sscanf(line, "fill %u %u %u %u %x", &r.x, &r.y, &r.width, &r.height, &a) == 5)
		fill(t, r, a);
	else if (sscanf(line, "size %u %u", &a, &b) == 2)
		screen_resize(t->screen, a, b);
	else if (sscanf(line, "leds %u", &a) == 1)
		input_set_leds(t->display, (uint8_t)a);
	else if (sscanf(line, "cursor %x", &a) == 1)
		set_cursor(t, a);
	else if (!strcmp(line, "tablet") || !strcmp(line, "mouse"))
		set_pointer(t, *line == 't' ? &tablet : &mouse);
	else if (!strcmp(line, "refreshes"))
		printf("refreshes %u\n", t->refreshes);
	else
		return false;
	return true;
}

static void describe(Test *t)
{
	json_t *servers = vnc_describe(t->display);
	char *text = json_dumps(servers, JSON_COMPACT);

	printf("%s\n", text);
	free(text);
	json_decref(servers);
}

/* A connection that somebody else made. */
static void add(Test *t, const char *path, GError **error)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	g_strlcpy(a.sun_path, path, sizeof(a.sun_path));
	if (fd >= 0 && !connect(fd, (struct sockaddr *)&a, sizeof(a)))
		vnc_add_client(t->display, fd, true, error);
}

/* What takes the lock itself. */
static void obey(Test *t, const char *line)
{
	GError *error = NULL;

	machine_lock();
	bool done = obey_locked(t, line);
	machine_unlock();
	if (g_str_has_prefix(line, "password "))
		vnc_set_password(t->display, NULL, line + 9, &error);
	else if (g_str_has_prefix(line, "expire "))
		vnc_expire_password(t->display, NULL, line + 7, &error);
	else if (g_str_has_prefix(line, "add "))
		add(t, line + 4, &error);
	else if (!strcmp(line, "describe"))
		describe(t);
	else if (!done)
		g_main_loop_quit(t->loop);
	if (error)
		printf("error %s\n", error->message);
	g_clear_error(&error);
	printf("ok\n");
}

static gboolean on_line(GIOChannel *in, GIOCondition condition, gpointer opaque)
{
	Test *t = opaque;
	char *line = NULL;
	gsize end;

	if (g_io_channel_read_line(in, &line, NULL, &end, NULL) != G_IO_STATUS_NORMAL) {
		g_main_loop_quit(t->loop);
		return G_SOURCE_REMOVE;
	}
	line[end] = 0;
	obey(t, line);
	g_free(line);
	return G_SOURCE_CONTINUE;
}

static const uint8_t *fixed_secret(const char *id, size_t *length, GError **error)
{
	*length = 6;
	return (const uint8_t *)"secret";
}

static void powerdown(void *opaque) { printf("powerdown\n"); }

int main(int argc, char **argv)
{
	Test t = { .display = display_new(), .loop = g_main_loop_new(NULL, FALSE) };
	VncHost host = { .name = "test", .layout = strcmp(argv[1], "-") ? argv[1] : NULL,
			 .secret = fixed_secret, .powerdown = powerdown };
	GError *error = NULL;
	int status = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	machine_lock();
	t.screen = screen_new(t.display, "screen", &source, &t);
	screen_resize(t.screen, 200, 120);
	input_add(t.display, &keyboard, (void *)&keyboard);
	set_pointer(&t, &mouse);
	machine_unlock();
	for (int i = 2; i < argc && !status; i++) {
		char *running = NULL;
		status = !vnc_open(t.display, argv[i], &host, &running, &error);
		printf("%s\n", status ? error->message : running ? running : "ready");
		g_free(running);
	}
	GIOChannel *in = g_io_channel_unix_new(STDIN_FILENO);
	g_io_add_watch(in, G_IO_IN | G_IO_HUP, on_line, &t);
	if (!status)
		g_main_loop_run(t.loop);
	vnc_close_all(t.display);
	machine_lock();
	screen_free(t.screen);
	machine_unlock();
	display_free(t.display);
	g_clear_error(&error);
	g_io_channel_unref(in);
	g_main_loop_unref(t.loop);
	return status;
}
