/* SPDX-License-Identifier: ISC */
/*
 * Holds the names that operators match on against penstock(8): events and
 * reasons of the log, signals of -s.
 *
 * The manual lists events and reasons for a close as items (.It) of its section
 * LOG, and marks reasons for a rejection there by any macro; the signals it
 * marks by .Cm in its section SIGNALS.
 */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/counters.h"
#include "common/events.h"
#include "master/signals.h"
#include "tests/lib/harness.h"

enum { WORDS_MAX = 512 };

struct words {
	char *word[WORDS_MAX];
	size_t n;
};

static struct words log_items;		/* of lists in LOG */
static struct words log_marked;		/* by any macro in LOG */
static struct words signal_names;	/* by .Cm in SIGNALS */

static void
add(struct words *words, const char *word)
{
	ck_assert_uint_lt(words->n, WORDS_MAX);
	ck_assert_ptr_nonnull(words->word[words->n] = strdup(word));
	words->n++;
}

static bool
has(const struct words *words, const char *word)
{
	for (size_t i = 0; i < words->n; i++)
		if (strcmp(words->word[i], word) == 0)
			return (true);
	return (false);
}

static void
forget(struct words *words)
{
	while (words->n > 0)
		free(words->word[--words->n]);
}

/*
 * Reading the manual.
 */

static bool
is_macro(const char *word)
{
	return (strlen(word) == 2 && word[0] >= 'A' && word[0] <= 'Z' &&
	    word[1] >= 'a' && word[1] <= 'z');
}

static bool
is_name(const char *word)
{
	return (word[strspn(word, "abcdefghijklmnopqrstuvwxyz_")] == '\0');
}

static void
read_log_word(const char *first, const char *word)
{
	if (is_macro(word))
		return;
	if (strcmp(first, ".It") == 0)
		add(&log_items, word);
	if (strcmp(first, ".Bl") != 0)
		add(&log_marked, word);
}

/* Words of a line that begins with a macro, in the section of that name. */
static void
read_line(const char *section, char *line)
{
	const char *macro = "";
	char *first = strtok(line, " \t\n"), *word;

	if (first[1] != '\0')
		macro = first + 1;
	while ((word = strtok(NULL, " \t\n")) != NULL) {
		if (strcmp(section, "LOG") == 0)
			read_log_word(first, word);
		if (is_macro(word))
			macro = word;
		else if (strcmp(section, "SIGNALS") == 0 && is_name(word) &&
		    strcmp(macro, "Cm") == 0)
			add(&signal_names, word);
	}
}

static void
forget_manual(void)
{
	forget(&log_items);
	forget(&log_marked);
	forget(&signal_names);
}

static void
read_manual(void)
{
	const char *top = getenv("TOP_SRCDIR");
	char path[1024], line[1024], section[128] = "";
	FILE *manual;

	forget_manual();
	snprintf(path, sizeof(path), "%s/man/penstock.8",
	    top != NULL ? top : ".");
	ck_assert_msg((manual = fopen(path, "re")) != NULL,
	    "%s cannot be read", path);
	while (fgets(line, sizeof(line), manual) != NULL) {
		if (sscanf(line, ".Sh %127[^\n]", section) == 1 ||
		    line[0] != '.' || strncmp(line, ".\\\"", 3) == 0)
			continue;
		read_line(section, line);
	}
	fclose(manual);
}

/*
 * The code's own lists.
 */

static bool
is_event(const char *word)
{
	for (int i = 0; i < LOG_EVENT_COUNT; i++)
		if (strcmp(log_event_name((enum log_event)i), word) == 0)
			return (true);
	return (false);
}

static bool
is_reason(const char *word)
{
	for (int i = 0; i < CLOSE_REASON_COUNT; i++)
		if (strcmp(close_reason_name((enum close_reason)i), word) == 0)
			return (true);
	for (int i = 0; i < REJECT_REASON_COUNT; i++)
		if (strcmp(reject_reason_name((enum reject_reason)i), word) ==
		    0)
			return (true);
	return (false);
}

/* The names of -s as the program itself lists them. */
static void
read_program(struct words *names)
{
	char *text = NULL, *save = NULL, *word;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	ck_assert_ptr_nonnull(stream);
	signals_print_names(stream);
	ck_assert_int_eq(fclose(stream), 0);
	names->n = 0;
	for (word = strtok_r(text, ", ", &save); word != NULL;
	    word = strtok_r(NULL, ", ", &save))
		add(names, word);
	free(text);
}

/*
 * Held against each other.
 */

START_TEST(every_event_of_the_log_is_an_item_of_the_manual)
{
	read_manual();
	for (int i = 0; i < LOG_EVENT_COUNT; i++) {
		const char *name = log_event_name((enum log_event)i);

		ck_assert_msg(has(&log_items, name),
		    "penstock(8) has no item for the event %s", name);
	}
	forget_manual();
}
END_TEST

START_TEST(every_reason_for_a_close_is_an_item_of_the_manual)
{
	read_manual();
	for (int i = 0; i < CLOSE_REASON_COUNT; i++) {
		const char *name = close_reason_name((enum close_reason)i);

		ck_assert_msg(has(&log_items, name),
		    "penstock(8) has no item for the reason %s", name);
	}
	forget_manual();
}
END_TEST

START_TEST(every_reason_for_a_rejection_is_told_in_the_manual)
{
	read_manual();
	for (int i = 0; i < REJECT_REASON_COUNT; i++) {
		const char *name = reject_reason_name((enum reject_reason)i);

		ck_assert_msg(has(&log_marked, name),
		    "penstock(8) does not tell of the reason %s", name);
	}
	forget_manual();
}
END_TEST

START_TEST(every_item_of_the_manual_is_an_event_or_a_reason)
{
	read_manual();
	ck_assert_uint_gt(log_items.n, 0);
	for (size_t i = 0; i < log_items.n; i++)
		ck_assert_msg(is_event(log_items.word[i]) ||
		    is_reason(log_items.word[i]),
		    "penstock(8) has an item %s that the code does not know",
		    log_items.word[i]);
	forget_manual();
}
END_TEST

START_TEST(no_item_of_the_manual_stands_there_twice)
{
	read_manual();
	for (size_t i = 0; i < log_items.n; i++)
		for (size_t k = 0; k < i; k++)
			ck_assert_str_ne(log_items.word[i], log_items.word[k]);
	forget_manual();
}
END_TEST

START_TEST(every_name_of_a_signal_is_told_in_the_manual)
{
	struct words names;

	read_manual();
	read_program(&names);
	ck_assert_uint_gt(names.n, 0);
	for (size_t i = 0; i < names.n; i++)
		ck_assert_msg(has(&signal_names, names.word[i]),
		    "penstock(8) does not tell of -s %s", names.word[i]);
	forget(&names);
	forget_manual();
}
END_TEST

START_TEST(every_name_of_a_signal_in_the_manual_is_one)
{
	read_manual();
	ck_assert_uint_gt(signal_names.n, 0);
	for (size_t i = 0; i < signal_names.n; i++)
		ck_assert_msg(signals_find(signal_names.word[i]) != 0,
		    "penstock(8) tells of -s %s, which there is not",
		    signal_names.word[i]);
	forget_manual();
}
END_TEST

START_TEST(every_name_of_a_signal_stands_for_its_signal)
{
	struct words names;

	read_program(&names);
	ck_assert_uint_eq(names.n, 6);
	for (size_t i = 0; i < names.n; i++)
		ck_assert_int_ne(signals_find(names.word[i]), 0);
	forget(&names);
	ck_assert_int_eq(signals_find("stop"), SIGTERM);
	ck_assert_int_eq(signals_find("quit"), SIGQUIT);
	ck_assert_int_eq(signals_find("reload"), SIGHUP);
	ck_assert_int_eq(signals_find("reopen"), SIGUSR1);
	ck_assert_int_eq(signals_find("upgrade"), SIGUSR2);
	ck_assert_int_eq(signals_find("rebalance"), SIGWINCH);
}
END_TEST

START_TEST(what_is_no_name_stands_for_no_signal)
{
	static const char *const no_names[] = {
		"", "sto", "stopp", "STOP", "TERM", "SIGTERM", "15", "kill"
	};

	for (size_t i = 0; i < sizeof(no_names) / sizeof(*no_names); i++)
		ck_assert_int_eq(signals_find(no_names[i]), 0);
}
END_TEST

RUN_TESTS("names",
    every_event_of_the_log_is_an_item_of_the_manual,
    every_reason_for_a_close_is_an_item_of_the_manual,
    every_reason_for_a_rejection_is_told_in_the_manual,
    every_item_of_the_manual_is_an_event_or_a_reason,
    no_item_of_the_manual_stands_there_twice,
    every_name_of_a_signal_is_told_in_the_manual,
    every_name_of_a_signal_in_the_manual_is_one,
    every_name_of_a_signal_stands_for_its_signal,
    what_is_no_name_stands_for_no_signal)
