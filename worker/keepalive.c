/* SPDX-License-Identifier: ISC */
#include "worker/keepalive.h"

#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "worker/conn.h"

enum {
	SECONDS_MAX = 32767,		/* the kernel takes no more: tcp(7) */
};

static const struct conf_keepalive *
conf_of(const struct conn *conn)
{
	return (&conn->listener->conf->keepalive);
}

static bool
is_tcp(const struct conn *conn)
{
	return (!conn->is_local);
}

/* If it fails, the connection has the times of its listening socket. */
static void
set(const struct conn *conn, int level, int option, unsigned value)
{
	int v = (int)value;

	(void)setsockopt(conn_fd(conn), level, option, &v, sizeof(v));
}

/* Between the configured time and twice that: probes of 20,000 connections that
 * fall silent together then leave in groups of about a thousand. */
static unsigned
lengthen(unsigned seconds, uint32_t fraction)
{
	uint64_t more = ((uint64_t)seconds * fraction) >> 32;

	return (seconds + more < SECONDS_MAX ? seconds + (unsigned)more :
	    SECONDS_MAX);
}

/* Multiples of the golden ratio spread numbers that count up.  The two times
 * use different bits, so that connections that are probed together once are not
 * probed together again. */
static void
set_times(const struct conn *conn)
{
	uint64_t mixed = conn_record(conn)->id * UINT64_C(0x9E3779B97F4A7C15);

	set(conn, IPPROTO_TCP, TCP_KEEPIDLE,
	    lengthen(conf_of(conn)->idle_s, (uint32_t)(mixed >> 32)));
	set(conn, IPPROTO_TCP, TCP_KEEPINTVL,
	    lengthen(conf_of(conn)->interval_s, (uint32_t)(mixed >> 16)));
}

void
keepalive_spread(const struct conn *conn)
{
	if (conf_of(conn)->idle_s > 0 && is_tcp(conn))
		set_times(conn);
}

void
keepalive_renew(const struct conn *conn)
{
	bool wanted = conf_of(conn)->idle_s > 0;

	if (!is_tcp(conn))
		return;
	if (wanted) {
		set_times(conn);
		set(conn, IPPROTO_TCP, TCP_KEEPCNT, conf_of(conn)->count);
	}
	set(conn, SOL_SOCKET, SO_KEEPALIVE, wanted);
}
