/* SPDX-License-Identifier: ISC */
/*
 * When the kernel probes the peer of a silent connection: listeners.keepalive.
 *
 * Connections that fall silent together would be probed in the same tick of the
 * kernel's timer, and more probes than net.core.netdev_max_backlog are dropped
 * on loopback and veth: healthy connections then end in a reset.  So each
 * connection has times of its own, which follow from its id and stay the same
 * when it changes hands.
 */
#ifndef WORKER_KEEPALIVE_H
#define WORKER_KEEPALIVE_H

struct conn;

/* Set what a newcomer has not inherited from its listening socket. */
void keepalive_spread(const struct conn *);

/* Set all of it, for a connection that came from another worker, perhaps with
 * another configuration. */
void keepalive_renew(const struct conn *);

#endif
