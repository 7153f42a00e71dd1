/* SPDX-License-Identifier: ISC */
#include "master/state.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/ctl.h"
#include "master/master.h"

/*
 * The rows.
 */

enum field_kind {
	FIELD_NUMBER,		/* of any size, and flags */
	FIELD_SPEAKS,		/* a number: CTL_VERSION on a channel */
	FIELD_PID,		/* a number, of a process that is ours */
	FIELD_FD,		/* "-" is -1 */
	FIELD_STRING,		/* char *, in quotes; owned; NULL is "" */
	FIELD_TEXT,		/* char[], in quotes */
	FIELD_GENERATION,	/* a pointer; its number, or 0 */
	FIELD_SLOT,		/* a pointer; its number */
	FIELD_WORKER,		/* a pointer; its pid, or 0 */
};

/* Its place in a line is that in its table. */
struct field {
	const char *name;	/* NULL ends a table */
	enum field_kind kind;
	size_t offset;
	size_t size;
	uint64_t max;		/* of a number */
	unsigned since;		/* STATE_VERSION; 0: as long as there is the
				   record */
};

/* What has no struct of its own in the master. */
struct saved_slot {
	int counters;
	struct pause pause;
};

struct saved_socket {
	unsigned group;		/* the n-th of these */
	int fd;
};

struct saved_shortage {
	struct worker_proc *worker;
	unsigned handler;
	struct shortage shortage;
};

/* A worker that has gone. */
struct saved_departure {
	unsigned report;	/* the n-th of these */
	unsigned slot;
	unsigned ms;		/* until then */
};

/* A worker whose end a report awaits. */
struct saved_awaited {
	struct worker_proc *worker;
	unsigned report;
	struct counters_fates fates;
	uint64_t longest_us;
};

#define ROW(type, member, kind, max, since)				\
	{ #member, FIELD_##kind, offsetof(struct type, member),		\
	  sizeof(((struct type *)0)->member), (max), (since) }
#define FLAG(type, member)		ROW(type, member, NUMBER, 1, 0)
#define NUMBER(type, member, max)	ROW(type, member, NUMBER, max, 0)
#define U64(type, member)		ROW(type, member, NUMBER, UINT64_MAX, 0)
#define PID(type, member)		ROW(type, member, PID, INT_MAX, 0)
#define FD(type, member)		ROW(type, member, FD, INT_MAX, 0)
#define STRING(type, member)		ROW(type, member, STRING, 0, 0)
#define TEXT(type, member)		ROW(type, member, TEXT, 0, 0)
#define GENERATION(type, member)	ROW(type, member, GENERATION, UINT64_MAX, 0)
#define WORKER(type, member)		ROW(type, member, WORKER, INT_MAX, 0)
/* New ones stand at the end. */
#define SPEAKS(type, member)		ROW(type, member, SPEAKS, UINT16_MAX, 4)
#define END { .name = NULL }

static const struct field server_fields[] = {
	NUMBER(master, upgrade.task, STATE_TASK_ROLLBACK),
	NUMBER(master, upgrade.speaks, UINT16_MAX),
	GENERATION(master, running),
	GENERATION(master, upgrade.back),
	U64(master, numbered),
	U64(master, executors),
	U64(master, started),
	FD(master, upgrade.log),
	FD(master, pidfile.fd),
	FD(master, status.fd),
	FD(master, spans.fd),
	FD(master, upgrade.previous),
	TEXT(master, upgrade.version),
	STRING(master, upgrade.path),
	STRING(master, pidfile.path),
	TEXT(master, upgrade.reason),
	END
};

static const struct field name_fields[] = {
	{ "name", FIELD_STRING, 0, sizeof(char *), 0, 0 },
	END
};

static const struct field generation_fields[] = {
	U64(generation, number),
	U64(generation, loaded),
	NUMBER(generation, slots, CONF_WORKERS_MAX),
	FLAG(generation, identity.change),
	NUMBER(generation, identity.uid, UINT_MAX),
	NUMBER(generation, identity.gid, UINT_MAX),
	STRING(generation, path),
	STRING(generation, text),
	END
};

static const struct field slot_fields[] = {
	FD(saved_slot, counters),
	NUMBER(saved_slot, pause.young_deaths, UINT_MAX),
	U64(saved_slot, pause.again_ms),
	END
};

static const struct field group_fields[] = {
	FLAG(socket_group, monitor),
	NUMBER(socket_group, nlistening, CONF_WORKERS_MAX),
	U64(socket_group, inode),
	STRING(socket_group, text),
	END
};

static const struct field socket_fields[] = {
	NUMBER(saved_socket, group, UINT_MAX),
	FD(saved_socket, fd),
	END
};

static const struct field worker_fields[] = {
	PID(worker_proc, process.pid),
	ROW(worker_proc, slot, SLOT, CONF_WORKERS_MAX - 1, 0),
	NUMBER(worker_proc, block, COUNTERS_BLOCKS - 1),
	GENERATION(worker_proc, generation),
	NUMBER(worker_proc, state, WORKER_ENDING),
	FLAG(worker_proc, serving),
	FD(worker_proc, process.fd),
	NUMBER(worker_proc, crew.awaited, UINT_MAX),
	U64(worker_proc, process.born_ms),
	U64(worker_proc, process.patience_ms),
	TEXT(worker_proc, why),
	SPEAKS(worker_proc, process.speaks),
	END
};

static const struct field shortage_fields[] = {
	WORKER(saved_shortage, worker),
	NUMBER(saved_shortage, handler, CONF_HANDLERS_MAX - 1),
	NUMBER(saved_shortage, shortage.missing, UINT_MAX),
	NUMBER(saved_shortage, shortage.pause.young_deaths, UINT_MAX),
	U64(saved_shortage, shortage.pause.again_ms),
	END
};

static const struct field executor_fields[] = {
	PID(executor_proc, process.pid),
	WORKER(executor_proc, worker),
	U64(executor_proc, id),
	GENERATION(executor_proc, generation),
	NUMBER(executor_proc, handler, CONF_HANDLERS_MAX - 1),
	NUMBER(executor_proc, state, EXECUTOR_DISOWNED),
	FLAG(executor_proc, asked),
	FD(executor_proc, work),
	FD(executor_proc, process.fd),
	FD(executor_proc, errors.fd),
	U64(executor_proc, process.born_ms),
	U64(executor_proc, process.patience_ms),
	TEXT(executor_proc, why),
	TEXT(executor_proc, errors.last),
	TEXT(executor_proc, errors.text),
	SPEAKS(executor_proc, process.speaks),
	SPEAKS(executor_proc, work_speaks),
	ROW(executor_proc, requests, FD, INT_MAX, 4),
	END
};

static const struct field report_fields[] = {
	NUMBER(succession_report, told.kind, STATUS_KINDS - 1),
	U64(succession_report, told.generation),
	U64(succession_report, told.begun),
	U64(succession_report, begun_ms),
	U64(succession_report, told.held),
	U64(succession_report, told.carried),
	U64(succession_report, told.finished),
	U64(succession_report, told.cut),
	U64(succession_report, told.lost),
	U64(succession_report, told.longest_us),
	END
};

static const struct field departure_fields[] = {
	NUMBER(saved_departure, report, UINT_MAX),
	NUMBER(saved_departure, slot, CONF_WORKERS_MAX - 1),
	NUMBER(saved_departure, ms, UINT_MAX),
	END
};

static const struct field awaited_fields[] = {
	WORKER(saved_awaited, worker),
	NUMBER(saved_awaited, report, UINT_MAX),
	U64(saved_awaited, fates.carried),
	U64(saved_awaited, fates.finished),
	U64(saved_awaited, fates.cut),
	U64(saved_awaited, longest_us),
	ROW(saved_awaited, fates.closed, NUMBER, UINT64_MAX, 4),
	END
};

static const struct field monitor_fields[] = {
	PID(monitor_proc, process.pid),
	U64(monitor_proc, process.generation),
	FD(monitor_proc, process.fd),
	FLAG(monitor_proc, due),
	FLAG(monitor_proc, leaving),
	NUMBER(monitor_proc, pause.young_deaths, UINT_MAX),
	U64(monitor_proc, process.born_ms),
	U64(monitor_proc, pause.again_ms),
	U64(monitor_proc, process.patience_ms),
	SPEAKS(monitor_proc, process.speaks),
	END
};

/* A line before it is taken. */
union item {
	char *name;
	struct generation generation;
	struct saved_slot slot;
	struct socket_group group;
	struct saved_socket socket;
	struct worker_proc worker;
	struct saved_shortage shortage;
	struct executor_proc executor;
	struct succession_report report;
	struct saved_departure departure;
	struct saved_awaited awaited;
	struct monitor_proc monitor;
};

enum record_number {
	SERVER, LISTENER, HANDLER, GENERATION, SLOT, GROUP, SOCKET, WORKER,
	SHORTAGE, EXECUTOR, REPORT, DEPARTURE, AWAITED, MONITOR, NRECORDS
};

struct reader;

struct record {
	const char *name;
	const struct field *fields;
	/* Check a line that was read, and put it in its place; NULL: see
	 * parse_server(). */
	int (*take)(struct reader *, union item *);
};

/* All of them: see below. */
static const struct record records[NRECORDS];

#define HEAD "penstock-state "
#define TAIL "end"

static void *
place_of(const struct field *field, const void *item)
{
	return ((char *)(uintptr_t)item + field->offset);
}

static uint64_t
get_number(const struct field *field, const void *item)
{
	const void *place = place_of(field, item);

	switch (field->size) {
	case sizeof(bool):
		return (*(const bool *)place);
	case sizeof(uint32_t):
		return (*(const uint32_t *)place);
	}
	return (*(const uint64_t *)place);
}

static void
set_number(const struct field *field, void *item, uint64_t number)
{
	void *place = place_of(field, item);

	switch (field->size) {
	case sizeof(bool):
		*(bool *)place = number != 0;
		return;
	case sizeof(uint32_t):
		*(uint32_t *)place = (uint32_t)number;
		return;
	}
	*(uint64_t *)place = number;
}

/*
 * A walk over all records of a master, in the order of the text.
 *
 * What is not stored as it is written is put into a copy.
 */

struct walk {
	const struct master *master;
	unsigned version;
	FILE *out;		/* to write to; NULL: see to descriptors */
	int flags;		/* that these are to have */
	int wrong;		/* errno; 0 */
};

static void write_field(FILE *, const struct field *, const void *item);

static void
visit(struct walk *walk, enum record_number number, const void *item)
{
	const struct record *record = &records[number];

	if (walk->out != NULL)
		fputs(record->name, walk->out);
	for (const struct field *field = record->fields; field->name != NULL;
	    field++) {
		const int *fd = place_of(field, item);

		if (field->since > walk->version)
			continue;
		if (walk->out != NULL)
			write_field(walk->out, field, item);
		else if (field->kind == FIELD_FD && *fd != -1 &&
		    fcntl(*fd, F_SETFD, walk->flags) == -1)
			walk->wrong = errno;
	}
	if (walk->out != NULL)
		putc('\n', walk->out);
}

static void
walk_names(struct walk *walk, enum record_number number,
    const struct registry *registry)
{
	for (unsigned i = 0; i < registry->n; i++)
		visit(walk, number, &registry->names[i]);
}

/* The text of a configuration; NULL with errno set. */
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

static void
walk_generation(struct walk *walk, const struct generation *generation)
{
	const struct conf *conf = generation->conf;
	struct generation saved = *generation;
	char *text = NULL;

	if (conf != NULL && walk->out != NULL) {
		saved.path = conf->path;
		saved.text = text = print_conf(conf, walk->version);
		if (text == NULL)
			walk->wrong = errno;
	}
	visit(walk, GENERATION, &saved);
	free(text);
}

static void
walk_slots(struct walk *walk)
{
	const struct master *master = walk->master;

	for (size_t i = 0; i < master->nslots; i++) {
		const struct saved_slot saved = {
			.counters = master->counters[i].fd,
			.pause = master->slots[i].pause,
		};

		visit(walk, SLOT, &saved);
	}
}

static void
walk_groups(struct walk *walk, const struct sockets *sockets, bool monitor)
{
	for (size_t i = 0; i < sockets->n; i++) {
		struct socket_group saved = *sockets->groups[i];

		saved.monitor = monitor;
		visit(walk, GROUP, &saved);
	}
}

/* first is the number of the first group. */
static void
walk_sockets(struct walk *walk, const struct sockets *sockets, size_t first)
{
	for (size_t i = 0; i < sockets->n; i++)
		for (unsigned k = 0; k < sockets->groups[i]->nlistening; k++) {
			const struct saved_socket saved = {
				.group = (unsigned)(first + i),
				.fd = sockets->groups[i]->fds[k],
			};

			visit(walk, SOCKET, &saved);
		}
}

/* Until a process is adopted, the descriptor of its channel is a number. */
static void
find_channel(struct process *process)
{
	if (process->channel == NULL)
		return;
	process->fd = channel_fd(process->channel);
	process->speaks = channel_speaks(process->channel);
}

static void
walk_worker(struct walk *walk, const struct worker_proc *worker)
{
	struct worker_proc saved = *worker;

	saved.serving = worker == worker->slot->serving;
	find_channel(&saved.process);
	visit(walk, WORKER, &saved);
}

static void
walk_shortages(struct walk *walk, const struct worker_proc *worker)
{
	for (unsigned i = 0; i < CONF_HANDLERS_MAX; i++) {
		struct saved_shortage saved = {
			.worker = (struct worker_proc *)(uintptr_t)worker,
			.handler = i,
			.shortage = worker->crew.shortage[i],
		};

		saved.shortage.missing = crew_missing(worker, i);
		if (saved.shortage.missing > 0 ||
		    saved.shortage.pause.young_deaths > 0)
			visit(walk, SHORTAGE, &saved);
	}
}

static void
walk_executor(struct walk *walk, const struct executor_proc *executor)
{
	struct executor_proc saved = *executor;

	find_channel(&saved.process);
	/* Until it is parted with: see crews_suit_previous(). */
	if (walk->version == STATE_PREVIOUS && saved.state > EXECUTOR_LEAVING)
		saved.state = EXECUTOR_SERVING;
	saved.errors.text[saved.errors.len] = '\0';
	visit(walk, EXECUTOR, &saved);
}

static void
walk_workers(struct walk *walk)
{
	const struct executor_proc *executor;
	const struct worker_proc *worker;

	TAILQ_FOREACH(worker, &walk->master->workers, link)
		walk_worker(walk, worker);
	TAILQ_FOREACH(worker, &walk->master->workers, link)
		walk_shortages(walk, worker);
	TAILQ_FOREACH(worker, &walk->master->workers, link)
		TAILQ_FOREACH(executor, &worker->crew.members, link)
			walk_executor(walk, executor);
	TAILQ_FOREACH(executor, &walk->master->leaving, link)
		walk_executor(walk, executor);
}

static void
walk_departures(struct walk *walk, const struct succession_report *report)
{
	for (unsigned i = 0; i < report->told.slots; i++) {
		const struct saved_departure saved = {
			.report = report->number,
			.slot = i,
			.ms = report->told.slot_ms[i],
		};

		if (saved.ms > 0)
			visit(walk, DEPARTURE, &saved);
	}
}

static void
walk_awaited(struct walk *walk, const struct worker_proc *worker)
{
	struct saved_awaited saved = {
		.worker = (struct worker_proc *)(uintptr_t)worker,
	};

	if (worker->report == NULL)
		return;
	saved.report = worker->report->number;
	saved.longest_us = succession_so_far(worker, &saved.fates);
	visit(walk, AWAITED, &saved);
}

static void
walk_reports(struct walk *walk)
{
	struct succession_report *report;
	const struct worker_proc *worker;
	unsigned n = 0;

	TAILQ_FOREACH(report, &walk->master->reports, link) {
		report->number = n++;
		visit(walk, REPORT, report);
	}
	TAILQ_FOREACH(report, &walk->master->reports, link)
		walk_departures(walk, report);
	TAILQ_FOREACH(worker, &walk->master->workers, link)
		walk_awaited(walk, worker);
}

static void
walk_monitor(struct walk *walk)
{
	struct monitor_proc saved = walk->master->monitor;

	find_channel(&saved.process);
	if (saved.process.pid != 0)
		visit(walk, MONITOR, &saved);
}

static void
walk_all(struct walk *walk)
{
	const struct master *master = walk->master;
	const struct generation *generation;

	visit(walk, SERVER, master);
	walk_names(walk, LISTENER, &master->listener_names);
	walk_names(walk, HANDLER, &master->handler_names);
	TAILQ_FOREACH(generation, &master->generations, link)
		walk_generation(walk, generation);
	walk_slots(walk);
	walk_groups(walk, &master->sockets, false);
	walk_groups(walk, &master->monitor.sockets, true);
	walk_sockets(walk, &master->sockets, 0);
	walk_sockets(walk, &master->monitor.sockets, master->sockets.n);
	walk_workers(walk);
	walk_reports(walk);
	walk_monitor(walk);
}

/*
 * Writing.
 */

static void
write_string(FILE *out, const char *string)
{
	putc('"', out);
	for (const unsigned char *c = (const unsigned char *)string;
	    c != NULL && *c != '\0'; c++)
		if (*c < ' ' || *c >= 0x7f || *c == '"' || *c == '\\')
			fprintf(out, "\\%02x", *c);
		else
			putc(*c, out);
	putc('"', out);
}

static void
write_field(FILE *out, const struct field *field, const void *item)
{
	const void *place = place_of(field, item);
	const struct generation *generation;
	const struct worker_proc *worker;

	putc(' ', out);
	switch (field->kind) {
	case FIELD_NUMBER:
	case FIELD_SPEAKS:
	case FIELD_PID:
		fprintf(out, "%" PRIu64, get_number(field, item));
		return;
	case FIELD_FD:
		if (*(const int *)place == -1)
			putc('-', out);
		else
			fprintf(out, "%d", *(const int *)place);
		return;
	case FIELD_STRING:
		write_string(out, *(char *const *)place);
		return;
	case FIELD_TEXT:
		write_string(out, place);
		return;
	case FIELD_GENERATION:
		generation = *(struct generation *const *)place;
		fprintf(out, "%" PRIu64, generation == NULL ? 0 :
		    generation->number);
		return;
	case FIELD_SLOT:
		fprintf(out, "%u", (*(struct slot *const *)place)->number);
		return;
	case FIELD_WORKER:
		worker = *(struct worker_proc *const *)place;
		fprintf(out, "%d", worker == NULL ? 0 :
		    (int)worker->process.pid);
		return;
	}
}

int
state_write(FILE *out, const struct master *master, unsigned version)
{
	struct walk walk = {
		.master = master,
		.version = version,
		.out = out,
	};

	fprintf(out, HEAD "%u\n", version);
	walk_all(&walk);
	fputs(TAIL "\n", out);
	if (fflush(out) == EOF || ferror(out))
		walk.wrong = ENOSPC;
	errno = walk.wrong;
	return (walk.wrong == 0 ? 0 : -1);
}

/*
 * Reading.
 */

/* A reader of one text. */
struct reader {
	struct master *master;
	const char *at;
	const char *end;
	unsigned line;
	unsigned version;
	bool has_server;
	unsigned nreports;
	int *owned;		/* descriptors; and processes, as -pid */
	size_t nowned;
	char *why;		/* of STATE_WHY_MAX */
};

static int __attribute__((format(printf, 2, 3)))
reject(struct reader *reader, const char *fmt, ...)
{
	va_list args;
	int used;

	used = snprintf(reader->why, STATE_WHY_MAX, "line %u: ", reader->line);
	va_start(args, fmt);
	vsnprintf(reader->why + used, STATE_WHY_MAX - (size_t)used, fmt, args);
	va_end(args);
	return (-1);
}

static bool
take_text(struct reader *reader, const char *text)
{
	size_t len = strlen(text);

	if ((size_t)(reader->end - reader->at) < len ||
	    memcmp(reader->at, text, len) != 0)
		return (false);
	reader->at += len;
	return (true);
}

static bool
is_digit(char c)
{
	return (c >= '0' && c <= '9');
}

/* Digits, as printf(3) writes them: no sign, no leading zero. */
static bool
take_number(struct reader *reader, uint64_t max, uint64_t *value)
{
	const char *first = reader->at;
	uint64_t digit;

	*value = 0;
	for (; reader->at < reader->end && is_digit(*reader->at);
	    reader->at++) {
		digit = (uint64_t)(*reader->at - '0');
		if (*value > (max - digit) / 10 || digit > max)
			return (false);
		*value = *value * 10 + digit;
	}
	return (reader->at > first &&
	    (*first != '0' || reader->at == first + 1));
}

static int
hex_value(char c)
{
	if (is_digit(c))
		return (c - '0');
	return (c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1);
}

/* The byte behind a backslash; 0 if it is none. */
static unsigned char
take_escape(struct reader *reader)
{
	int high, low;

	if (reader->end - reader->at < 2)
		return (0);
	high = hex_value(reader->at[0]);
	low = hex_value(reader->at[1]);
	reader->at += 2;
	return (high < 0 || low < 0 ? 0 : (unsigned char)(high * 16 + low));
}

/* Returns NULL if there is no whole string, with errno 0, or no memory. */
static char *
take_string(struct reader *reader)
{
	const char *close;
	char *string, *to;
	char c;

	errno = 0;
	if (!take_text(reader, "\"") || (close = memchr(reader->at, '"',
	    (size_t)(reader->end - reader->at))) == NULL)
		return (NULL);
	if ((to = string = malloc((size_t)(close - reader->at) + 1)) == NULL)
		return (NULL);
	while (reader->at < close) {
		c = *reader->at++;
		if (c == '\\')
			c = (char)take_escape(reader);
		/* Whatever else the printer would have escaped. */
		else if (c < ' ' || c == 0x7f)
			c = '\0';
		if (c == '\0' || reader->at > close) {
			free(string);
			errno = 0;
			return (NULL);
		}
		*to++ = c;
	}
	*to = '\0';
	reader->at = close + 1;
	return (string);
}

static struct worker_proc *
find_worker(const struct master *master, uint64_t pid)
{
	struct worker_proc *worker;

	TAILQ_FOREACH(worker, &master->workers, link)
		if ((uint64_t)worker->process.pid == pid)
			break;
	return (worker);
}

static bool
parse_text(struct reader *reader, const struct field *field, void *place)
{
	char *text;

	if ((text = take_string(reader)) == NULL)
		return (false);
	snprintf(place, field->size, "%s", text);
	free(text);
	return (true);
}

/* A pointer to what stands above, or, of a generation, may follow. */
static bool
parse_pointer(struct reader *reader, const struct field *field, void *place,
    uint64_t number)
{
	struct master *master = reader->master;
	void *pointer = NULL;

	if (field->kind == FIELD_SLOT)
		pointer = &master->slots[number];
	else if (field->kind == FIELD_WORKER && number != 0)
		pointer = find_worker(master, number);
	else if (number != 0)
		pointer = generation_refer(master, number);
	*(void **)place = pointer;
	return (pointer != NULL || number == 0);
}

/* Each descriptor and process has one owner. */
static bool
own(struct reader *reader, int number)
{
	size_t n = reader->nowned;
	int *grown;

	/* Room doubles when the number is a power of two. */
	if ((n & (n - 1)) == 0) {
		grown = reallocarray(reader->owned, n == 0 ? 1 : 2 * n,
		    sizeof(*grown));
		if (grown == NULL)
			return (false);
		reader->owned = grown;
	}
	reader->owned[reader->nowned++] = number;
	return (true);
}

static bool
parse_value(struct reader *reader, const struct field *field, void *item)
{
	void *place = place_of(field, item);
	uint64_t number = 0;

	if (field->kind == FIELD_STRING) {
		free(*(char **)place);
		return ((*(char **)place = take_string(reader)) != NULL);
	}
	if (field->kind == FIELD_TEXT)
		return (parse_text(reader, field, place));
	if (field->kind == FIELD_FD && take_text(reader, "-")) {
		*(int *)place = -1;
		return (true);
	}
	if (!take_number(reader, field->max, &number))
		return (false);
	if (field->kind >= FIELD_GENERATION)
		return (parse_pointer(reader, field, place, number));
	set_number(field, item, number);
	if (field->kind == FIELD_PID)
		return (number > 0 && own(reader, -(int)number));
	return (field->kind != FIELD_FD || (number > STDERR_FILENO &&
	    own(reader, (int)number)));
}

/* The version does not have the field.  The previous one has one version for all
 * channels. */
static void
set_default(const struct reader *reader, const struct field *field, void *item)
{
	if (field->kind == FIELD_FD)
		*(int *)place_of(field, item) = -1;
	if (field->kind == FIELD_SPEAKS)
		set_number(field, item, reader->master->upgrade.speaks);
}

static int
parse_fields(struct reader *reader, const struct record *record, void *item)
{
	for (const struct field *field = record->fields; field->name != NULL;
	    field++) {
		errno = 0;
		if (field->since > reader->version) {
			set_default(reader, field, item);
			continue;
		}
		if (take_text(reader, " ") && parse_value(reader, field, item))
			continue;
		if (errno == ENOMEM)
			return (reject(reader, "%s", strerror(errno)));
		return (reject(reader, "%s: %s is missing or wrong",
		    record->name, field->name));
	}
	if (!take_text(reader, "\n"))
		return (reject(reader, "%s: more than is known",
		    record->name));
	return (0);
}

static const struct record *
take_name(struct reader *reader)
{
	const char *name = reader->at;

	for (size_t r = 0; r < NRECORDS; r++) {
		if (take_text(reader, records[r].name) &&
		    reader->at < reader->end && *reader->at == ' ')
			return (&records[r]);
		reader->at = name;
	}
	return (NULL);
}

/* The one line that is read to where it belongs. */
static int
parse_server(struct reader *reader)
{
	struct master *master = reader->master;

	if (reader->has_server)
		return (reject(reader, "one server too many"));
	reader->has_server = true;
	if (parse_fields(reader, &records[SERVER], master) == -1) {
		master->running = master->upgrade.back = NULL;
		return (-1);
	}
	if (master->running != NULL)
		generation_hold(master->running);
	if (master->upgrade.back != NULL)
		generation_hold(master->upgrade.back);
	if (*master->pidfile.path == '\0') {
		free(master->pidfile.path);
		master->pidfile.path = NULL;
	}
	return (0);
}

static int
parse_record(struct reader *reader)
{
	const struct record *record;
	union item item;
	int result;

	if ((record = take_name(reader)) == NULL)
		return (reject(reader, "unknown record"));
	if (record == &records[SERVER])
		return (parse_server(reader));
	memset(&item, 0, sizeof(item));
	result = parse_fields(reader, record, &item);
	if (result == 0)
		result = record->take(reader, &item);
	/* What is still here was not taken. */
	for (const struct field *field = record->fields; field->name != NULL;
	    field++)
		if (field->kind == FIELD_STRING)
			free(*(char **)place_of(field, &item));
	return (result);
}

/*
 * Taking what was read.
 */

/* A copy of an item that lasts; NULL says why. */
static void *
copy(struct reader *reader, const void *item, size_t size)
{
	void *made;

	if ((made = malloc(size)) == NULL)
		(void)reject(reader, "%s", strerror(errno));
	else
		memcpy(made, item, size);
	return (made);
}

/* Whether a process that has a channel can be talked to. */
static int
check_channel(struct reader *reader, const struct process *process)
{
	if (process->fd == -1 || ctl_is_spoken(process->speaks))
		return (0);
	return (reject(reader, "process %d speaks version %u of the control "
	    "protocol, and this program knows %d to %d: its connections would "
	    "be lost", (int)process->pid, process->speaks, CTL_PREVIOUS,
	    CTL_VERSION));
}

/* A name has the number that it had. */
static int
restore(struct reader *reader, struct registry *registry, const char *name)
{
	if (registry_restore(registry, name) == 0)
		return (0);
	return (reject(reader, "the name %.60s does not fit", name));
}

static int
take_listener(struct reader *reader, union item *item)
{
	return (restore(reader, &reader->master->listener_names, item->name));
}

static int
take_handler(struct reader *reader, union item *item)
{
	return (restore(reader, &reader->master->handler_names, item->name));
}

static int
take_generation(struct reader *reader, union item *item)
{
	struct generation *read = &item->generation;
	struct generation *generation = NULL;

	if (read->number != 0 && (generation = generation_refer(reader->master,
	    read->number)) == NULL)
		return (reject(reader, "%s", strerror(errno)));
	if (generation == NULL || generation->text != NULL)
		return (reject(reader, "generation %" PRIu64 " does not fit",
		    read->number));
	generation->loaded = read->loaded;
	generation->slots = read->slots;
	generation->identity = read->identity;
	generation->path = read->path;
	generation->text = read->text;
	read->path = read->text = NULL;
	return (0);
}

static int
take_slot(struct reader *reader, union item *item)
{
	const struct saved_slot *saved = &item->slot;
	struct master *master = reader->master;
	size_t n = master->nslots;

	if (n == CONF_WORKERS_MAX)
		return (reject(reader, "one slot too many"));
	if (saved->counters == -1)
		return (reject(reader, "slot %zu has no counters", n));
	master->counters[n].fd = saved->counters;
	master->slots[n] = (struct slot){
		.number = (unsigned)n,
		.pause = saved->pause,
	};
	master->nslots++;
	return (0);
}

/* Those of the monitor come last: see nth_group(). */
static int
take_group(struct reader *reader, union item *item)
{
	const struct socket_group *saved = &item->group;
	struct master *master = reader->master;
	struct socket_group *group;

	if (!saved->monitor && master->monitor.sockets.n > 0)
		return (reject(reader, "a group comes too late"));
	group = sockets_restore(saved->monitor ? &master->monitor.sockets :
	    &master->sockets, saved->text);
	if (group == NULL)
		return (reject(reader, "group %.60s: %s", saved->text,
		    strerror(errno)));
	group->nlistening = saved->nlistening;
	group->inode = saved->inode;
	return (0);
}

static struct socket_group *
nth_group(const struct master *master, size_t n)
{
	const struct sockets *sockets = &master->sockets;

	if (n >= sockets->n) {
		n -= sockets->n;
		sockets = &master->monitor.sockets;
	}
	return (n < sockets->n ? sockets->groups[n] : NULL);
}

static int
take_socket(struct reader *reader, union item *item)
{
	const struct saved_socket *saved = &item->socket;
	struct socket_group *group = nth_group(reader->master, saved->group);

	if (group == NULL || saved->fd == -1)
		return (reject(reader, "a socket has no group"));
	if (group->nfds == CONF_WORKERS_MAX)
		return (reject(reader, "group %u has too many sockets",
		    saved->group));
	group->fds[group->nfds++] = saved->fd;
	return (0);
}

/* At most one worker serves in a slot, and each has a block of its own. */
static int
take_worker(struct reader *reader, union item *item)
{
	struct master *master = reader->master;
	const struct worker_proc *read = &item->worker;
	struct slot *slot = read->slot;
	struct worker_proc *worker;

	if (slot >= &master->slots[master->nslots] ||
	    workers_use_block(master, slot, read->block) ||
	    read->generation == NULL ||
	    (read->serving && slot->serving != NULL))
		return (reject(reader, "child %d does not fit",
		    (int)read->process.pid));
	if (check_channel(reader, &read->process) == -1)
		return (-1);
	if ((worker = copy(reader, read, sizeof(*read))) == NULL)
		return (-1);
	TAILQ_INIT(&worker->crew.members);
	TAILQ_INIT(&worker->crew.dead);
	generation_hold(worker->generation);
	if (worker->serving)
		slot->serving = worker;
	TAILQ_INSERT_TAIL(&master->workers, worker, link);
	return (0);
}

static int
take_shortage(struct reader *reader, union item *item)
{
	const struct saved_shortage *saved = &item->shortage;

	if (saved->worker == NULL)
		return (reject(reader, "a shortage of no worker"));
	saved->worker->crew.shortage[saved->handler] = saved->shortage;
	return (0);
}

static int
take_executor(struct reader *reader, union item *item)
{
	const struct executor_proc *read = &item->executor;
	struct executor_proc *executor;

	if (read->generation == NULL || (read->worker == NULL) !=
	    (read->state == EXECUTOR_LEAVING) ||
	    (read->requests != -1 && read->work == -1))
		return (reject(reader, "executor %d does not fit",
		    (int)read->process.pid));
	if (check_channel(reader, &read->process) == -1)
		return (-1);
	if ((executor = copy(reader, read, sizeof(*read))) == NULL)
		return (-1);
	executor->errors.len = strlen(executor->errors.text);
	generation_hold(executor->generation);
	TAILQ_INSERT_TAIL(executor->worker != NULL ?
	    &executor->worker->crew.members : &reader->master->leaving,
	    executor, link);
	return (0);
}

static int
take_report(struct reader *reader, union item *item)
{
	struct succession_report *report;

	report = copy(reader, &item->report, sizeof(item->report));
	if (report == NULL)
		return (-1);
	report->number = reader->nreports++;
	TAILQ_INSERT_TAIL(&reader->master->reports, report, link);
	return (0);
}

static struct succession_report *
find_report(const struct master *master, unsigned number)
{
	struct succession_report *report;

	TAILQ_FOREACH(report, &master->reports, link)
		if (report->number == number)
			break;
	return (report);
}

static int
take_departure(struct reader *reader, union item *item)
{
	const struct saved_departure *saved = &item->departure;
	struct succession_report *report;

	report = find_report(reader->master, saved->report);
	if (report == NULL)
		return (reject(reader, "a departure of no report"));
	report->told.slot_ms[saved->slot] = saved->ms;
	if (saved->slot >= report->told.slots)
		report->told.slots = saved->slot + 1;
	return (0);
}

static int
take_awaited(struct reader *reader, union item *item)
{
	const struct saved_awaited *saved = &item->awaited;
	struct worker_proc *worker = saved->worker;
	struct succession_report *report;

	report = find_report(reader->master, saved->report);
	if (report == NULL || worker == NULL || worker->report != NULL)
		return (reject(reader, "a worker does not fit its report"));
	worker->report = report;
	worker->adopted = saved->fates;
	worker->given.longest_us = saved->longest_us;
	report->workers++;
	return (0);
}

static int
take_monitor(struct reader *reader, union item *item)
{
	struct monitor_proc *monitor = &reader->master->monitor;

	if (monitor->process.pid != 0)
		return (reject(reader, "one monitor too many"));
	item->monitor.sockets = monitor->sockets;
	*monitor = item->monitor;
	return (check_channel(reader, &monitor->process));
}

static const struct record records[NRECORDS] = {
	[SERVER] = { "server", server_fields, NULL },
	[LISTENER] = { "listener", name_fields, take_listener },
	[HANDLER] = { "handler", name_fields, take_handler },
	[GENERATION] = { "generation", generation_fields, take_generation },
	[SLOT] = { "slot", slot_fields, take_slot },
	[GROUP] = { "group", group_fields, take_group },
	[SOCKET] = { "socket", socket_fields, take_socket },
	[WORKER] = { "child", worker_fields, take_worker },
	[SHORTAGE] = { "shortage", shortage_fields, take_shortage },
	[EXECUTOR] = { "executor", executor_fields, take_executor },
	[REPORT] = { "report", report_fields, take_report },
	[DEPARTURE] = { "departure", departure_fields, take_departure },
	[AWAITED] = { "awaited", awaited_fields, take_awaited },
	[MONITOR] = { "monitor", monitor_fields, take_monitor },
};

/*
 * What has to hold between the records.
 */

static int
compare(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return ((*x > *y) - (*x < *y));
}

static int
check_owners(struct reader *reader)
{
	if (reader->nowned > 1)
		qsort(reader->owned, reader->nowned, sizeof(int), compare);
	for (size_t i = 1; i < reader->nowned; i++)
		if (reader->owned[i] == reader->owned[i - 1])
			return (reject(reader, "a descriptor or process has "
			    "two owners"));
	return (0);
}

static int
check_server(struct reader *reader)
{
	const struct master *master = reader->master;

	if (!reader->has_server)
		return (reject(reader, "there is no server"));
	if (master->running == NULL)
		return (reject(reader, "the running generation is missing"));
	if (master->upgrade.task == STATE_TASK_ROLLBACK &&
	    master->upgrade.back == NULL)
		return (reject(reader, "nowhere to go back to"));
	if (master->status.fd == -1 || master->spans.fd == -1 ||
	    *master->upgrade.path != '/')
		return (reject(reader, "status, spans or program is missing"));
	return (0);
}

static int
check_generations(struct reader *reader)
{
	const struct generation *generation;

	TAILQ_FOREACH(generation, &reader->master->generations, link) {
		if (generation->text == NULL)
			return (reject(reader, "generation %" PRIu64
			    " is missing", generation->number));
		if (generation->slots == 0 ||
		    generation->slots > reader->master->nslots ||
		    generation->number > reader->master->numbered)
			return (reject(reader, "generation %" PRIu64
			    " does not fit", generation->number));
	}
	return (0);
}

static int
check_sockets(struct reader *reader)
{
	const struct socket_group *group;

	for (size_t i = 0; (group = nth_group(reader->master, i)) != NULL;
	    i++)
		if (group->nfds != group->nlistening)
			return (reject(reader, "group %zu has %u sockets", i,
			    group->nfds));
	return (0);
}

/* Somebody's end completes each report. */
static int
check_reports(struct reader *reader)
{
	const struct succession_report *report;

	TAILQ_FOREACH(report, &reader->master->reports, link)
		if (report->workers == 0)
			return (reject(reader, "report %u awaits nobody",
			    report->number));
	return (0);
}

static int
parse_head(struct reader *reader)
{
	uint64_t version;

	if (!take_text(reader, HEAD) ||
	    !take_number(reader, UINT_MAX, &version) ||
	    !take_text(reader, "\n"))
		return (reject(reader, "this is no state of penstock's"));
	if (version < STATE_PREVIOUS || version > STATE_VERSION)
		return (reject(reader, "the state has version %" PRIu64
		    ", and this program knows %d to %d", version,
		    STATE_PREVIOUS, STATE_VERSION));
	reader->version = (unsigned)version;
	return (0);
}

static int
parse(struct reader *reader)
{
	if (parse_head(reader) == -1)
		return (-1);
	for (reader->line = 2; !take_text(reader, TAIL "\n"); reader->line++) {
		if (reader->at == reader->end)
			return (reject(reader, "the end is missing"));
		if (parse_record(reader) == -1)
			return (-1);
	}
	if (reader->at != reader->end)
		return (reject(reader, "more behind the end"));
	if (check_server(reader) == -1 || check_generations(reader) == -1 ||
	    check_sockets(reader) == -1 || check_reports(reader) == -1)
		return (-1);
	return (check_owners(reader));
}

int
state_parse(struct master *master, const char *text, size_t len,
    char why[STATE_WHY_MAX])
{
	struct reader reader = {
		.master = master,
		.at = text,
		.end = text + len,
		.line = 1,
		.why = why,
	};
	int result = parse(&reader);

	free(reader.owned);
	return (result);
}

int
state_read(struct master *master, int fd, char why[STATE_WHY_MAX])
{
	struct stat st;
	char *text;
	size_t len;
	int result;

	if (fstat(fd, &st) == -1)
		goto fail;
	if (!S_ISREG(st.st_mode) || st.st_size > STATE_SIZE_MAX) {
		errno = EFBIG;
		goto fail;
	}
	len = (size_t)st.st_size;
	text = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (text == MAP_FAILED)
		goto fail;
	result = state_parse(master, text, len, why);
	munmap(text, len);
	return (result);
fail:
	snprintf(why, STATE_WHY_MAX, "the state cannot be read: %s",
	    strerror(errno));
	return (-1);
}

/*
 * Descriptors.
 */

int
state_pass_on(const struct master *master, unsigned version, bool pass)
{
	struct walk walk = {
		.master = master,
		.version = version,
		.flags = pass ? 0 : FD_CLOEXEC,
	};

	walk_all(&walk);
	errno = walk.wrong;
	return (walk.wrong == 0 ? 0 : -1);
}
