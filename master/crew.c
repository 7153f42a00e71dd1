/* SPDX-License-Identifier: ISC */
#include "master/crew.h"

#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "master/master.h"

enum {
	/* When an executor has died, its worker has so long to say whether it
	 * had a message. */
	WORD_MS = 500,
};

static void crew_on_ready(struct executor_proc *);
static void crew_on_death(struct executor_proc *);

static const struct executor_events events = {
	.on_ready = crew_on_ready,
	.on_death = crew_on_death,
};

void
crew_note(struct worker_proc *worker)
{
	const struct counters_handler *counters;
	struct shortage *shortage;

	for (unsigned i = 0; i < worker->generation->conf->nhandlers; i++) {
		counters = evidence_counters(worker, i);
		shortage = &worker->crew.shortage[i];
		shortage->used = counter_get(&counters->used);
		shortage->crashes = counter_get(&counters->crashes);
		evidence_note(worker, i, &shortage->noted);
	}
}

/* A worker without a channel cannot be told of an executor. */
static bool
crew_can_hire(const struct worker_proc *worker)
{
	return (worker->state < WORKER_ENDING &&
	    worker->process.channel != NULL);
}

static int
crew_hire(struct worker_proc *worker, unsigned handler)
{
	struct executor_proc *executor = executor_proc_new(worker, handler,
	    &events);

	if (executor == NULL)
		return (-1);
	TAILQ_INSERT_TAIL(&worker->crew.members, executor, link);
	return (0);
}

static void
crew_hire_again(struct worker_proc *worker, unsigned handler, uint64_t now_ms)
{
	struct shortage *shortage = &worker->crew.shortage[handler];

	while (shortage->missing > 0 && now_ms >= shortage->pause.again_ms) {
		if (crew_hire(worker, handler) == -1) {
			LOG(ERROR, EXECUTOR_FAILED, F_STR("handler",
			    worker->generation->conf->handlers[handler].name),
			    F_ERRNO(errno));
			pause_shortly(&shortage->pause);
			return;
		}
		shortage->missing--;
	}
}

/*
 * Keeping them for a roll-back.
 *
 * The file of a handler may have been replaced by one that the server goes back
 * from.  So the executors of the previous generation are kept until the probation
 * ends.  The master has a copy of the descriptor that their worker had.  An
 * executor with a request is not kept: its reply would be taken for the reply to
 * another request.
 */

/* Whether the worker was replaced in good order, and the executor has no
 * request. */
static bool
crew_may_be_kept(const struct executor_proc *executor)
{
	const struct worker_proc *worker = executor->worker;
	const struct master *master = executor->process.master;
	const struct probation *probation = &master->probation;
	uint64_t at_rest =
	    counter_get(&worker_proc_counters(worker)->worker.at_rest);

	return (executor->state == EXECUTOR_SERVING && !executor->retired &&
	    executor->work != -1 &&
	    probation->before == executor->generation &&
	    probation->of == STATUS_RELOAD && probation->until_ms != 0 &&
	    (at_rest >> executor->handler & 1) != 0);
}

static void
crew_let_leave(struct executor_proc *executor, struct executor_list *from)
{
	TAILQ_REMOVE(from, executor, link);
	executor_proc_leave(executor);
	TAILQ_INSERT_TAIL(&executor->process.master->leaving, executor, link);
}

void
crews_release(struct master *master)
{
	struct executor_proc *executor;

	while ((executor = TAILQ_FIRST(&master->kept)) != NULL)
		crew_let_leave(executor, &master->kept);
}

/* One that runs the same handler of the same configuration; NULL if there is
 * none. */
static struct executor_proc *
crew_find_kept(const struct worker_proc *worker, unsigned handler)
{
	const struct generation *generation = worker->generation;
	struct executor_proc *executor;

	TAILQ_FOREACH(executor, &worker->process.master->kept, link)
		if (executor->generation->conf == generation->conf &&
		    executor->handler == handler &&
		    executor_proc_is_silent(executor))
			break;
	return (executor);
}

/* The share of a worker: those of the following slots have not got theirs. */
static unsigned
crew_share_of_kept(const struct worker_proc *worker, unsigned handler)
{
	unsigned slots = worker->generation->slots - worker->slot->number;
	const struct executor_proc *executor;
	unsigned n = 0;

	TAILQ_FOREACH(executor, &worker->process.master->kept, link)
		n += executor->generation->conf == worker->generation->conf &&
		    executor->handler == handler;
	return ((n + slots - 1) / slots);
}

static void
crew_take_kept(struct worker_proc *worker, struct executor_proc *executor)
{
	TAILQ_REMOVE(&executor->process.master->kept, executor, link);
	generation_release(executor->generation);
	executor->generation = generation_hold(worker->generation);
	executor->worker = worker;
	executor->state = EXECUTOR_STARTING;
	executor->is_ready = true;
	TAILQ_INSERT_TAIL(&worker->crew.members, executor, link);
	worker->crew.awaited++;
	crew_on_ready(executor);
}

/* Give a worker that a roll-back starts up to n executors that were kept.
 * Returns how many. */
static unsigned
crew_take_share(struct worker_proc *worker, unsigned handler, unsigned n)
{
	unsigned share = crew_share_of_kept(worker, handler), taken = 0;
	struct executor_proc *executor;

	if (share < n)
		n = share;
	for (; taken < n && (executor = crew_find_kept(worker,
	    handler)) != NULL;
	    taken++)
		crew_take_kept(worker, executor);
	return (taken);
}

void
crew_dismiss(struct worker_proc *worker)
{
	struct master *master = worker->process.master;
	struct executor_proc *executor;

	while ((executor = TAILQ_FIRST(&worker->crew.members)) != NULL)
		if (crew_may_be_kept(executor)) {
			TAILQ_REMOVE(&worker->crew.members, executor, link);
			executor_proc_keep(executor);
			TAILQ_INSERT_TAIL(&master->kept, executor, link);
		} else
			crew_let_leave(executor, &worker->crew.members);
	while ((executor = TAILQ_FIRST(&worker->crew.dead)) != NULL) {
		TAILQ_REMOVE(&worker->crew.dead, executor, link);
		executor_proc_see_off(executor);
	}
}

/*
 * Birth.
 */

/* How many processes a worker has for a handler. */
static unsigned
crew_size_for(const struct generation *generation,
    const struct conf_handler *conf)
{
	const struct heritage shares = { .slots = generation->slots };

	switch (conf->type) {
	case CONF_HANDLER_COMMAND:
		return (heritage_share(&shares, conf->processes));
	case CONF_HANDLER_MODULE:
		return (1);
	case CONF_HANDLER_ECHO:
	case CONF_HANDLER_DISCARD:
		break;
	}
	return (0);
}

/* Somebody may count on the configured number.  A number below that of the
 * workers may be meant to forbid two at a time. */
static void
crew_check_share(const struct generation *generation,
    const struct conf_handler *conf, const char *key, unsigned configured)
{
	const struct heritage shares = { .slots = generation->slots };
	unsigned share = heritage_share(&shares, configured);
	unsigned all = share * generation->slots;

	if (all != configured)
		LOG_WITH(log_write, configured < generation->slots ?
		    LOG_LEVEL_WARN : LOG_LEVEL_INFO, EVENT_HANDLER_ROUNDED,
		    F_STR("handler", conf->name), F_STR("key", key),
		    F_U64("configured", configured), F_U64("all", all),
		    F_U64("workers", generation->slots),
		    F_U64("each", share));
}

void
crews_check(const struct generation *generation)
{
	const struct conf_handler *conf;

	for (size_t i = 0; i < generation->conf->nhandlers; i++) {
		conf = &generation->conf->handlers[i];
		if (conf->type == CONF_HANDLER_COMMAND)
			crew_check_share(generation, conf, "processes",
			    conf->processes);
		else if (conf->type == CONF_HANDLER_MODULE)
			crew_check_share(generation, conf, "threads",
			    conf->threads);
	}
}

int
crew_start(struct worker_proc *worker)
{
	const struct generation *generation = worker->generation;
	const struct conf *conf = generation->conf;
	unsigned n, taken;

	for (unsigned i = 0; i < conf->nhandlers; i++) {
		n = crew_size_for(generation, &conf->handlers[i]);
		taken = crew_take_share(worker, i, n);
		/* Rather fewer executors that are known to work than some of
		 * another file. */
		if (taken > 0 && fingerprint_changed(&generation->files[i],
		    &conf->handlers[i]) != NULL)
			continue;
		for (; taken < n; taken++) {
			if (crew_hire(worker, i) == -1)
				return (-1);
			worker->crew.awaited++;
		}
	}
	return (0);
}

int
crew_adopt(struct master *master, struct executor_proc *executor)
{
	return (executor_proc_adopt(master, executor, &events));
}

void
crews_suit_previous(struct master *master)
{
	struct executor_proc *executor, *next;
	struct worker_proc *worker;

	TAILQ_FOREACH(worker, &master->workers, link)
		for (executor = TAILQ_FIRST(&worker->crew.members);
		    executor != NULL; executor = next) {
			next = TAILQ_NEXT(executor, link);
			if (executor->state != EXECUTOR_HUNG_UP &&
			    executor->state != EXECUTOR_DISOWNED &&
			    (executor->requests == -1 ||
			    executor->state != EXECUTOR_STARTING))
				continue;
			worker->crew.shortage[executor->handler].missing++;
			crew_let_leave(executor, &worker->crew.members);
		}
}

static void
crew_on_ready(struct executor_proc *executor)
{
	struct worker_proc *worker = executor->worker;
	struct ctl_executor order = {
		.id = executor->id,
		.handler = executor->handler,
		.speaks = executor->work_speaks,
	};

	if (process_pass(&worker->process, CTL_EXECUTOR, &order,
	    executor->work, executor->requests) == -1)
		return;
	executor->state = EXECUTOR_SERVING;
	executor->process.patience_ms = 0;
	executor_proc_log(LOG_LEVEL_INFO, EVENT_EXECUTOR_READY, executor, "",
	    NULL);
	if (worker->crew.awaited > 0 && --worker->crew.awaited == 0)
		master_changed(worker->process.master);
}

/*
 * Death.
 */

unsigned
crew_missing(const struct worker_proc *worker, unsigned handler)
{
	unsigned missing = worker->crew.shortage[handler].missing;
	const struct executor_proc *executor;

	TAILQ_FOREACH(executor, &worker->crew.dead, link)
		missing += executor->handler == handler;
	return (missing);
}

/* Whether the worker has counted one more than is known here. */
static bool
crew_is_counted(const uint64_t *counter, uint64_t *known)
{
	if (counter_get(counter) <= *known)
		return (false);
	++*known;
	return (true);
}

/* An executor has died or is retired, and what its worker knows of that is
 * known. */
static void
crew_note_shortage(const struct executor_proc *executor, enum log_event event)
{
	struct worker_proc *worker = executor->worker;
	struct master *master = executor->process.master;
	struct shortage *shortage = &worker->crew.shortage[executor->handler];
	const struct counters_handler *counters =
	    evidence_counters(worker, executor->handler);
	bool was_used = crew_is_counted(&counters->used, &shortage->used);
	bool crashed = crew_is_counted(&counters->crashes, &shortage->crashes);
	uint64_t pause;

	/* A program that was given a message can start. */
	pause = was_used ? pause_at_rate(&shortage->pause) :
	    pause_after(&shortage->pause, executor->lived_ms);
	shortage->missing++;
	counter_add(&master->status.map->counts.executor_deaths[
	    executor->generation->handler_number[executor->handler]], 1);
	LOG_WITH(log_write, LOG_LEVEL_ERROR, event,
	    F_STR("handler", executor->conf->name),
	    F_I64("child", executor->process.pid),
	    F_U64("executor", executor->id),
	    F_STR("how", executor->why.text), F_U64("with_message", crashed),
	    F_U64("alive_ms", executor->lived_ms), F_U64("retry_ms", pause));
	if (worker != worker->slot->serving)
		return;
	if (crashed)
		probation_on_crash(master, executor->generation,
		    executor->handler, executor->why.text);
	else if (!was_used)
		probation_on_death(master, executor->generation,
		    shortage->pause.young_deaths, executor->conf->name,
		    executor->why.text);
}

/* The worker of a dead executor has said what it knows, or will not. */
static void
crew_settle(struct executor_proc *executor)
{
	struct worker_proc *worker = executor->worker;
	struct crew *crew = &worker->crew;
	unsigned handler = executor->handler;
	/* A generation whose handlers cannot be started never begins. */
	bool is_fatal = worker == worker->slot->next &&
	    worker->state < WORKER_SERVING;

	TAILQ_REMOVE(&crew->dead, executor, link);
	if (worker->state >= WORKER_ENDING || executor->retired) {
		executor_proc_see_off(executor);
		return;
	}
	crew_note_shortage(executor, EVENT_EXECUTOR_DIED);
	/* The first reason stands. */
	if (is_fatal && *crew->why.text == '\0')
		why_set(&crew->why, "handler %s: %s", executor->conf->name,
		    executor->why.text);
	executor_proc_free(executor);
	if (!is_fatal && crew_can_hire(worker))
		crew_hire_again(worker, handler, clock_ms());
}

static struct executor_proc *
crew_find_id(const struct executor_list *list, uint64_t id)
{
	struct executor_proc *executor;

	TAILQ_FOREACH(executor, list, link)
		if (executor->id == id)
			break;
	return (executor);
}

/* Its worker may not see that it died: a process that it has started can hold
 * the channel open. */
static void
crew_tell_of_death(struct executor_proc *executor)
{
	struct process *worker = &executor->worker->process;
	const struct ctl_died order = { .id = executor->id };

	if (!process_has_room(worker))
		return;
	process_tell(worker, CTL_DIED, &order);
	executor->is_told = true;
	process_await(&executor->process, WORD_MS, "word of its worker");
}

/* An executor has died.  If its worker does not know, wait until it does: then
 * its counters are up to date. */
static void
crew_await_word(struct executor_proc *executor)
{
	struct worker_proc *worker = executor->worker;
	bool said = executor->state != EXECUTOR_SERVING;
	uint64_t id = executor->id;

	TAILQ_REMOVE(&worker->crew.members, executor, link);
	executor->state = EXECUTOR_DEAD;
	executor->lived_ms = clock_ms() - executor->process.born_ms;
	TAILQ_INSERT_TAIL(&worker->crew.dead, executor, link);
	/* The worker may just have said so, or that it drains no more. */
	if (worker->process.channel != NULL)
		(void)channel_catch_up(worker->process.channel);
	if ((executor = crew_find_id(&worker->crew.dead, id)) == NULL)
		return;
	if (said || !crew_can_hire(worker))
		crew_settle(executor);
	else
		crew_tell_of_death(executor);
}

static void
crew_on_death(struct executor_proc *executor)
{
	struct master *master = executor->process.master;

	if (executor->worker != NULL) {
		crew_await_word(executor);
		return;
	}
	TAILQ_REMOVE(executor->state == EXECUTOR_KEPT ? &master->kept :
	    &master->leaving, executor, link);
	executor_proc_see_off(executor);
}

bool
crew_is_waiting(const struct worker_proc *worker)
{
	const struct executor_proc *executor;

	TAILQ_FOREACH(executor, &worker->crew.members, link)
		if (executor->state == EXECUTOR_STARTING && executor->is_ready)
			return (true);
	TAILQ_FOREACH(executor, &worker->crew.dead, link)
		if (!executor->is_told)
			return (true);
	return (false);
}

void
crew_disown(struct worker_proc *worker, const struct ctl_disown *order)
{
	struct executor_proc *executor = crew_find_id(&worker->crew.members,
	    order->id);
	bool is_dead = executor == NULL;
	struct why why;

	if (is_dead && (executor =
	    crew_find_id(&worker->crew.dead, order->id)) == NULL)
		return;
	why_set(&why, "%.*s", (int)sizeof(order->why) - 1, order->why);
	executor_proc_blame(executor, why.text);
	if (is_dead)
		/* Which is why it was disowned. */
		crew_settle(executor);
	else if (order->ended != 0)
		executor_proc_expect_death(executor);
	else
		executor_proc_disown(executor);
}

void
crew_retire(struct worker_proc *worker, const struct ctl_disown *order)
{
	struct executor_proc *executor = crew_find_id(&worker->crew.members,
	    order->id);

	if (executor == NULL || executor->retired || !crew_can_hire(worker) ||
	    executor->state != EXECUTOR_SERVING)
		return;
	executor->retired = true;
	executor->lived_ms = clock_ms() - executor->process.born_ms;
	why_set(&executor->why, "%.*s", (int)sizeof(order->why) - 1,
	    order->why);
	crew_note_shortage(executor, EVENT_EXECUTOR_RETIRED);
	crew_hire_again(worker, executor->handler, clock_ms());
}

/*
 * Watching.
 */

bool
crew_is_late(const struct worker_proc *worker)
{
	const struct executor_proc *executor;

	TAILQ_FOREACH(executor, &worker->crew.members, link)
		if (executor_proc_is_late(executor, clock_ms()))
			return (true);
	return (false);
}

void
crews_hurry(struct master *master, uint64_t ms)
{
	struct executor_proc *executor;

	TAILQ_FOREACH(executor, &master->leaving, link)
		executor_proc_hurry(executor, ms);
}

/* A dead executor about which its worker has said nothing in time. */
static struct executor_proc *
crew_find_due(const struct worker_proc *worker, uint64_t now_ms)
{
	struct executor_proc *executor;

	TAILQ_FOREACH(executor, &worker->crew.dead, link) {
		if (!executor->is_told)
			crew_tell_of_death(executor);
		if (executor->is_told &&
		    now_ms >= executor->process.patience_ms)
			break;
	}
	return (executor);
}

static void
crew_watch(struct worker_proc *worker, uint64_t now_ms)
{
	struct executor_proc *executor, *next;

	for (executor = TAILQ_FIRST(&worker->crew.members); executor != NULL;
	    executor = next) {
		next = TAILQ_NEXT(executor, link);
		executor_proc_watch(executor, now_ms);
	}
	/* To settle one can free others. */
	while ((executor = crew_find_due(worker, now_ms)) != NULL)
		crew_settle(executor);
	if (!crew_can_hire(worker))
		return;
	for (unsigned i = 0; i < worker->generation->conf->nhandlers; i++)
		crew_hire_again(worker, i, now_ms);
}

void
crews_watch(struct master *master)
{
	uint64_t now_ms = clock_ms();
	struct executor_proc *executor;
	struct worker_proc *worker, *next;

	for (worker = TAILQ_FIRST(&master->workers); worker != NULL;
	    worker = next) {
		next = TAILQ_NEXT(worker, link);
		crew_watch(worker, now_ms);
	}
	TAILQ_FOREACH(executor, &master->leaving, link)
		executor_proc_watch(executor, now_ms);
	for (unsigned i = 0; i < master->handler_names.n; i++)
		stderr_line_tell_suppressed(master->handler_names.names[i],
		    &master->stderr_limits[i]);
}
