/* SPDX-License-Identifier: ISC */
/*
 * A lock on an address that is bound and not yet listened on.
 *
 * The kernel lets two servers bind one address as long as neither listens, and
 * both listen if they share the port; a path whose server does not listen yet
 * looks as if its server were dead.  So a master holds this lock from before the
 * bind until after the listen.  From then on a second one finds the address in
 * use.
 *
 * The lock is a unix socket with an abstract name: it belongs to the same
 * network namespace as the address, needs no place in the file system, and goes
 * with its process.
 */
#ifndef MASTER_ADDRESS_LOCK_H
#define MASTER_ADDRESS_LOCK_H

#include <sys/socket.h>
#include <sys/types.h>

/*
 * Returns a descriptor whose close ends the lock, or -1 with errno set:
 * EADDRINUSE, and *rival (0: not known), if another process has it.  Only a
 * process of our own user or of root can: a lock of anybody else's is ignored,
 * so that no user can keep another one's server from its start.
 */
int address_lock(const struct sockaddr_storage *, pid_t *rival);

#endif
