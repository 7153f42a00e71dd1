/* SPDX-License-Identifier: ISC */
/*
 * Holds the handlers of a configuration (conf/conf*.c) to their word, and
 * what listeners have for them.
 *
 * Most of what is checked stands in tests/data/handlers_malformed.txt and in
 * handlers_wellformed.txt; here is what does not fit into a text file.  Each
 * test has a directory of its own, which it is in.  check_conf.c has the other
 * keys, and holds the manual to all of them.
 */
#include "conf/conf.h"

#include <sys/stat.h>

#include <check.h>
#include <err.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/conf_alloc.h"
#include "conf/conf_keys.h"
#include "conf/conf_parse.h"
#include "tests/lib/conf_files.h"

#define LISTENER_OF(handler)						\
	"listeners = ( { name = \"l\"; address = \"*:1\"; "		\
	"handler = \"" handler "\"; } );\n"

static struct conf *
load_every_key(void)
{
	char *text = read_source("tests/data/handlers_every_key.conf");
	struct conf *conf = load_text(text);

	free(text);
	return conf;
}

static void
assert_same_settings(const struct conf_setting *a, size_t na,
    const struct conf_setting *b, size_t nb)
{
	ck_assert_uint_eq(na, nb);
	for (size_t i = 0; i < na; i++) {
		ck_assert_str_eq(a[i].key, b[i].key);
		ck_assert_str_eq(a[i].value, b[i].value);
	}
}

static void
assert_same_command(char *const *a, char *const *b)
{
	ck_assert_int_eq(a == NULL, b == NULL);
	if (a == NULL)
		return;
	for (; *a != NULL && *b != NULL; a++, b++)
		ck_assert_str_eq(*a, *b);
	ck_assert_ptr_null(*a);
	ck_assert_ptr_null(*b);
}

/* Field by field, lest the printer forget what the reader does, too. */
static void
assert_same_handler(const struct conf_handler *a, const struct conf_handler *b)
{
	ck_assert_str_eq(a->name, b->name);
	ck_assert_int_eq(a->type, b->type);
	assert_same_command(a->command, b->command);
	ck_assert_str_eq(a->module, b->module);
	assert_same_settings(a->settings, a->nsettings, b->settings,
	    b->nsettings);
	ck_assert_uint_eq(a->processes, b->processes);
	ck_assert_uint_eq(a->threads, b->threads);
	ck_assert_uint_eq(a->pipeline, b->pipeline);
	ck_assert_int_eq(a->metadata, b->metadata);
	ck_assert_int_eq(a->reply_metadata, b->reply_metadata);
	ck_assert_int_eq(a->tagged, b->tagged);
	ck_assert_int_eq(a->ready, b->ready);
	ck_assert_uint_eq(a->ready_timeout_ms, b->ready_timeout_ms);
	assert_same_settings(a->environment, a->nenvironment, b->environment,
	    b->nenvironment);
	ck_assert_str_eq(a->working_directory, b->working_directory);
	ck_assert_uint_eq(a->max_memory, b->max_memory);
	ck_assert_uint_eq(a->max_files, b->max_files);
	ck_assert_uint_eq(a->queue, b->queue);
	ck_assert_int_eq(a->overload, b->overload);
	ck_assert_uint_eq(a->queue_timeout_ms, b->queue_timeout_ms);
	ck_assert_uint_eq(a->request_timeout_ms, b->request_timeout_ms);
	ck_assert_str_eq(a->busy, b->busy);
	ck_assert_str_eq(a->timeout, b->timeout);
	ck_assert_str_eq(a->failed, b->failed);
}

static void
assert_same(const struct conf *a, const struct conf *b)
{
	ck_assert_uint_eq(a->nhandlers, b->nhandlers);
	for (size_t i = 0; i < a->nhandlers; i++)
		assert_same_handler(&a->handlers[i], &b->handlers[i]);
	ck_assert_uint_eq(a->nlisteners, b->nlisteners);
	for (size_t i = 0; i < a->nlisteners; i++) {
		const struct conf_listener *la = &a->listeners[i];
		const struct conf_listener *lb = &b->listeners[i];

		ck_assert_uint_eq(la->handler_index, lb->handler_index);
		ck_assert_int_eq(la->priority, lb->priority);
		ck_assert_uint_eq(la->pipeline, lb->pipeline);
	}
}

static void
assert_handlers_read_back(const struct conf *conf)
{
	char *first = print_conf(conf), *second;
	struct conf *again;

	again = load_text(first);
	assert_same(conf, again);
	second = print_conf(again);
	ck_assert_str_eq(first, second);
	free(first);
	free(second);
	conf_free(again);
}

/* Whether a text has these lines in a row, blanks before them aside. */
static bool
has_lines_at(const char *text, const char *lines)
{
	while (*lines != '\0') {
		size_t len = strcspn(lines, "\n") + 1;

		text += strspn(text, "\t");
		if (strncmp(text, lines, len) != 0)
			return false;
		text += len;
		lines += len;
	}
	return true;
}

/* ---- keys and fields ---- */

static void
assert_built_in(const struct conf_handler *handler, const char *name,
    enum conf_handler_type type)
{
	ck_assert_str_eq(handler->name, name);
	ck_assert_int_eq(handler->type, type);
	ck_assert_ptr_null(handler->command);
	ck_assert_str_eq(handler->module, "");
	ck_assert_uint_eq(handler->nsettings, 0);
	ck_assert_uint_eq(handler->nenvironment, 0);
}

START_TEST(echo_and_discard_are_there_without_a_word)
{
	struct conf *conf = load_text(LISTENER_OF("discard"));

	ck_assert_uint_eq(conf->nhandlers, 2);
	assert_built_in(&conf->handlers[0], "echo", CONF_HANDLER_ECHO);
	assert_built_in(&conf->handlers[1], "discard", CONF_HANDLER_DISCARD);
	ck_assert_uint_eq(conf->listeners[0].handler_index, 1);
	ck_assert_int_eq(conf->listeners[0].priority, CONF_PRIORITY_NORMAL);
	ck_assert_uint_eq(conf->listeners[0].pipeline, 16);
	conf_free(conf);
}
END_TEST

static void
assert_common_defaults(const struct conf_handler *handler)
{
	ck_assert_uint_eq(handler->nenvironment, 0);
	ck_assert_str_eq(handler->working_directory, "");
	ck_assert_uint_eq(handler->max_memory, 0);
	ck_assert_uint_eq(handler->max_files, 0);
	ck_assert_uint_eq(handler->ready_timeout_ms, 60000);
	ck_assert_uint_eq(handler->queue, 1024);
	ck_assert_int_eq(handler->overload, CONF_OVERLOAD_WAIT);
	ck_assert_uint_eq(handler->queue_timeout_ms, 10000);
	ck_assert_uint_eq(handler->request_timeout_ms, 10000);
	ck_assert_str_eq(handler->busy, "ERR busy");
	ck_assert_str_eq(handler->timeout, "ERR timeout");
	ck_assert_str_eq(handler->failed, "ERR failed");
}

START_TEST(a_command_has_every_default)
{
	struct conf *conf = load_text(LISTENER_OF("c")
	    "handlers = ( { name = \"c\"; type = \"command\"; "
	    "command = [ \"cat\" ]; } );\n");
	const struct conf_handler *handler = &conf->handlers[2];

	ck_assert_uint_eq(conf->nhandlers, 3);
	ck_assert_uint_eq(conf->listeners[0].handler_index, 2);
	ck_assert_str_eq(handler->command[0], "cat");
	ck_assert_ptr_null(handler->command[1]);
	ck_assert_str_eq(handler->module, "");
	ck_assert_uint_eq(handler->nsettings, 0);
	ck_assert_uint_eq(handler->processes, 4);
	ck_assert_uint_eq(handler->pipeline, 1);
	ck_assert(!handler->metadata);
	ck_assert(!handler->reply_metadata);
	ck_assert(!handler->tagged);
	ck_assert(!handler->ready);
	assert_common_defaults(handler);
	conf_free(conf);
}
END_TEST

START_TEST(a_module_has_every_default)
{
	struct conf *conf = load_text(LISTENER_OF("m")
	    "handlers = ( { name = \"m\"; type = \"module\"; "
	    "module = \"x\"; } );\n");
	const struct conf_handler *handler = &conf->handlers[2];

	ck_assert_ptr_null(handler->command);
	ck_assert_str_eq(handler->module, "x");
	ck_assert_uint_eq(handler->nsettings, 0);
	ck_assert_uint_eq(handler->threads, 64);
	assert_common_defaults(handler);
	conf_free(conf);
}
END_TEST

START_TEST(every_key_of_a_command_reaches_its_field)
{
	struct conf *conf = load_every_key();
	const struct conf_handler *handler = &conf->handlers[2];

	ck_assert_uint_eq(conf->nhandlers, 4);
	ck_assert_str_eq(handler->name, "py_1.a-b");
	ck_assert_int_eq(handler->type, CONF_HANDLER_COMMAND);
	ck_assert_str_eq(handler->command[0], "python3");
	ck_assert_str_eq(handler->command[1], "-c");
	ck_assert_str_eq(handler->command[2], "print(\"\\\n\")");
	ck_assert_str_eq(handler->command[3], "");
	ck_assert_ptr_null(handler->command[4]);
	ck_assert_uint_eq(handler->processes, 4096);
	ck_assert_uint_eq(handler->pipeline, 1024);
	ck_assert(handler->metadata);
	ck_assert(handler->reply_metadata);
	ck_assert(handler->tagged);
	ck_assert(handler->ready);
	ck_assert_uint_eq(handler->ready_timeout_ms, 1000);
	ck_assert_uint_eq(handler->nenvironment, 2);
	ck_assert_str_eq(handler->environment[0].key, "PATH");
	ck_assert_str_eq(handler->environment[0].value, "/bin:/usr/bin");
	ck_assert_str_eq(handler->environment[1].key, "EMPTY");
	ck_assert_str_eq(handler->environment[1].value, "");
	ck_assert_str_eq(handler->working_directory, "/srv");
	ck_assert_uint_eq(handler->max_memory, (uint64_t)1 << 40);
	ck_assert_uint_eq(handler->max_files, 16);
	ck_assert_uint_eq(handler->queue, 1);
	ck_assert_int_eq(handler->overload, CONF_OVERLOAD_SHED);
	ck_assert_uint_eq(handler->queue_timeout_ms, 250);
	ck_assert_uint_eq(handler->request_timeout_ms, 0);
	ck_assert_str_eq(handler->busy, "later");
	ck_assert_str_eq(handler->timeout, "too late");
	ck_assert_str_eq(handler->failed, "");
	conf_free(conf);
}
END_TEST

START_TEST(every_key_of_a_module_reaches_its_field)
{
	struct conf *conf = load_every_key();
	const struct conf_handler *handler = &conf->handlers[3];

	ck_assert_str_eq(handler->name, "mod");
	ck_assert_int_eq(handler->type, CONF_HANDLER_MODULE);
	ck_assert_ptr_null(handler->command);
	ck_assert_str_eq(handler->module, "/srv/mod.so");
	ck_assert_uint_eq(handler->threads, 1);
	ck_assert_uint_eq(handler->nenvironment, 1);
	ck_assert_str_eq(handler->working_directory, "run");
	ck_assert_uint_eq(handler->max_memory, 1 << 20);
	ck_assert_uint_eq(handler->max_files, 1 << 20);
	ck_assert_uint_eq(handler->queue, 1000000);
	ck_assert_uint_eq(handler->queue_timeout_ms, 0);
	ck_assert_uint_eq(handler->request_timeout_ms, 86400000);
	ck_assert_str_eq(handler->busy, "");
	ck_assert_str_eq(handler->timeout, "");
	ck_assert_str_eq(handler->failed, "x");
	conf_free(conf);
}
END_TEST

START_TEST(settings_become_text)
{
	static const struct {
		const char *key, *value;
	} expected[] = {
		{ "text", "as it is: \"\\\t" },
		{ "whole", "31" },
		{ "negative", "-7" },
		{ "large", "-5000000000" },
		{ "float", "0.1" },
		{ "round", "2.0" },
		{ "small", "1.5e-09" },
		{ "yes", "true" },
		{ "no", "false" },
		{ "empty", "" },
		{ "with-odd_letters*7", "1" },
	};
	struct conf *conf = load_every_key();
	const struct conf_handler *handler = &conf->handlers[3];

	ck_assert_uint_eq(handler->nsettings,
	    sizeof(expected) / sizeof(expected[0]));
	for (size_t i = 0; i < handler->nsettings; i++) {
		ck_assert_str_eq(handler->settings[i].key, expected[i].key);
		ck_assert_str_eq(handler->settings[i].value,
		    expected[i].value);
	}
	conf_free(conf);
}
END_TEST

START_TEST(every_key_of_a_listener_reaches_its_field)
{
	struct conf *conf = load_every_key();

	ck_assert_uint_eq(conf->listeners[0].handler_index, 2);
	ck_assert_int_eq(conf->listeners[0].priority, CONF_PRIORITY_HIGH);
	ck_assert_uint_eq(conf->listeners[0].pipeline, 1024);
	conf_free(conf);
}
END_TEST

START_TEST(every_key_reads_back_when_printed)
{
	struct conf *conf = load_every_key();

	assert_handlers_read_back(conf);
	conf_free(conf);
}
END_TEST

/* Without this a round trip could lose a key and not show it. */
START_TEST(every_key_conf_sets_every_key_of_a_handler)
{
	char *text = read_source("tests/data/handlers_every_key.conf");

	for (const struct conf_key *key = conf_handler_keys; key->name != NULL;
	    key++) {
		char line[64];

		snprintf(line, sizeof(line), "\t\t%s = ", key->name);
		ck_assert_msg(strstr(text, line) != NULL, "%s", key->name);
	}
	free(text);
}
END_TEST

START_TEST(the_keys_of_handlers_are_listed)
{
	static const char *const expected[] = {
		"name", "type", "command", "processes", "pipeline", "metadata",
		"reply_metadata", "tagged", "ready", "ready_timeout", "module",
		"settings", "threads", "environment", "working_directory",
		"max_memory", "max_files", "queue", "overload",
		"queue_timeout", "request_timeout", "busy", "timeout",
		"failed",
	};
	enum { COUNT = sizeof(expected) / sizeof(*expected) };

	for (size_t i = 0; i < COUNT; i++)
		ck_assert_str_eq(conf_handler_keys[i].name, expected[i]);
	ck_assert_ptr_null(conf_handler_keys[COUNT].name);
}
END_TEST

/* ---- which handlers there are ---- */

START_TEST(a_handler_replaces_the_built_in_one_of_its_name)
{
	struct conf *conf = load_text(LISTENER_OF("echo")
	    "handlers = ( { name = \"a\"; type = \"echo\"; },\n"
	    "{ name = \"echo\"; type = \"command\"; "
	    "command = [ \"cat\" ]; } );\n");

	ck_assert_uint_eq(conf->nhandlers, 3);
	assert_built_in(&conf->handlers[0], "discard", CONF_HANDLER_DISCARD);
	assert_built_in(&conf->handlers[1], "a", CONF_HANDLER_ECHO);
	ck_assert_str_eq(conf->handlers[2].name, "echo");
	ck_assert_int_eq(conf->handlers[2].type, CONF_HANDLER_COMMAND);
	ck_assert_uint_eq(conf->listeners[0].handler_index, 2);
	assert_handlers_read_back(conf);
	conf_free(conf);
}
END_TEST

START_TEST(each_listener_finds_its_handler_above_or_below)
{
	static const char text[] =
	    "handlers = ( { name = \"a\"; type = \"discard\"; },\n"
	    "  { name = \"b\"; type = \"echo\"; } );\n"
	    "listeners = (\n"
	    "  { name = \"1\"; address = \"*:1\"; handler = \"b\"; },\n"
	    "  { name = \"2\"; address = \"*:2\"; handler = \"a\"; },\n"
	    "  { name = \"3\"; address = \"*:3\"; handler = \"echo\"; },\n"
	    "  { name = \"4\"; address = \"*:4\"; handler = \"b\"; } );\n";
	static const size_t expected[] = { 3, 2, 0, 3 };
	struct conf *conf = load_text(text);

	for (size_t i = 0; i < 4; i++)
		ck_assert_uint_eq(conf->listeners[i].handler_index,
		    expected[i]);
	conf_free(conf);
}
END_TEST

/* So many handlers behind those that are given; the caller frees the text.
 * Inlined, gcc 12 takes the text for a pointer to the variable that holds
 * it. */
static char * __attribute__((noinline))
make_handlers(const char *first, int count)
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	fprintf(out, LISTENER_OF("echo") "handlers = (%s", first);
	for (int i = 0; i < count; i++)
		fprintf(out, "%s\n{ name = \"h%d\"; type = \"echo\"; }",
		    i > 0 || *first != '\0' ? "," : "", i);
	fputs(" );\n", out);
	fclose(out);
	return text;
}

#define OWN_ECHO "{ name = \"echo\"; type = \"discard\"; }"
#define OWN_DISCARD "{ name = \"discard\"; type = \"echo\"; }"

static void
assert_all_accepted(const char *first, int count)
{
	char *text = make_handlers(first, count);
	struct conf *conf = load_text(text);

	ck_assert_uint_eq(conf->nhandlers, CONF_HANDLERS_MAX);
	assert_handlers_read_back(conf);
	conf_free(conf);
	free(text);
}

START_TEST(as_many_handlers_as_may_be_are_accepted)
{
	assert_all_accepted("", 30);
	assert_all_accepted(OWN_ECHO, 30);
	assert_all_accepted(OWN_ECHO ", " OWN_DISCARD, 30);
}
END_TEST

static void
assert_one_too_many(const char *first, int count, const char *expected)
{
	char *text = make_handlers(first, count);

	assert_mistakes_in(text, expected);
	free(text);
}

START_TEST(one_handler_too_many_is_refused)
{
	assert_one_too_many("", 31, "2: handlers: found a list of 31; must be "
	    "a list of at most 30 groups beside the built-in handlers\n");
	assert_one_too_many(OWN_DISCARD, 31, "2: handlers: found a list of "
	    "32; must be a list of at most 31 groups beside the built-in "
	    "handlers\n");
	assert_one_too_many(OWN_ECHO ", " OWN_DISCARD, 31, "2: handlers: found "
	    "a list of 33; must be a list of at most 32 groups: "
	    "( { ... }, ... )\n");
}
END_TEST

START_TEST(too_many_handlers_do_not_hide_other_mistakes)
{
	assert_one_too_many("\n7", 40, "2: handlers: found a list of 41; must "
	    "be a list of at most 32 groups: ( { ... }, ... )\n"
	    "3: handlers[0]: found 7; must be a group: { ... }\n");
}
END_TEST

/* Of the handlers that are too many, none is said to be missing. */
START_TEST(a_handler_beyond_the_most_is_still_a_name)
{
	char *text = make_handlers("", 40), *at;

	at = strstr(text, "\"echo\"");
	memcpy(at, "\"h39\" ", 6);
	assert_mistakes_in(text, "2: handlers: found a list of 40; must be a "
	    "list of at most 32 groups: ( { ... }, ... )\n");
	free(text);
}
END_TEST

/* ---- commands ---- */

/* A command of so many strings; the caller frees the text. */
static char *
make_command(int count)
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	fputs(LISTENER_OF("c") "handlers = ( { name = \"c\"; "
	    "type = \"command\"; command = [ \"a0\"", out);
	for (int i = 1; i < count; i++)
		fprintf(out, ", \"a%d\"", i);
	fputs(" ]; } );\n", out);
	fclose(out);
	return text;
}

START_TEST(as_many_arguments_as_may_be_are_accepted)
{
	char *text = make_command(256);
	struct conf *conf = load_text(text);

	ck_assert_str_eq(conf->handlers[2].command[255], "a255");
	ck_assert_ptr_null(conf->handlers[2].command[256]);
	assert_handlers_read_back(conf);
	conf_free(conf);
	free(text);
}
END_TEST

START_TEST(one_argument_too_many_is_refused)
{
	char *text = make_command(257);

	assert_mistakes_in(text, "2: handlers[\"c\"].command: found an array "
	    "of 257; must be a list of 1 to 256 strings\n");
	free(text);
}
END_TEST

START_TEST(every_byte_of_text_reads_back)
{
	struct conf *conf = load_every_key(), own = *conf;
	struct conf_handler handlers[4];
	char bytes[256], *command[] = { bytes, bytes, NULL };
	char key[] = "a";
	struct conf_setting setting = { .key = key, .value = bytes };

	for (int i = 0; i < 255; i++)
		bytes[i] = (char)(i + 1);
	bytes[255] = '\0';
	ck_assert_uint_eq(own.nhandlers, 4);
	memcpy(handlers, own.handlers, sizeof(handlers));
	for (size_t i = 2; i < 4; i++) {
		handlers[i].environment = &setting;
		handlers[i].nenvironment = 1;
		handlers[i].timeout = bytes;
	}
	handlers[2].command = command;
	handlers[3].settings = &setting;
	handlers[3].nsettings = 1;
	own.handlers = handlers;
	assert_handlers_read_back(&own);
	conf_free(conf);
}
END_TEST

/* ---- printing ---- */

START_TEST(handlers_are_printed_with_every_default)
{
	static const char expected[] =
	    "handlers = (\n{\nname = \"discard\";\ntype = \"discard\";\n},\n"
	    "{\nname = \"echo\";\ntype = \"module\";\nready_timeout = 60.0;\n"
	    "module = \"x\";\n"
	    "settings = {\na = \"1\";\n};\nthreads = 64;\n"
	    "environment = { };\nworking_directory = \"\";\n"
	    "max_memory = 0;\nmax_files = 0;\nqueue = 1024;\n"
	    "overload = \"wait\";\nqueue_timeout = 10.0;\n"
	    "request_timeout = 10.0;\nbusy = \"ERR busy\";\n"
	    "timeout = \"ERR timeout\";\nfailed = \"close\";\n},\n"
	    "{\nname = \"c\";\ntype = \"command\";\n"
	    "command = [ \"cat\", \"-\" ];\nprocesses = 4;\npipeline = 1;\n"
	    "metadata = false;\nreply_metadata = false;\n"
	    "tagged = false;\nready = false;\nready_timeout = 60.0;\n"
	    "environment = {\nA = \"b\";\n};\nworking_directory = \"\";\n";
	struct conf *conf = load_text(LISTENER_OF("c") "handlers = (\n"
	    "  { name = \"echo\"; type = \"module\"; module = \"x\";\n"
	    "    settings = { a = 1; }; failed = \"close\"; },\n"
	    "  { name = \"c\"; type = \"command\";\n"
	    "    command = [ \"cat\", \"-\" ];\n"
	    "    environment = { A = \"b\"; }; } );\n");
	char *text = print_conf(conf);

	ck_assert_msg(has_lines_at(strstr(text, "handlers = "), expected),
	    "%s", text);
	free(text);
	conf_free(conf);
}
END_TEST

/* ---- files that are damaged ---- */

START_TEST(no_beginning_of_a_file_does_harm)
{
	expect_no_harm_of_beginnings("tests/data/handlers_every_key.conf");
}
END_TEST

START_TEST(no_wrong_byte_does_harm)
{
	expect_no_harm_of_wrong_bytes("tests/data/handlers_every_key.conf",
	    "\"({[/=0-@\\\x80;,");
}
END_TEST

/* ---- the manual ---- */

START_TEST(the_example_of_handlers_in_the_manual_is_accepted)
{
	static const char display[] = ".Bd -literal -offset indent\n";
	char *manual = read_source("man/penstock.conf.5"), *example = NULL;
	struct conf *conf;

	/* The last one. */
	for (char *at = manual; (at = strstr(at, display)) != NULL; ) {
		at += strlen(display);
		example = at;
	}
	ck_assert_ptr_nonnull(example);
	*strstr(example, ".Ed\n") = '\0';
	conf = load_text(example);
	ck_assert_uint_eq(conf->nhandlers, 4);
	ck_assert_str_eq(conf->handlers[2].command[1], "/srv/upper.py");
	ck_assert_str_eq(conf->handlers[3].settings[1].value, "2");
	assert_handlers_read_back(conf);
	conf_free(conf);
	free(manual);
}
END_TEST

/* ---- all together ---- */

static void
add_keys(Suite *suite)
{
	TCase *tests = add_case(suite, "keys");

	tcase_add_test(tests, echo_and_discard_are_there_without_a_word);
	tcase_add_test(tests, a_command_has_every_default);
	tcase_add_test(tests, a_module_has_every_default);
	tcase_add_test(tests, every_key_of_a_command_reaches_its_field);
	tcase_add_test(tests, every_key_of_a_module_reaches_its_field);
	tcase_add_test(tests, settings_become_text);
	tcase_add_test(tests, every_key_of_a_listener_reaches_its_field);
	tcase_add_test(tests, every_key_reads_back_when_printed);
	tcase_add_test(tests, every_key_conf_sets_every_key_of_a_handler);
	tcase_add_test(tests, the_keys_of_handlers_are_listed);
}

static void
add_lists(Suite *suite)
{
	TCase *tests = add_case(suite, "lists");

	tcase_add_test(tests, a_handler_replaces_the_built_in_one_of_its_name);
	tcase_add_test(tests, each_listener_finds_its_handler_above_or_below);
	tcase_add_test(tests, as_many_handlers_as_may_be_are_accepted);
	tcase_add_test(tests, one_handler_too_many_is_refused);
	tcase_add_test(tests, too_many_handlers_do_not_hide_other_mistakes);
	tcase_add_test(tests, a_handler_beyond_the_most_is_still_a_name);
	tcase_add_test(tests, as_many_arguments_as_may_be_are_accepted);
	tcase_add_test(tests, one_argument_too_many_is_refused);
}

static void
add_words(Suite *suite)
{
	TCase *tests = add_case(suite, "printing, damage and manual");

	tcase_add_test(tests, every_byte_of_text_reads_back);
	tcase_add_test(tests, handlers_are_printed_with_every_default);
	tcase_add_test(tests, no_beginning_of_a_file_does_harm);
	tcase_add_test(tests, no_wrong_byte_does_harm);
	tcase_add_test(tests,
	    the_example_of_handlers_in_the_manual_is_accepted);
}

static void
add_all(Suite *suite)
{
	add_keys(suite);
	add_lists(suite);
	add_words(suite);
}

int
main(void)
{
	return (run_conf_tests(&(struct conf_tests){
	    .theme = "conf_handlers",
	    .malformed = "tests/data/handlers_malformed.txt",
	    .wellformed = "tests/data/handlers_wellformed.txt",
	    .nmalformed = 100, .nwellformed = 30,
	    .reads_back = assert_handlers_read_back, .add = add_all }));
}
