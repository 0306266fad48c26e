/*
 * socket.h - stream and datagram sockets of the internet and of the file system.
 *
 * IEEE 1003.1-2017, 2.10; Linux unix(7) for abstract names. Any thread. Calls with a host name
 * block until it is resolved, the connecting ones until the peer answers. Every descriptor is
 * blocking, closed on exec, and the caller's.
 */
#ifndef VIV_CORE_SOCKET_H
#define VIV_CORE_SOCKET_H

#include <stdbool.h>
#include <sys/socket.h>

#include <glib.h>

#define SOCKET_PORT_MAX 65535u

/* Name of a unix socket. */
typedef struct SocketPath {
	const char *path;
	bool abstract; /* not in the file system */
	bool padded;   /* an abstract name is filled with zeros to its full length */
} SocketPath;

/* Host and port; an empty or NULL host is any of ours to bind, the loopback one to connect to. */
typedef struct SocketHost {
	const char *host;
	const char *port; /* number or name of a service */
	int family;       /* AF_UNSPEC, AF_INET, AF_INET6 */
} SocketHost;

/* The family that ipv4= and ipv6= leave: each 1 (on), 0 (off) or negative (not given). */
int socket_family(int ipv4, int ipv6);

/* Connected; negative with *error. */
int socket_connect_unix(SocketPath p, GError **error);
int socket_connect_inet(SocketHost h, GError **error);
/* Listening at a path, where a socket that an earlier run left is taken away; negative with *error. */
int socket_listen_unix(SocketPath p, int backlog, GError **error);
/*
 * Appends listening sockets (int) to @fds: every address of the host, all at the first port of
 * h.port (a number) to @last_port that is free, or none and *error. Port 0 is any. Families that
 * this machine has not are left out.
 */
bool socket_listen_inet(SocketHost h, unsigned last_port, int backlog, GArray *fds, GError **error);
/* A datagram socket from one place (port NULL: any) to another, not blocking; negative with *error. */
int socket_datagram(SocketHost from, SocketHost to, GError **error);

/* What is at an end of a socket: text of a host's number and port, or of a path. */
typedef struct SocketName {
	int family; /* AF_UNSPEC: there is nothing to tell, the texts are empty */
	char host[64], port[8];
	char path[128];
} SocketName;

SocketName socket_name(int fd, bool peer);

#endif
