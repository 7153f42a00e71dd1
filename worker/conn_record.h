/* SPDX-License-Identifier: ISC */
/*
 * What is public of a connection: its record in the shared mapping, what it
 * adds to the counters, its lines in the log.
 */
#ifndef WORKER_CONN_RECORD_H
#define WORKER_CONN_RECORD_H

#include "worker/conn.h"
#include "worker/handover.h"

enum {
	/* "[address]:port" of either family. */
	CONN_PEER_MAX = 64,
};

/* Fill the record of a new connection; empty that of one that ends. */
void conn_record_open(struct conn *, const struct sockaddr *peer);
void conn_record_clear(struct conn_record *);
/* Its client has another address than its socket. */
void conn_record_rename(struct conn *, const struct sockaddr *peer);
/* The record of one that another worker gave. */
void conn_record_adopt(struct conn *, const struct handover_conn *);

/* The address of the peer, in text or a constant. */
const char *conn_peer(const struct conn *, char text[CONN_PEER_MAX]);
/* The same of one that has no record. */
const char *conn_print_peer(const struct sockaddr *, char text[CONN_PEER_MAX]);

void conn_count_open(struct conn *);
void conn_count_close(struct conn *);
/*
 * On its way to another worker, and back; with that one for certain; and here,
 * from another.  Each in the moment in which it becomes so, as a worker that is
 * killed is believed.  What is on its way is active here until that is certain:
 * for a moment it is active in both, see listener_is_full().  from is the
 * number of its listener there.
 */
void conn_count_offer(struct conn *);
void conn_count_return(struct conn *);
void conn_count_gone(struct conn *);
void conn_count_hold(struct conn *);
void conn_count_enter(const struct conn *, unsigned from);
/* Bytes as they cross the wire. */
void conn_count_in(struct conn *, size_t bytes);
void conn_count_out(struct conn *, size_t bytes);

/* via is the address of the proxy that has named the client, or NULL. */
void conn_log_open(const struct conn *, const char *via);
void conn_log_close(const struct conn *);
void conn_log_error(const struct conn *, enum close_reason);
/* There is no valid PROXY header, for that reason. */
void conn_log_header(const struct conn *, enum close_reason, const char *wrong);

#endif
