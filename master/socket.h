/* SPDX-License-Identifier: ISC */
/*
 * The listening sockets: one SO_REUSEPORT socket for each address and worker
 * slot, and for a path in the file system one that all share.
 *
 * The master keeps them open as long as the address is configured, so that a
 * worker that dies loses no queued connection.  The kernel is told which slots'
 * sockets are to get newcomers (SO_ATTACH_REUSEPORT_CBPF, socket(7)): those of
 * slots that went, or that have no worker for a while, get none.
 *
 * The file of a unix socket may be removed or replaced by others.  The next
 * sockets_prepare() then binds another socket, and the lost one is closed at the
 * commit; what its queue has is accepted by the workers that drain.
 *
 * An address that leaves the configuration while the wildcard of its port is in
 * it keeps its sockets: they are the wildcard's listener's then.
 *
 * Changes are made in two steps.  What sockets_prepare() opens is bound but not
 * listening, and undone without a trace; sockets_commit() then makes it hold.
 * The kernel sees no conflict between sockets that do not listen yet, so that an
 * address is locked from the first step to the second (address_lock.h).
 */
#ifndef MASTER_SOCKET_H
#define MASTER_SOCKET_H

#include <sys/socket.h>
#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>

#include "common/heritage.h"
#include "conf/conf.h"

struct why;

struct socket_group {
	char *text;
	struct sockaddr_storage addr;
	socklen_t len;
	int fds[CONF_WORKERS_MAX];	/* by slot; for a path fds[0], and fds[1]
					   to take the place of one that is
					   lost */
	unsigned nfds;
	unsigned nlistening;		/* the first; the rest is prepared */
	bool monitor;			/* in a state: they are the monitor's */
	ino_t inode;			/* of the path, to remove no other */
	ino_t fresh_inode;		/* of the one that is prepared to take
					   the place of one that is lost */
	const char *said;		/* of the path: what is wrong; NULL */
	int lock;			/* see address_lock.h; -1 */
	pid_t rival;			/* has the lock; 0 */
};

struct sockets {
	struct socket_group **groups;	/* one for each address */
	size_t n;
	bool is_private;	/* paths are for our own user and group */
};

/* Open what the configuration needs and is not there.  Returns -1 with errno
 * set, says why, and has then undone it. */
int sockets_prepare(struct sockets *, const struct conf *, unsigned slots,
    struct why *);

/* Close again what was prepared and not committed. */
void sockets_undo(struct sockets *);

/* Listen on what was prepared: newcomers can come from here on, and wait to be
 * accepted.  Returns -1 with errno set, and says why. */
int sockets_listen(struct sockets *, const struct conf *, struct why *);

/* Let what was prepared stay, set the options that the configuration wants,
 * and close what is no longer in it. */
void sockets_commit(struct sockets *, const struct conf *, unsigned slots);

/* See whether the file of each unix socket is still there, and report it once if
 * it is not. */
void sockets_watch(struct sockets *);

/* Let new connections go only to slots for which live[slot] is true, or to all
 * if it is true for none. */
void sockets_steer(struct sockets *, const bool live[], unsigned slots);

/*
 * The sockets that the worker in a slot is to accept from: those of its slot,
 * and its share of those of slots that went.  prepared says whether those that
 * are not yet committed count.  Returns an array, or NULL with errno set.
 */
struct heritage_socket *sockets_for(const struct sockets *,
    const struct conf *, unsigned slot, unsigned slots, bool prepared,
    size_t *n);

/* Add the group of an address, as another program has written it, for sockets
 * that it has left.  Returns NULL with errno set. */
struct socket_group *sockets_restore(struct sockets *, const char *address);

/* Close all sockets, and remove the files of those that have one. */
void sockets_close(struct sockets *);

#endif
