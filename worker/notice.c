/* SPDX-License-Identifier: ISC */
#include "worker/notice.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/worker.h"

static int
notice_send(struct worker *worker, enum ctl_type type,
    const struct ctl_disown *order)
{
	return (channel_send(worker->channel, type,
	    worker->heritage->generation, order, -1));
}

/* There can be as many of these at once as there are executors.  What the channel
 * itself keeps, while the master does not read, is for messages that are sent only
 * once. */
static void
notice_post(struct worker *worker, enum ctl_type type, uint64_t id,
    const char *why, bool ended)
{
	struct ctl_disown order = { .id = id, .ended = ended };
	struct notice *notice;

	snprintf(order.why, sizeof(order.why), "%s", why);
	if (STAILQ_EMPTY(&worker->notices) &&
	    !channel_has_unsent(worker->channel) &&
	    notice_send(worker, type, &order) == 0)
		return;
	if ((notice = malloc(sizeof(*notice))) == NULL) {
		/* Perhaps the channel has room for it. */
		(void)notice_send(worker, type, &order);
		return;
	}
	*notice = (struct notice){ .type = type, .order = order };
	STAILQ_INSERT_TAIL(&worker->notices, notice, link);
}

void
notice_disown(struct worker *worker, uint64_t id, const char *why, bool ended)
{
	notice_post(worker, CTL_DISOWN, id, why, ended);
}

void
notice_retire(struct worker *worker, uint64_t id, const char *why)
{
	notice_post(worker, CTL_RETIRE, id, why, false);
}

/* A master that does not read now has to get it all the same; one that never
 * reads ends us. */
static void
notice_end_loop(struct worker *worker)
{
	if (worker->is_leaving && (channel_flush(worker->channel) == 0 ||
	    errno != EAGAIN))
		event_base_loopbreak(worker->base);
}

void
notice_rescued(struct worker *worker)
{
	static const struct ctl_rescued none;
	struct ctl_rescued *rescued = &worker->rescued;

	if (worker->has_told_rescue &&
	    memcmp(rescued, &none, sizeof(none)) == 0)
		return;
	worker->has_told_rescue = channel_send(worker->channel, CTL_RESCUED,
	    worker->heritage->generation, rescued, -1) == 0;
	if (worker->has_told_rescue)
		*rescued = none;
}

void
notice_drained(struct worker *worker, const struct ctl_drained *report)
{
	/* If the master is gone, nobody would read it. */
	(void)channel_send(worker->channel, CTL_DRAINED,
	    worker->heritage->generation, report, -1);
	worker->is_leaving = true;
	notice_end_loop(worker);
}

static void
notice_free_first(struct worker *worker)
{
	struct notice *notice = STAILQ_FIRST(&worker->notices);

	STAILQ_REMOVE_HEAD(&worker->notices, link);
	free(notice);
}

void
notices_flush(struct worker *worker)
{
	struct notice *notice;

	if (channel_flush(worker->channel) == 0)
		while ((notice = STAILQ_FIRST(&worker->notices)) != NULL &&
		    !channel_has_unsent(worker->channel) &&
		    notice_send(worker, notice->type, &notice->order) == 0)
			notice_free_first(worker);
	notice_end_loop(worker);
}

void
notices_free(struct worker *worker)
{
	while (!STAILQ_EMPTY(&worker->notices))
		notice_free_first(worker);
}
