/* SPDX-License-Identifier: ISC */
#include "master/state.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/counters.h"
#include "common/ctl.h"
#include "common/status.h"
#include "conf/conf.h"
#include "master/registry.h"
#include "master/worker_proc.h"

/*
 * The rows.
 */

enum field_kind {
	FIELD_FLAG,		/* bool */
	FIELD_UINT,		/* unsigned */
	FIELD_U64,		/* uint64_t */
	FIELD_FD,		/* int; "-" is -1 */
	FIELD_STRING,		/* char *, in quotes */
};

/* Its place in a line is that in its table. */
struct field {
	const char *name;	/* NULL ends a table */
	enum field_kind kind;
	size_t offset;
	uint64_t max;		/* of a number */
	unsigned since;		/* STATE_VERSION; 0: as long as there is the
				   record */
};

struct record {
	const char *name;
	const struct field *fields;
	size_t size;		/* of the struct */
	size_t list;		/* offset of the array in struct state, */
	size_t count;		/* and of the number in it */
	size_t most;
	unsigned since;		/* as in struct field */
};

#define FIELD(type, member, kind, max, since)				\
	{ #member, FIELD_##kind, offsetof(struct type, member), (max), (since) }
#define FLAG(type, member)	FIELD(type, member, FLAG, 1, 0)
#define UINT(type, member, max)	FIELD(type, member, UINT, max, 0)
#define U64(type, member)	FIELD(type, member, U64, UINT64_MAX, 0)
#define FD(type, member)	FIELD(type, member, FD, INT_MAX, 0)
#define STRING(type, member)	FIELD(type, member, STRING, 0, 0)
/* New ones stand at the end. */
#define UINT_SINCE(since, type, member, max)				\
	FIELD(type, member, UINT, max, since)
#define FD_SINCE(since, type, member)					\
	FIELD(type, member, FD, INT_MAX, since)
#define U64_SINCE(since, type, member)					\
	FIELD(type, member, U64, UINT64_MAX, since)
#define END { .name = NULL }

static const struct field server_fields[] = {
	UINT(state_server, task, STATE_TASK_ROLLBACK),
	UINT(state_server, speaks, UINT16_MAX),
	U64(state_server, running),
	U64(state_server, back),
	U64(state_server, numbered),
	U64(state_server, executors),
	U64(state_server, started),
	FD(state_server, log),
	FD(state_server, pid_file),
	FD(state_server, status),
	FD(state_server, spans),
	FD(state_server, previous),
	STRING(state_server, version),
	STRING(state_server, program),
	STRING(state_server, pid_path),
	STRING(state_server, why),
	END
};

static const struct field name_fields[] = {
	STRING(state_name, name),
	END
};

static const struct field generation_fields[] = {
	U64(state_generation, number),
	U64(state_generation, loaded),
	UINT(state_generation, slots, CONF_WORKERS_MAX),
	FLAG(state_generation, change),
	UINT(state_generation, uid, UINT_MAX),
	UINT(state_generation, gid, UINT_MAX),
	STRING(state_generation, path),
	STRING(state_generation, text),
	END
};

static const struct field slot_fields[] = {
	FD(state_slot, counters),
	UINT(state_slot, young_deaths, UINT_MAX),
	U64(state_slot, again_ms),
	END
};

static const struct field group_fields[] = {
	FLAG(state_group, monitor),
	UINT(state_group, listening, CONF_WORKERS_MAX),
	U64(state_group, inode),
	STRING(state_group, address),
	END
};

static const struct field socket_fields[] = {
	UINT(state_socket, group, UINT_MAX),
	FD(state_socket, fd),
	END
};

static const struct field child_fields[] = {
	UINT(state_child, pid, INT_MAX),
	UINT(state_child, slot, CONF_WORKERS_MAX - 1),
	UINT(state_child, block, COUNTERS_BLOCKS - 1),
	U64(state_child, generation),
	UINT(state_child, state, WORKER_ENDING),
	FLAG(state_child, serving),
	FD(state_child, channel),
	UINT(state_child, awaited, UINT_MAX),
	U64(state_child, born_ms),
	U64(state_child, patience_ms),
	STRING(state_child, why),
	UINT_SINCE(4, state_child, speaks, UINT16_MAX),
	END
};

static const struct field shortage_fields[] = {
	UINT(state_shortage, worker, INT_MAX),
	UINT(state_shortage, handler, CONF_HANDLERS_MAX - 1),
	UINT(state_shortage, missing, UINT_MAX),
	UINT(state_shortage, young_deaths, UINT_MAX),
	U64(state_shortage, again_ms),
	END
};

static const struct field executor_fields[] = {
	UINT(state_executor, pid, INT_MAX),
	UINT(state_executor, worker, INT_MAX),
	U64(state_executor, id),
	U64(state_executor, generation),
	UINT(state_executor, handler, CONF_HANDLERS_MAX - 1),
	UINT(state_executor, state, EXECUTOR_LEAVING),
	FLAG(state_executor, asked),
	FD(state_executor, work),
	FD(state_executor, channel),
	FD(state_executor, errors),
	U64(state_executor, born_ms),
	U64(state_executor, patience_ms),
	STRING(state_executor, why),
	STRING(state_executor, last),
	STRING(state_executor, partial),
	UINT_SINCE(4, state_executor, speaks, UINT16_MAX),
	UINT_SINCE(4, state_executor, work_speaks, UINT16_MAX),
	FD_SINCE(4, state_executor, requests),
	END
};

static const struct field report_fields[] = {
	UINT(state_report, kind, STATUS_KINDS - 1),
	U64(state_report, generation),
	U64(state_report, begun),
	U64(state_report, begun_ms),
	U64(state_report, held),
	U64(state_report, carried),
	U64(state_report, finished),
	U64(state_report, cut),
	U64(state_report, lost),
	U64(state_report, longest_us),
	END
};

static const struct field departure_fields[] = {
	UINT(state_departure, report, UINT_MAX),
	UINT(state_departure, slot, CONF_WORKERS_MAX - 1),
	UINT(state_departure, ms, UINT_MAX),
	END
};

static const struct field awaited_fields[] = {
	UINT(state_awaited, worker, INT_MAX),
	UINT(state_awaited, report, UINT_MAX),
	U64(state_awaited, carried),
	U64(state_awaited, finished),
	U64(state_awaited, cut),
	U64(state_awaited, longest_us),
	U64_SINCE(4, state_awaited, closed),
	END
};

static const struct field monitor_fields[] = {
	UINT(state_monitor, pid, INT_MAX),
	U64(state_monitor, generation),
	FD(state_monitor, channel),
	FLAG(state_monitor, due),
	FLAG(state_monitor, leaving),
	UINT(state_monitor, young_deaths, UINT_MAX),
	U64(state_monitor, born_ms),
	U64(state_monitor, again_ms),
	U64(state_monitor, patience_ms),
	UINT_SINCE(4, state_monitor, speaks, UINT16_MAX),
	END
};

#define RECORD(name, fields, type, member, most)			\
	{ (name), (fields), sizeof(struct type),			\
	  offsetof(struct state, member),				\
	  offsetof(struct state, n##member), (most), 0 }

static const struct record records[] = {
	RECORD("server", server_fields, state_server, server, 1),
	RECORD("listener", name_fields, state_name, listeners,
	    COUNTERS_LISTENERS),
	RECORD("handler", name_fields, state_name, handlers,
	    COUNTERS_HANDLERS),
	RECORD("generation", generation_fields, state_generation, generations,
	    SIZE_MAX),
	RECORD("slot", slot_fields, state_slot, slots, CONF_WORKERS_MAX),
	RECORD("group", group_fields, state_group, groups, SIZE_MAX),
	RECORD("socket", socket_fields, state_socket, sockets, SIZE_MAX),
	RECORD("child", child_fields, state_child, children,
	    (size_t)CONF_WORKERS_MAX * COUNTERS_BLOCKS),
	RECORD("shortage", shortage_fields, state_shortage, shortages,
	    SIZE_MAX),
	RECORD("executor", executor_fields, state_executor, executors,
	    SIZE_MAX),
	RECORD("report", report_fields, state_report, reports, SIZE_MAX),
	RECORD("departure", departure_fields, state_departure, departures,
	    SIZE_MAX),
	RECORD("awaited", awaited_fields, state_awaited, awaited, SIZE_MAX),
	RECORD("monitor", monitor_fields, state_monitor, monitor, 1),
};

enum { NRECORDS = sizeof(records) / sizeof(*records) };

#define HEAD "penstock-state "
#define TAIL "end"

/*
 * Memory.
 */

static char **
list_of(const struct record *record, const struct state *state)
{
	return ((void *)((char *)(uintptr_t)state + record->list));
}

static size_t *
count_of(const struct record *record, const struct state *state)
{
	return ((void *)((char *)(uintptr_t)state + record->count));
}

static void *
place_of(const struct field *field, const void *item)
{
	return ((char *)(uintptr_t)item + field->offset);
}

static void *
item_of(const struct record *record, const struct state *state, size_t i)
{
	return (*list_of(record, state) + i * record->size);
}

static void *
add(struct state *state, const struct record *record)
{
	size_t *count = count_of(record, state);
	char *grown, *item;

	/* Room doubles when the number is a power of two. */
	if ((*count & (*count - 1)) == 0) {
		grown = reallocarray(*list_of(record, state),
		    *count == 0 ? 1 : 2 * *count, record->size);
		if (grown == NULL)
			return (NULL);
		*list_of(record, state) = grown;
	}
	item = item_of(record, state, (*count)++);
	memset(item, 0, record->size);
	for (const struct field *field = record->fields; field->name != NULL;
	    field++)
		if (field->kind == FIELD_FD)
			*(int *)place_of(field, item) = -1;
	return (item);
}

enum {
	SERVER, LISTENER, HANDLER, GENERATION, SLOT, GROUP, SOCKET, CHILD,
	SHORTAGE, EXECUTOR, REPORT, DEPARTURE, AWAITED, MONITOR
};

#define DEFINE_ADD(noun, type, number)					\
	struct type *							\
	state_add_##noun(struct state *state)				\
	{								\
		return (add(state, &records[number]));			\
	}

DEFINE_ADD(server, state_server, SERVER)
DEFINE_ADD(listener, state_name, LISTENER)
DEFINE_ADD(handler, state_name, HANDLER)
DEFINE_ADD(generation, state_generation, GENERATION)
DEFINE_ADD(slot, state_slot, SLOT)
DEFINE_ADD(group, state_group, GROUP)
DEFINE_ADD(socket, state_socket, SOCKET)
DEFINE_ADD(child, state_child, CHILD)
DEFINE_ADD(shortage, state_shortage, SHORTAGE)
DEFINE_ADD(executor, state_executor, EXECUTOR)
DEFINE_ADD(report, state_report, REPORT)
DEFINE_ADD(departure, state_departure, DEPARTURE)
DEFINE_ADD(awaited, state_awaited, AWAITED)
DEFINE_ADD(monitor, state_monitor, MONITOR)

static void
free_strings(const struct record *record, const void *item)
{
	for (const struct field *field = record->fields; field->name != NULL;
	    field++)
		if (field->kind == FIELD_STRING)
			free(*(char **)place_of(field, item));
}

void
state_free(struct state *state)
{
	for (size_t r = 0; r < NRECORDS; r++) {
		for (size_t i = 0; i < *count_of(&records[r], state); i++)
			free_strings(&records[r],
			    item_of(&records[r], state, i));
		free(*list_of(&records[r], state));
	}
	*state = (struct state){ .server = NULL };
}

/*
 * Printing.
 */

static void
print_string(FILE *out, const char *string)
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
print_field(FILE *out, const struct field *field, const void *item)
{
	const void *place = place_of(field, item);

	putc(' ', out);
	switch (field->kind) {
	case FIELD_FLAG:
		fprintf(out, "%d", *(const bool *)place);
		return;
	case FIELD_UINT:
		fprintf(out, "%u", *(const unsigned *)place);
		return;
	case FIELD_U64:
		fprintf(out, "%" PRIu64, *(const uint64_t *)place);
		return;
	case FIELD_FD:
		if (*(const int *)place == -1)
			putc('-', out);
		else
			fprintf(out, "%d", *(const int *)place);
		return;
	case FIELD_STRING:
		print_string(out, *(char *const *)place);
		return;
	}
}

int
state_print(FILE *out, const struct state *state, unsigned version)
{
	fprintf(out, HEAD "%u\n", version);
	for (size_t r = 0; r < NRECORDS; r++) {
		if (records[r].since > version)
			continue;
		for (size_t i = 0; i < *count_of(&records[r], state); i++) {
			fputs(records[r].name, out);
			for (const struct field *field = records[r].fields;
			    field->name != NULL; field++)
				if (field->since <= version)
					print_field(out, field,
					    item_of(&records[r], state, i));
			putc('\n', out);
		}
	}
	fputs(TAIL "\n", out);
	return (fflush(out) == EOF || ferror(out) ? -1 : 0);
}

/*
 * Parsing.
 */

/* A reader of one text. */
struct reader {
	const char *at;
	const char *end;
	unsigned line;
	unsigned version;
	char *why;		/* of STATE_WHY_MAX */
};

static int __attribute__((format(printf, 2, 3)))
refuse(struct reader *reader, const char *fmt, ...)
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
take(struct reader *reader, const char *text)
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
	if (!take(reader, "\"") || (close = memchr(reader->at, '"',
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

static bool
parse_value(struct reader *reader, const struct field *field, void *place)
{
	uint64_t number = 0;

	switch (field->kind) {
	case FIELD_FLAG:
	case FIELD_UINT:
	case FIELD_U64:
		if (!take_number(reader, field->max, &number))
			return (false);
		break;
	case FIELD_FD:
		if (take(reader, "-"))
			return (true);
		if (!take_number(reader, field->max, &number))
			return (false);
		*(int *)place = (int)number;
		return (number > STDERR_FILENO);
	case FIELD_STRING:
		return ((*(char **)place = take_string(reader)) != NULL);
	}
	if (field->kind == FIELD_FLAG)
		*(bool *)place = number != 0;
	else if (field->kind == FIELD_UINT)
		*(unsigned *)place = (unsigned)number;
	else
		*(uint64_t *)place = number;
	return (true);
}

/* Set a field that the version does not have: the item is as add() made it. */
static int
set_default(const struct field *field, void *place)
{
	if (field->kind != FIELD_STRING)
		return (0);
	return ((*(char **)place = strdup("")) == NULL ? -1 : 0);
}

static int
parse_fields(struct reader *reader, const struct record *record, void *item)
{
	for (const struct field *field = record->fields; field->name != NULL;
	    field++) {
		errno = 0;
		if (field->since > reader->version) {
			if (set_default(field, place_of(field, item)) == 0)
				continue;
			return (refuse(reader, "%s", strerror(errno)));
		}
		if (take(reader, " ") &&
		    parse_value(reader, field, place_of(field, item)))
			continue;
		if (errno == ENOMEM)
			return (refuse(reader, "%s", strerror(errno)));
		return (refuse(reader, "%s: %s is missing or wrong",
		    record->name, field->name));
	}
	if (!take(reader, "\n"))
		return (refuse(reader, "%s: more than is known",
		    record->name));
	return (0);
}

static const struct record *
take_record(struct reader *reader)
{
	const char *name = reader->at;

	for (size_t r = 0; r < NRECORDS; r++) {
		if (records[r].since <= reader->version &&
		    take(reader, records[r].name) &&
		    reader->at < reader->end && *reader->at == ' ')
			return (&records[r]);
		reader->at = name;
	}
	return (NULL);
}

static int
parse_record(struct reader *reader, struct state *state)
{
	const struct record *record;
	void *item;

	if ((record = take_record(reader)) == NULL)
		return (refuse(reader, "unknown record"));
	if (*count_of(record, state) >= record->most)
		return (refuse(reader, "one %s too many", record->name));
	if ((item = add(state, record)) == NULL)
		return (refuse(reader, "%s", strerror(errno)));
	return (parse_fields(reader, record, item));
}

static int
parse_head(struct reader *reader)
{
	uint64_t version;

	if (!take(reader, HEAD) ||
	    !take_number(reader, UINT_MAX, &version) || !take(reader, "\n"))
		return (refuse(reader, "this is no state of penstock's"));
	if (version < STATE_PREVIOUS || version > STATE_VERSION)
		return (refuse(reader, "the state has version %" PRIu64
		    ", and this program knows %d to %d", version,
		    STATE_PREVIOUS, STATE_VERSION));
	reader->version = (unsigned)version;
	return (0);
}

/*
 * What has to hold between the records.
 */

const struct state_generation *
state_find_generation(const struct state *state, uint64_t number)
{
	for (size_t i = 0; i < state->ngenerations; i++)
		if (state->generations[i].number == number)
			return (&state->generations[i]);
	return (NULL);
}

static const struct state_child *
find_child(const struct state *state, unsigned pid)
{
	for (size_t i = 0; i < state->nchildren; i++)
		if (state->children[i].pid == pid)
			return (&state->children[i]);
	return (NULL);
}

static int
compare(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return ((*x > *y) - (*x < *y));
}

/* Whether a number occurs twice; they are sorted in place. */
static bool
has_twins(int *numbers, size_t n)
{
	if (n > 1)
		qsort(numbers, n, sizeof(*numbers), compare);
	for (size_t i = 1; i < n; i++)
		if (numbers[i] == numbers[i - 1])
			return (true);
	return (false);
}

typedef void (*fd_fn)(int fd, void *arg);

static void
each_fd(const struct state *state, fd_fn fn, void *arg)
{
	for (size_t r = 0; r < NRECORDS; r++)
		for (size_t i = 0; i < *count_of(&records[r], state); i++)
			for (const struct field *field = records[r].fields;
			    field->name != NULL; field++) {
				const int *fd = place_of(field,
				    item_of(&records[r], state, i));

				if (field->kind == FIELD_FD && *fd != -1)
					fn(*fd, arg);
			}
}

struct numbers {
	int *list;		/* NULL: they are only counted */
	size_t n;
};

static void
note_fd(int fd, void *arg)
{
	struct numbers *numbers = arg;

	if (numbers->list != NULL)
		numbers->list[numbers->n] = fd;
	numbers->n++;
}

/* Each descriptor and process has one owner. */
static int
check_owners(struct reader *reader, const struct state *state)
{
	struct numbers fds = { .list = NULL }, pids = { .list = NULL };
	bool twins;

	each_fd(state, note_fd, &fds);
	fds.list = calloc(fds.n + 1, sizeof(*fds.list));
	pids.list = calloc(state->nchildren + state->nexecutors +
	    state->nmonitor + 1, sizeof(*pids.list));
	if (fds.list == NULL || pids.list == NULL) {
		free(fds.list);
		free(pids.list);
		return (refuse(reader, "%s", strerror(ENOMEM)));
	}
	fds.n = 0;
	each_fd(state, note_fd, &fds);
	for (size_t i = 0; i < state->nchildren; i++)
		note_fd((int)state->children[i].pid, &pids);
	for (size_t i = 0; i < state->nexecutors; i++)
		note_fd((int)state->executors[i].pid, &pids);
	if (state->nmonitor > 0)
		note_fd((int)state->monitor->pid, &pids);
	twins = has_twins(fds.list, fds.n) || has_twins(pids.list, pids.n) ||
	    (pids.n > 0 && pids.list[0] == 0);
	free(fds.list);
	free(pids.list);
	if (twins)
		return (refuse(reader, "a descriptor or process has two "
		    "owners"));
	return (0);
}

static int
check_server(struct reader *reader, const struct state *state)
{
	const struct state_server *server = state->server;

	if (state->nserver != 1)
		return (refuse(reader, "there is no server"));
	if (state_find_generation(state, server->running) == NULL ||
	    (server->back != 0 &&
		state_find_generation(state, server->back) == NULL))
		return (refuse(reader, "the running generation, or that of "
		    "before, is missing"));
	if (server->task == STATE_TASK_ROLLBACK && server->back == 0)
		return (refuse(reader, "nowhere to go back to"));
	if (server->status == -1 || server->spans == -1 ||
	    *server->program != '/')
		return (refuse(reader, "status, spans or program is missing"));
	return (0);
}

static int
check_generations(struct reader *reader, const struct state *state)
{
	for (size_t i = 0; i < state->ngenerations; i++) {
		const struct state_generation *generation =
		    &state->generations[i];

		if (generation->number == 0 || generation->slots == 0 ||
		    generation->slots > state->nslots ||
		    generation->number > state->server->numbered ||
		    state_find_generation(state, generation->number) !=
		    generation)
			return (refuse(reader, "generation %" PRIu64
			    " does not fit", generation->number));
	}
	for (size_t i = 0; i < state->nslots; i++)
		if (state->slots[i].counters == -1)
			return (refuse(reader, "slot %zu has no counters", i));
	return (0);
}

static int
check_sockets(struct reader *reader, const struct state *state)
{
	for (size_t i = 0; i < state->ngroups; i++) {
		size_t n = 0;

		for (size_t k = 0; k < state->nsockets; k++)
			n += state->sockets[k].group == i;
		if (n != state->groups[i].listening || n > CONF_WORKERS_MAX)
			return (refuse(reader, "group %zu has %zu sockets", i,
			    n));
	}
	for (size_t k = 0; k < state->nsockets; k++)
		if (state->sockets[k].group >= state->ngroups ||
		    state->sockets[k].fd == -1)
			return (refuse(reader, "a socket has no group"));
	return (0);
}

/* At most one worker serves in a slot, and each has a block of its own. */
static bool
is_displaced(const struct state *state, const struct state_child *child)
{
	if (child->slot >= state->nslots)
		return (true);
	for (size_t i = 0; i < state->nchildren; i++) {
		const struct state_child *other = &state->children[i];

		if (other != child && other->slot == child->slot &&
		    (other->block == child->block ||
			(other->serving && child->serving)))
			return (true);
	}
	return (false);
}

static int
refuse_speech(struct reader *reader, unsigned pid, unsigned version)
{
	return (refuse(reader, "process %u speaks version %u of the control "
	    "protocol, and this program knows %d to %d: its connections would "
	    "be lost", pid, version, CTL_PREVIOUS, CTL_VERSION));
}

/* Whether each process that has a channel can be talked to. */
static int
check_speech(struct reader *reader, const struct state *state)
{
	for (size_t i = 0; i < state->nchildren; i++)
		if (state->children[i].channel != -1 &&
		    !ctl_is_spoken(state->children[i].speaks))
			return (refuse_speech(reader, state->children[i].pid,
			    state->children[i].speaks));
	for (size_t i = 0; i < state->nexecutors; i++)
		if (state->executors[i].channel != -1 &&
		    !ctl_is_spoken(state->executors[i].speaks))
			return (refuse_speech(reader, state->executors[i].pid,
			    state->executors[i].speaks));
	if (state->nmonitor > 0 && state->monitor->channel != -1 &&
	    !ctl_is_spoken(state->monitor->speaks))
		return (refuse_speech(reader, state->monitor->pid,
		    state->monitor->speaks));
	return (0);
}

static int
check_children(struct reader *reader, const struct state *state)
{
	for (size_t i = 0; i < state->nchildren; i++) {
		const struct state_child *child = &state->children[i];

		if (is_displaced(state, child) ||
		    state_find_generation(state, child->generation) == NULL)
			return (refuse(reader, "child %u does not fit",
			    child->pid));
	}
	for (size_t i = 0; i < state->nshortages; i++)
		if (find_child(state, state->shortages[i].worker) == NULL)
			return (refuse(reader, "a shortage of no worker"));
	for (size_t i = 0; i < state->nexecutors; i++) {
		const struct state_executor *executor = &state->executors[i];

		if (state_find_generation(state, executor->generation) ==
		    NULL ||
		    (executor->worker != 0 &&
			find_child(state, executor->worker) == NULL) ||
		    (executor->worker == 0) !=
		    (executor->state == EXECUTOR_LEAVING) ||
		    (executor->requests != -1 && executor->work == -1))
			return (refuse(reader, "executor %u does not fit",
			    executor->pid));
	}
	return (0);
}

/* Whether anybody's end would ever complete a report. */
static bool
is_awaited(const struct state *state, size_t report)
{
	for (size_t i = 0; i < state->nawaited; i++)
		if (state->awaited[i].report == report)
			return (true);
	return (false);
}

static int
check_reports(struct reader *reader, const struct state *state)
{
	for (size_t i = 0; i < state->nreports; i++)
		if (!is_awaited(state, i))
			return (refuse(reader, "report %zu awaits nobody", i));
	for (size_t i = 0; i < state->ndepartures; i++)
		if (state->departures[i].report >= state->nreports)
			return (refuse(reader, "a departure of no report"));
	for (size_t i = 0; i < state->nawaited; i++)
		if (state->awaited[i].report >= state->nreports ||
		    find_child(state, state->awaited[i].worker) == NULL)
			return (refuse(reader, "worker %u does not fit its "
			    "report", state->awaited[i].worker));
	return (0);
}

static int
check(struct reader *reader, const struct state *state)
{
	if (check_server(reader, state) == -1 ||
	    check_generations(reader, state) == -1 ||
	    check_sockets(reader, state) == -1 ||
	    check_children(reader, state) == -1 ||
	    check_speech(reader, state) == -1 ||
	    check_reports(reader, state) == -1)
		return (-1);
	return (check_owners(reader, state));
}

/* In the previous version, all channels are spoken of at once. */
static void
spread_speaks(struct state *state)
{
	unsigned speaks = state->server->speaks;

	for (size_t i = 0; i < state->nchildren; i++)
		state->children[i].speaks = speaks;
	for (size_t i = 0; i < state->nexecutors; i++)
		state->executors[i].speaks =
		    state->executors[i].work_speaks = speaks;
	if (state->nmonitor > 0)
		state->monitor->speaks = speaks;
}

int
state_parse(struct state *state, const char *text, size_t len,
    char why[STATE_WHY_MAX])
{
	struct reader reader = {
		.at = text, .end = text + len, .line = 1, .why = why,
	};

	if (parse_head(&reader) == -1)
		return (-1);
	for (reader.line = 2; !take(&reader, TAIL "\n"); reader.line++) {
		if (reader.at == reader.end)
			return (refuse(&reader, "the end is missing"));
		if (parse_record(&reader, state) == -1)
			return (-1);
	}
	if (reader.at != reader.end)
		return (refuse(&reader, "more behind the end"));
	if (reader.version == STATE_PREVIOUS && state->server != NULL)
		spread_speaks(state);
	return (check(&reader, state));
}

/* Returns -1 with errno set. */
static int
read_all(int fd, char *text, size_t len)
{
	size_t have = 0;
	ssize_t n;

	while (have < len) {
		n = pread(fd, text + have, len - have, (off_t)have);
		if (n == 0)
			errno = EIO;
		if (n <= 0)
			return (-1);
		have += (size_t)n;
	}
	return (0);
}

int
state_read(struct state *state, int fd, char why[STATE_WHY_MAX])
{
	struct stat st;
	char *text = NULL;
	size_t len;
	int result;

	if (fstat(fd, &st) == -1)
		goto fail;
	if (!S_ISREG(st.st_mode) || st.st_size > STATE_SIZE_MAX) {
		errno = EFBIG;
		goto fail;
	}
	len = (size_t)st.st_size;
	if ((text = malloc(len + 1)) == NULL || read_all(fd, text, len) == -1)
		goto fail;
	result = state_parse(state, text, len, why);
	free(text);
	return (result);
fail:
	snprintf(why, STATE_WHY_MAX, "the state cannot be read: %s",
	    strerror(errno));
	free(text);
	return (-1);
}

/*
 * Descriptors.
 */

struct passing {
	bool pass;
	int wrong;		/* errno of one that is not open */
};

static void
pass_fd_on(int fd, void *arg)
{
	struct passing *passing = arg;

	if (fcntl(fd, F_SETFD, passing->pass ? 0 : FD_CLOEXEC) == -1)
		passing->wrong = errno;
}

int
state_pass_on(const struct state *state, bool pass)
{
	struct passing passing = { .pass = pass };

	each_fd(state, pass_fd_on, &passing);
	errno = passing.wrong;
	return (passing.wrong == 0 ? 0 : -1);
}
