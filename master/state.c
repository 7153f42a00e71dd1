/* SPDX-License-Identifier: ISC */
#include "master/state.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/ctl.h"
#include "master/state_record.h"

/* Those of the monitor come last. */
static struct socket_group *
state_nth_group(const struct master *master, size_t n)
{
	const struct sockets *sockets = &master->sockets;

	if (n >= sockets->n) {
		n -= sockets->n;
		sockets = &master->monitor.sockets;
	}
	return (n < sockets->n ? sockets->groups[n] : NULL);
}

/*
 * All records of a master, in the order of the text.
 *
 * What is not stored as it is written is put into a copy.
 */

static void
state_save_names(struct state_writer *writer, enum state_record record,
    const struct registry *registry)
{
	for (unsigned i = 0; i < registry->n; i++)
		state_record_write(writer, record, &registry->names[i]);
}

/* The text of a configuration; NULL with errno set. */
static char *
state_print_conf(const struct conf *conf, unsigned version)
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

static void
state_save_generation(struct state_writer *writer,
    const struct generation *generation)
{
	const struct conf *conf = generation->conf;
	struct generation saved = *generation;
	char *text = NULL;

	if (conf != NULL && writer->out != NULL) {
		saved.path = conf->path;
		saved.text = text = state_print_conf(conf, writer->version);
		if (text == NULL)
			writer->wrong = errno;
	}
	state_record_write(writer, STATE_GENERATION, &saved);
	free(text);
}

static void
state_save_slots(struct state_writer *writer, const struct master *master)
{
	for (size_t i = 0; i < master->nslots; i++) {
		const struct saved_slot saved = {
			.counters = master->counters[i].fd,
			.pause = master->slots[i].pause,
		};

		state_record_write(writer, STATE_SLOT, &saved);
	}
}

static void
state_save_sockets(struct state_writer *writer, const struct master *master)
{
	struct saved_socket saved;
	struct socket_group *group;

	for (size_t i = 0; (group = state_nth_group(master, i)) != NULL; i++) {
		group->monitor = i >= master->sockets.n;
		state_record_write(writer, STATE_GROUP, group);
	}
	for (size_t i = 0; (group = state_nth_group(master, i)) != NULL; i++)
		for (unsigned k = 0; k < group->nlistening; k++) {
			saved.group = (unsigned)i;
			saved.fd = group->fds[k];
			state_record_write(writer, STATE_SOCKET, &saved);
		}
}

/* Until a process is adopted, the descriptor of its channel is a number. */
static void
state_find_channel(struct process *process)
{
	if (process->channel == NULL)
		return;
	process->fd = channel_fd(process->channel);
	process->speaks = channel_speaks(process->channel);
}

static void
state_save_shortages(struct state_writer *writer, struct worker_proc *worker)
{
	for (unsigned i = 0; i < CONF_HANDLERS_MAX; i++) {
		struct saved_shortage saved = {
			.worker = worker,
			.handler = i,
			.shortage = worker->crew.shortage[i],
		};

		saved.shortage.missing = crew_missing(worker, i);
		if (saved.shortage.missing > 0 ||
		    saved.shortage.pause.young_deaths > 0)
			state_record_write(writer, STATE_SHORTAGE, &saved);
	}
}

static void
state_save_executors(struct state_writer *writer,
    const struct executor_list *list)
{
	const struct executor_proc *executor;

	TAILQ_FOREACH(executor, list, link) {
		struct executor_proc saved = *executor;

		state_find_channel(&saved.process);
		/* Until it is parted with: see crews_suit_previous(). */
		if (writer->version == STATE_PREVIOUS &&
		    saved.state > EXECUTOR_LEAVING)
			saved.state = EXECUTOR_SERVING;
		saved.errors.text[saved.errors.len] = '\0';
		state_record_write(writer, STATE_EXECUTOR, &saved);
	}
}

static void
state_save_workers(struct state_writer *writer, const struct master *master)
{
	struct worker_proc *worker;

	TAILQ_FOREACH(worker, &master->workers, link) {
		struct worker_proc saved = *worker;

		saved.serving = worker == worker->slot->serving;
		state_find_channel(&saved.process);
		state_record_write(writer, STATE_WORKER, &saved);
	}
	TAILQ_FOREACH(worker, &master->workers, link)
		state_save_shortages(writer, worker);
	TAILQ_FOREACH(worker, &master->workers, link)
		state_save_executors(writer, &worker->crew.members);
	state_save_executors(writer, &master->leaving);
}

/* In a downgrade they end, as their links do. */
static void
state_save_anchors(struct state_writer *writer, const struct master *master)
{
	const struct worker_proc *worker;
	struct anchor_proc saved;

	TAILQ_FOREACH(worker, &master->workers, link) {
		if (worker->anchor == NULL || worker->anchor->process.pid == 0 ||
		    writer->version == STATE_PREVIOUS)
			continue;
		saved = *worker->anchor;
		state_find_channel(&saved.process);
		state_record_write(writer, STATE_ANCHOR, &saved);
	}
}

static void
state_save_departures(struct state_writer *writer,
    const struct succession_report *report)
{
	for (unsigned i = 0; i < report->told.slots; i++) {
		const struct saved_departure saved = {
			.report = report->number,
			.slot = i,
			.ms = report->told.slot_ms[i],
		};

		if (saved.ms > 0)
			state_record_write(writer, STATE_DEPARTURE, &saved);
	}
}

static void
state_save_awaited(struct state_writer *writer, struct worker_proc *worker)
{
	struct saved_awaited saved = { .worker = worker };

	if (worker->report == NULL)
		return;
	saved.report = worker->report->number;
	saved.longest_us = succession_so_far(worker, &saved.fates);
	state_record_write(writer, STATE_AWAITED, &saved);
}

static void
state_save_reports(struct state_writer *writer, const struct master *master)
{
	struct succession_report *report;
	struct worker_proc *worker;
	unsigned n = 0;

	TAILQ_FOREACH(report, &master->reports, link) {
		report->number = n++;
		state_record_write(writer, STATE_REPORT, report);
	}
	TAILQ_FOREACH(report, &master->reports, link)
		state_save_departures(writer, report);
	TAILQ_FOREACH(worker, &master->workers, link)
		state_save_awaited(writer, worker);
}

static void
state_save_monitor(struct state_writer *writer, const struct master *master)
{
	struct monitor_proc saved = master->monitor;

	state_find_channel(&saved.process);
	if (saved.process.pid != 0)
		state_record_write(writer, STATE_MONITOR, &saved);
}

static int
state_save(struct state_writer *writer, const struct master *master)
{
	const struct generation *generation;

	state_record_write(writer, STATE_SERVER, master);
	state_save_names(writer, STATE_LISTENER, &master->listener_names);
	state_save_names(writer, STATE_HANDLER, &master->handler_names);
	TAILQ_FOREACH(generation, &master->generations, link)
		state_save_generation(writer, generation);
	state_save_slots(writer, master);
	state_save_sockets(writer, master);
	state_save_workers(writer, master);
	state_save_reports(writer, master);
	state_save_monitor(writer, master);
	state_save_anchors(writer, master);
	errno = writer->wrong;
	return (writer->wrong == 0 ? 0 : -1);
}

int
state_write(FILE *out, const struct master *master, unsigned version)
{
	struct state_writer writer = { .version = version, .out = out };

	fprintf(out, STATE_HEAD "%u\n", version);
	if (state_save(&writer, master) == -1)
		return (-1);
	fputs(STATE_TAIL, out);
	if (fflush(out) == 0 && !ferror(out))
		return (0);
	errno = ENOSPC;
	return (-1);
}

int
state_pass_on(const struct master *master, unsigned version, bool pass)
{
	struct state_writer writer = {
		.version = version,
		.fd_flags = pass ? 0 : FD_CLOEXEC,
	};

	return (state_save(&writer, master));
}

/*
 * Taking what was read.
 *
 * What is taken of an item is not in it any more.
 */

/* Move an item to a place that lasts; NULL says why. */
static void *
state_keep(struct state_reader *reader, void *item, size_t size)
{
	void *kept;

	if ((kept = malloc(size)) == NULL) {
		(void)state_reject(reader, "%s", strerror(errno));
		return (NULL);
	}
	memcpy(kept, item, size);
	memset(item, 0, size);
	return (kept);
}

/* Whether a process that has a channel can be talked to. */
static int
state_check_channel(struct state_reader *reader, const struct process *process)
{
	if (process->fd == -1 || ctl_is_spoken(process->speaks))
		return (0);
	return (state_reject(reader, "process %d speaks version %u of the "
	    "control protocol, and this program knows %d to %d: its "
	    "connections would be lost", (int)process->pid, process->speaks,
	    CTL_PREVIOUS, CTL_VERSION));
}

/* A name has the number that it had. */
static int
state_take_name(struct state_reader *reader, struct registry *registry,
    const char *name)
{
	if (registry_restore(registry, name) == 0)
		return (0);
	return (state_reject(reader, "the name %.60s does not fit", name));
}

static int
state_take_generation(struct state_reader *reader, struct generation *read)
{
	struct generation *generation = NULL;

	if (read->number != 0 && (generation = generation_refer(reader->master,
	    read->number)) == NULL)
		return (state_reject(reader, "%s", strerror(errno)));
	if (generation == NULL || generation->text != NULL)
		return (state_reject(reader, "generation %" PRIu64
		    " does not fit", read->number));
	generation->loaded = read->loaded;
	generation->slots = read->slots;
	generation->identity = read->identity;
	generation->path = read->path;
	generation->text = read->text;
	read->path = read->text = NULL;
	return (0);
}

static int
state_take_slot(struct state_reader *reader, const struct saved_slot *saved)
{
	struct master *master = reader->master;
	size_t n = master->nslots;

	if (n == CONF_WORKERS_MAX)
		return (state_reject(reader, "one slot too many"));
	if (saved->counters == -1)
		return (state_reject(reader, "slot %zu has no counters", n));
	master->counters[n].fd = saved->counters;
	master->slots[n] = (struct slot){
		.number = (unsigned)n,
		.pause = saved->pause,
	};
	master->nslots++;
	return (0);
}

static int
state_take_group(struct state_reader *reader, const struct socket_group *read)
{
	struct master *master = reader->master;
	struct socket_group *group;

	if (!read->monitor && master->monitor.sockets.n > 0)
		return (state_reject(reader, "a group comes too late"));
	group = sockets_restore(read->monitor ? &master->monitor.sockets :
	    &master->sockets, read->text);
	if (group == NULL)
		return (state_reject(reader, "group %.60s: %s", read->text,
		    strerror(errno)));
	group->nlistening = read->nlistening;
	group->inode = read->inode;
	return (0);
}

static int
state_take_socket(struct state_reader *reader, const struct saved_socket *saved)
{
	struct socket_group *group;

	group = state_nth_group(reader->master, saved->group);
	if (group == NULL || saved->fd == -1)
		return (state_reject(reader, "a socket has no group"));
	if (group->nfds == CONF_WORKERS_MAX)
		return (state_reject(reader, "group %u has too many sockets",
		    saved->group));
	group->fds[group->nfds++] = saved->fd;
	return (0);
}

/* At most one worker serves in a slot, and each has a block of its own. */
static int
state_take_worker(struct state_reader *reader, struct worker_proc *read)
{
	struct master *master = reader->master;
	struct slot *slot = read->slot;
	struct worker_proc *worker;

	if (slot >= &master->slots[master->nslots] ||
	    workers_use_block(master, slot, read->block) ||
	    read->generation == NULL ||
	    (read->serving && slot->serving != NULL))
		return (state_reject(reader, "child %d does not fit",
		    (int)read->process.pid));
	if (state_check_channel(reader, &read->process) == -1 ||
	    (worker = state_keep(reader, read, sizeof(*read))) == NULL)
		return (-1);
	TAILQ_INIT(&worker->crew.members);
	TAILQ_INIT(&worker->crew.dead);
	worker->is_dismissed = worker->state >= WORKER_ENDING;
	/* Upgrades wait for that. */
	worker->has_adopted = worker->is_rescuer;
	if (worker->serving)
		slot->serving = worker;
	TAILQ_INSERT_TAIL(&master->workers, worker, link);
	return (0);
}

static int
state_take_shortage(struct state_reader *reader,
    const struct saved_shortage *saved)
{
	if (saved->worker == NULL)
		return (state_reject(reader, "a shortage of no worker"));
	saved->worker->crew.shortage[saved->handler] = saved->shortage;
	return (0);
}

static int
state_take_executor(struct state_reader *reader, struct executor_proc *read)
{
	struct executor_proc *executor;

	if (read->generation == NULL || (read->worker == NULL) !=
	    (read->state == EXECUTOR_LEAVING) ||
	    (read->requests != -1 && read->work == -1))
		return (state_reject(reader, "executor %d does not fit",
		    (int)read->process.pid));
	if (state_check_channel(reader, &read->process) == -1 ||
	    (executor = state_keep(reader, read, sizeof(*read))) == NULL)
		return (-1);
	executor->errors.len = strlen(executor->errors.text);
	TAILQ_INSERT_TAIL(executor->worker != NULL ?
	    &executor->worker->crew.members : &reader->master->leaving,
	    executor, link);
	return (0);
}

static int
state_take_report(struct state_reader *reader, struct succession_report *read)
{
	struct succession_report_list *reports = &reader->master->reports;
	const struct succession_report *last;
	struct succession_report *report;

	if ((report = state_keep(reader, read, sizeof(*read))) == NULL)
		return (-1);
	last = TAILQ_LAST(reports, succession_report_list);
	report->number = last != NULL ? last->number + 1 : 0;
	TAILQ_INSERT_TAIL(reports, report, link);
	return (0);
}

static struct succession_report *
state_find_report(const struct master *master, unsigned number)
{
	struct succession_report *report;

	TAILQ_FOREACH(report, &master->reports, link)
		if (report->number == number)
			break;
	return (report);
}

static int
state_take_departure(struct state_reader *reader,
    const struct saved_departure *saved)
{
	struct succession_report *report;

	report = state_find_report(reader->master, saved->report);
	if (report == NULL)
		return (state_reject(reader, "a departure of no report"));
	report->told.slot_ms[saved->slot] = saved->ms;
	if (saved->slot >= report->told.slots)
		report->told.slots = saved->slot + 1;
	return (0);
}

static int
state_take_awaited(struct state_reader *reader,
    const struct saved_awaited *saved)
{
	struct worker_proc *worker = saved->worker;
	struct succession_report *report;

	report = state_find_report(reader->master, saved->report);
	if (report == NULL || worker == NULL || worker->report != NULL)
		return (state_reject(reader,
		    "a worker does not fit its report"));
	worker->report = report;
	worker->adopted = saved->fates;
	worker->given.longest_us = saved->longest_us;
	report->workers++;
	return (0);
}

static int
state_take_monitor(struct state_reader *reader, const struct monitor_proc *read)
{
	struct monitor_proc *monitor = &reader->master->monitor;
	struct sockets sockets = monitor->sockets;

	if (monitor->process.pid != 0)
		return (state_reject(reader, "one monitor too many"));
	*monitor = *read;
	monitor->sockets = sockets;
	return (state_check_channel(reader, &monitor->process));
}

static int
state_take_anchor(struct state_reader *reader, struct anchor_proc *read)
{
	struct worker_proc *worker = read->worker;

	if (worker == NULL || worker->anchor != NULL || read->process.fd == -1)
		return (state_reject(reader, "anchor %d does not fit",
		    (int)read->process.pid));
	if (state_check_channel(reader, &read->process) == -1)
		return (-1);
	worker->anchor = state_keep(reader, read, sizeof(*read));
	if (worker->anchor == NULL)
		return (-1);
	worker->anchor->worker = worker;
	return (0);
}

static int
state_take(struct state_reader *reader, enum state_record record,
    union state_item *item)
{
	struct master *master = reader->master;

	switch (record) {
	case STATE_SERVER:
		return (0);
	case STATE_LISTENER:
		return (state_take_name(reader, &master->listener_names,
		    item->name));
	case STATE_HANDLER:
		return (state_take_name(reader, &master->handler_names,
		    item->name));
	case STATE_GENERATION:
		return (state_take_generation(reader, &item->generation));
	case STATE_SLOT:
		return (state_take_slot(reader, &item->slot));
	case STATE_GROUP:
		return (state_take_group(reader, &item->group));
	case STATE_SOCKET:
		return (state_take_socket(reader, &item->socket));
	case STATE_WORKER:
		return (state_take_worker(reader, &item->worker));
	case STATE_SHORTAGE:
		return (state_take_shortage(reader, &item->shortage));
	case STATE_EXECUTOR:
		return (state_take_executor(reader, &item->executor));
	case STATE_REPORT:
		return (state_take_report(reader, &item->report));
	case STATE_DEPARTURE:
		return (state_take_departure(reader, &item->departure));
	case STATE_AWAITED:
		return (state_take_awaited(reader, &item->awaited));
	case STATE_MONITOR:
		return (state_take_monitor(reader, &item->monitor));
	case STATE_ANCHOR:
		return (state_take_anchor(reader, &item->anchor));
	case STATE_RECORDS:
		break;
	}
	return (-1);
}

/*
 * What has to hold between the records.
 */

static int
state_compare(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return ((*x > *y) - (*x < *y));
}

static int
state_check_owners(struct state_reader *reader)
{
	if (reader->nowned > 1)
		qsort(reader->owned, reader->nowned, sizeof(int),
		    state_compare);
	for (size_t i = 1; i < reader->nowned; i++)
		if (reader->owned[i] == reader->owned[i - 1])
			return (state_reject(reader, "a descriptor or process "
			    "has two owners"));
	return (0);
}

static int
state_check_server(struct state_reader *reader)
{
	const struct master *master = reader->master;

	if (master->running == NULL)
		return (state_reject(reader,
		    "the running generation is missing"));
	if (master->upgrade.task == STATE_TASK_ROLLBACK &&
	    master->upgrade.back == NULL)
		return (state_reject(reader, "nowhere to go back to"));
	if (master->status.fd == -1 || master->spans.fd == -1 ||
	    *master->upgrade.path != '/')
		return (state_reject(reader,
		    "status, spans or program is missing"));
	return (0);
}

static int
state_check_generations(struct state_reader *reader)
{
	const struct generation *generation;

	TAILQ_FOREACH(generation, &reader->master->generations, link) {
		if (generation->text == NULL)
			return (state_reject(reader, "generation %" PRIu64
			    " is missing", generation->number));
		if (generation->slots == 0 ||
		    generation->slots > reader->master->nslots ||
		    generation->number > reader->master->numbered)
			return (state_reject(reader, "generation %" PRIu64
			    " does not fit", generation->number));
	}
	return (0);
}

static int
state_check_sockets(struct state_reader *reader)
{
	const struct socket_group *group;

	for (size_t i = 0; (group = state_nth_group(reader->master, i)) != NULL;
	    i++)
		if (group->nfds != group->nlistening)
			return (state_reject(reader, "group %zu has %u sockets",
			    i, group->nfds));
	return (0);
}

/* Somebody's end completes each report. */
static int
state_check_reports(struct state_reader *reader)
{
	const struct succession_report *report;

	TAILQ_FOREACH(report, &reader->master->reports, link)
		if (report->workers == 0)
			return (state_reject(reader, "report %u awaits nobody",
			    report->number));
	return (0);
}

static int
state_check(struct state_reader *reader)
{
	if (state_check_server(reader) == -1 ||
	    state_check_generations(reader) == -1 ||
	    state_check_sockets(reader) == -1 ||
	    state_check_reports(reader) == -1)
		return (-1);
	return (state_check_owners(reader));
}

int
state_parse(struct master *master, const char *text, size_t len,
    struct why *why)
{
	struct state_reader reader = {
		.master = master,
		.at = text,
		.end = text + len,
		.line = 1,
		.why = why,
	};
	enum state_record record = STATE_SERVER;
	union state_item item;
	int more, result;

	result = state_record_read_head(&reader);
	while (result == 0 &&
	    (more = state_record_read(&reader, &record, &item)) != 0) {
		result = more == -1 ? -1 : state_take(&reader, record, &item);
		state_record_drop(record, &item);
	}
	if (result == 0)
		result = state_check(&reader);
	free(reader.owned);
	return (result);
}

int
state_read(struct master *master, int fd, struct why *why)
{
	struct stat st;
	char *text;
	int result;

	errno = EFBIG;
	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) ||
	    st.st_size > STATE_SIZE_MAX ||
	    (text = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd,
	    0)) == MAP_FAILED)
		return (why_set(why, "the state cannot be read: %s",
		    strerror(errno)));
	result = state_parse(master, text, (size_t)st.st_size, why);
	munmap(text, (size_t)st.st_size);
	return (result);
}
