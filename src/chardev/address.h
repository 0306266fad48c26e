/*
 * address.h - sockets for the addresses that the options of a character device name.
 *
 * Any thread. They block: for names to be resolved, and address_connect for the peer.
 */
#ifndef VIV_CHARDEV_ADDRESS_H
#define VIV_CHARDEV_ADDRESS_H

#include "chardev/options.h"

/* Text form of path, or of host and port; caller frees. */
char *address_text(const ChardevOptions *o);
/* A connected stream socket; negative with *error. */
int address_connect(const ChardevOptions *o, GError **error);
/* Appends listening sockets (int), one for each address of the host. */
bool address_listen(const ChardevOptions *o, GArray *fds, GError **error);
/* A datagram socket between localaddr:localport and host:port. */
int address_udp(const ChardevOptions *o, GError **error);
/*
 * "127.0.0.1:5555", or the path of a unix socket, of this end or the peer's; appends. IPv6
 * hosts stand in brackets.
 */
void address_append_name(GString *out, int fd, bool peer);
/* Is the socket of the internet's families (false: unix)? */
bool address_is_inet(int fd);

#endif
