/*
 * vnc_client.c - a viewer: its thread, its copy of the picture, its connection.
 *
 * The thread has a rfbScreenInfo of LibVNCServer to itself, with its own frame buffer: the library
 * waits for a viewer that does not read, and then nobody else waits with it. The copy is brought up
 * to date only when the viewer has asked for an update, so one that asks rarely costs little, and
 * never more memory than one picture.
 */
#include "display/vnc_private.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib-unix.h>

#include "core/error.h"
#include "core/notifier.h"
#include "core/thread.h"

#define HANDSHAKE_WAIT_MS 60000      /* for each piece of it */
#define NORMAL_WAIT_MS (24 * 3600000) /* a viewer may stand still for a day */
#define REQUEST_WAIT_MS 10000        /* for a websocket's first words */
#define REQUEST_STEP_MS 20
#define RECTS_MAX 2000               /* in one update; more of them become their bounding box */

bool vnc_client_send(VncClient *c, const void *bytes, size_t count)
{
	return rfbWriteExact(c->rfb, bytes, (int)count) > 0;
}

void vnc_client_wake(VncClient *c)
{
	notifier_set(c->wake_fd);
}

void vnc_client_dismiss(VncClient *c)
{
	c->leave = true;
	shutdown(c->fd, SHUT_RDWR); /* what the thread waits for in the library */
	vnc_client_wake(c);
}

/* ---- the library's part ---- */

/* Pixels are 0x00RRGGBB, as a Screen's. */
static void set_format(rfbScreenInfoPtr screen)
{
	screen->serverFormat.redShift = 16;
	screen->serverFormat.greenShift = 8;
	screen->serverFormat.blueShift = 0;
	screen->serverFormat.depth = 24;
}

static bool set_size(VncClient *c, unsigned width, unsigned height)
{
	char *pixels = calloc((size_t)width * height, 4);

	if (!pixels)
		return false;
	free(c->screen->frameBuffer);
	rfbNewFramebuffer(c->screen, pixels, (int)width, (int)height, 8, 3, 4);
	set_format(c->screen);
	if (c->rfb)
		rfbSetTranslateFunction(c->rfb); /* rfbNewFramebuffer chose another format */
	return true;
}

/* malloc's memory: the library frees it. */
static rfbScreenInfoPtr new_screen(const VncClient *c)
{
	rfbScreenInfoPtr screen = malloc(sizeof(*screen));

	if (!screen)
		return NULL;
	/* rfbGetScreen() makes the lock of all clients anew at each call: it is called once, when
	 * no thread is there. */
	memcpy(screen, vnc_screen_template(c->server->display), sizeof(*screen));
	pthread_mutex_init(&screen->cursorMutex, NULL);
	screen->desktopName = c->server->title;
	screen->maxClientWait = HANDSHAKE_WAIT_MS;
	screen->maxRectsPerUpdate = RECTS_MAX;
	screen->deferUpdateTime = 0;     /* the screen's refreshes are pace enough */
	screen->deferPtrUpdateTime = 0;
	screen->cursor = NULL;
	screen->screenData = (void *)c;
	set_format(screen);
	return screen;
}

/*
 * Waits for the first words of a websocket's viewer. LibVNCServer would look for them in a loop that never ends
 * if only one to three bytes come.
 */
static bool await_request(VncClient *c)
{
	struct pollfd fds[] = { { .fd = c->wake_fd, .events = POLLIN }, { .fd = c->fd, .events = POLLIN } };
	char words[4];

	for (unsigned waited = 0; waited < REQUEST_WAIT_MS; waited += REQUEST_STEP_MS) {
		ssize_t n = recv(c->fd, words, sizeof(words), MSG_PEEK | MSG_DONTWAIT);
		if (n == sizeof(words))
			return !memcmp(words, "GET ", sizeof(words));
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return false;
		/* With some bytes there already, poll would not wait for the rest. */
		poll(fds, n > 0 ? 1 : 2, REQUEST_STEP_MS);
		if (fds[0].revents)
			return false;
	}
	return false;
}

/*
 * A descriptor on which LibVNCServer may look for a websocket. Only viewers on a port meant for them get that far: a web
 * page can make a browser connect to any port. For others it is a pair of sockets, whose other end says that it is
 * RFB that is spoken; afterwards the viewer's connection takes its place. -1: the viewer is gone.
 */
static int open_descriptor(VncClient *c, int *other)
{
	int pair[2];

	if (c->websocket)
		return await_request(c) ? fcntl(c->fd, F_DUPFD_CLOEXEC, 0) : -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -1;
	*other = pair[1];
	if (write(pair[1], "RFB ", 4) == 4)
		return pair[0];
	close(pair[0]);
	return -1;
}

static bool greet(VncClient *c)
{
	if (c->websocket)
		return c->rfb->wsctx;
	bool placed = dup3(c->fd, c->rfb->sock, O_CLOEXEC) >= 0;
	int on = 1;

	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* if it is TCP */
	return placed && g_unix_set_fd_nonblocking(c->fd, TRUE, NULL) && vnc_client_send(c, "RFB 003.008\n", 12);
}

static bool open_connection(VncClient *c)
{
	c->screen = new_screen(c);
	if (!c->screen || !set_size(c, 1, 1))
		return false;
	int other = -1, fd = open_descriptor(c, &other);
	if (fd >= FD_SETSIZE) /* the library waits with select(2) */
		close(fd);
	else if (fd >= 0)
		c->rfb = rfbNewClient(c->screen, fd);
	if (other >= 0)
		close(other);
	if (!c->rfb)
		return false;
	c->rfb->clientData = c;
	vnc_input_attach(c);
	return greet(c);
}

/* What LibVNCServer 0.9.14 does not free with a client. */
static void free_forgotten(rfbClientPtr rfb)
{
	free(rfb->wsctx);
	rfb->wsctx = NULL;
	for (rfbExtensionData *next; rfb->extensions; rfb->extensions = next) {
		next = rfb->extensions->next;
		free(rfb->extensions);
	}
}

static void close_connection(VncClient *c)
{
	if (c->rfb) {
		rfbCloseClient(c->rfb);
		free_forgotten(c->rfb);
		rfbClientConnectionGone(c->rfb);
	}
	if (c->screen) {
		free(c->screen->frameBuffer);
		rfbScreenCleanup(c->screen);
	}
}

/* ---- joining those who look ---- */

static gboolean on_join(gpointer opaque)
{
	VncClient *c = opaque;

	vnc_server_join(c);
	return G_SOURCE_REMOVE;
}

/* The main thread lets it in, with a fresh picture, or dismisses it. */
static bool join(VncClient *c)
{
	VncServer *s = c->server;
	struct pollfd wake = { .fd = c->wake_fd, .events = POLLIN };
	bool joined;

	pthread_mutex_lock(&s->lock);
	if (!c->leave)
		g_idle_add_full(G_PRIORITY_DEFAULT, on_join, c, NULL);
	while (!c->joined && !c->leave) {
		pthread_mutex_unlock(&s->lock);
		if (poll(&wake, 1, -1) > 0)
			notifier_clear(c->wake_fd);
		pthread_mutex_lock(&s->lock);
	}
	joined = c->joined && !c->leave;
	unsigned width = s->width, height = s->height;
	pthread_mutex_unlock(&s->lock);
	return joined && set_size(c, width, height);
}

/* ---- changes on their way to the viewer ---- */

/* Server's lock held. Only what both pictures have. */
static void copy_damage(VncClient *c)
{
	VncServer *s = c->server;
	uint32_t *ours = (uint32_t *)(void *)c->screen->frameBuffer;
	unsigned width = MIN((unsigned)c->screen->width, s->width);
	unsigned height = MIN((unsigned)c->screen->height, s->height);
	sraRegionPtr bounds = sraRgnCreateRect(0, 0, (int)width, (int)height);

	sraRgnAnd(c->damage, bounds);
	sraRgnDestroy(bounds);
	sraRectangleIterator *i = sraRgnGetIterator(c->damage);
	for (sraRect r; sraRgnIteratorNext(i, &r);)
		for (int y = r.y1; y < r.y2; y++)
			memcpy(ours + (size_t)y * (unsigned)c->screen->width + r.x1,
			       s->picture + (size_t)y * s->width + r.x1,
			       (size_t)(r.x2 - r.x1) * sizeof(*ours));
	sraRgnReleaseIterator(i);
	rfbMarkRegionAsModified(c->screen, c->damage);
	sraRgnMakeEmpty(c->damage);
}

/* The library's picture of a pointer, which it frees. */
static rfbCursorPtr make_cursor(const ScreenCursor *from)
{
	rfbCursorPtr to = calloc(1, sizeof(*to));
	size_t stride = (from->width + 7) / 8, count = (size_t)from->width * from->height;

	*to = (rfbCursor){
		.cleanup = TRUE, .cleanupMask = TRUE, .cleanupRichSource = TRUE,
		.width = (unsigned short)from->width, .height = (unsigned short)from->height,
		.xhot = (unsigned short)from->hot_x, .yhot = (unsigned short)from->hot_y,
		.mask = calloc(stride, from->height), .richSource = malloc(count * 4),
		.foreRed = 0xffff, .foreGreen = 0xffff, .foreBlue = 0xffff,
	};
	memcpy(to->richSource, from->pixels, count * 4);
	for (unsigned y = 0; y < from->height; y++)
		for (unsigned x = 0; x < from->width; x++)
			if (from->pixels[y * from->width + x] >> 31)
				to->mask[y * stride + x / 8] |= (uint8_t)(0x80 >> x % 8);
	return to;
}

/* Server's lock held. */
static void take_cursor(VncClient *c)
{
	VncServer *s = c->server;

	c->had_cursor |= s->cursor != NULL;
	if (c->cursor_changed)
		rfbSetCursor(c->screen, s->cursor ? make_cursor(s->cursor) : NULL);
	c->screen->cursorX = CLAMP(s->cursor_x, 0, c->screen->width - 1);
	c->screen->cursorY = CLAMP(s->cursor_y, 0, c->screen->height - 1);
	c->cursor_changed = c->cursor_moved = false;
}

static bool takes_sizes(const VncClient *c)
{
	return c->rfb->useNewFBSize || c->rfb->useExtDesktopSize;
}

/* False: it is to leave, or there is no memory for its picture. */
static bool take_changes(VncClient *c)
{
	VncServer *s = c->server;
	bool ok = true;

	pthread_mutex_lock(&s->lock);
	bool other_size =
	    (unsigned)c->screen->width != s->width || (unsigned)c->screen->height != s->height;
	if (other_size && takes_sizes(c)) {
		ok = set_size(c, s->width, s->height);
		sraRgnDestroy(c->damage);
		c->damage = sraRgnCreateRect(0, 0, (int)s->width, (int)s->height);
	}
	if (ok && (c->cursor_changed || c->cursor_moved))
		take_cursor(c);
	if (ok && !sraRgnEmpty(c->rfb->requestedRegion) && !sraRgnEmpty(c->damage))
		copy_damage(c);
	ok = ok && !c->leave;
	pthread_mutex_unlock(&s->lock);
	return ok;
}

/* ---- serving ---- */

/* What a viewer may not have of the library: scaled pictures, which it does not keep in step with
 * new sizes. */
static bool restrain(VncClient *c)
{
	if (c->rfb->scaledScreen != c->screen)
		return false;
	if (!c->server->options.lossy) {
		c->rfb->tightQualityLevel = -1;
		c->rfb->turboQualityLevel = -1;
		if (c->rfb->preferredEncoding == (int)rfbEncodingZYWRLE)
			c->rfb->preferredEncoding = rfbEncodingZRLE;
	}
	if (!c->had_cursor)
		c->rfb->cursorWasChanged = FALSE; /* the viewer keeps its own pointer */
	return true;
}

static bool read_messages(VncClient *c)
{
	do {
		rfbProcessClientMessage(c->rfb);
		if (c->rfb->sock < 0 || !restrain(c))
			return false;
	} while (c->websocket && webSocketsHasDataInBuffer(c->rfb));
	return true;
}

static void serve(VncClient *c)
{
	struct pollfd fds[] = { { .fd = c->fd, .events = POLLIN },
				{ .fd = c->wake_fd, .events = POLLIN } };

	c->screen->maxClientWait = NORMAL_WAIT_MS;
	c->rfb->state = RFB_NORMAL;
	for (bool going = true; going;) {
		if (poll(fds, G_N_ELEMENTS(fds), -1) < 0 && errno != EINTR)
			break;
		if (fds[1].revents)
			notifier_clear(c->wake_fd);
		going = (!fds[0].revents || read_messages(c)) && take_changes(c);
		if (going) {
			vnc_extension_tell(c);
			rfbUpdateClient(c->rfb);
			going = c->rfb->sock >= 0;
		}
	}
}

static gboolean on_ended(gpointer opaque)
{
	vnc_server_remove_client(opaque);
	return G_SOURCE_REMOVE;
}

static void *viewer_thread(void *opaque)
{
	VncClient *c = opaque;

	if (open_connection(c) && vnc_handshake(c) && join(c) && vnc_send_server_init(c))
		serve(c);
	vnc_input_release(c);
	close_connection(c);
	g_idle_add_full(G_PRIORITY_DEFAULT, on_ended, c, NULL);
	return NULL;
}

bool vnc_client_start(VncClient *c, GError **error)
{
	c->wake_fd = notifier_new(error);
	if (c->wake_fd < 0)
		return false;
	c->damage = sraRgnCreate();
	c->leds_told = c->absolute_told = -1;
	c->last_x = c->last_y = -1;
	return thread_start(THREAD_VIEWER, c->number, viewer_thread, c, &c->thread, error);
}

void vnc_client_free(VncClient *c)
{
	if (c->damage)
		sraRgnDestroy(c->damage);
	if (c->wake_fd >= 0)
		close(c->wake_fd);
	close(c->fd);
	g_free(c);
}
