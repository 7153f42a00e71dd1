/* SPDX-License-Identifier: ISC */
#include "master/evidence.h"

#include <inttypes.h>

#include "master/master.h"

static uint64_t
evidence_minus(uint64_t a, uint64_t b)
{
	return (a > b ? a - b : 0);
}

static void
evidence_add(struct evidence *to, const struct evidence *more,
    const struct evidence *less)
{
	to->messages += evidence_minus(more->messages, less->messages);
	to->crashes += evidence_minus(more->crashes, less->crashes);
	to->offenders += evidence_minus(more->offenders, less->offenders);
}

static void
evidence_read(const struct counters_handler *from, struct evidence *to)
{
	*to = (struct evidence){
		.messages = counter_get(&from->failed) +
		    counter_get(&from->timeouts),
		.crashes = counter_get(&from->crashes),
		.offenders = counter_get(&from->offenders),
	};
	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
		to->messages += counter_get(&from->handling.count[i]);
}

const struct counters_handler *
evidence_counters(const struct worker_proc *worker, unsigned handler)
{
	return (&worker_proc_counters(worker)->handler[
	    worker->generation->handler_number[handler]]);
}

void
evidence_note(const struct worker_proc *worker, unsigned handler,
    struct evidence *evidence)
{
	evidence_read(evidence_counters(worker, handler), evidence);
}

/* All that was ever counted for a handler. */
static struct evidence
evidence_sum_all(const struct master *master, unsigned number)
{
	struct evidence sum = { .messages = 0 }, nothing = { .messages = 0 };
	struct evidence one;

	for (size_t i = 0; i < master->nslots; i++)
		for (int block = 0; block < COUNTERS_BLOCKS; block++) {
			evidence_read(&master->counters[i].map->block[block].
			    handler[number], &one);
			evidence_add(&sum, &one, &nothing);
		}
	return (sum);
}

/* What the workers of the running generation have done. */
static struct evidence
evidence_sum_running(const struct master *master, unsigned handler)
{
	struct evidence sum = { .messages = 0 }, one;
	const struct worker_proc *worker;

	TAILQ_FOREACH(worker, &master->workers, link) {
		if (worker->generation != master->running)
			continue;
		evidence_note(worker, handler, &one);
		evidence_add(&sum, &one, &worker->crew.shortage[handler].noted);
	}
	return (sum);
}

void
evidence_begin(struct master *master, enum status_kind kind)
{
	struct evidence_before *known = &master->evidence;
	struct evidence now, since;

	for (unsigned i = 0; i < master->handler_names.n; i++) {
		now = evidence_sum_all(master, i);
		since = (struct evidence){ .messages = 0 };
		evidence_add(&since, &now, &known->all[i]);
		/* A program that did not tell crashes from other deaths. */
		if (kind == STATUS_UPGRADE && now.crashes == 0)
			since.crashes = counter_get(&master->status.map->
			    counts.executor_deaths[i]);
		known->all[i] = now;
		/* One that was rolled back is no measure, nor is one that had
		 * nothing to do. */
		if (kind != STATUS_ROLLBACK && since.messages > 0)
			known->before[i] = since;
	}
}

/* Whether the generation before ran the same program for the handler. */
static bool
evidence_is_same_program(const struct master *master, unsigned handler)
{
	const struct generation *now = master->running;
	const struct generation *old = master->probation.before;

	for (size_t i = 0; old != NULL && i < old->conf->nhandlers; i++)
		if (old->handler_number[i] == now->handler_number[handler])
			return (fingerprint_same_program(&now->files[handler],
			    &now->conf->handlers[handler], &old->files[i],
			    &old->conf->handlers[i]));
	return (false);
}

void
evidence_forget(struct master *master, unsigned number)
{
	master->evidence.before[number] = (struct evidence){ .messages = 0 };
	master->evidence.all[number] = (struct evidence){ .messages = 0 };
}

bool
evidence_is_worse(const struct master *master, unsigned handler,
    struct why *why)
{
	const struct evidence *before = &master->evidence.before[
	    master->running->handler_number[handler]];
	struct evidence now = evidence_sum_running(master, handler);

	/* The last of them may not be among the messages yet. */
	if (now.messages < now.crashes)
		now.messages = now.crashes;
	if (now.crashes < PROBATION_DEATHS ||
	    now.crashes * EVIDENCE_SHARE < now.messages)
		return (false);
	/* Of an old one that had no message, only its files say something. */
	if (before->messages == 0 && evidence_is_same_program(master, handler))
		return (false);
	/* One client can send the same message as often as it likes. */
	if (before->crashes > 0 && (now.offenders < PROBATION_DEATHS ||
	    now.crashes * before->messages <
	    EVIDENCE_TIMES * before->crashes * now.messages))
		return (false);
	why_set(why, "%" PRIu64 " of %" PRIu64 " messages cost a process, "
	    "and %" PRIu64 " of %" PRIu64 " before",
	    now.crashes, now.messages, before->crashes, before->messages);
	return (true);
}
