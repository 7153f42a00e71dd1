/* SPDX-License-Identifier: ISC */
/*
 * Holds master/state.c and master/state_record.c to master/state.h: what was
 * printed reads back, and whatever is damaged is refused, with the place.
 */
#include "master/state.h"

#include <sys/mman.h>

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/harness.h"
#include "tests/lib/masters.h"

/* One of each record, held together as it should be. */
#define HEAD	"penstock-state 4\n"
#define SERVER	"server 0 1 3 2 3 9 1700000000 10 11 12 14 13 \"0.1\" \"/sbin/p\" \"pid\" \"\"\n"
#define NAMES	"listener \"a\"\nhandler \"echo\"\n"
#define GENERATIONS							\
	"generation 2 0 1 0 0 0 \"conf\" \"old\"\n"			\
	"generation 3 1700000000 2 1 33 4294967295 \"conf\" \"a\\0aa\\5c\\22\\ff\"\n"
#define SLOTS	"slot 20 0 0\nslot 21 3 18446744073709551615\n"
#define GROUPS								\
	"group 0 2 0 \"127.0.0.1:9000\"\n"				\
	"group 1 1 0 \"127.0.0.1:9180\"\n"				\
	"socket 0 30\nsocket 0 31\nsocket 1 32\n"
#define CHILDREN							\
	"child 100 0 0 3 2 1 40 0 5 0 \"\" 3 0 1\n"			\
	"child 101 1 3 3 2 1 - 1 5 6 \"it said\" 0 0 0\n"		\
	"child 102 1 0 2 3 0 41 0 5 6 \"\" 2 1 0\n"
#define SHORTAGES	"shortage 101 31 1 2 3\n"
#define EXECUTORS							\
	"executor 200 101 7 3 0 0 0 50 52 51 5 6 \"\" \"last\" \"part\" 3 2 53\n" \
	"executor 201 0 8 2 0 2 1 - - - 5 6 \"why\" \"\" \"\" 0 0 -\n"
#define REPORTS								\
	"report 0 3 1600000000 4 50 6 7 8 9 10\n"			\
	"report 1 3 1600000001 5 0 0 0 0 0 0\n"				\
	"departure 0 1 77\n"
#define AWAITED								\
	"awaited 101 0 5 2 1 900 4\nawaited 102 1 0 0 0 0 0\n"
#define MONITOR	"monitor 300 3 60 1 0 0 5 0 18446744073709551615 3\n"
#define ANCHORS	"anchor 101 301 61 3\nanchor 102 302 62 3\n"
#define TAIL	"end\n"
#define WHOLE								\
	HEAD SERVER NAMES GENERATIONS SLOTS GROUPS CHILDREN SHORTAGES	\
	EXECUTORS REPORTS AWAITED MONITOR ANCHORS TAIL

static struct master master;
static struct why why;

static int
parse(const char *text)
{
	drop_master(&master);
	*why.text = '\0';
	return (state_parse(&master, text, strlen(text), &why));
}

static void
expect_refusal(const char *text, const char *reason)
{
	ck_assert_msg(parse(text) == -1, "this was taken:\n%s", text);
	ck_assert_msg(strstr(why.text, reason) != NULL,
	    "\"%s\", not \"%s\":\n%s", why.text, reason, text);
	drop_master(&master);
}

/* The whole with one text in place of another. */
static void
expect_refusal_with(const char *old, const char *new, const char *reason)
{
	const char *at = strstr(WHOLE, old);
	char *text;

	ck_assert_ptr_nonnull(at);
	ck_assert_int_ne(asprintf(&text, "%.*s%s%s", (int)(at - WHOLE), WHOLE,
	    new, at + strlen(old)), -1);
	expect_refusal(text, reason);
	free(text);
}

static void
expect_print(const char *expected, unsigned version)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	ck_assert_int_eq(state_write(out, &master, version), 0);
	ck_assert_int_eq(fclose(out), 0);
	ck_assert_str_eq(text, expected);
	free(text);
}

START_TEST(what_was_read_prints_the_same)
{
	const struct worker_proc *child;

	ck_assert_msg(parse(WHOLE) == 0, "%s", why.text);
	expect_print(WHOLE, STATE_VERSION);
	child = TAILQ_NEXT(TAILQ_FIRST(&master.workers), link);
	ck_assert_int_eq(child->process.fd, -1);
	ck_assert_str_eq(child->why.text, "it said");
	ck_assert(child == master.slots[1].serving);
	ck_assert(!child->has_lost_anchor);
	ck_assert(TAILQ_FIRST(&master.workers)->has_lost_anchor);
	ck_assert_uint_eq(master.slots[1].pause.again_ms, UINT64_MAX);
	ck_assert_uint_eq(child->generation->identity.gid, UINT32_MAX);
	ck_assert_str_eq(child->generation->text, "a\na\\\"\xff");
	ck_assert_uint_eq(master.sockets.n, 1);
	ck_assert_uint_eq(master.monitor.sockets.n, 1);
	ck_assert_uint_eq(master.monitor.process.patience_ms, UINT64_MAX);
	drop_master(&master);
}
END_TEST

/* As the previous release wrote it: this text is never changed, only replaced
 * when that release is not the previous one any more. */
#define PREVIOUS							\
	"penstock-state 3\n"						\
	"server 0 2 3 2 3 9 1700000000 10 11 12 14 13 \"0.1\" \"/sbin/p\" \"pid\" \"\"\n" \
	NAMES GENERATIONS SLOTS GROUPS					\
	"child 100 0 0 3 2 1 40 0 5 0 \"\"\n"				\
	"child 101 1 3 3 2 1 - 1 5 6 \"it said\"\n"			\
	"child 102 1 0 2 3 0 41 0 5 6 \"\"\n"				\
	SHORTAGES							\
	"executor 200 101 7 3 0 0 0 50 - 51 5 6 \"\" \"last\" \"part\"\n" \
	"executor 201 0 8 2 0 2 1 - - - 5 6 \"why\" \"\" \"\"\n"		\
	REPORTS								\
	"awaited 101 0 5 2 1 900\nawaited 102 1 0 0 0 0\n"		\
	"monitor 300 3 60 1 0 0 5 0 18446744073709551615\n"		\
	"end\n"

START_TEST(the_previous_version_is_read_and_written)
{
	const struct executor_proc *executor;
	const struct worker_proc *child;

	ck_assert_uint_eq(STATE_PREVIOUS, 3);
	ck_assert_msg(parse(PREVIOUS) == 0, "%s", why.text);
	TAILQ_FOREACH(child, &master.workers, link)
		ck_assert_uint_eq(child->process.speaks, 2);
	child = TAILQ_NEXT(TAILQ_FIRST(&master.workers), link);
	executor = TAILQ_FIRST(&child->crew.members);
	ck_assert_uint_eq(executor->process.speaks, 2);
	ck_assert_uint_eq(executor->work_speaks, 2);
	ck_assert_int_eq(executor->requests, -1);
	ck_assert_uint_eq(master.monitor.process.speaks, 2);
	expect_print(PREVIOUS, STATE_PREVIOUS);
	drop_master(&master);
}
END_TEST

START_TEST(a_part_of_it_is_refused)
{
	char text[] = WHOLE;

	for (size_t len = 0; len < strlen(WHOLE); len++) {
		drop_master(&master);
		ck_assert_int_eq(state_parse(&master, text, len, &why), -1);
	}
	drop_master(&master);
	expect_refusal("", "no state of penstock's");
	expect_refusal(HEAD SERVER, "line 3: the end is missing");
	expect_refusal(WHOLE "x", "more behind the end");
}
END_TEST

START_TEST(a_process_that_cannot_be_talked_to_is_refused)
{
	const char *why_child = "process 100 speaks version 4 of the control "
	    "protocol, and this program knows 2 to 3";

	expect_refusal_with("5 0 \"\" 3 0 1\n", "5 0 \"\" 4 0 1\n",
	    why_child);
	expect_refusal_with("\"part\" 3 2 53\n", "\"part\" 1 2 53\n",
	    "process 200 speaks version 1");
	expect_refusal_with("615 3\nanchor", "615 0\nanchor",
	    "process 300 speaks version 0");
	expect_refusal_with("302 62 3\n", "302 62 4\n",
	    "process 302 speaks version 4");
}
END_TEST

START_TEST(another_version_is_refused)
{
	expect_refusal("penstock-state 1\n" TAIL,
	    "the state has version 1, and this program knows 3 to 4");
	expect_refusal("penstock-state 02\n" TAIL, "no state of penstock's");
	expect_refusal("penstock-state 2 \n" TAIL, "no state of penstock's");
	expect_refusal("#!/bin/sh\n", "no state of penstock's");
}
END_TEST

START_TEST(an_unknown_record_is_refused)
{
	expect_refusal_with(NAMES, "gardener 1\n", "line 3: unknown record");
	expect_refusal_with(NAMES, "\n", "line 3: unknown record");
	expect_refusal_with(NAMES, "listeners \"a\"\n", "unknown record");
	expect_refusal_with(SERVER, SERVER SERVER, "one server too many");
	expect_refusal_with(SERVER, "", "there is no server");
	expect_refusal_with(MONITOR, MONITOR MONITOR, "one monitor too many");
}
END_TEST

START_TEST(a_bad_number_is_refused)
{
	static const char *const bad[] = {
		"", "x", "-1", "+1", " 1", "01", "0x1", "1.0", "1e3",
		"18446744073709551616", "99999999999999999999", "2147483648",
	};
	char line[128];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(line, sizeof(line), "socket 0 %s\n", bad[i]);
		expect_refusal_with("socket 0 30\n", line,
		    "line 11: socket: ");
	}
	expect_refusal_with("slot 20 0 0", "slot 20 4294967296 0",
	    "slot: pause.young_deaths is missing or wrong");
	expect_refusal_with("child 100 0 0 3 2 1", "child 100 0 0 3 2 2",
	    "child: serving is missing or wrong");
	expect_refusal_with("child 100 0 0 3 2 1", "child 100 0 0 3 5 1",
	    "child: state is missing or wrong");
	expect_refusal_with("child 100 0 0", "child 100 0 8",
	    "child: block is missing or wrong");
	expect_refusal_with("slot 20 0 0\n", "slot 20 0 0 0\n",
	    "slot: more than is known");
	expect_refusal_with("slot 20 0 0\n", "slot 20 0\n",
	    "slot: pause.again_ms is missing or wrong");
}
END_TEST

START_TEST(a_bad_string_is_refused)
{
	static const char *const bad[] = {
		"a", "\"a", "a\"", "\"a\\\"", "\"\\0\"", "\"\\00\"",
		"\"\\zz\"", "\"\\0A\"", "\"a\tb\"", "'a'",
	};
	char line[64];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(line, sizeof(line), "listener %s\n", bad[i]);
		expect_refusal_with("listener \"a\"\n", line, "listener: ");
	}
}
END_TEST

START_TEST(what_does_not_fit_together_is_refused)
{
	expect_refusal_with("child 100", "child 101", "two owners");
	expect_refusal_with("child 100", "child 0", "process.pid is missing");
	expect_refusal_with("executor 200 101", "executor 100 101",
	    "two owners");
	expect_refusal_with("socket 0 30", "socket 0 40", "two owners");
	expect_refusal_with("socket 0 30", "socket 0 2", "fd is missing");
	expect_refusal_with("socket 0 30", "socket 0 -", "no group");
	expect_refusal_with("socket 0 30", "socket 1 30", "has 1 sockets");
	expect_refusal_with("monitor 300 3 60", "monitor 200 3 60",
	    "two owners");
	expect_refusal_with("monitor 300 3 60", "monitor 300 3 50",
	    "two owners");
	expect_refusal_with("child 100 0", "child 100 2", "child 100 does not");
	expect_refusal_with("child 100 0", "child 100 1", "does not fit");
	expect_refusal_with("child 101 1 3", "child 101 1 0", "does not fit");
	expect_refusal_with("child 101 1 3 3", "child 101 1 3 4",
	    "generation 4 is missing");
	expect_refusal_with("generation 2 0 1", "generation 2 0 3",
	    "generation 2 does not");
	expect_refusal_with("generation 2 0 1", "generation 3 0 1",
	    "generation 3 does not fit");
	expect_refusal_with("generation 2 0 1", "generation 4 0 1",
	    "generation 2 is missing");
	expect_refusal_with("server 0 1 3", "server 0 1 4",
	    "generation 4 is missing");
	expect_refusal_with("server 0 1 3 2 3", "server 0 1 3 2 2",
	    "generation 3 does not");
	expect_refusal_with("server 0 1 3 2", "server 1 1 3 0",
	    "nowhere to go back to");
	expect_refusal_with("\"/sbin/p\"", "\"p\"", "program is missing");
	expect_refusal_with("slot 20", "slot -", "slot 0 has no counters");
	expect_refusal_with("shortage 101", "shortage 200",
	    "shortage: worker is missing");
	expect_refusal_with("executor 200 101", "executor 200 103",
	    "executor: worker is missing");
	expect_refusal_with("\"\" 0 0 -\n", "\"\" 0 0 54\n",
	    "executor 201 does not fit");
	expect_refusal_with("200 101 7 3 0 0 0 50", "200 101 7 3 0 0 0 -",
	    "executor 200 does not fit");
	expect_refusal_with("executor 201 0", "executor 201 101",
	    "executor 201 does not");
	expect_refusal_with("awaited 102 1", "awaited 102 0",
	    "report 1 awaits nobody");
	expect_refusal_with("awaited 102 1", "awaited 102 2",
	    "a worker does not fit its report");
	expect_refusal_with("awaited 101 0", "awaited 103 0",
	    "awaited: worker is missing");
	expect_refusal_with("departure 0", "departure 2", "of no report");
	expect_refusal_with("anchor 102", "anchor 101",
	    "anchor 302 does not fit");
	expect_refusal_with("anchor 102 302 62", "anchor 102 302 -",
	    "anchor 302 does not fit");
	expect_refusal_with("anchor 102 302", "anchor 102 200", "two owners");
	expect_refusal_with("anchor 102", "anchor 103",
	    "anchor: worker is missing");
}
END_TEST

static int
write_memfd(const char *text)
{
	int fd = memfd_create("state", MFD_CLOEXEC);

	ck_assert_int_eq(write(fd, text, strlen(text)), (int)strlen(text));
	return (fd);
}

START_TEST(a_descriptor_is_read_from_its_beginning)
{
	int fd = write_memfd(WHOLE), ends[2];

	ck_assert_int_eq(state_read(&master, fd, &why), 0);
	drop_master(&master);
	/* As often as it takes. */
	ck_assert_int_eq(state_read(&master, fd, &why), 0);
	drop_master(&master);
	ck_assert_int_eq(ftruncate(fd, STATE_SIZE_MAX + 1L), 0);
	ck_assert_int_eq(state_read(&master, fd, &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, strerror(EFBIG)));
	close(fd);
	ck_assert_int_eq(state_read(&master, fd, &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, strerror(EBADF)));
	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(state_read(&master, ends[0], &why), -1);
	close(ends[0]);
	close(ends[1]);
}
END_TEST

START_TEST(descriptors_are_passed_on_or_not)
{
	int fd = write_memfd("");

	drop_master(&master);
	master.upgrade.log = fd;
	master.upgrade.previous = -1;
	ck_assert_int_eq(state_pass_on(&master, STATE_VERSION, true), 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), 0);
	ck_assert_int_eq(state_pass_on(&master, STATE_VERSION, false), 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	/* A descriptor that is not open is reported; the others are passed. */
	master.pidfiles.now.fd = 1000000;
	ck_assert_int_eq(state_pass_on(&master, STATE_VERSION, true), -1);
	ck_assert_int_eq(errno, EBADF);
	ck_assert_int_eq(fcntl(fd, F_GETFD), 0);
	close(fd);
	drop_master(&master);
}
END_TEST

static void __attribute__((constructor))
begin(void)
{
	master_init(&master);
}

RUN_TESTS("state",
    what_was_read_prints_the_same,
    the_previous_version_is_read_and_written,
    a_part_of_it_is_refused,
    another_version_is_refused,
    a_process_that_cannot_be_talked_to_is_refused,
    an_unknown_record_is_refused,
    a_bad_number_is_refused,
    a_bad_string_is_refused,
    what_does_not_fit_together_is_refused,
    a_descriptor_is_read_from_its_beginning,
    descriptors_are_passed_on_or_not)
