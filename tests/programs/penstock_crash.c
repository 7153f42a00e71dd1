/* SPDX-License-Identifier: ISC */
/*
 * For a penstock with workers that fail, all but those of the first generation.
 * The file "crash" in the directory of the server, as it is when the program is
 * executed, says when; without it all is well:
 *
 *	start	the order to accept connections arrives: it dies
 *	hang	likewise, and it does nothing more
 *	take	the order to take connections arrives
 *	adopt	the first connection arrives
 *	adopted	likewise, and the giver has just been told that it is taken
 *	reply	the first reply is to be sent
 *	pause	the order to accept connections arrives: it does nothing until
 *		there is a file "go", or for a while, then all is well
 *	late	two seconds after it began to serve
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "worker/conn_internal.h"
#include "worker/orders.h"
#include "worker/parcel.h"
#include "worker/worker.h"

void __real_orders_obey(struct worker *, struct ctl *);
void __wrap_orders_obey(struct worker *, struct ctl *);
struct conn *__real_parcel_unpack(struct worker *,
    const struct handover_conn *, struct parcel_bytes *, int fd);
struct conn *__wrap_parcel_unpack(struct worker *,
    const struct handover_conn *, struct parcel_bytes *, int fd);
void __real_conn_wake(struct conn *);
void __wrap_conn_wake(struct conn *);
int __real_conn_reply(struct conn *, struct exchange *,
    const struct payload *);
int __wrap_conn_reply(struct conn *, struct exchange *,
    const struct payload *);

enum {
	/* A canary is over by then, and a probation of ten seconds is not. */
	LATE_S = 2,
	/* A canary takes a worker for hung after 3000. */
	PAUSE_MS = 2000,
	PAUSE_STEP_MS = 5,
};

static char wanted[16];

static void __attribute__((constructor))
read_wanted(void)
{
	int fd = open("crash", O_RDONLY | O_CLOEXEC);

	if (fd == -1)
		return;
	(void)!read(fd, wanted, sizeof(wanted) - 1);
	close(fd);
}

static bool
is_time_for(const struct worker *worker, const char *when)
{
	return (worker->heritage->generation > 1 && strcmp(wanted, when) == 0);
}

static void
die_at(const struct worker *worker, const char *when)
{
	/* Nobody handles it. */
	if (is_time_for(worker, when))
		raise(SIGVTALRM);
}

static void
die_late(void)
{
	static const struct itimerspec late = { .it_value.tv_sec = LATE_S };
	struct sigevent event = {
		.sigev_notify = SIGEV_SIGNAL,
		.sigev_signo = SIGVTALRM,
	};
	timer_t timer;

	timer_create(CLOCK_MONOTONIC, &event, &timer);
	timer_settime(timer, 0, &late, NULL);
}

static void
do_nothing(void)
{
	static const struct timespec step = {
		.tv_nsec = PAUSE_STEP_MS * 1000000L,
	};

	for (int ms = 0; ms < PAUSE_MS && access("go", F_OK) == -1;
	    ms += PAUSE_STEP_MS)
		nanosleep(&step, NULL);
}

static void
start(const struct worker *worker)
{
	die_at(worker, "start");
	if (is_time_for(worker, "late"))
		die_late();
	else if (is_time_for(worker, "pause"))
		do_nothing();
	while (is_time_for(worker, "hang"))
		pause();
}

void
__wrap_orders_obey(struct worker *worker, struct ctl *msg)
{
	if (msg->header.type == CTL_START)
		start(worker);
	else if (msg->header.type == CTL_TAKE)
		die_at(worker, "take");
	__real_orders_obey(worker, msg);
}

struct conn *
__wrap_parcel_unpack(struct worker *worker, const struct handover_conn *conn,
    struct parcel_bytes *store, int fd)
{
	die_at(worker, "adopt");
	return (__real_parcel_unpack(worker, conn, store, fd));
}

void
__wrap_conn_wake(struct conn *conn)
{
	die_at(conn_worker(conn), "adopted");
	__real_conn_wake(conn);
}

int
__wrap_conn_reply(struct conn *conn, struct exchange *exchange,
    const struct payload *reply)
{
	die_at(conn_worker(conn), "reply");
	return (__real_conn_reply(conn, exchange, reply));
}
