/* SPDX-License-Identifier: ISC */
/*
 * A module for tests that does, as its settings say, what no module should;
 * else it echoes.  Numbers that are 0 or missing do nothing:
 *
 *	open_ms		open() takes so long
 *	open_fails	open() fails, with this reason
 *	open_crashes	1: open() dies of a signal
 *	segfault	each so many-th request: dies of SIGSEGV
 *	abort, exit	the same: SIGABRT, exit status 3
 *	hang		the same: never returns
 *	hold		the same: returns when there is a file "release"
 *	fail, silent	the same: fails, does not answer
 *	sleep		the same: sleeps for sleep_ms
 *	sleep_ms	how long; without sleep, every request
 *	sleep_most_ms	between that and so long, each one another time
 *	spin_us		every request uses so much time of a CPU
 *	reply_bytes	every reply is so many bytes of 'x'
 *	leak		1: each message is kept for ever
 *	close_file	close() creates this file
 *	journal		a file that gets a line, "begin PID MESSAGE" or
 *			"end PID MESSAGE", before and after each request
 *
 * A message that begins with a word and a space, "segfault ", "sleep 250 " and
 * so on, asks for that itself; "facts" is answered by what is known of it,
 * "env NAME" by a variable of the environment, "http 201 text/x" with this
 * status and content type by what HTTP tells, and "fields 302|Location|/b|..." with
 * this status and these response fields by how many of them were refused.
 *
 * With -DMODULE_VERSION=N it claims another version, with -DMODULE_EMPTY it
 * defines nothing.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "penstock/handler.h"

#ifndef MODULE_VERSION
#define MODULE_VERSION PENSTOCK_HANDLER_VERSION
#endif

#ifndef MODULE_EMPTY

enum deed {
	SEGFAULT, ABORT, EXIT, HANG, HOLD, FAIL, SILENT, SLEEP,
	DEEDS
};

static const char *const deed_names[] = {
	"segfault", "abort", "exit", "hang", "hold", "fail", "silent",
	"sleep",
};

struct state {
	unsigned long nrequests;
	long every[DEEDS];
	long sleep_ms;
	long sleep_most_ms;
	long spin_us;
	long reply_bytes;
	long leak;
	const char *close_file;
	int journal;		/* -1: none */
};

static char *leaked;		/* the last of what is kept for ever */

static void
sleep_ms(long ms)
{
	struct timespec time = {
		.tv_sec = ms / 1000,
		.tv_nsec = ms % 1000 * 1000000,
	};

	while (nanosleep(&time, &time) == -1)
		;
}

static void
spin_us(long us)
{
	struct timespec begin, now;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - begin.tv_sec) * 1000000 +
	    (now.tv_nsec - begin.tv_nsec) / 1000 < us);
}

static int
read_settings(struct state *state, const struct penstock_settings *settings,
    long *open_ms, long *open_crashes)
{
	const struct {
		const char *key;
		long *value;
	} numbers[] = {
		{ "open_ms", open_ms },
		{ "open_crashes", open_crashes },
		{ "sleep_ms", &state->sleep_ms },
		{ "sleep_most_ms", &state->sleep_most_ms },
		{ "spin_us", &state->spin_us },
		{ "reply_bytes", &state->reply_bytes },
		{ "leak", &state->leak },
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (penstock_setting_number(settings, numbers[i].key, 0,
		    numbers[i].value) == -1)
			return (-1);
	for (int deed = 0; deed < DEEDS; deed++)
		if (penstock_setting_number(settings, deed_names[deed], 0,
		    &state->every[deed]) == -1)
			return (-1);
	state->close_file = penstock_setting(settings, "close_file", NULL);
	state->journal = open(penstock_setting(settings, "journal", ""),
	    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	return (0);
}

static int
misbehave_open(const struct penstock_settings *settings, void **result,
    char *why, size_t why_size)
{
	const char *reason = penstock_setting(settings, "open_fails", NULL);
	struct state *state = calloc(1, sizeof(*state));
	long open_ms = 0, open_crashes = 0;

	if (state == NULL ||
	    read_settings(state, settings, &open_ms, &open_crashes) == -1)
		reason = "a setting is not a number";
	else {
		sleep_ms(open_ms);
		if (open_crashes != 0)
			raise(SIGSEGV);
	}
	if (reason != NULL) {
		snprintf(why, why_size, "%s", reason);
		free(state);
		return (-1);
	}
	*result = state;
	return (0);
}

static int
do_deed(enum deed deed, long ms)
{
	switch (deed) {
	case SEGFAULT:
		/* Sanitizers make a report of the real one. */
		signal(SIGSEGV, SIG_DFL);
		raise(SIGSEGV);
		break;
	case ABORT:
		abort();
	case EXIT:
		_exit(3);
	case HANG:
		for (;;)
			pause();
	case HOLD:
		while (access("release", F_OK) == -1)
			sleep_ms(5);
		break;
	case FAIL:
		return (PENSTOCK_FAILED);
	case SILENT:
		return (PENSTOCK_SILENT);
	case SLEEP:
		sleep_ms(ms);
		break;
	case DEEDS:
		break;
	}
	return (PENSTOCK_REPLY);
}

/* The deed for which this request's turn has come. */
static enum deed
deed_by_turn(const struct state *state, unsigned long n)
{
	int deed = 0;

	while (deed < DEEDS && (state->every[deed] <= 0 ||
	    n % (unsigned long)state->every[deed] != 0))
		deed++;
	return ((enum deed)deed);
}

/* The deed that the message itself asks for. */
static enum deed
deed_by_name(const struct penstock_request *request, long *ms)
{
	const char *text = request->payload;
	size_t len;

	for (int deed = 0; deed < DEEDS; deed++) {
		len = strlen(deed_names[deed]);
		if (strncmp(text, deed_names[deed], len) == 0 &&
		    text[len] == ' ') {
			*ms = strtol(text + len, NULL, 10);
			return ((enum deed)deed);
		}
	}
	return (DEEDS);
}

/* One write, so that lines of several threads do not mix. */
static void
note(const struct state *state, const char *what,
    const struct penstock_request *request)
{
	char line[128];
	int len;

	if (state->journal == -1)
		return;
	len = snprintf(line, sizeof(line), "%s %d %.64s\n", what,
	    (int)getpid(), (const char *)request->payload);
	if (write(state->journal, line, (size_t)len) != len)
		abort();
}

static void
reply_environment(const char *name, struct penstock_reply *reply)
{
	const char *value = getenv(name);

	penstock_printf(reply, "%s", value != NULL ? value : "(not set)");
}

static void
reply_facts(const struct penstock_request *request,
    struct penstock_reply *reply)
{
	penstock_printf(reply, "conn=%llu request=%llu listener=%s peer=%s "
	    "arrived_us=%llu deadline_us=%llu thread=%u",
	    (unsigned long long)request->conn_id,
	    (unsigned long long)request->request_id, request->listener,
	    penstock_peer(request), (unsigned long long)request->arrived_us,
	    (unsigned long long)request->deadline_us, request->thread);
	if (request->traceparent != NULL)
		penstock_printf(reply, " traceparent=%s",
		    request->traceparent);
	if (penstock_id(request) != NULL)
		penstock_printf(reply, " id=%s", penstock_id(request));
}

static const char *
or_none(const char *text)
{
	return (text != NULL ? text : "(none)");
}

static void
reply_http(const struct penstock_request *request,
    struct penstock_reply *reply)
{
	char type[PENSTOCK_CONTENT_TYPE_MAX] = "";
	unsigned status = 0;

	(void)sscanf(request->payload, "http %u %255s", &status, type);
	if (penstock_set_status(reply, status) == -1 ||
	    penstock_set_content_type(reply, type) == -1)
		penstock_append_text(reply, "refused ");
	penstock_printf(reply, "%s %s %s %s %s",
	    or_none(penstock_method(request)),
	    or_none(penstock_target(request)),
	    or_none(penstock_path(request)), or_none(penstock_query(request)),
	    or_none(penstock_field(request, "X-Device")));
}

static void
reply_fields(const struct penstock_request *request,
    struct penstock_reply *reply)
{
	char *text = strdup(request->payload), *rest = text, *name, *value;
	int refused = 0;

	if (text == NULL)
		abort();
	name = strsep(&rest, "|");
	penstock_set_status(reply, (unsigned)atoi(name + strlen("fields ")));
	while ((name = strsep(&rest, "|")) != NULL) {
		value = strsep(&rest, "|");
		refused += penstock_add_field(reply, name,
		    value != NULL ? value : "") != 0;
	}
	penstock_printf(reply, "%d refused", refused);
	free(text);
}

static void
reply_to(const struct state *state, const struct penstock_request *request,
    struct penstock_reply *reply)
{
	size_t len = (size_t)state->reply_bytes;
	void *room;

	if (len > 0) {
		if ((room = penstock_reserve(reply, len)) == NULL)
			return;
		memset(room, 'x', len);
		penstock_commit(reply, len);
	} else if (strcmp(request->payload, "facts") == 0)
		reply_facts(request, reply);
	else if (strncmp(request->payload, "env ", 4) == 0)
		reply_environment((const char *)request->payload + 4, reply);
	else if (strncmp(request->payload, "http ", 5) == 0)
		reply_http(request, reply);
	else if (strncmp(request->payload, "fields ", 7) == 0)
		reply_fields(request, reply);
	else
		penstock_append(reply, request->payload, request->length);
}

/* Times far apart for requests next to each other. */
static long
time_to_sleep(const struct state *state, unsigned long n)
{
	long spread_ms = state->sleep_most_ms - state->sleep_ms;

	if (spread_ms <= 0)
		return (state->sleep_ms);
	return (state->sleep_ms + (long)(n * 7919 %
	    ((unsigned long)spread_ms + 1)));
}

static int
misbehave_handle(void *arg, const struct penstock_request *request,
    struct penstock_reply *reply)
{
	struct state *state = arg;
	unsigned long n = __atomic_add_fetch(&state->nrequests, 1,
	    __ATOMIC_RELAXED);
	long ms = time_to_sleep(state, n);
	enum deed deed = deed_by_name(request, &ms);
	int result;

	note(state, "begin", request);
	if (deed == DEEDS)
		deed = deed_by_turn(state, n);
	if (deed == DEEDS && state->every[SLEEP] == 0 && ms > 0)
		deed = SLEEP;
	if (state->spin_us > 0)
		spin_us(state->spin_us);
	if (state->leak != 0)
		__atomic_store_n(&leaked, strdup(request->payload),
		    __ATOMIC_RELAXED);
	if ((result = do_deed(deed, ms)) == PENSTOCK_REPLY)
		reply_to(state, request, reply);
	note(state, "end", request);
	return (result);
}

static void
misbehave_close(void *arg)
{
	struct state *state = arg;

	if (state->close_file != NULL)
		close(open(state->close_file, O_WRONLY | O_CREAT, 0600));
	if (state->journal != -1)
		close(state->journal);
	free(state);
}

const struct penstock_handler penstock_handler = {
	.version = MODULE_VERSION,
	.size = sizeof(struct penstock_handler),
	.name = "misbehave",
	.open = misbehave_open,
	.handle = misbehave_handle,
	.close = misbehave_close,
};

#endif
