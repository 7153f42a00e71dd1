/* SPDX-License-Identifier: ISC */
#include "master/reload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "master/limits.h"
#include "master/master.h"
#include "master/notify.h"

enum {
	WHY_MAX = 320,
	/* The time that a configuration may take, as nobody is looked after
	 * meanwhile: one on a file server that is gone takes for ever. */
	CONF_READ_MS = 5000,
};

/*
 * Refusal: nothing has changed.
 */

/* Release what was prepared. */
static void
discard(struct master *master)
{
	struct reload *reload = &master->reload;

	for (size_t i = 0; i < master->nslots; i++) {
		struct worker_proc *worker = master->slots[i].next;

		master->slots[i].next = NULL;
		if (worker != NULL)
			worker_proc_stop(worker);
	}
	sockets_undo(&master->sockets);
	monitor_proc_undo(master);
	pidfile_remove(&master->next_pidfile);
	master->pidfile_changes = false;
	generation_release(reload->fresh);
	reload->fresh = NULL;
	loggers_discard(master);
}

static void
forget_back(struct reload *reload)
{
	generation_release(reload->back);
	reload->back = NULL;
}

static void
report_refusal(struct master *master, const char *why)
{
	struct status_report report = {
		.kind = master->reload.kind,
		.result = STATUS_REFUSED,
		.generation = master->running->number,
		.read_ms = master->reload.begun_ms,
		.duration_ms = clock_ms() - master->reload.begun_ms,
	};

	report.begun = time(NULL) - (int64_t)(report.duration_ms / 1000);
	snprintf(report.why, sizeof(report.why), "%s", why);
	status_add_report(&master->status, &report);
}

void
reload_fail(struct master *master, struct worker_proc *dead, const char *why)
{
	enum status_kind kind = master->reload.kind;
	bool was_canary = canary_is_on(master);

	if (was_canary)
		canary_take_back(master, dead, why);
	discard(master);
	forget_back(&master->reload);
	if (master->state == MASTER_STARTING) {
		master_on_failure(master, why);
		return;
	}
	LOG(ERROR, RELOAD_REFUSED, F_STR("kind", status_kind_name(kind)),
	    F_STR("error", why),
	    F_STR("kept", "the configuration and workers of before"));
	/* That of a canary is complete when its workers are gone. */
	if (!was_canary)
		report_refusal(master, why);
	if (kind == STATUS_UPGRADE && was_canary)
		probation_refuse(master, why);
	/* The program stays, and with it nothing to go back to. */
	else if (kind == STATUS_UPGRADE)
		probation_end(master);
	upgrade_done(master);
	if (!master->reload.ordered)
		notify_ready(master->running->number, master->running->slots);
	notify_status("%s refused: %s", status_kind_name(kind), why);
	if (master->resuming) {
		/* The order before this one was to stop. */
		master->resuming = false;
		master->state = MASTER_STOPPING;
		notify_stopping();
		master_changed(master);
	}
	master_show(master);
}

static void
refuse(struct master *master, const char *why)
{
	reload_fail(master, NULL, why);
}

/* The workers of a canary serve: they end with the other ones. */
static void
abandon_canary(struct master *master)
{
	if (!canary_is_on(master))
		return;
	canary_end(master);
	for (size_t i = 0; i < master->nslots; i++)
		master->slots[i].next = NULL;
}

void
reload_abort(struct master *master, const char *why)
{
	struct reload *reload = &master->reload;

	reload->ordered = false;
	reload->passing = false;
	forget_back(reload);
	if (reload->fresh == NULL)
		return;
	abandon_canary(master);
	discard(master);
	if (master->running == NULL)
		return;
	LOG(WARN, RELOAD_REFUSED, F_STR("kind", status_kind_name(reload->kind)),
	    F_STR("error", why));
	report_refusal(master, why);
}

/*
 * Preparation.
 */

static void
log_mistake(const struct conf_error *error)
{
	if (error->line > 0)
		LOG(ERROR, CONF_ERROR, F_STR("file", error->file),
		    F_U64("line", error->line), F_STR("error", error->text));
	else
		LOG(ERROR, CONF_ERROR, F_STR("file", error->file),
		    F_STR("error", error->text));
}

/* Report what is wrong with the file, the first of it as why; returns NULL
 * then. */
static struct conf *
load(const struct master *master, char why[WHY_MAX])
{
	const struct conf_request request = {
		.path = master->conf_path, .timeout_ms = CONF_READ_MS,
	};
	struct conf_report report = { .errors = NULL };
	char place[CONF_PLACE_MAX];
	struct conf *conf;

	conf = conf_read(&request, &report);
	for (size_t i = 0; i < report.nerrors; i++)
		log_mistake(&report.errors[i]);
	for (size_t i = 0; i < report.nwarnings; i++)
		LOG(WARN, CONF_WARNING, F_STR("file", report.warnings[i].file),
		    F_U64("line", report.warnings[i].line),
		    F_STR("warning", report.warnings[i].text));
	if (report.is_unread)
		snprintf(why, WHY_MAX, "the configuration %s",
		    report.errors[0].text);
	else if (report.nerrors > 0)
		snprintf(why, WHY_MAX, "the configuration is wrong: %s: %s",
		    conf_error_place(&report.errors[0], place),
		    report.errors[0].text);
	conf_report_free(&report);
	return (conf);
}

/* Logs that are not there yet are opened by their loggers, as the disk may
 * take its time. */
static int
prepare_logs(struct master *master, char why[WHY_MAX])
{
	int n = loggers_prepare(master, master->reload.fresh->conf, why);

	if (n == -1)
		return (-1);
	master->reload.awaited += (unsigned)n;
	return (0);
}

static int
prepare_pidfile(struct master *master, const char *path, char why[WHY_MAX])
{
	char said[PIDFILE_WHY_MAX];
	pid_t owner;

	if (strcmp(path, master->pidfile.path != NULL ? master->pidfile.path :
	    "") == 0)
		return (0);
	if (pidfile_claim(&master->next_pidfile, path, &owner) == 0) {
		master->pidfile_changes = true;
		return (0);
	}
	/* Another name of the file that we have. */
	if (owner == getpid())
		return (0);
	snprintf(why, WHY_MAX, "pid file %.200s: %s", path,
	    pidfile_explain(owner, said));
	return (-1);
}

static int
fork_workers(struct master *master, char why[WHY_MAX])
{
	struct reload *reload = &master->reload;

	for (unsigned i = 0; i < reload->fresh->slots; i++) {
		struct slot *slot = &master->slots[i];

		slot->next = worker_proc_new(master, slot, reload->fresh, true);
		if (slot->next == NULL) {
			snprintf(why, WHY_MAX, "a worker for slot %u: %s", i,
			    strerror(errno));
			return (-1);
		}
		reload->awaited++;
	}
	return (0);
}

/* Of a configuration, which is then owned or freed; or, if that is NULL, of the
 * one to go back to. */
static struct generation *
make_generation(struct master *master, struct conf *conf, char why[WHY_MAX])
{
	struct generation *generation;
	int saved;

	if (conf == NULL) {
		generation = generation_renew(master->reload.back);
		if (generation == NULL)
			snprintf(why, WHY_MAX, "%s", strerror(errno));
		return (generation);
	}
	generation = generation_new(master, conf, why);
	if (generation == NULL) {
		saved = errno;
		conf_free(conf);
		errno = saved;
	}
	return (generation);
}

static int
prepare(struct master *master, struct conf *conf, char why[WHY_MAX])
{
	const struct conf *fresh;
	struct reload *reload = &master->reload;

	reload->awaited = 0;
	reload->fresh = make_generation(master, conf, why);
	if (reload->fresh == NULL)
		return (-1);
	fresh = reload->fresh->conf;
	if (slots_prepare(master, reload->fresh->slots) == -1) {
		snprintf(why, WHY_MAX, "counters: %s", strerror(errno));
		return (-1);
	}
	if (sockets_prepare(&master->sockets, fresh, reload->fresh->slots,
	    why) == -1 ||
	    monitor_proc_prepare(master, fresh, why) == -1 ||
	    prepare_pidfile(master, fresh->pid_file, why) == -1 ||
	    prepare_logs(master, why) == -1)
		return (-1);
	master->numbered++;
	return (fork_workers(master, why));
}

/* An address that has just left may still be open in workers that drain, until
 * they have read that they are to; and names that have left may be theirs. */
static bool
may_retry(struct master *master)
{
	struct reload *reload = &master->reload;
	const struct worker_proc *worker;

	if (reload->retry_until_ms == 0)
		reload->retry_until_ms = clock_ms() + MASTER_EXIT_MS;
	if (clock_ms() >= reload->retry_until_ms)
		return (false);
	TAILQ_FOREACH(worker, &master->workers, link)
		if (worker->state == WORKER_DRAINING)
			return (true);
	return (false);
}

void
reload_forgive(struct reload *reload, uint64_t stall_ms)
{
	if (reload->retry_until_ms != 0)
		reload->retry_until_ms += stall_ms;
}

/* Begin with a configuration that is found good, and now owned; or go back, if
 * it is NULL.  The rest happens when the workers are READY. */
static int
begin(struct master *master, struct conf *conf)
{
	char why[WHY_MAX];

	errno = 0;
	if (prepare(master, conf, why) == 0) {
		master->reload.retry_until_ms = 0;
		return (0);
	}
	if ((errno == EADDRINUSE || errno == EUSERS) && may_retry(master)) {
		discard(master);
		master->reload.ordered = true;
		master->reload.ordered_kind = master->reload.kind;
		return (0);
	}
	master->reload.retry_until_ms = 0;
	refuse(master, why);
	return (-1);
}

int
reload_first(struct master *master, struct conf *conf)
{
	master->reload.begun_ms = clock_ms();
	return (begin(master, conf));
}

/* Each slot must have room for one worker more; the oldest that still drains in
 * a slot that has none is waited for. */
static bool
have_room(const struct master *master)
{
	for (size_t i = 0; i < master->nslots; i++)
		if (!slot_has_room(&master->slots[i]))
			return (false);
	return (true);
}

bool
reload_may_begin(struct master *master)
{
	struct reload *reload = &master->reload;

	if (reload->fresh != NULL || master->state != MASTER_RUNNING ||
	    succession_is_leaving(master))
		return (false);
	if (have_room(master)) {
		reload->said_waiting = false;
		return (true);
	}
	if (!reload->said_waiting)
		LOG(WARN, RELOAD_WAITS, F_STR("for",
		    "workers of earlier generations that still drain"));
	reload->said_waiting = true;
	return (false);
}

/* Whether the new workers wait for handlers that have not said for seconds that
 * they are ready, as those may never do. */
static bool
waits_for_handlers(const struct master *master)
{
	if (master->reload.fresh == NULL || canary_is_on(master) ||
	    master->state != MASTER_RUNNING)
		return (false);
	for (size_t i = 0; i < master->nslots; i++)
		if (master->slots[i].next != NULL &&
		    crew_is_late(master->slots[i].next))
			return (true);
	return (false);
}

void
reload_give_way(struct master *master)
{
	struct reload *reload = &master->reload;
	bool resuming = master->resuming;

	if (((!master->upgrade.ordered || resuming) && (!reload->ordered ||
	    reload->ordered_kind != STATUS_RELOAD)) ||
	    !waits_for_handlers(master))
		return;
	/* That order takes back a stop as much as this one. */
	master->resuming = false;
	refuse(master, "a later order came while it waited for a handler to "
	    "be ready");
	master->resuming = resuming;
}

void
reload_try(struct master *master)
{
	struct reload *reload = &master->reload;
	char why[WHY_MAX] = "the configuration is wrong";
	struct conf *conf;

	reload_give_way(master);
	/* A new program is to find all at rest, and reloads by itself. */
	if (!reload->ordered || upgrade_is_under_way(master) ||
	    master->probation.refused || !reload_may_begin(master))
		return;
	reload->ordered = false;
	reload->kind = reload->ordered_kind;
	if (reload->kind == STATUS_RELOAD)
		probation_end(master);
	reload->begun_ms = clock_ms();
	notify_reloading();
	if (reload->kind == STATUS_ROLLBACK)
		conf = NULL;
	else if ((conf = load(master, why)) == NULL) {
		refuse(master, why);
		return;
	}
	if (reload->kind == STATUS_RELOAD)
		generation_check_files(master->running);
	if (begin(master, conf) == 0)
		master_show(master);
}

static void
order(struct master *master, enum status_kind kind)
{
	master->reload.ordered = true;
	master->reload.ordered_kind = kind;
	reload_try(master);
}

void
reload_after_upgrade(struct master *master)
{
	order(master, STATUS_UPGRADE);
}

void
reload_back(struct master *master, struct generation *back, const char *why)
{
	notify_status("rolling back: %s", why);
	forget_back(&master->reload);
	master->reload.back = generation_hold(back);
	snprintf(master->reload.back_why, sizeof(master->reload.back_why), "%s",
	    why);
	generation_check_files(back);
	order(master, STATUS_ROLLBACK);
}

/* A stop that has not come to its end is taken back: the last order holds. */
static void
resume(struct master *master)
{
	master->state = MASTER_RUNNING;
	master->resuming = true;
}

void
reload_order(struct master *master)
{
	LOG(INFO, RELOAD, F_STR("file", master->conf_path));
	if (master->state == MASTER_STOPPING &&
	    (master->running == NULL || master->exit_status != 0)) {
		LOG(ERROR, RELOAD_REFUSED, F_STR("error",
		    "the server stops before it has started"));
		return;
	}
	if (master->state == MASTER_STOPPING)
		resume(master);
	/* That of an upgrade reads the configuration too. */
	if (master->reload.ordered &&
	    master->reload.ordered_kind == STATUS_UPGRADE) {
		reload_try(master);
		return;
	}
	/* During a canary it is not yet known whether there is a way back to be
	 * forgotten. */
	if (!canary_is_on(master) && !master->probation.refused)
		probation_end(master);
	forget_back(&master->reload);
	order(master, STATUS_RELOAD);
}

/*
 * Commitment.
 */

static void
change_log(struct master *master)
{
	const struct conf_log *conf = &master->running->conf->log;
	struct worker_proc *worker;

	log_configure(conf->level, conf->format);
	log_identify("master", -1, (int64_t)master->running->number);
	loggers_commit(master);
	/* The new ones were born with the old one's settings; those of before
	 * go on in the new log, as theirs may be removed. */
	TAILQ_FOREACH(worker, &master->workers, link)
		worker_proc_use_log(worker);
}

static void
change_pidfile(struct master *master)
{
	if (!master->pidfile_changes)
		return;
	pidfile_remove(&master->pidfile);
	master->pidfile = master->next_pidfile;
	master->next_pidfile = (struct pidfile){ .fd = -1 };
	master->pidfile_changes = false;
}

/* The new workers accept before the old ones stop, and all of them have a
 * successor before any gives. */
static void
change_workers(struct master *master, bool first)
{
	struct succession_report *report = NULL;

	for (size_t i = 0; i < master->nslots; i++) {
		struct slot *slot = &master->slots[i];
		struct worker_proc *old = slot->serving;

		slot->serving = slot->next;
		slot->next = NULL;
		slot->again_ms = 0;
		slot->young_deaths = 0;
		if (slot->serving != NULL &&
		    slot->serving->state == WORKER_READY)
			worker_proc_start(slot->serving);
		if (old == NULL)
			continue;
		succession_report_join(&report, old, master->reload.kind);
		worker_proc_drain(old, CTL_DRAIN_REPLACED);
	}
	if (!first)
		succession_report_close(&report, master, master->reload.kind);
	succession_begin(master);
}

/* The new generation has all that it could be given. */
static void
finish(struct master *master)
{
	struct reload *reload = &master->reload;

	reload->passing = false;
	upgrade_done(master);
	LOG(INFO, RELOAD_DONE, F_STR("kind", status_kind_name(reload->kind)),
	    F_U64("workers", master->running->slots),
	    F_U64("duration_ms", clock_ms() - reload->begun_ms));
	balance_order(master);
	master_on_ready(master);
	reload_try(master);
}

void
reload_on_given(struct master *master)
{
	if (master->reload.passing && !succession_is_passing(master))
		finish(master);
}

void
reload_on_proof(struct master *master)
{
	struct reload *reload = &master->reload;
	struct generation *old = master->running;

	master->running = reload->fresh;
	reload->fresh = NULL;
	generation_confirm(master->running);
	forget_back(reload);
	master->resuming = false;
	change_log(master);
	change_pidfile(master);
	limits_check(master->running->conf, master->running->slots);
	crews_check(master->running);
	sockets_commit(&master->sockets, master->running->conf,
	    master->running->slots);
	reload->passing = old != NULL;
	change_workers(master, old == NULL);
	monitor_proc_commit(master);
	probation_begin(master, reload->kind, old);
	generation_release(old);
	upgrade_advance(master);
	if (!reload->passing)
		master_on_ready(master);
	else if (!succession_is_passing(master))
		finish(master);
	else
		master_show(master);
}

/* All workers are READY. */
static void
prove(struct master *master)
{
	const struct conf *fresh = master->reload.fresh->conf;
	char why[WHY_MAX];

	/* Sockets of slots that are new get no connections yet: if there will be
	 * no such slots, nobody must wait there. */
	if (master->running != NULL)
		slots_steer(master);
	if (sockets_listen(&master->sockets, fresh, why) == -1 ||
	    monitor_proc_listen(master, fresh, why) == -1)
		refuse(master, why);
	else if (pidfile_publish(&master->next_pidfile) == -1) {
		snprintf(why, sizeof(why), "pid file %.200s: %s",
		    master->next_pidfile.path, strerror(errno));
		refuse(master, why);
	}
	else if (canary_is_needed(master)) {
		canary_begin(master);
		upgrade_advance(master);
	} else
		reload_on_proof(master);
}

void
reload_on_ready(struct worker_proc *worker)
{
	struct master *master = worker->master;

	if (--master->reload.awaited == 0)
		prove(master);
}

void
reload_on_logger(struct master *master, const char *why)
{
	if (why != NULL)
		refuse(master, why);
	else if (--master->reload.awaited == 0)
		prove(master);
}

void
reload_on_death(struct worker_proc *worker, const char *how)
{
	char why[WHY_MAX];

	if (canary_is_on(worker->master))
		snprintf(why, sizeof(why), "the new worker of slot %u died "
		    "during the canary: %s", worker->slot->number, how);
	else
		snprintf(why, sizeof(why), "the worker of slot %u did not get "
		    "ready: %s", worker->slot->number, how);
	reload_fail(worker->master, worker, why);
}
