/* SPDX-License-Identifier: ISC */
#include "master/state_record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/ctl.h"

/*
 * The rows.
 *
 * One more field is one more row, at the end of its record, with the version of
 * the state since which it is there: see STATE_VERSION.
 */

enum { FIELDS_MAX = 24 };

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

struct field {
	const char *name;	/* NULL behind the last one */
	enum field_kind kind;
	size_t offset;
	size_t size;
	uint64_t max;		/* of a number */
	unsigned since;		/* STATE_VERSION; 0: as old as the record */
};

struct record {
	const char *name;
	struct field fields[FIELDS_MAX];	/* as in the line */
};

#define FOREACH_FIELD(field, record)					\
	for (const struct field *field = (record)->fields;		\
	    field < &(record)->fields[FIELDS_MAX] && field->name != NULL; \
	    field++)

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
#define NAME		{ "name", FIELD_STRING, 0, sizeof(char *), 0, 0 }

static const struct record records[STATE_RECORDS] = {
	[STATE_SERVER] = { "server", {
		NUMBER(master, upgrade.task, STATE_TASK_ROLLBACK),
		NUMBER(master, upgrade.speaks, UINT16_MAX),
		GENERATION(master, running),
		GENERATION(master, upgrade.back),
		U64(master, numbered),
		U64(master, executors),
		U64(master, started),
		FD(master, upgrade.log),
		FD(master, pidfiles.now.fd),
		FD(master, status.fd),
		FD(master, spans.fd),
		FD(master, upgrade.previous),
		TEXT(master, upgrade.version),
		STRING(master, upgrade.path),
		STRING(master, pidfiles.now.path),
		TEXT(master, upgrade.reason.text),
	} },
	[STATE_LISTENER] = { "listener", { NAME } },
	[STATE_HANDLER] = { "handler", { NAME } },
	[STATE_GENERATION] = { "generation", {
		U64(generation, number),
		U64(generation, loaded),
		NUMBER(generation, slots, CONF_WORKERS_MAX),
		FLAG(generation, identity.change),
		NUMBER(generation, identity.uid, UINT_MAX),
		NUMBER(generation, identity.gid, UINT_MAX),
		STRING(generation, path),
		STRING(generation, text),
	} },
	[STATE_SLOT] = { "slot", {
		FD(saved_slot, counters),
		NUMBER(saved_slot, pause.young_deaths, UINT_MAX),
		U64(saved_slot, pause.again_ms),
	} },
	[STATE_GROUP] = { "group", {
		FLAG(socket_group, monitor),
		NUMBER(socket_group, nlistening, CONF_WORKERS_MAX),
		U64(socket_group, inode),
		STRING(socket_group, text),
	} },
	[STATE_SOCKET] = { "socket", {
		NUMBER(saved_socket, group, UINT_MAX),
		FD(saved_socket, fd),
	} },
	[STATE_WORKER] = { "child", {
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
		TEXT(worker_proc, why.text),
		SPEAKS(worker_proc, process.speaks),
		ROW(worker_proc, is_rescuer, NUMBER, 1, 4),
		ROW(worker_proc, has_lost_anchor, NUMBER, 1, 4),
	} },
	[STATE_SHORTAGE] = { "shortage", {
		WORKER(saved_shortage, worker),
		NUMBER(saved_shortage, handler, CONF_HANDLERS_MAX - 1),
		NUMBER(saved_shortage, shortage.missing, UINT_MAX),
		NUMBER(saved_shortage, shortage.pause.young_deaths, UINT_MAX),
		U64(saved_shortage, shortage.pause.again_ms),
	} },
	[STATE_EXECUTOR] = { "executor", {
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
		TEXT(executor_proc, why.text),
		TEXT(executor_proc, errors.last),
		TEXT(executor_proc, errors.text),
		SPEAKS(executor_proc, process.speaks),
		SPEAKS(executor_proc, work_speaks),
		ROW(executor_proc, requests, FD, INT_MAX, 4),
	} },
	[STATE_REPORT] = { "report", {
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
	} },
	[STATE_DEPARTURE] = { "departure", {
		NUMBER(saved_departure, report, UINT_MAX),
		NUMBER(saved_departure, slot, CONF_WORKERS_MAX - 1),
		NUMBER(saved_departure, ms, UINT_MAX),
	} },
	[STATE_AWAITED] = { "awaited", {
		WORKER(saved_awaited, worker),
		NUMBER(saved_awaited, report, UINT_MAX),
		U64(saved_awaited, fates.carried),
		U64(saved_awaited, fates.finished),
		U64(saved_awaited, fates.cut),
		U64(saved_awaited, longest_us),
		ROW(saved_awaited, fates.closed, NUMBER, UINT64_MAX, 4),
	} },
	[STATE_MONITOR] = { "monitor", {
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
	} },
	/* The previous version has none. */
	[STATE_ANCHOR] = { "anchor", {
		WORKER(anchor_proc, worker),
		PID(anchor_proc, process.pid),
		FD(anchor_proc, process.fd),
		SPEAKS(anchor_proc, process.speaks),
	} },
};

/*
 * Fields in memory.
 */

static void *
field_place(const struct field *field, const void *item)
{
	return ((char *)(uintptr_t)item + field->offset);
}

/* What stands in a line, but for strings. */
static uint64_t
field_number(const struct field *field, const void *item)
{
	const void *place = field_place(field, item);
	struct generation *const *generation = place;
	struct worker_proc *const *worker = place;
	struct slot *const *slot = place;

	if (field->kind == FIELD_GENERATION)
		return (*generation != NULL ? (*generation)->number : 0);
	if (field->kind == FIELD_WORKER)
		return (*worker != NULL ? (uint64_t)(*worker)->process.pid : 0);
	if (field->kind == FIELD_SLOT)
		return ((*slot)->number);
	if (field->size == sizeof(bool))
		return (*(const bool *)place);
	if (field->size == sizeof(uint32_t))
		return (*(const uint32_t *)place);
	return (*(const uint64_t *)place);
}

static void
field_set_number(const struct field *field, void *item, uint64_t number)
{
	void *place = field_place(field, item);

	if (field->size == sizeof(bool))
		*(bool *)place = number != 0;
	else if (field->size == sizeof(uint32_t))
		*(uint32_t *)place = (uint32_t)number;
	else
		*(uint64_t *)place = number;
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
field_write(FILE *out, const struct field *field, const void *item)
{
	const void *place = field_place(field, item);

	putc(' ', out);
	if (field->kind == FIELD_STRING)
		write_string(out, *(char *const *)place);
	else if (field->kind == FIELD_TEXT)
		write_string(out, place);
	else if (field->kind == FIELD_FD && *(const int *)place == -1)
		putc('-', out);
	else
		fprintf(out, "%" PRIu64, field_number(field, item));
}

void
state_record_write(struct state_writer *writer, enum state_record number,
    const void *item)
{
	const struct record *record = &records[number];

	if (writer->out != NULL)
		fputs(record->name, writer->out);
	FOREACH_FIELD(field, record) {
		const int *fd = field_place(field, item);

		if (field->since > writer->version)
			continue;
		if (writer->out != NULL)
			field_write(writer->out, field, item);
		else if (field->kind == FIELD_FD && *fd != -1 &&
		    fcntl(*fd, F_SETFD, writer->fd_flags) == -1)
			writer->wrong = errno;
	}
	if (writer->out != NULL)
		putc('\n', writer->out);
}

/*
 * Reading text.
 */

int
state_reject(struct state_reader *reader, const char *fmt, ...)
{
	char text[sizeof(reader->why->text)];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	return (why_set(reader->why, "line %u: %s", reader->line, text));
}

static bool
reader_take(struct state_reader *reader, const char *text)
{
	size_t len = strlen(text);

	if ((size_t)(reader->end - reader->at) < len ||
	    memcmp(reader->at, text, len) != 0)
		return (false);
	reader->at += len;
	return (true);
}

/* Digits, as printf(3) writes them: no sign, no leading zero. */
static bool
reader_take_number(struct state_reader *reader, uint64_t max, uint64_t *value)
{
	const char *first = reader->at;
	uint64_t digit;

	*value = 0;
	for (; reader->at < reader->end && *reader->at >= '0' &&
	    *reader->at <= '9'; reader->at++) {
		digit = (uint64_t)(*reader->at - '0');
		if (*value > (max - digit) / 10 || digit > max)
			return (false);
		*value = *value * 10 + digit;
	}
	return (reader->at > first &&
	    (*first != '0' || reader->at == first + 1));
}

/* The byte behind a backslash; 0 if it is none. */
static unsigned char
reader_take_escape(struct state_reader *reader)
{
	static const char digits[16] = "0123456789abcdef";
	const char *high, *low;

	if (reader->end - reader->at < 2)
		return (0);
	high = memchr(digits, reader->at[0], sizeof(digits));
	low = memchr(digits, reader->at[1], sizeof(digits));
	reader->at += 2;
	return (high == NULL || low == NULL ? 0 :
	    (unsigned char)((high - digits) * 16 + (low - digits)));
}

/* Returns NULL if there is no whole string, with errno 0, or no memory. */
static char *
reader_take_string(struct state_reader *reader)
{
	const char *close;
	char *string, *to;
	char c;

	errno = 0;
	if (!reader_take(reader, "\"") || (close = memchr(reader->at, '"',
	    (size_t)(reader->end - reader->at))) == NULL)
		return (NULL);
	if ((to = string = malloc((size_t)(close - reader->at) + 1)) == NULL)
		return (NULL);
	while (reader->at < close) {
		c = *reader->at++;
		if (c == '\\')
			c = (char)reader_take_escape(reader);
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

/*
 * Reading a record.
 */

static bool
field_read_text(struct state_reader *reader, const struct field *field,
    void *place)
{
	char *text;

	if ((text = reader_take_string(reader)) == NULL)
		return (false);
	snprintf(place, field->size, "%s", text);
	free(text);
	return (true);
}

static struct worker_proc *
reader_find_worker(const struct state_reader *reader, uint64_t pid)
{
	struct worker_proc *worker;

	TAILQ_FOREACH(worker, &reader->master->workers, link)
		if ((uint64_t)worker->process.pid == pid)
			break;
	return (worker);
}

/* A pointer to what stands above, or, of a generation, may follow. */
static bool
field_read_pointer(struct state_reader *reader, const struct field *field,
    void *place, uint64_t number)
{
	struct master *master = reader->master;
	struct generation *generation;
	void *pointer = NULL;

	if (field->kind == FIELD_SLOT)
		pointer = &master->slots[number];
	else if (field->kind == FIELD_WORKER && number != 0)
		pointer = reader_find_worker(reader, number);
	else if (number != 0 &&
	    (generation = generation_refer(master, number)) != NULL)
		pointer = generation_hold(generation);
	*(void **)place = pointer;
	return (pointer != NULL || number == 0);
}

/* Each descriptor and process has one owner. */
static bool
reader_own(struct state_reader *reader, int number)
{
	int *grown = reallocarray(reader->owned, reader->nowned + 1,
	    sizeof(*grown));

	if (grown == NULL)
		return (false);
	reader->owned = grown;
	reader->owned[reader->nowned++] = number;
	return (true);
}

static bool
field_read(struct state_reader *reader, const struct field *field, void *item)
{
	void *place = field_place(field, item);
	uint64_t number = 0;

	if (field->kind == FIELD_STRING) {
		free(*(char **)place);
		return ((*(char **)place = reader_take_string(reader)) != NULL);
	}
	if (field->kind == FIELD_TEXT)
		return (field_read_text(reader, field, place));
	if (field->kind == FIELD_FD && reader_take(reader, "-")) {
		*(int *)place = -1;
		return (true);
	}
	if (!reader_take_number(reader, field->max, &number))
		return (false);
	if (field->kind >= FIELD_GENERATION)
		return (field_read_pointer(reader, field, place, number));
	field_set_number(field, item, number);
	if (field->kind == FIELD_PID)
		return (number > 0 && reader_own(reader, -(int)number));
	return (field->kind != FIELD_FD || (number > STDERR_FILENO &&
	    reader_own(reader, (int)number)));
}

/* This version does not have the field.  In the previous one, all channels have
 * one version. */
static void
field_set_default(const struct state_reader *reader, const struct field *field,
    void *item)
{
	if (field->kind == FIELD_FD)
		*(int *)field_place(field, item) = -1;
	if (field->kind == FIELD_SPEAKS)
		field_set_number(field, item, reader->master->upgrade.speaks);
}

static int
record_read_fields(struct state_reader *reader, const struct record *record,
    void *item)
{
	FOREACH_FIELD(field, record) {
		errno = 0;
		if (field->since > reader->version) {
			field_set_default(reader, field, item);
			continue;
		}
		if (reader_take(reader, " ") && field_read(reader, field, item))
			continue;
		if (errno == ENOMEM)
			return (state_reject(reader, "%s", strerror(errno)));
		return (state_reject(reader, "%s: %s is missing or wrong",
		    record->name, field->name));
	}
	if (!reader_take(reader, "\n"))
		return (state_reject(reader, "%s: more than is known",
		    record->name));
	return (1);
}

/* Returns NULL, with nothing taken, if there is no such record. */
static const struct record *
reader_take_name(struct state_reader *reader)
{
	const char *name = reader->at;

	for (size_t r = 0; r < STATE_RECORDS; r++) {
		if (reader_take(reader, records[r].name) &&
		    reader->at < reader->end && *reader->at == ' ')
			return (&records[r]);
		reader->at = name;
	}
	return (NULL);
}

/* Without a name: the end, or something else. */
static int
reader_end(struct state_reader *reader)
{
	if (reader->at == reader->end)
		return (state_reject(reader, "the end is missing"));
	if (!reader_take(reader, STATE_TAIL))
		return (state_reject(reader, "unknown record"));
	if (reader->at != reader->end)
		return (state_reject(reader, "more behind the end"));
	return (0);
}

int
state_record_read_head(struct state_reader *reader)
{
	uint64_t version;

	if (!reader_take(reader, STATE_HEAD) ||
	    !reader_take_number(reader, UINT_MAX, &version) ||
	    !reader_take(reader, "\n"))
		return (state_reject(reader, "this is no state of penstock's"));
	if (version < STATE_PREVIOUS || version > STATE_VERSION)
		return (state_reject(reader, "the state has version %" PRIu64
		    ", and this program knows %d to %d", version,
		    STATE_PREVIOUS, STATE_VERSION));
	reader->version = (unsigned)version;
	return (0);
}

int
state_record_read(struct state_reader *reader, enum state_record *number,
    union state_item *item)
{
	bool is_first = reader->line++ == 1;
	const struct record *record;

	memset(item, 0, sizeof(*item));
	if ((record = reader_take_name(reader)) == NULL)
		return (reader_end(reader));
	*number = (enum state_record)(record - records);
	if (is_first != (*number == STATE_SERVER))
		return (state_reject(reader, is_first ?
		    "there is no server" : "one server too many"));
	return (record_read_fields(reader, record, is_first ?
	    (void *)reader->master : item));
}

void
state_record_drop(enum state_record number, union state_item *item)
{
	const struct record *record = &records[number];

	/* The server's went to the master. */
	if (number == STATE_SERVER)
		return;
	FOREACH_FIELD(field, record) {
		void *place = field_place(field, item);

		if (field->kind == FIELD_STRING)
			free(*(char **)place);
		else if (field->kind == FIELD_GENERATION)
			generation_release(*(struct generation **)place);
	}
}
