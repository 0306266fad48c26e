/*
 * vnc_auth.c - a viewer's way in: version, security type, password, ClientInit.
 *
 * RFC 6143, 7.1 and 7.2. Done here and not by LibVNCServer, whose list of security types is one for
 * the whole process: a server without a password would open those that have one. Left out: every
 * security type but None and VNC Authentication. The viewer's thread.
 */
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <nettle/des.h>
#include <nettle/memops.h>

#include "display/vnc_private.h"

#define CHALLENGE 16
#define WRONG_DELAY_MS 500    /* more with each wrong password, */
#define WRONG_STEPS_MAX 6     /* up to that many times as long */

enum { SECURITY_INVALID, SECURITY_NONE, SECURITY_VNC };

static bool receive(VncClient *c, void *out, int count)
{
	return rfbReadExact(c->rfb, out, count) > 0;
}

static void put_u32(uint8_t *at, uint32_t value)
{
	value = GUINT32_TO_BE(value);
	memcpy(at, &value, sizeof(value));
}

static bool send_u32(VncClient *c, uint32_t value)
{
	uint8_t bytes[4];

	put_u32(bytes, value);
	return vnc_client_send(c, bytes, sizeof(bytes));
}

static void send_reason(VncClient *c, const char *reason)
{
	if (send_u32(c, (uint32_t)strlen(reason)))
		vnc_client_send(c, reason, strlen(reason));
}

/* ProtocolVersion. The minor version that both understand: 3, 7 or 8. */
static bool agree_on_version(VncClient *c, int *minor)
{
	char text[13] = "";
	int major;

	if (!receive(c, text, 12) || sscanf(text, "RFB %03d.%03d\n", &major, minor) != 2 ||
	    major != 3 || *minor < 3)
		return false;
	*minor = *minor < 7 ? 3 : MIN(*minor, 8);
	c->rfb->protocolMajorVersion = 3;
	c->rfb->protocolMinorVersion = *minor;
	return true;
}

/* 7.1.2: before 3.7 the server decides. */
static bool agree_on_security(VncClient *c, int minor, uint8_t wanted)
{
	uint8_t chosen, offer[2] = { 1, wanted };

	if (minor < 7)
		return send_u32(c, wanted);
	if (!vnc_client_send(c, offer, sizeof(offer)) || !receive(c, &chosen, 1))
		return false;
	return chosen == wanted;
}

/* ---- the password ---- */

/* DES with the password as key, the bits of its bytes in reverse. */
static void encrypt(const char *password, const uint8_t *challenge, uint8_t *out)
{
	struct des_ctx des;
	uint8_t key[DES_KEY_SIZE] = { 0 };

	for (size_t i = 0; i < DES_KEY_SIZE && password[i]; i++)
		for (unsigned bit = 0; bit < 8; bit++)
			key[i] |= (uint8_t)(((uint8_t)password[i] >> bit & 1) << (7 - bit));
	des_set_key(&des, key); /* weak keys are keys too: the user chose them */
	des_encrypt(&des, CHALLENGE, out, challenge);
}

/* NULL: it is right. */
static const char *check_response(VncServer *s, const uint8_t *challenge, const uint8_t *response)
{
	uint8_t wanted[CHALLENGE];
	const char *wrong = NULL;

	pthread_mutex_lock(&s->lock);
	encrypt(s->password, challenge, wanted);
	if (!s->has_password)
		wrong = "password is not set";
	else if (s->password_end < time(NULL))
		wrong = "password is expired";
	else if (!memeql_sec(wanted, response, CHALLENGE))
		wrong = "Authentication failed";
	s->failures = wrong ? s->failures + 1 : 0;
	pthread_mutex_unlock(&s->lock);
	return wrong;
}

/* So that guessing takes long; on this viewer's own time, or until it is told to leave. */
static void wait_after_failure(VncClient *c)
{
	VncServer *s = c->server;
	struct pollfd wake = { .fd = c->wake_fd, .events = POLLIN };

	pthread_mutex_lock(&s->lock);
	unsigned steps = MIN(s->failures, WRONG_STEPS_MAX);
	pthread_mutex_unlock(&s->lock);
	poll(&wake, 1, (int)(steps * WRONG_DELAY_MS));
}

static bool ask_password(VncClient *c, int minor)
{
	uint8_t challenge[CHALLENGE], response[CHALLENGE];

	if (getrandom(challenge, sizeof(challenge), 0) != sizeof(challenge) ||
	    !vnc_client_send(c, challenge, sizeof(challenge)) ||
	    !receive(c, response, sizeof(response)))
		return false;
	const char *wrong = check_response(c->server, challenge, response);
	if (!wrong)
		return send_u32(c, 0);
	wait_after_failure(c);
	/* Which of them it was is nobody's business: the same words for all. */
	if (send_u32(c, 1) && minor >= 8)
		send_reason(c, "Authentication failed");
	return false;
}

bool vnc_handshake(VncClient *c)
{
	const VncOptions *o = &c->server->options;
	bool password = (o->password || o->secret) && !c->skip_auth;
	uint8_t shared;
	int minor;

	if (!agree_on_version(c, &minor) ||
	    !agree_on_security(c, minor, password ? SECURITY_VNC : SECURITY_NONE))
		return false;
	if (password && !ask_password(c, minor))
		return false;
	/* 7.1.3: with None, 3.8 alone has a result */
	if (!password && minor >= 8 && !send_u32(c, 0))
		return false;
	if (!receive(c, &shared, 1))
		return false;
	c->shared_asked = shared;
	return true;
}

bool vnc_send_server_init(VncClient *c)
{
	const rfbPixelFormat *f = &c->screen->serverFormat;
	uint8_t init[24] = {
		(uint8_t)(c->screen->width >> 8), (uint8_t)c->screen->width,
		(uint8_t)(c->screen->height >> 8), (uint8_t)c->screen->height,
		f->bitsPerPixel, f->depth, f->bigEndian, f->trueColour,
		0, (uint8_t)f->redMax, 0, (uint8_t)f->greenMax, 0, (uint8_t)f->blueMax,
		f->redShift, f->greenShift, f->blueShift,
	};
	const char *title = c->server->title;

	put_u32(init + 20, (uint32_t)strlen(title));
	return vnc_client_send(c, init, sizeof(init)) && vnc_client_send(c, title, strlen(title));
}
