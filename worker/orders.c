/* SPDX-License-Identifier: ISC */
#include "worker/orders.h"

#include <unistd.h>

#include "common/fd.h"
#include "common/log.h"
#include "worker/access_log.h"
#include "worker/conn.h"
#include "worker/executors.h"
#include "worker/worker.h"

static void
orders_add_executor(struct worker *worker, struct ctl *msg)
{
	const struct ctl_executor *executor = &msg->executor;
	struct queue *queue = NULL;

	if (executor->handler < worker->nhandlers)
		queue = worker->handlers[executor->handler].queue;
	/* A pipe leads in one direction. */
	if (queue == NULL || msg->fd[0] == -1 ||
	    (msg->fd[1] == -1 && !fd_is_local(msg->fd[0]))) {
		notice_disown(worker, executor->id,
		    "its descriptor did not arrive", false);
		return;
	}
	executors_add(queue, executor->id, msg->fd);
}

static void
orders_give(struct worker *worker, struct ctl *msg)
{
	if (msg->fd[0] == -1) {
		LOG(WARN, HANDOVER_BROKEN, F_STR("error",
		    "the link did not arrive"));
		giver_decline(worker);
		return;
	}
	giver_begin(worker, msg->fd[0], &msg->give);
	msg->fd[0] = -1;
}

static void
orders_take(struct worker *worker, struct ctl *msg)
{
	/* Without the link, the giver sees its end, and serves on. */
	if (msg->fd[0] != -1)
		taker_begin(worker, msg->fd[0], &msg->take);
	msg->fd[0] = -1;
}

/* If it is ours; the master asks all workers.  One that is on its way between
 * two of them is nobody's at the moment. */
static void
orders_close_conn(struct worker *worker, uint64_t id)
{
	struct conn *conn = conn_table_find(&worker->conns, id);

	if (conn != NULL && conn->state != CONN_PARKED)
		conn_finish_now(conn, CLOSE_OPERATOR);
}

void
orders_obey(struct worker *worker, struct ctl *msg)
{
	switch ((enum ctl_type)msg->header.type) {
	case CTL_START:
		acceptors_start(worker);
		return;
	case CTL_DRAIN:
		drain_begin(worker, &msg->drain);
		return;
	case CTL_STOP:
		event_base_loopbreak(worker->base);
		return;
	case CTL_LOG:
		if (!ctl_use_log(msg))
			LOG(WARN, REOPEN_FAILED, F_STR("error",
			    "its descriptor did not arrive"));
		return;
	case CTL_EXECUTOR:
		orders_add_executor(worker, msg);
		return;
	case CTL_DIED:
		for (size_t i = 0; i < worker->nhandlers; i++)
			if (worker->handlers[i].queue != NULL)
				executors_on_death(worker->handlers[i].queue,
				    msg->died.id);
		return;
	case CTL_GIVE:
		orders_give(worker, msg);
		return;
	case CTL_TAKE:
		orders_take(worker, msg);
		return;
	case CTL_ACCESS_LOG:
		access_log_use(worker->access_log, msg->fd[0]);
		msg->fd[0] = -1;
		return;
	case CTL_CLOSE:
		orders_close_conn(worker, msg->conn.id);
		return;
	case CTL_ASK_CLOSE:
	case CTL_ASK_REBALANCE:
	case CTL_BEAT:
	case CTL_SPEAK:		/* the channel obeys */
	case CTL_SPEAKING:
	case CTL_DISOWN:
	case CTL_RETIRE:
	case CTL_ANCHOR:
	case CTL_RESCUE:	/* to an anchor */
	case CTL_RESCUER:
	case CTL_RESCUED:
	case CTL_GIVEN:
	case CTL_READY:
	case CTL_FAILED:
	case CTL_DRAINED:
	case CTL_NONE:
	case CTL_TYPE_COUNT:
		break;		/* ours to say, or nobody's */
	}
}
