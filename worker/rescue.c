/* SPDX-License-Identifier: ISC */
#include "worker/rescue.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/fd.h"
#include "common/log.h"
#include "common/record.h"
#include "worker/conn_record.h"
#include "worker/custody.h"
#include "worker/listener.h"

enum {
	RESCUE_OWN_FDS = 4,
	RESCUE_FDS_MAX = 1 << 24,
};

/* What is known until all connections have their places. */
struct rescue {
	struct worker *worker;
	struct custody_map *map;
	uint32_t end;			/* of the places that were used */
	uint32_t fatal;			/* 1 + the place at which two rescuers
					   have died; 0 */
	uint8_t *had;			/* bits: descriptors that have an owner */
	struct conn **conns;		/* that are ours alone */
	size_t nconns;
	uint32_t own[CONF_LISTENERS_MAX];	/* by the index of their */
	uint32_t guests[CONF_LISTENERS_MAX];	/* listener; and all others */
	/* Those that may be another worker's. */
	struct conn *offered[CUSTODY_BATCHES][HANDOVER_CONNS_MAX];
	struct conn *taken[CUSTODY_TAKERS][HANDOVER_CONNS_MAX];
};

static uint32_t
rescue_end(const struct worker *worker)
{
	const struct heritage *heritage = worker->heritage;
	uint32_t records = heritage->counters[heritage->slot].records;

	return (worker->custody->end < records ? worker->custody->end :
	    records);
}

/* Those that a rescuer needs itself. */
static void
rescue_list_own(const struct worker *worker, int fds[RESCUE_OWN_FDS])
{
	const struct heritage *heritage = worker->heritage;

	fds[0] = heritage->channel;
	fds[1] = heritage->anchor;
	fds[2] = heritage->access_log;
	fds[3] = log_fd();
}

/* The type of a socket, or -1. */
static int
rescue_type_of(int fd)
{
	socklen_t len = sizeof(int);
	int type;

	return (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 ? type :
	    -1);
}

/* A number that has no socket now is not one of the dead worker's later, when
 * something of ours has it. */
static void
rescue_forget_closed(struct custody_map *map, uint32_t end)
{
	if (rescue_type_of(map->giver.fd) == -1)
		map->giver.fd = 0;
	for (int i = 0; i < CUSTODY_TAKERS; i++)
		if (rescue_type_of(map->taker[i].fd) == -1)
			map->taker[i].fd = 0;
	for (uint32_t i = 0; i < end; i++)
		if (map->conns[i].fd != 0 &&
		    rescue_type_of(map->conns[i].fd) == -1)
			map->conns[i].fd = -1;
}

int
rescue_close_rest(const struct worker *worker)
{
	struct custody_map *map = worker->custody;
	uint32_t end = rescue_end(worker);
	size_t n = RESCUE_OWN_FDS;
	int *keep;

	keep = calloc(end + n + 1 + CUSTODY_TAKERS, sizeof(*keep));
	if (keep == NULL)
		return (-1);
	rescue_forget_closed(worker->custody, end);
	rescue_list_own(worker, keep);
	keep[n++] = map->giver.fd;
	for (int i = 0; i < CUSTODY_TAKERS; i++)
		keep[n++] = map->taker[i].fd;
	for (uint32_t i = 0; i < end; i++)
		keep[n++] = map->conns[i].fd;
	fd_close_all_but(keep, n);
	FAULT("rescue_closed");
	free(keep);
	return (0);
}

/*
 * What the dead worker has left.
 */

/* Whether a descriptor can be a connection's and is no other one's yet. */
static bool
rescue_claim_fd(struct rescue *rescue, int fd)
{
	uint8_t bit, *byte;
	bool is_free;

	if (fd <= STDERR_FILENO || fd >= RESCUE_FDS_MAX)
		return (false);
	bit = (uint8_t)(1U << (fd % CHAR_BIT));
	byte = &rescue->had[fd / CHAR_BIT];
	is_free = (*byte & bit) == 0;
	*byte |= bit;
	return (is_free);
}

static struct listener *
rescue_find_listener(const struct worker *worker, unsigned number)
{
	for (size_t i = 0; i < worker->nlisteners; i++)
		if (worker->listeners[i].number == number)
			return (&worker->listeners[i]);
	return (NULL);
}

/* Whether a link can be used, and has a batch whose answer is due. */
static bool
rescue_is_link(const struct custody_link *link)
{
	struct sockaddr_un peer;
	socklen_t len = sizeof(peer);

	return (link->number != 0 && link->version == HANDOVER_VERSION &&
	    rescue_type_of(link->fd) == SOCK_SEQPACKET &&
	    fd_is_local(link->fd) &&
	    getpeername(link->fd, (struct sockaddr *)&peer, &len) == 0);
}

/* Keep a link only if it is used: the worker at its other end would wait for
 * answers. */
static void
rescue_check_link(struct rescue *rescue, struct custody_link *link)
{
	int fd = link->fd;
	bool is_ours;

	if (fd == 0)
		return;
	is_ours = rescue_claim_fd(rescue, fd);
	if (is_ours && rescue_is_link(link))
		return;
	link->fd = 0;
	custody_order();
	if (is_ours)
		fd_close_unread(fd);
}

/* Whose a connection is that changed hands.  Returns -1 if it is ours, or may
 * be: then place is where it is remembered.  Or a reason. */
static int
rescue_judge_hold(struct rescue *rescue, const struct custody_conn *held,
    struct conn ***place)
{
	const struct custody_map *map = rescue->map;

	if (held->place >= HANDOVER_CONNS_MAX)
		return (RESCUE_DAMAGED);
	switch (held->hold) {
	case CUSTODY_OFFERED:
		if (held->group >= CUSTODY_BATCHES ||
		    map->batch[held->group] > map->giver.number)
			return (RESCUE_DAMAGED);
		if (map->batch[held->group] == 0)
			return ((map->taken[held->group] >> held->place & 1) !=
			    0 ? RESCUE_OVER : -1);
		*place = &rescue->offered[held->group][held->place];
		return (map->giver.fd != 0 && **place == NULL ? -1 :
		    RESCUE_OFFERED);
	case CUSTODY_TAKEN:
		if (held->from >= COUNTERS_LISTENERS)
			return (RESCUE_DAMAGED);
		/* That was not said: its giver serves it on. */
		if (map->taker[held->group].number == 0)
			return (RESCUE_OVER);
		*place = &rescue->taken[held->group][held->place];
		return (map->taker[held->group].fd != 0 && **place == NULL ?
		    -1 : RESCUE_OFFERED);
	}
	return (RESCUE_DAMAGED);
}

/* It has no place here: of its record and its socket, nothing is left. */
static void
rescue_drop(struct rescue *rescue, uint32_t i, enum rescue_reason why, int fd)
{
	struct conn_record *record = &rescue->worker->conns.records[i];

	if (why != RESCUE_OVER) {
		rescue->worker->rescued.dropped[why]++;
		LOG(WARN, CONN_LOST, F_U64("conn", record->id),
		    F_STR("reason", rescue_reason_name(why)));
	}
	rescue->map->conns[i].fd = 0;
	custody_order();
	if (fd != -1)
		fd_close_unread(fd);
	conn_record_clear(record);
}

/* Whether a connection can have its place again.  Returns -1 if so, with its
 * listener and, if it may be another worker's, where it is remembered; or a
 * reason. */
static int
rescue_judge(struct rescue *rescue, uint32_t i, struct listener **listener,
    struct conn ***place)
{
	const struct custody_conn *held = &rescue->map->conns[i];
	const struct conn_record *record = &rescue->worker->conns.records[i];

	*listener = rescue_find_listener(rescue->worker, record->listener);
	*place = NULL;
	if (*listener == NULL || record->seq % 2 != 0 ||
	    record->state >= CONN_PARKED || (record->family != AF_INET &&
	    record->family != AF_INET6 && record->family != AF_UNIX))
		return (RESCUE_DAMAGED);
	if (rescue->fatal == i + 1)
		return (RESCUE_TOUCHED);
	return (held->hold == CUSTODY_OWN ? -1 :
	    rescue_judge_hold(rescue, held, place));
}

/* No time is later than now. */
static void
rescue_limit_times(const struct worker *worker, struct conn_record *record)
{
	if (record->since_ms > worker->now_ms)
		counter_set(&record->since_ms, worker->now_ms);
	if (record->opened_ms > worker->now_ms)
		counter_set(&record->opened_ms, worker->now_ms);
}

/* Give a connection the place that it had.  What it is about is found out when it
 * is woken. */
static void
rescue_place(struct rescue *rescue, uint32_t i)
{
	int fd = rescue->map->conns[i].fd, why;
	struct listener *listener;
	struct conn *conn, **place;

	if (!rescue_claim_fd(rescue, fd)) {
		rescue_drop(rescue, i, RESCUE_DAMAGED, -1);
		return;
	}
	if ((why = rescue_judge(rescue, i, &listener, &place)) != -1) {
		rescue_drop(rescue, i, (enum rescue_reason)why, fd);
		return;
	}
	rescue_limit_times(rescue->worker, &rescue->worker->conns.records[i]);
	if ((conn = conn_place_again(listener, fd, i)) == NULL) {
		rescue_drop(rescue, i, RESCUE_FULL, fd);
		return;
	}
	if (place != NULL) {
		rescue->guests[listener_index(listener)]++;
		*place = conn;
		return;
	}
	rescue->own[listener_index(listener)]++;
	rescue->conns[rescue->nconns++] = conn;
	if (rescue->map->conns[i].hold == CUSTODY_OFFERED) {
		conn_count_return(conn);
		/* The next rescuer does not count it again. */
		rescue->map->conns[i].hold = CUSTODY_OWN;
		custody_order();
	}
}

static void
rescue_place_all(struct rescue *rescue)
{
	struct conn_record *record;
	struct custody_map *map = rescue->map;

	for (uint32_t i = 0; i < rescue->end; i++) {
		map->touched = i + 1;
		custody_order();
		record = &rescue->worker->conns.records[i];
		FAULT("rescue_touched");
		if (map->conns[i].fd != 0)
			rescue_place(rescue, i);
		else if (record->family != 0)
			conn_record_clear(record);
	}
	map->touched = 0;
}

/*
 * Those that may be another worker's.
 */

/* Batches that have no answer: the taker says which it has got. */
static int
rescue_go_on_giving(struct rescue *rescue)
{
	const struct custody_map *map = rescue->map;
	unsigned n;

	if (map->giver.fd == 0)
		return (0);
	for (int i = 0; i < CUSTODY_BATCHES; i++) {
		for (n = HANDOVER_CONNS_MAX; n > 0 &&
		    rescue->offered[i][n - 1] == NULL; n--)
			;
		giver_restore_batch(rescue->worker, i, map->batch[i],
		    rescue->offered[i], n);
	}
	return (giver_restore(rescue->worker, &map->giver));
}

/* A batch that was adopted: its giver may have heard so, and hears it again. */
static int
rescue_go_on_taking(struct rescue *rescue)
{
	struct custody_map *map = rescue->map;

	for (int i = 0; i < CUSTODY_TAKERS; i++)
		if (map->taker[i].fd != 0 && taker_restore(rescue->worker,
		    &map->taker[i], rescue->taken[i]) == -1)
			return (-1);
	return (0);
}

/*
 * Those that are ours.
 */

static int
rescue_compare(const void *a, const void *b)
{
	uint64_t x = conn_record(*(struct conn *const *)a)->since_ms;
	uint64_t y = conn_record(*(struct conn *const *)b)->since_ms;

	return ((x > y) - (x < y));
}

/* In the order of their deadlines. */
static void
rescue_wake_all(struct rescue *rescue)
{
	struct conn *conn;

	qsort(rescue->conns, rescue->nconns, sizeof(struct conn *),
	    rescue_compare);
	for (size_t i = 0; i < rescue->nconns; i++) {
		conn = rescue->conns[i];
		rescue->map->touched = conn->index + 1;
		custody_order();
		FAULT("rescue_wakes");
		conn_wake(conn);
	}
	rescue->map->touched = 0;
}

/* The counters go on, as if nothing had happened to those that have a place. */
static void
rescue_settle_counters(const struct rescue *rescue)
{
	struct worker *worker = rescue->worker;
	const struct heritage *heritage = worker->heritage;
	struct counters *counters = &heritage->counters[heritage->slot];

	counters_go_on(counters, heritage->block, heritage->listener_number,
	    worker->nlisteners, rescue->own, rescue->guests,
	    rescue->map->is_moving != 0);
	custody_move(rescue->map, false);
}

static int
rescue_init(struct rescue *rescue, struct worker *worker)
{
	int own[RESCUE_OWN_FDS];

	rescue->worker = worker;
	rescue->map = worker->custody;
	rescue->end = rescue_end(worker);
	/* One that was killed from outside died somewhere, too. */
	if (rescue->map->touched == rescue->map->suspected)
		rescue->fatal = rescue->map->touched;
	rescue->map->suspected = rescue->map->touched;
	rescue->conns = calloc(rescue->end + 1, sizeof(struct conn *));
	rescue->had = calloc(1, RESCUE_FDS_MAX / CHAR_BIT);
	if (rescue->conns == NULL || rescue->had == NULL)
		return (-1);
	rescue_list_own(worker, own);
	for (int i = 0; i < RESCUE_OWN_FDS; i++)
		(void)rescue_claim_fd(rescue, own[i]);
	rescue_check_link(rescue, &rescue->map->giver);
	for (int i = 0; i < CUSTODY_TAKERS; i++)
		rescue_check_link(rescue, &rescue->map->taker[i]);
	return (0);
}

/* Returns -1 with errno set. */
static int
rescue_all(struct rescue *rescue)
{
	rescue_place_all(rescue);
	FAULT("rescue_placed");
	rescue_settle_counters(rescue);
	FAULT("rescue_settled");
	if (rescue_go_on_giving(rescue) == -1)
		return (-1);
	FAULT("rescue_gives");
	if (rescue_go_on_taking(rescue) == -1)
		return (-1);
	FAULT("rescue_takes");
	rescue_wake_all(rescue);
	FAULT("rescue_woken");
	return (0);
}

int
rescue_run(struct worker *worker)
{
	struct rescue *rescue;
	int status = -1;

	if ((rescue = calloc(1, sizeof(*rescue))) == NULL)
		return (-1);
	if (rescue_init(rescue, worker) == 0)
		status = rescue_all(rescue);
	free(rescue->conns);
	free(rescue->had);
	free(rescue);
	return (status);
}
