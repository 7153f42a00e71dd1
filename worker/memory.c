/* SPDX-License-Identifier: ISC */
/*
 * The worker's memory for messages and replies: who has to go when it is short.
 */
#include <errno.h>

#include "common/log.h"
#include "worker/conn_record.h"
#include "worker/worker.h"

/* Free what the slowest connection holds.  Returns false if there is none but
 * the one given. */
static bool
shed_slowest(struct worker *worker, const struct conn *but)
{
	struct conn *slowest;

	if ((slowest = deadline_slowest(worker, but)) == NULL)
		return (false);
	LOG_CLIENT(WARN, MEMORY_CAP,
	    F_U64("conn", conn_record(slowest)->id),
	    F_STR("listener", slowest->listener->conf->name),
	    F_U64("max_buffered", worker->buffers.limit));
	if (conn_owes(slowest)) {
		conn_cut(slowest, CLOSE_MEMORY);
		return (true);
	}
	output_tell(slowest, slowest->listener->proto->busy);
	conn_finish_now(slowest, CLOSE_MEMORY);
	return (true);
}

int
worker_reserve(struct worker *worker, const struct conn *conn,
    struct buffer **buffer, size_t room)
{
	struct buffer_pool *buffers = &worker->buffers;

	while (buffer_reserve(buffers, buffer, room) == -1) {
		/* Where even an empty pool has no room, nobody need go. */
		if (errno != ENOBUFS || !buffer_fits(buffers, *buffer, room))
			return (-1);
		if (!shed_slowest(worker, conn)) {
			errno = ENOBUFS;
			return (-1);
		}
	}
	return (0);
}
