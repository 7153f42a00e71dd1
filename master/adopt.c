/* SPDX-License-Identifier: ISC */
#include "config.h"

#include "master/adopt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "master/master.h"
#include "master/options.h"

enum {
	/* From the end of its input to SIGTERM, as in crew.c. */
	LEAVE_MS = 1000,
};

/*
 * From a master to a state.
 */

/* Returns NULL with errno set. */
static char *
print_conf(const struct conf *conf, unsigned version)
{
	char *text = NULL;
	size_t size;
	FILE *out;
	int printed;

	if ((out = open_memstream(&text, &size)) == NULL)
		return (NULL);
	printed = version == STATE_PREVIOUS ? conf_print_previous(out, conf) :
	    conf_print(out, conf);
	if (fclose(out) == 0 && printed == 0)
		return (text);
	free(text);
	errno = ENOMEM;
	return (NULL);
}

static int
save_generation(struct state *state, const struct generation *generation,
    unsigned version)
{
	struct state_generation *saved;

	if (generation == NULL ||
	    state_find_generation(state, generation->number) != NULL)
		return (0);
	if ((saved = state_add_generation(state)) == NULL)
		return (-1);
	saved->number = generation->number;
	saved->loaded = (uint64_t)generation->loaded;
	saved->slots = generation->slots;
	saved->change = generation->identity.change;
	saved->uid = generation->identity.uid;
	saved->gid = generation->identity.gid;
	saved->path = strdup(generation->conf->path);
	saved->text = print_conf(generation->conf, version);
	return (saved->path == NULL || saved->text == NULL ? -1 : 0);
}

static int
save_name(struct state_name *saved, const char *name)
{
	if (saved == NULL || (saved->name = strdup(name)) == NULL)
		return (-1);
	return (0);
}

static int
save_names(struct state *state, const struct master *master)
{
	for (unsigned i = 0; i < master->listener_names.n; i++)
		if (save_name(state_add_listener(state),
		    master->listener_names.names[i]) == -1)
			return (-1);
	for (unsigned i = 0; i < master->handler_names.n; i++)
		if (save_name(state_add_handler(state),
		    master->handler_names.names[i]) == -1)
			return (-1);
	return (0);
}

static int
save_slots(struct state *state, const struct master *master)
{
	struct state_slot *saved;

	for (size_t i = 0; i < master->nslots; i++) {
		if ((saved = state_add_slot(state)) == NULL)
			return (-1);
		saved->counters = master->counters[i].fd;
		saved->young_deaths = master->slots[i].young_deaths;
		saved->again_ms = master->slots[i].again_ms;
	}
	return (0);
}

/* The previous program passes a worker one descriptor, and does not wait for the
 * end of one whose channel has ended. */
static bool
is_for_nobody(const struct executor *executor, unsigned version)
{
	return (version == STATE_PREVIOUS && (crew_has_hung_up(executor) ||
	    (executor->requests != -1 &&
	    executor->state == EXECUTOR_STARTING)));
}

/* Its worker has what it needs; or else it leaves, and another one is started
 * in its place. */
static void
save_for_previous(const struct executor *executor,
    struct state_executor *saved)
{
	saved->requests = -1;
	if (!is_for_nobody(executor, STATE_PREVIOUS))
		return;
	saved->worker = 0;
	saved->state = EXECUTOR_LEAVING;
	saved->work = -1;
	saved->patience_ms = clock_ms() + LEAVE_MS;
}

static int
save_executor(struct state *state, const struct executor *executor,
    unsigned version)
{
	const struct stderr_line *errors = &executor->errors;
	struct state_executor *saved;

	if (save_generation(state, executor->generation, version) == -1 ||
	    (saved = state_add_executor(state)) == NULL)
		return (-1);
	saved->pid = (unsigned)executor->pid;
	if (executor->worker != NULL)
		saved->worker = (unsigned)executor->worker->process.pid;
	saved->id = executor->id;
	saved->generation = executor->generation->number;
	saved->handler = executor->handler;
	saved->state = executor->state;
	saved->asked = executor->asked;
	saved->work = executor->work;
	saved->requests = executor->requests;
	saved->work_speaks = executor->work_speaks;
	if (executor->channel != NULL) {
		saved->channel = channel_fd(executor->channel);
		saved->speaks = channel_speaks(executor->channel);
	}
	if (errors->event != NULL)
		saved->errors = event_get_fd(errors->event);
	saved->born_ms = executor->born_ms;
	saved->patience_ms = executor->patience_ms;
	if (version == STATE_PREVIOUS)
		save_for_previous(executor, saved);
	saved->why = strdup(executor->why);
	saved->last = strdup(errors->last);
	saved->partial = strndup(errors->text, errors->len);
	return (saved->why == NULL || saved->last == NULL ||
	    saved->partial == NULL ? -1 : 0);
}

static unsigned
count_for_nobody(const struct worker_proc *worker, unsigned handler,
    unsigned version)
{
	const struct executor *executor;
	unsigned n = 0;

	TAILQ_FOREACH(executor, &worker->crew.members, link)
		n += executor->handler == handler &&
		    is_for_nobody(executor, version);
	return (n);
}

static int
save_shortages(struct state *state, const struct worker_proc *worker,
    unsigned version)
{
	const struct shortage *shortage = worker->crew.shortage;
	struct state_shortage *saved;
	unsigned missing;

	for (unsigned i = 0; i < CONF_HANDLERS_MAX; i++) {
		missing = crew_missing(worker, i) +
		    count_for_nobody(worker, i, version);
		if (missing == 0 && shortage[i].young_deaths == 0)
			continue;
		if ((saved = state_add_shortage(state)) == NULL)
			return (-1);
		saved->worker = (unsigned)worker->process.pid;
		saved->handler = i;
		saved->missing = missing;
		saved->young_deaths = shortage[i].young_deaths;
		saved->again_ms = shortage[i].again_ms;
	}
	return (0);
}

static int
save_worker(struct state *state, const struct worker_proc *worker,
    unsigned version)
{
	const struct executor *executor;
	struct state_child *saved;

	if (save_generation(state, worker->generation, version) == -1 ||
	    (saved = state_add_child(state)) == NULL)
		return (-1);
	saved->pid = (unsigned)worker->process.pid;
	saved->slot = worker->slot->number;
	saved->block = worker->block;
	saved->generation = worker->generation->number;
	saved->state = worker->state;
	saved->serving = worker == worker->slot->serving;
	if (worker->process.channel != NULL) {
		saved->channel = channel_fd(worker->process.channel);
		saved->speaks = channel_speaks(worker->process.channel);
	}
	saved->awaited = worker->crew.awaited;
	saved->born_ms = worker->process.born_ms;
	saved->patience_ms = worker->process.patience_ms;
	if ((saved->why = strdup(worker->why)) == NULL ||
	    save_shortages(state, worker, version) == -1)
		return (-1);
	TAILQ_FOREACH(executor, &worker->crew.members, link)
		if (save_executor(state, executor, version) == -1)
			return (-1);
	return (0);
}

static int
save_processes(struct state *state, const struct master *master,
    unsigned version)
{
	const struct executor *executor;
	const struct worker_proc *worker;

	TAILQ_FOREACH(worker, &master->workers, link)
		if (save_worker(state, worker, version) == -1)
			return (-1);
	TAILQ_FOREACH(executor, &master->leaving, link)
		if (save_executor(state, executor, version) == -1)
			return (-1);
	return (0);
}

static int
save_server(struct state *state, const struct master *master)
{
	const struct pidfile *pidfile = &master->pidfile;
	struct state_server *saved;

	if ((saved = state_add_server(state)) == NULL)
		return (-1);
	saved->speaks = CTL_PREVIOUS;
	saved->running = master->running->number;
	saved->numbered = master->numbered;
	saved->executors = master->executors;
	saved->started = (uint64_t)master->started;
	/* Standard error is where it was. */
	if (!log_is_stderr())
		saved->log = log_fd();
	saved->pid_file = pidfile->fd;
	saved->status = master->status.fd;
	saved->spans = master->spans.fd;
	saved->version = strdup(PENSTOCK_VERSION);
	saved->program = strdup(master->upgrade.path);
	saved->pid_path = strdup(pidfile->path != NULL ? pidfile->path : "");
	return (saved->version == NULL || saved->program == NULL ||
	    saved->pid_path == NULL ? -1 : 0);
}

int
adopt_save(const struct master *master, unsigned version,
    const struct generation *back, struct state *state)
{
	if (save_server(state, master) == -1 ||
	    save_names(state, master) == -1 ||
	    save_generation(state, master->running, version) == -1 ||
	    save_generation(state, back, version) == -1 ||
	    save_slots(state, master) == -1 ||
	    sockets_save(&master->sockets, state, false) == -1 ||
	    save_processes(state, master, version) == -1 ||
	    succession_save(master, state) == -1 ||
	    monitor_proc_save(&master->monitor, state) == -1)
		return (-1);
	return (0);
}

/*
 * From a state to a master.
 */

static int
fail(char why[STATE_WHY_MAX], const char *what)
{
	snprintf(why, STATE_WHY_MAX, "%s: %s", what, strerror(errno));
	return (-1);
}

static struct conf *
load_text(const struct state_generation *saved, char why[STATE_WHY_MAX])
{
	const struct conf_request request = {
		.path = saved->path, .text = saved->text,
	};
	struct conf_report report = { .errors = NULL };
	struct conf *conf;

	conf = conf_read(&request, &report);
	if (conf == NULL)
		snprintf(why, STATE_WHY_MAX, "a configuration that is in "
		    "effect: line %u: %s", report.errors[0].line,
		    report.errors[0].text);
	conf_report_free(&report);
	return (conf);
}

static int
prepare_generation(struct adoption *adoption, struct master *master,
    const struct state_generation *saved, char why[STATE_WHY_MAX])
{
	const struct identity identity = {
		.change = saved->change,
		.uid = saved->uid,
		.gid = saved->gid,
	};
	struct generation *generation;
	struct conf *conf;

	if ((conf = load_text(saved, why)) == NULL)
		return (-1);
	generation = generation_adopt(saved->number, saved->slots, &identity,
	    conf, &master->listener_names, &master->handler_names, why);
	if (generation == NULL) {
		conf_free(conf);
		return (-1);
	}
	generation->loaded = (int64_t)saved->loaded;
	adoption->generations[adoption->n++] = generation;
	return (0);
}

static int
prepare_generations(struct adoption *adoption, struct master *master,
    const struct state *state, char why[STATE_WHY_MAX])
{
	adoption->generations = calloc(state->ngenerations,
	    sizeof(struct generation *));
	if (adoption->generations == NULL)
		return (fail(why, "generations"));
	for (size_t i = 0; i < state->ngenerations; i++)
		if (prepare_generation(adoption, master,
		    &state->generations[i], why) == -1)
			return (-1);
	return (0);
}

/* A name has the number that it had. */
static int
prepare_names(struct registry *registry, const struct state_name *names,
    size_t n, char why[STATE_WHY_MAX])
{
	for (size_t i = 0; i < n; i++)
		if (registry_restore(registry, names[i].name) == -1) {
			snprintf(why, STATE_WHY_MAX, "the name %.60s does not "
			    "fit", names[i].name);
			return (-1);
		}
	return (0);
}

static int
prepare_counters(struct master *master, const struct state *state,
    char why[STATE_WHY_MAX])
{
	for (size_t i = 0; i < state->nslots; i++) {
		if (counters_open(&master->counters[i],
		    state->slots[i].counters, true) == -1)
			return (fail(why, "counters"));
		master->slots[i] = (struct slot){
			.number = (unsigned)i,
			.young_deaths = state->slots[i].young_deaths,
			.again_ms = state->slots[i].again_ms,
		};
		master->nslots++;
	}
	if (status_open(&master->status, state->server->status, true) == -1)
		return (fail(why, "status"));
	if (spans_open(&master->spans, state->server->spans) == -1)
		return (fail(why, "spans"));
	return (0);
}

/* How often each number has been given to another name. */
static void
prepare_lives(struct master *master)
{
	const struct counters_listener *saved;

	if (master->nslots == 0)
		return;
	saved = master->counters[0].map->block[0].listener;
	for (unsigned i = 0; i < COUNTERS_LISTENERS; i++)
		master->listener_names.lives[i] = counter_get(&saved[i].life);
	for (unsigned i = 0; i < COUNTERS_HANDLERS; i++)
		master->handler_names.lives[i] =
		    counter_get(&saved[i].handler_life);
	/* Names of which nothing is said any more may have had others. */
	master->listener_names.touched = COUNTERS_LISTENERS;
	master->handler_names.touched = COUNTERS_HANDLERS;
}

/* An executor's handler has to be one of its generation's. */
static int
check_handlers(const struct adoption *adoption, const struct state *state,
    char why[STATE_WHY_MAX])
{
	for (size_t i = 0; i < state->nexecutors; i++) {
		const struct state_executor *saved = &state->executors[i];

		if (saved->handler < adopt_find(adoption,
		    saved->generation)->conf->nhandlers)
			continue;
		snprintf(why, STATE_WHY_MAX, "executor %u has no handler",
		    saved->pid);
		return (-1);
	}
	return (0);
}

int
adopt_prepare(struct adoption *adoption, struct master *master,
    const struct state *state, char why[STATE_WHY_MAX])
{
	*adoption = (struct adoption){ .n = 0 };
	if (prepare_names(&master->listener_names, state->listeners,
	    state->nlisteners, why) == -1 ||
	    prepare_names(&master->handler_names, state->handlers,
		state->nhandlers, why) == -1 ||
	    prepare_generations(adoption, master, state, why) == -1 ||
	    check_handlers(adoption, state, why) == -1)
		return (-1);
	if (prepare_counters(master, state, why) == -1)
		return (-1);
	prepare_lives(master);
	return (0);
}

struct generation *
adopt_find(const struct adoption *adoption, uint64_t number)
{
	for (size_t i = 0; i < adoption->n; i++)
		if (adoption->generations[i]->number == number)
			return (adoption->generations[i]);
	return (NULL);
}

void
adopt_end(struct adoption *adoption)
{
	for (size_t i = 0; i < adoption->n; i++)
		generation_release(adoption->generations[i]);
	free(adoption->generations);
	*adoption = (struct adoption){ .n = 0 };
}

static struct worker_proc *
find_worker(const struct master *master, unsigned pid)
{
	struct worker_proc *worker;

	TAILQ_FOREACH(worker, &master->workers, link)
		if (worker->process.pid == (pid_t)pid)
			break;
	return (worker);
}

static int
finish_processes(const struct adoption *adoption, struct master *master,
    const struct state *state)
{
	for (size_t i = 0; i < state->nchildren; i++)
		if (worker_proc_adopt(master, &state->children[i],
		    adopt_find(adoption, state->children[i].generation)) ==
		    NULL)
			return (-1);
	for (size_t i = 0; i < state->nshortages; i++) {
		const struct state_shortage *saved = &state->shortages[i];
		struct shortage *shortage = &find_worker(master,
		    saved->worker)->crew.shortage[saved->handler];

		shortage->missing = saved->missing;
		shortage->young_deaths = saved->young_deaths;
		shortage->again_ms = saved->again_ms;
	}
	for (size_t i = 0; i < state->nexecutors; i++) {
		const struct state_executor *saved = &state->executors[i];

		if (crew_adopt(master, find_worker(master, saved->worker),
		    saved,
		    adopt_find(adoption, saved->generation)) == -1)
			return (-1);
	}
	return (succession_adopt(master, state));
}

/* Those that are not our children, as we are the keeper of a master that died. */
static int
finish_fosters(struct master *master, const struct state *state)
{
	for (size_t i = 0; i < state->nchildren; i++)
		if (foster_watch(master, (pid_t)state->children[i].pid) == -1)
			return (-1);
	for (size_t i = 0; i < state->nexecutors; i++)
		if (foster_watch(master, (pid_t)state->executors[i].pid) == -1)
			return (-1);
	return (state->nmonitor == 0 ? 0 :
	    foster_watch(master, (pid_t)state->monitor->pid));
}

static void
finish_log(const struct generation *running, const struct state_server *server)
{
	log_configure(running->conf->log.level, running->conf->log.format);
	log_use(server->log != -1 ? server->log : STDERR_FILENO);
	log_identify("master", -1, (int64_t)running->number);
}

int
adopt_finish(const struct adoption *adoption, struct master *master,
    const struct state *state, char why[STATE_WHY_MAX])
{
	const struct state_server *server = state->server;

	master->running = generation_hold(adopt_find(adoption,
	    server->running));
	finish_log(master->running, server);
	master->numbered = server->numbered;
	master->executors = server->executors;
	master->started = (int64_t)server->started;
	master->pidfile.fd = server->pid_file;
	if (*server->pid_path != '\0' &&
	    (master->pidfile.path = strdup(server->pid_path)) == NULL)
		return (fail(why, "pid file"));
	if (sockets_adopt(&master->sockets, state, false) == -1)
		return (fail(why, "sockets"));
	if (finish_processes(adoption, master, state) == -1)
		return (fail(why, "processes"));
	if (monitor_proc_adopt(master, state) == -1)
		return (fail(why, "monitor"));
	if (finish_fosters(master, state) == -1)
		return (fail(why, "processes"));
	return (0);
}
