/* SPDX-License-Identifier: ISC */
#include "config.h"

#include "master/phase.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/title.h"
#include "master/daemon.h"
#include "master/master.h"
#include "master/notify.h"
#include "master/options.h"
#include "master/publish.h"

static const char *
phase_title(enum phase phase)
{
	switch (phase) {
	case PHASE_STARTING:
		return (" starting");
	case PHASE_PREPARING:
	case PHASE_CANARY:
	case PHASE_HANDING_OVER:
		return (" reloading");
	case PHASE_STOPPING:
		return (" stopping");
	case PHASE_RUNNING:
	case PHASE_CHECKING:
		break;
	}
	return ("");
}

/* Tell the service manager, which asks for an end of each reload. */
static void
phase_notify(const struct master *master, enum phase old)
{
	const struct generation *running = master->running;

	if (master->phase == PHASE_STOPPING && master->exit_status == 0)
		notify_stopping();
	else if (master->phase == PHASE_PREPARING)
		notify_reloading();
	/* While another reload is to follow, this is not yet its end. */
	else if (master->phase == PHASE_RUNNING && old != PHASE_CHECKING &&
	    old != PHASE_STOPPING && !master->pending.reload)
		notify_ready(running->number, running->slots);
}

static void
phase_show(struct master *master)
{
	title_set("master gen=%" PRIu64 "%s",
	    master->running != NULL ? master->running->number : 0,
	    phase_title(master->phase));
	publish_now(master);
}

static void
phase_enter(struct master *master, enum phase phase)
{
	enum phase old = master->phase;

	master->phase = phase;
	phase_notify(master, old);
	phase_show(master);
}

/*
 * The end.
 */

/* No new connections, and no new workers. */
static void
phase_close(struct master *master)
{
	/* No client may queue for a server that ends. */
	sockets_close(&master->sockets);
	slots_close(master);
	phase_enter(master, PHASE_STOPPING);
	master_changed(master);
}

static void
phase_fail_start(struct master *master, const char *why)
{
	struct worker_proc *worker;

	LOG(ERROR, START_FAILED, F_STR("error", why));
	if (!log_is_stderr())
		fprintf(stderr, "penstock: cannot start: %s\n", why);
	master->exit_status = EXIT_FAILED;
	phase_close(master);
	/* The caller waits for our end, and no client for a reply. */
	TAILQ_FOREACH(worker, &master->workers, link) {
		worker_proc_stop(worker);
		worker->process.patience_ms = clock_ms() + MASTER_FAIL_MS;
		crew_dismiss(worker);
	}
	crews_hurry(master, MASTER_FAIL_MS);
}

/* The workers of a canary serve: they end with the other ones. */
static void
phase_leave_canary(struct master *master)
{
	canary_end(master);
	for (size_t i = 0; i < master->nslots; i++)
		(void)slot_take_next(&master->slots[i]);
}

/* Give up whatever is in progress. */
static void
phase_abort(struct master *master, const char *why)
{
	struct reload *reload = &master->reload;

	keeper_end(master);
	upgrade_abort(master, why);
	master->pending = (struct pending){ .reload = false };
	master->resuming = false;
	reload_forget_back(reload);
	probation_end(master);
	if (reload->fresh == NULL)
		return;
	if (master->phase == PHASE_CANARY)
		phase_leave_canary(master);
	reload_discard(master);
	if (master->running == NULL)
		return;
	LOG(WARN, RELOAD_REFUSED, F_STR("kind", status_kind_name(reload->kind)),
	    F_STR("error", why));
	reload_report_refusal(master, reload->kind, reload->begun_ms, why);
}

void
phase_stop_now(struct master *master)
{
	struct worker_proc *worker;

	LOG(INFO, STOP, F_STR("mode", "now"));
	phase_abort(master, "the server stops");
	phase_close(master);
	TAILQ_FOREACH(worker, &master->workers, link)
		worker_proc_stop(worker);
}

void
phase_stop(struct master *master)
{
	struct worker_proc *worker;

	if (master->phase == PHASE_STARTING ||
	    master->phase == PHASE_STOPPING) {
		phase_stop_now(master);
		return;
	}
	LOG(INFO, STOP, F_STR("mode", "drain"));
	phase_abort(master, "the server stops");
	phase_close(master);
	TAILQ_FOREACH(worker, &master->workers, link)
		worker_proc_drain(worker, CTL_DRAIN_STOP);
}

bool
phase_is_over(const struct master *master)
{
	return (master->phase == PHASE_STOPPING &&
	    TAILQ_EMPTY(&master->workers) && TAILQ_EMPTY(&master->dead) &&
	    TAILQ_EMPTY(&master->leaving) && TAILQ_EMPTY(&master->kept));
}

/* The monitor shows the other processes to the end. */
static void
phase_end(struct master *master)
{
	if (master->monitor.process.pid != 0)
		monitor_proc_stop(master);
	else
		event_base_loopbreak(master->base);
}

/*
 * Refusal: nothing has changed.
 */

/* Something went wrong that the new generation does not survive; dead is a
 * worker of it that has died, or the rescuer of that, or NULL. */
static void
phase_refuse(struct master *master, struct worker_proc *dead, const char *why)
{
	enum status_kind kind = master->reload.kind;
	bool was_canary = master->phase == PHASE_CANARY;

	if (was_canary)
		canary_take_back(master, dead, why);
	reload_discard(master);
	reload_forget_back(&master->reload);
	if (master->phase == PHASE_STARTING) {
		phase_fail_start(master, why);
		return;
	}
	LOG(ERROR, RELOAD_REFUSED, F_STR("kind", status_kind_name(kind)),
	    F_STR("error", why),
	    F_STR("kept", "the running configuration and its workers"));
	/* That of a canary is complete when its workers are gone. */
	if (!was_canary)
		reload_report_refusal(master, kind, master->reload.begun_ms,
		    why);
	if (kind == STATUS_UPGRADE && was_canary)
		probation_refuse(master, why);
	/* The program stays, and with it nothing to go back to. */
	else if (kind == STATUS_UPGRADE)
		probation_end(master);
	upgrade_done(master);
	phase_enter(master, PHASE_RUNNING);
	notify_status("%s refused: %s", status_kind_name(kind), why);
	/* The order before this one was to stop. */
	if (master->resuming)
		phase_enter(master, PHASE_STOPPING);
	master->resuming = false;
	master_changed(master);
}

/*
 * A reload, step by step.
 */

/* All workers accept. */
static void
phase_finish_start(struct master *master)
{
	struct why why;

	if (pidfile_publish(&master->pidfiles.now) == -1) {
		why_set(&why, "pid file %s: %s", master->pidfiles.now.path,
		    strerror(errno));
		phase_fail_start(master, why.text);
		return;
	}
	LOG(INFO, READY, F_U64("workers", master->running->slots));
	daemon_ready(&master->daemon_fd);
	phase_enter(master, PHASE_RUNNING);
}

/* The new generation has all that it could be given. */
static void
phase_finish_reload(struct master *master)
{
	struct reload *reload = &master->reload;

	upgrade_done(master);
	LOG(INFO, RELOAD_DONE, F_STR("kind", status_kind_name(reload->kind)),
	    F_U64("workers", master->running->slots),
	    F_U64("duration_ms", clock_ms() - reload->begun_ms));
	balance_order(master);
	phase_enter(master, PHASE_RUNNING);
	master_changed(master);
}

/* The new workers can serve. */
static void
phase_commit(struct master *master)
{
	bool first = master->running == NULL;

	reload_commit(master);
	master->resuming = false;
	/* The old workers give, even if this program dies now. */
	succession_run(master);
	upgrade_advance(master);
	if (first)
		phase_finish_start(master);
	else {
		phase_enter(master, PHASE_HANDING_OVER);
		master_changed(master);
	}
}

static void
phase_prove(struct master *master)
{
	struct why why;

	if (reload_listen(master, &why) == -1) {
		phase_refuse(master, NULL, why.text);
		return;
	}
	if (!canary_is_needed(master)) {
		phase_commit(master);
		return;
	}
	phase_enter(master, PHASE_CANARY);
	if (canary_begin(master) == -1)
		phase_refuse(master, NULL, "no memory for the canary");
	else
		upgrade_advance(master);
}

/* Whether a later order has come while the new workers wait for handlers that
 * have not said for seconds that they are ready, as those may never do. */
static bool
phase_must_give_way(const struct master *master)
{
	const struct pending *pending = &master->pending;

	/* Only a reload takes back a stop as much as the one that waits. */
	return (master->phase == PHASE_PREPARING &&
	    ((pending->upgrade && !master->resuming) ||
	    (pending->reload && pending->kind == STATUS_RELOAD)) &&
	    reload_waits_for_handlers(master));
}

static void
phase_give_way(struct master *master)
{
	bool resuming = master->resuming;

	/* The later order takes the stop back too. */
	master->resuming = false;
	phase_refuse(master, NULL, "a later order came while it waited for a "
	    "handler to be ready");
	master->resuming = resuming;
}

/* The new workers get ready, or prove themselves. */
static void
phase_go_on(struct master *master)
{
	bool is_canary = master->phase == PHASE_CANARY;
	struct why why;

	switch (is_canary ? canary_run(master, &why) :
	    reload_look(master, &why)) {
	case STEP_FAILED:
		phase_refuse(master, NULL, why.text);
		return;
	case STEP_DONE:
		if (is_canary)
			phase_commit(master);
		else
			phase_prove(master);
		return;
	case STEP_WAITS:
		if (phase_must_give_way(master))
			phase_give_way(master);
		return;
	}
}

/*
 * The next thing.
 */

static void
phase_begin_reload(struct master *master)
{
	struct reload *reload = &master->reload;
	struct why why = { "the configuration is wrong" };
	struct conf *conf = NULL;

	master->pending.reload = false;
	reload->kind = master->pending.kind;
	reload->begun_ms = clock_ms();
	if (reload->kind == STATUS_RELOAD)
		probation_end(master);
	phase_enter(master, PHASE_PREPARING);
	if (reload->kind != STATUS_ROLLBACK &&
	    (conf = reload_load(master, &why)) == NULL) {
		phase_refuse(master, NULL, why.text);
		return;
	}
	if (reload->kind == STATUS_RELOAD)
		generation_check_files(master->running);
	switch (reload_prepare(master, conf, &why)) {
	case STEP_FAILED:
		phase_refuse(master, NULL, why.text);
		return;
	case STEP_WAITS:
		/* With the next tick. */
		master->pending.reload = true;
		phase_enter(master, PHASE_RUNNING);
		return;
	case STEP_DONE:
		publish_now(master);
		return;
	}
}

/* From a generation that has failed its probation. */
static void
phase_go_back(struct master *master)
{
	struct probation *probation = &master->probation;

	LOG(ERROR, ROLLBACK, F_STR("of", status_kind_name(probation->of)),
	    F_U64("to", probation->before->number),
	    F_STR("error", probation->why.text));
	notify_status("rolling back: %s", probation->why.text);
	if (probation->of == STATUS_UPGRADE)
		phase_enter(master, PHASE_CHECKING);
	if (probation->of == STATUS_UPGRADE)
		upgrade_back(master);
	else
		reload_back(master, probation->before, probation->why.text);
	probation_end(master);
	master_changed(master);
}

static void
phase_begin_upgrade(struct master *master)
{
	master->pending.upgrade = false;
	probation_end(master);
	phase_enter(master, PHASE_CHECKING);
	upgrade_begin(master);
	master_changed(master);
}

static bool
phase_must_go_back(const struct master *master)
{
	return (master->probation.until_ms != 0 &&
	    *master->probation.why.text != '\0');
}

/* Workers that have lost their anchors are replaced while nothing else is in
 * progress or due: all of that comes first. */
static void
phase_renew(struct master *master)
{
	if (master->phase == PHASE_RUNNING && !master->pending.reload &&
	    !master->pending.upgrade && !phase_must_go_back(master))
		slots_renew(master);
	else
		slots_end_renewals(master);
}

static void
phase_begin_next(struct master *master)
{
	const struct pending *pending = &master->pending;
	bool goes_back = phase_must_go_back(master);

	if ((!goes_back && !pending->reload && !pending->upgrade) ||
	    !reload_may_begin(master))
		return;
	if (goes_back)
		phase_go_back(master);
	else if (pending->reload)
		phase_begin_reload(master);
	else if (upgrade_may_begin(&master->upgrade) &&
	    !workers_have_unsent(master))
		phase_begin_upgrade(master);
}

/*
 * The end of a turn.
 */

static void
phase_bury(struct master *master, struct worker_proc *worker)
{
	char how[PAUSE_HOW_MAX];
	struct why why;
	bool was_next = slot_on_death(worker);

	if (was_next) {
		why_set(&why, master->phase == PHASE_CANARY ?
		    "the new worker of slot %u died during the canary: %s" :
		    "the worker of slot %u did not get ready: %s",
		    worker->slot->number, *worker->why.text != '\0' ?
		    worker->why.text : describe_death(worker->status, how));
		phase_refuse(master, worker->rescuer != NULL ?
		    worker->rescuer : worker, why.text);
	}
	succession_on_death(worker);
	worker_proc_free(worker);
}

void
phase_advance(struct master *master)
{
	struct worker_proc *worker;

	while ((worker = TAILQ_FIRST(&master->dead)) != NULL) {
		/* The next worker may need its block. */
		TAILQ_REMOVE(&master->dead, worker, link);
		phase_bury(master, worker);
	}
	if (phase_is_over(master)) {
		phase_end(master);
		return;
	}
	if (slots_admit(master))
		balance_order(master);
	if (master->balance.is_demanded)
		balance_demand(master);
	probation_run(master);
	phase_renew(master);
	succession_run(master);
	monitor_proc_revive(master);
	switch (master->phase) {
	case PHASE_STARTING:
	case PHASE_PREPARING:
	case PHASE_CANARY:
		phase_go_on(master);
		break;
	case PHASE_HANDING_OVER:
		if (!succession_is_passing(master))
			phase_finish_reload(master);
		break;
	case PHASE_CHECKING:
		upgrade_run(master);
		if (!upgrade_is_under_way(&master->upgrade)) {
			phase_enter(master, PHASE_RUNNING);
			master_changed(master);
		}
		break;
	case PHASE_RUNNING:
		phase_begin_next(master);
		break;
	case PHASE_STOPPING:
		break;
	}
	/* Where a roll-back has not used all of them, or was refused. */
	if (master->probation.before == NULL && master->reload.back == NULL)
		crews_release(master);
	publish_now(master);
}

/*
 * Starts and orders.
 */

void
phase_start(struct master *master, struct conf *conf)
{
	struct why why;

	master->reload.begun_ms = clock_ms();
	if (reload_prepare(master, conf, &why) == STEP_FAILED)
		phase_refuse(master, NULL, why.text);
	else
		phase_show(master);
}

void
phase_resume(struct master *master)
{
	master->phase = PHASE_RUNNING;
	phase_show(master);
	master_changed(master);
}

void
phase_reload(struct master *master)
{
	struct pending *pending = &master->pending;

	LOG(INFO, RELOAD, F_STR("file", master->conf_path));
	if (master->phase == PHASE_STOPPING &&
	    (master->running == NULL || master->exit_status != 0)) {
		LOG(ERROR, RELOAD_REFUSED, F_STR("error",
		    "the server stops before it has started"));
		return;
	}
	/* A stop that has not come to its end is taken back: the last order
	 * holds. */
	if (master->phase == PHASE_STOPPING) {
		master->resuming = true;
		phase_enter(master, PHASE_RUNNING);
	}
	master_changed(master);
	/* That of an upgrade reads the configuration too. */
	if (pending->reload && pending->kind == STATUS_UPGRADE)
		return;
	/* During a canary it is not yet known whether there is a way back to be
	 * forgotten. */
	if (master->phase != PHASE_CANARY && !master->probation.refused)
		probation_end(master);
	reload_forget_back(&master->reload);
	pending->reload = true;
	pending->kind = STATUS_RELOAD;
}

void
phase_upgrade(struct master *master)
{
	struct upgrade *upgrade = &master->upgrade;

	LOG(INFO, UPGRADE, F_STR("program", upgrade->path),
	    F_STR("version", PENSTOCK_VERSION));
	if (master->phase == PHASE_STOPPING) {
		LOG(ERROR, UPGRADE_REFUSED,
		    F_STR("error", "the server stops"));
		return;
	}
	master->pending.upgrade = true;
	master_changed(master);
	/* The way back comes first: it is the previous program that carries the
	 * order out. */
	if (master->probation.refused || upgrade->refused)
		return;
	/* During a canary it is not yet known whether there is a way back to be
	 * forgotten. */
	if (master->phase != PHASE_CANARY)
		probation_end(master);
	/* The file may be another one by now. */
	upgrade_forget(upgrade);
}
