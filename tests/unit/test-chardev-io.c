/*
 * test-chardev-io.c - backends with real descriptors: sockets, terminals, FIFOs, datagrams; peers that do not read, go, and
 * send garbage. The test is the peer, and turns the main loop itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "chardev/address.h"
#include "chardev/set.h"
#include "chardev/telnet.h"

typedef struct Front {
	Chardev *c;
	GString *in;
	size_t room;
	unsigned opened, closed, breaks, writable;
} Front;

static size_t can_read(void *opaque) { return ((Front *)opaque)->room; }

static void on_read(void *opaque, const uint8_t *buf, size_t len)
{
	Front *f = opaque;
	g_assert_cmpuint(len, <=, f->room);
	g_string_append_len(f->in, (const char *)buf, (gssize)len);
	f->room -= len;
}

static void on_event(void *opaque, ChardevEvent event)
{
	Front *f = opaque;
	f->opened += event == CHARDEV_OPENED;
	f->closed += event == CHARDEV_CLOSED;
	f->breaks += event == CHARDEV_BREAK;
}

static void on_writable(void *opaque) { ((Front *)opaque)->writable++; }
static const ChardevHandlers handlers = { can_read, on_read, on_event, on_writable };

typedef struct World {
	ChardevSet *set;
	char *dir;
	Front f;
} World;

/* "DIR" in the words is the test's folder. */
static void set_up(World *w, const char *words)
{
	GError *error = NULL;
	memset(w, 0, sizeof(*w));
	w->dir = g_dir_make_tmp("viv-XXXXXX", NULL);
	if (strstr(words, "DIR/p")) {
		char *in = g_build_filename(w->dir, "p.in", NULL), *out = g_build_filename(w->dir,
			"p.out", NULL);
		g_assert_cmpint(mkfifo(in, 0600), ==, 0);
		g_assert_cmpint(mkfifo(out, 0600), ==, 0);
		g_free(in);
		g_free(out);
	}
	char **parts = g_strsplit(words, "DIR", 0), *text = g_strjoinv(w->dir, parts);
	w->set = chardev_set_new();
	w->f.in = g_string_new(NULL);
	w->f.room = 1 << 20;
	w->f.c = chardev_set_open(w->set, chardev_options_parse(text, &error), &error);
	g_assert_no_error(error);
	g_assert_true(chardev_attach(w->f.c, &handlers, &w->f, NULL));
	g_free(text);
	g_strfreev(parts);
}

static void tear_down(World *w)
{
	static const char *const names[] = { "p.in", "p.out" };
	chardev_detach(w->f.c, &w->f);
	chardev_set_free(w->set);
	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
		char *path = g_build_filename(w->dir, names[i], NULL);
		g_unlink(path);
		g_free(path);
	}
	g_assert_cmpint(g_rmdir(w->dir), ==, 0); /* sockets' names are gone by themselves */
	g_free(w->dir);
	g_string_free(w->f.in, TRUE);
}

/* Turns the loop until it is so. */
#define UNTIL(condition) \
	do { \
		gint64 end_ = g_get_monotonic_time() + 60 * G_USEC_PER_SEC; \
		while (!(condition)) { \
			g_assert_cmpint(g_get_monotonic_time(), <, end_); \
			if (!g_main_context_iteration(NULL, FALSE)) \
				g_usleep(500); \
		} \
	} while (0)

static int connect_to(World *w, const char *name)
{
	ChardevOptions o = { .path = g_build_filename(w->dir, name, NULL) };
	int fd = address_connect(&o, NULL);
	g_assert_cmpint(fd, >=, 0);
	g_free(o.path);
	return fd;
}

static void send_all(int fd, const void *data, size_t len)
{
	g_assert_cmpint(write(fd, data, len), ==, (gssize)len);
}

#define SERVER "socket,id=s,path=DIR/s,server=on,wait=off"

/* A slow front end gets all, in order, also what came before the peer hung up. */
static void test_socket_input(void)
{
	World w;
	set_up(&w, SERVER);
	w.f.room = 0;
	int fd = connect_to(&w, "s");
	UNTIL(w.f.opened == 1);
	send_all(fd, "hello, world", 12);
	close(fd);
	UNTIL(w.f.closed == 1);
	g_assert_cmpuint(w.f.in->len, ==, 0);
	w.f.room = 5;
	chardev_accept_input(w.f.c);
	g_assert_cmpstr(w.f.in->str, ==, "hello");
	w.f.room = 100;
	chardev_accept_input(w.f.c);
	g_assert_cmpstr(w.f.in->str, ==, "hello, world");
	tear_down(&w);
}

/* A peer that does not read: writes come up short, nothing is stored, and its reading makes room. */
static void test_socket_backpressure(void)
{
	World w;
	uint8_t block[4096], got[65536];
	size_t sent = 0, n, back = 0;
	set_up(&w, SERVER);
	int fd = connect_to(&w, "s");
	UNTIL(w.f.opened == 1);
	memset(block, 'x', sizeof(block));
	while ((n = chardev_write(w.f.c, block, sizeof(block))) > 0)
		sent += n;
	g_assert_cmpuint(sent, <, 16 << 20);
	g_assert_cmpuint(w.f.writable, ==, 0);
	while (back < sent) {
		ssize_t r = read(fd, got, sizeof(got));
		g_assert_cmpint(r, >, 0);
		back += (size_t)r;
	}
	UNTIL(w.f.writable == 1);
	g_assert_cmpuint(chardev_write(w.f.c, block, 10), ==, 10);
	while (chardev_write(w.f.c, block, sizeof(block)) > 0)
		continue;
	close(fd); /* whoever waits is told, and what it writes is thrown away */
	UNTIL(w.f.closed == 1);
	g_assert_cmpuint(w.f.writable, >=, 2);
	g_assert_cmpuint(chardev_write(w.f.c, block, sizeof(block)), ==, sizeof(block));
	tear_down(&w);
}

static unsigned open_files(void)
{
	GDir *dir = g_dir_open("/proc/self/fd", 0, NULL);
	unsigned n = 0;
	while (g_dir_read_name(dir))
		n++;
	g_dir_close(dir);
	return n;
}

static void test_socket_many(void)
{
	World w;
	set_up(&w, SERVER);
	unsigned before = open_files();
	for (unsigned i = 0; i < 1000; i++) {
		int fd = connect_to(&w, "s");
		if (i % 3)
			send_all(fd, "abc", i % 3);
		if (i % 2)
			UNTIL(w.f.opened == i + 1);
		close(fd);
		UNTIL(w.f.closed == i + 1);
		w.f.room = 1 << 20;
	}
	g_assert_cmpuint(open_files(), ==, before);
	char *name = chardev_filename(w.f.c);
	g_assert_true(g_str_has_prefix(name, "disconnected:unix:"));
	g_free(name);
	tear_down(&w);
}

/* Two ask at once: the second is served when the first has gone. */
static void test_socket_queue(void)
{
	World w;
	set_up(&w, SERVER);
	int first = connect_to(&w, "s");
	UNTIL(w.f.opened == 1);
	int second = connect_to(&w, "s");
	send_all(second, "2", 1);
	send_all(first, "1", 1);
	UNTIL(w.f.in->len == 1);
	g_assert_cmpstr(w.f.in->str, ==, "1");
	close(first);
	UNTIL(w.f.in->len == 2);
	g_assert_cmpstr(w.f.in->str, ==, "12");
	close(second);
	UNTIL(w.f.closed == 2);
	tear_down(&w);
}

static void test_reconnect(void)
{
	World w;
	set_up(&w, "socket,id=s,path=DIR/r,reconnect=1");
	g_assert_cmpuint(chardev_write(w.f.c, (const uint8_t *)"lost", 4), ==, 4);
	ChardevOptions o = { .path = g_build_filename(w.dir, "r", NULL) };
	for (unsigned i = 1; i <= 2; i++) {
		GArray *fds = g_array_new(FALSE, FALSE, sizeof(int));
		g_assert_true(address_listen(&o, fds, NULL));
		UNTIL(w.f.opened == i);
		int peer = accept(g_array_index(fds, int, 0), NULL, NULL);
		close(g_array_index(fds, int, 0));
		g_array_free(fds, TRUE);
		send_all(peer, "x", 1);
		UNTIL(w.f.in->len == i);
		close(peer);
		UNTIL(w.f.closed == i);
	}
	g_unlink(o.path);
	g_free(o.path);
	tear_down(&w);
}

/* The decoder on its own, split at every place. */
static void test_telnet(void)
{
	static const uint8_t stream[] = "a\xff\xff" "b\xff\xfb\x00" "c\xff\xfa\x18\x00\xff\xff\xff\xf0" "d\xff\xf3" "e";
	for (size_t cut = 0; cut < sizeof(stream); cut++) {
		Telnet t = { TELNET_TEXT };
		GString *text = g_string_new(NULL);
		for (size_t at = 0, used; at < sizeof(stream) - 1; at += used) {
			uint8_t buf[sizeof(stream)];
			size_t n = (at < cut ? cut : sizeof(stream) - 1) - at;
			bool broken;
			memcpy(buf, stream + at, n);
			n = telnet_decode(&t, buf, n, &used, &broken);
			g_string_append_len(text, (const char *)buf, (gssize)n);
			if (broken)
				g_string_append(text, "<break>");
		}
		g_assert_cmpstr(text->str, ==, "a\xff" "bcd<break>e");
		g_string_free(text, TRUE);
	}
}

/* Garbage for ever: the device lives, and a peer after it is served. */
static void test_telnet_garbage(void)
{
	World w;
	GRand *r = g_rand_new_with_seed(7);
	set_up(&w, SERVER ",telnet=on");
	for (unsigned i = 1; i <= 50; i++) {
		uint8_t noise[4096];
		int fd = connect_to(&w, "s");
		for (unsigned k = 0; k < sizeof(noise); k++)
			noise[k] = (uint8_t)(g_rand_int(r) & 1 ? (guint32)g_rand_int_range(r, 239,
				256) : g_rand_int(r));
		UNTIL(w.f.opened == i);
		w.f.room = 1 << 20;
		send_all(fd, noise, sizeof(noise));
		chardev_write(w.f.c, noise, sizeof(noise));
		close(fd);
		UNTIL(w.f.closed == i);
	}
	w.f.room = 1 << 20;
	g_string_truncate(w.f.in, 0);
	int fd = connect_to(&w, "s");
	send_all(fd, "hello", 5);
	UNTIL(w.f.in->len == 5);
	g_assert_cmpstr(w.f.in->str, ==, "hello");
	close(fd);
	UNTIL(w.f.closed == 51);
	g_rand_free(r);
	tear_down(&w);
}

static void test_pty(void)
{
	World w;
	char buf[16] = "";
	set_up(&w, "pty,id=p");
	char *name = chardev_filename(w.f.c);
	g_assert_true(g_str_has_prefix(name, "pty:/dev/pts/"));
	g_assert_cmpuint(chardev_write(w.f.c, (const uint8_t *)"lost", 4), ==, 4);
	for (unsigned i = 1; i <= 2; i++) {
		int fd = open(name + 4, O_RDWR | O_NOCTTY);
		g_assert_cmpint(fd, >=, 0);
		g_assert_cmpuint(chardev_write(w.f.c, (const uint8_t *)"seen\n", 5), ==, 5);
		g_assert_cmpuint(w.f.opened, ==, i);
		g_assert_cmpint(read(fd, buf, sizeof(buf)), ==, 5); /* raw: \n stays alone */
		send_all(fd, "in\x03\r", 4);
		UNTIL(w.f.in->len == 4 * i);
		close(fd);
		UNTIL(w.f.closed == i);
	}
	g_free(name);
	tear_down(&w);
}

static void test_pipe(void)
{
	World w;
	uint8_t buf[4096] = { 0 };
	set_up(&w, "pipe,id=p,path=DIR/p");
	char *in = g_build_filename(w.dir, "p.in", NULL), *out = g_build_filename(w.dir, "p.out",
		NULL);
	int to = open(in, O_WRONLY), from = open(out, O_RDONLY);
	g_assert_cmpint(to, >=, 0);
	send_all(to, "hello", 5);
	UNTIL(w.f.in->len == 5);
	g_assert_cmpuint(chardev_write(w.f.c, (const uint8_t *)"back", 4), ==, 4);
	g_assert_cmpint(read(from, buf, sizeof(buf)), ==, 4);
	while (chardev_write(w.f.c, buf, sizeof(buf)) > 0)
		continue;
	g_assert_cmpint(read(from, buf, sizeof(buf)), ==, sizeof(buf));
	UNTIL(w.f.writable > 0);
	close(to);
	close(from);
	g_free(in);
	g_free(out);
	tear_down(&w);
}

static void test_udp(void)
{
	World w;
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	char buf[16] = "", words[64];
	ChardevOptions o = { .host = (char *)"127.0.0.1", .port = (char *)"0" };
	GArray *fds = g_array_new(FALSE, FALSE, sizeof(int));
	g_assert_true(address_listen(&o, fds, NULL)); /* a port that is free: a stream's,
		so a datagram's too */
	GString *name = g_string_new(NULL);
	address_append_name(name, g_array_index(fds, int, 0), false);
	o.localaddr = (char *)"127.0.0.1";
	o.localport = strrchr(name->str, ':') + 1;
	o.port = (char *)"9";
	int fd = address_udp(&o, NULL);
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	g_assert_cmpint(connect(fd, &none, sizeof(none)), ==, 0);
	g_snprintf(words, sizeof(words), "udp,id=u,host=127.0.0.1,port=%s", o.localport);
	set_up(&w, words);
	w.f.room = 3;
	chardev_write(w.f.c, (const uint8_t *)"ping", 4);
	UNTIL((len = sizeof(peer), recvfrom(fd, buf, sizeof(buf), MSG_DONTWAIT,
		(struct sockaddr *)&peer, &len)) == 4);
	g_assert_cmpint(memcmp(buf, "ping", 4), ==, 0);
	sendto(fd, "answer", 6, 0, (struct sockaddr *)&peer, len);
	UNTIL(w.f.in->len == 3);
	w.f.room = 10;
	chardev_accept_input(w.f.c);
	g_assert_cmpstr(w.f.in->str, ==, "answer");
	close(fd);
	chardev_write(w.f.c, (const uint8_t *)"nobody", 6);
	chardev_write(w.f.c, (const uint8_t *)"there", 5);
	close(g_array_index(fds, int, 0));
	g_array_free(fds, TRUE);
	g_string_free(name, TRUE);
	tear_down(&w);
}

/* A terminal stands for the port: parameters are set, and what it cannot do is let be. */
static void test_serial(void)
{
	World w;
	struct termios t;
	LineParams params = { 9600, 'E', 7, 2 };
	uint8_t lines;
	int master = posix_openpt(O_RDWR | O_NOCTTY);
	char name[64], words[96];
	g_assert_true(master >= 0 && !grantpt(master) && !unlockpt(master) && !ptsname_r(master,
		name, sizeof(name)));
	g_snprintf(words, sizeof(words), "tty,id=t,path=%s", name);
	set_up(&w, words);
	chardev_set_params(w.f.c, &params);
	int slave = open(name, O_RDWR | O_NOCTTY);
	g_assert_cmpint(tcgetattr(slave, &t), ==, 0);
	g_assert_cmpint(cfgetospeed(&t), ==, B9600);
	g_assert_cmphex(t.c_cflag & CSTOPB, ==, CSTOPB);
	g_assert_cmphex(t.c_lflag & (ECHO | ICANON), ==, 0);
	chardev_set_break(w.f.c, true);
	chardev_set_break(w.f.c, false);
	chardev_set_modem(w.f.c, 3);
	g_assert_false(chardev_get_modem(w.f.c, &lines));
	send_all(master, "in", 2);
	UNTIL(w.f.in->len == 2);
	close(slave);
	close(master);
	tear_down(&w);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	signal(SIGPIPE, SIG_IGN);
	g_test_add_func("/chardev/socket/input", test_socket_input);
	g_test_add_func("/chardev/socket/backpressure", test_socket_backpressure);
	g_test_add_func("/chardev/socket/many", test_socket_many);
	g_test_add_func("/chardev/socket/queue", test_socket_queue);
	g_test_add_func("/chardev/socket/reconnect", test_reconnect);
	g_test_add_func("/chardev/telnet/decode", test_telnet);
	g_test_add_func("/chardev/telnet/garbage", test_telnet_garbage);
	g_test_add_func("/chardev/pty", test_pty);
	g_test_add_func("/chardev/pipe", test_pipe);
	g_test_add_func("/chardev/udp", test_udp);
	g_test_add_func("/chardev/serial", test_serial);
	return g_test_run();
}
