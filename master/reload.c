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
	/* The time that a configuration may take, as nobody is looked after
	 * meanwhile: one on a file server that is gone takes for ever. */
	CONF_READ_MS = 5000,
};

/*
 * Refusal: nothing has changed.
 */

void
reload_discard(struct master *master)
{
	struct reload *reload = &master->reload;

	slots_discard(master);
	sockets_undo(&master->sockets);
	monitor_proc_undo(master);
	pidfiles_undo(&master->pidfiles);
	generation_release(reload->fresh);
	reload->fresh = NULL;
	loggers_trim(master);
}

void
reload_forget_back(struct reload *reload)
{
	generation_release(reload->back);
	reload->back = NULL;
}

void
reload_report_refusal(struct master *master, enum status_kind kind,
    uint64_t begun_ms, const char *why)
{
	struct status_report report = {
		.kind = kind,
		.result = STATUS_REFUSED,
		.generation = master->running->number,
		.read_ms = begun_ms,
		.duration_ms = clock_ms() - begun_ms,
	};

	report.begun = time(NULL) - (int64_t)(report.duration_ms / 1000);
	snprintf(report.why, sizeof(report.why), "%s", why);
	status_add_report(&master->status, &report);
}

/*
 * Preparation.
 */

static void
reload_log_mistake(const struct conf_error *error)
{
	if (error->line > 0)
		LOG(ERROR, CONF_ERROR, F_STR("file", error->file),
		    F_U64("line", error->line), F_STR("error", error->text));
	else
		LOG(ERROR, CONF_ERROR, F_STR("file", error->file),
		    F_STR("error", error->text));
}

struct conf *
reload_load(const struct master *master, struct why *why)
{
	const struct conf_request request = {
		.path = master->conf_path, .timeout_ms = CONF_READ_MS,
	};
	struct conf_report report = { .errors = NULL };
	char place[CONF_PLACE_MAX];
	struct conf *conf;

	conf = conf_read(&request, &report);
	for (size_t i = 0; i < report.nerrors; i++)
		reload_log_mistake(&report.errors[i]);
	for (size_t i = 0; i < report.nwarnings; i++)
		LOG(WARN, CONF_WARNING, F_STR("file", report.warnings[i].file),
		    F_U64("line", report.warnings[i].line),
		    F_STR("warning", report.warnings[i].text));
	if (report.is_unread)
		why_set(why, "the configuration %s", report.errors[0].text);
	else if (report.nerrors > 0)
		why_set(why, "the configuration is wrong: %s: %s",
		    conf_error_place(&report.errors[0], place),
		    report.errors[0].text);
	conf_report_free(&report);
	return (conf);
}

static void
reload_load_tell(const struct conf_error *error, const char *kind)
{
	char place[CONF_PLACE_MAX];

	fprintf(stderr, "%s: %s%s\n", conf_error_place(error, place), kind,
	    error->text);
}

struct conf *
reload_load_or_tell(const char *path, bool with_warnings)
{
	struct conf_report report = { .errors = NULL };
	struct conf *conf;

	conf = conf_load(path, &report);
	for (size_t i = 0; i < report.nerrors; i++)
		reload_load_tell(&report.errors[i], "");
	for (size_t i = 0; with_warnings && i < report.nwarnings; i++)
		reload_load_tell(&report.warnings[i], "warning: ");
	conf_report_free(&report);
	return (conf);
}

static int
reload_prepare_pidfile(struct master *master, const char *path,
    struct why *why)
{
	pid_t owner;

	if (pidfiles_prepare(&master->pidfiles, path, &owner) == 0)
		return (0);
	return (why_set(why, "pid file %.200s: %s", path,
	    pidfile_explain(owner, why)));
}

/* Of a configuration, which is then owned or freed; or, if that is NULL, of the
 * one to go back to. */
static struct generation *
reload_make_generation(struct master *master, struct conf *conf,
    struct why *why)
{
	struct generation *generation;
	int saved;

	if (conf == NULL) {
		generation = generation_renew(master->reload.back);
		if (generation == NULL)
			why_set(why, "%s", strerror(errno));
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
reload_try(struct master *master, struct conf *conf, struct why *why)
{
	struct reload *reload = &master->reload;
	const struct conf *fresh;
	unsigned slot;

	reload->fresh = reload_make_generation(master, conf, why);
	if (reload->fresh == NULL)
		return (-1);
	fresh = reload->fresh->conf;
	if (slots_prepare(master, reload->fresh->slots) == -1)
		return (why_set(why, "counters: %s", strerror(errno)));
	/* Logs that are not there yet are opened by their loggers, as the disk
	 * may take its time. */
	if (sockets_prepare(&master->sockets, fresh, reload->fresh->slots,
	    why) == -1 ||
	    monitor_proc_prepare(master, fresh, why) == -1 ||
	    reload_prepare_pidfile(master, fresh->pid_file, why) == -1 ||
	    loggers_prepare(master, fresh, why) == -1)
		return (-1);
	master->numbered++;
	if (slots_fill(master, reload->fresh, &slot) == 0)
		return (0);
	return (why_set(why, "a worker for slot %u: %s", slot,
	    strerror(errno)));
}

/* An address that has just left may still be open in workers that drain, until
 * they have read that they are to; and names that have left may be theirs. */
static bool
reload_may_retry(struct master *master)
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

enum step
reload_prepare(struct master *master, struct conf *conf, struct why *why)
{
	errno = 0;
	if (reload_try(master, conf, why) == 0) {
		master->reload.retry_until_ms = 0;
		return (STEP_DONE);
	}
	if ((errno == EADDRINUSE || errno == EUSERS) &&
	    reload_may_retry(master)) {
		reload_discard(master);
		return (STEP_WAITS);
	}
	master->reload.retry_until_ms = 0;
	return (STEP_FAILED);
}

bool
reload_may_begin(struct master *master)
{
	struct reload *reload = &master->reload;

	if (succession_is_leaving(master))
		return (false);
	/* The oldest worker that still drains in a slot that has no room is
	 * waited for. */
	if (slots_have_room(master)) {
		reload->said_waiting = false;
		return (true);
	}
	if (!reload->said_waiting)
		LOG(WARN, RELOAD_WAITS, F_STR("for",
		    "workers of earlier generations that still drain"));
	reload->said_waiting = true;
	return (false);
}

bool
reload_waits_for_handlers(const struct master *master)
{
	for (size_t i = 0; i < master->nslots; i++)
		if (master->slots[i].next != NULL &&
		    crew_is_late(master->slots[i].next))
			return (true);
	return (false);
}

enum step
reload_look(const struct master *master, struct why *why)
{
	const struct worker_proc *worker;
	enum step answer = loggers_look(master, why);

	if (answer == STEP_FAILED)
		return (answer);
	for (unsigned i = 0; i < master->reload.fresh->slots; i++) {
		worker = master->slots[i].next;
		if (*worker->crew.why.text != '\0') {
			why_set(why, "the worker of slot %u did not get "
			    "ready: %s", i, worker->crew.why.text);
			return (STEP_FAILED);
		}
		if (!worker_proc_is_complete(worker))
			answer = STEP_WAITS;
	}
	return (answer);
}

int
reload_listen(struct master *master, struct why *why)
{
	const struct conf *fresh = master->reload.fresh->conf;

	/* Sockets of new slots get no connections yet: if the reload is refused,
	 * no client may be left waiting there. */
	if (master->running != NULL)
		slots_steer(master);
	if (sockets_listen(&master->sockets, fresh, why) == -1 ||
	    monitor_proc_listen(master, fresh, why) == -1)
		return (-1);
	if (pidfile_publish(&master->pidfiles.next) == 0)
		return (0);
	return (why_set(why, "pid file %.200s: %s", master->pidfiles.next.path,
	    strerror(errno)));
}

void
reload_back(struct master *master, struct generation *back, const char *why)
{
	struct reload *reload = &master->reload;

	notify_status("rolling back: %s", why);
	reload_forget_back(reload);
	reload->back = generation_hold(back);
	why_set(&reload->back_why, "%s", why);
	generation_check_files(back);
	master->pending.reload = true;
	master->pending.kind = STATUS_ROLLBACK;
}

/*
 * Commitment.
 */

static void
reload_change_log(struct master *master)
{
	const struct conf_log *conf = &master->running->conf->log;

	log_configure(conf->level, conf->format);
	log_identify("master", -1, (int64_t)master->running->number);
	loggers_commit(master);
	/* New processes were born with the old settings.  Old ones change to the
	 * new log too, as theirs may be removed. */
	processes_use_log(master);
}

/* The new workers accept before the old ones stop, and all of them have a
 * successor before any gives. */
static void
reload_change_workers(struct master *master, bool first)
{
	struct succession_report *report = NULL;
	struct worker_proc *old;

	for (size_t i = 0; i < master->nslots; i++) {
		if ((old = slot_promote(&master->slots[i])) == NULL)
			continue;
		succession_report_join(&report, old, master->reload.kind);
		worker_proc_drain(old, CTL_DRAIN_REPLACED);
	}
	if (!first)
		succession_report_close(&report, master, master->reload.kind);
	succession_begin(master);
}

void
reload_commit(struct master *master)
{
	struct reload *reload = &master->reload;
	struct generation *old = master->running;

	master->running = reload->fresh;
	reload->fresh = NULL;
	generation_confirm(master->running);
	reload_forget_back(reload);
	reload_change_log(master);
	pidfiles_commit(&master->pidfiles);
	limits_check(master->running->conf, master->running->slots);
	crews_check(master->running);
	sockets_commit(&master->sockets, master->running->conf,
	    master->running->slots);
	reload_change_workers(master, old == NULL);
	monitor_proc_commit(master);
	probation_begin(master, reload->kind, old);
	generation_release(old);
}
