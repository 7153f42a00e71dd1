/* SPDX-License-Identifier: ISC */
/*
 * Names of listeners and handlers come and go, as many as there may be, for as
 * long as the master lives; what is counted for one is never told of another.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/conf.h"
#include "tests/lib/client.h"
#include "tests/lib/exposition.h"
#include "tests/lib/harness.h"
#include "tools/http_client.h"

enum {
	LISTENERS = 40,
	HANDLERS = 20,
	MOST = 6,		/* connections of each */
	ROUNDS = 10,		/* so 400 names of listeners and 200 of
				   handlers, for 128 and 64 numbers */
};

/*
 * Listeners l<round>x0, l<round>x1, ... on sockets in the directory, each with
 * a handler h<round>x<n>; and whatever else.
 */
static void
configure(struct server *srv, unsigned round, const char *more)
{
	char *text, *globals, *list;
	size_t size;
	FILE *out = open_memstream(&globals, &size);

	fprintf(out, "workers = 2;\nmonitor = { address = \"unix:$D/m\"; };\n"
	    "handlers = (\n");
	for (unsigned i = 0; i < HANDLERS; i++)
		fprintf(out, "%s{ name = \"h%ux%u\"; type = \"echo\"; }",
		    i > 0 ? ",\n" : "", round, i);
	fprintf(out, "\n);\n");
	fclose(out);
	out = open_memstream(&list, &size);
	for (unsigned i = 0; i < LISTENERS; i++)
		fprintf(out, "%s{ name = \"l%ux%u\"; address = \"unix:$D/s%u\"; "
		    "handler = \"h%ux%u\"; max_connections = %d; }",
		    i > 0 ? ",\n" : "", round, i, i, round, i % HANDLERS,
		    MOST);
	fclose(out);
	ck_assert_int_ne(asprintf(&text, "%s%s", list, more), -1);
	server_configure(srv, globals, text);
	free(text);
	free(list);
	free(globals);
}

/* What the monitor says of a sample; -1 if it has none, or is just being
 * replaced. */
static double
metric(const struct server *srv, const char *name, unsigned round,
    unsigned listener)
{
	struct conf_address address[2];
	char text[256], sample[128], why[HTTP_CLIENT_WHY_MAX];
	struct http_reply reply;
	const char *must;
	double value = -1;

	snprintf(text, sizeof(text), "unix:%s", server_path(srv, "m"));
	ck_assert_uint_eq(conf_addr_parse(text, address, &must), 1);
	snprintf(sample, sizeof(sample), "%s{listener=\"l%ux%u\"}", name,
	    round, listener);
	if (http_client_ask(&address[0], "GET", "/metrics", &reply,
	    why) == 0) {
		if (strstr(reply.body, sample) != NULL)
			value = exposition_value(reply.body, sample);
		http_reply_free(&reply);
	}
	return (value);
}

static int
connect_to(const struct server *srv, unsigned listener)
{
	char file[16], address[256];

	snprintf(file, sizeof(file), "s%u", listener);
	snprintf(address, sizeof(address), "unix:%s", server_path(srv, file));
	return (client_connect_text(address));
}

static void
echo_on(const struct server *srv, unsigned listener)
{
	int fd = connect_to(srv, listener);

	client_echo(fd, "hello");
	close(fd);
}

/* Each round uses another listener, and more often than the last round; all
 * other listeners have counted nothing. */
static void
use_and_expect(const struct server *srv, unsigned round)
{
	static const char accepted[] = "penstock_connections_accepted_total";
	unsigned used = round % LISTENERS;

	await(metric(srv, accepted, round, used) >= 0);
	for (unsigned i = 0; i < LISTENERS; i += 13)
		await(metric(srv, accepted, round, i) == 0.0);
	for (unsigned i = 0; i <= round; i++)
		echo_on(srv, used);
	await(metric(srv, accepted, round, used) == round + 1.0);
	for (unsigned i = 0; i < LISTENERS; i += 13)
		if (i != used)
			await(metric(srv, accepted, round, i) == 0.0);
}

START_TEST(any_number_of_names_can_follow_each_other_over_reloads)
{
	struct server *srv = server_new();

	server_install(srv, "penstock");
	configure(srv, 0, "");
	server_launch(srv);
	server_await_ready(srv);
	use_and_expect(srv, 0);
	for (unsigned round = 1; round < ROUNDS; round++) {
		configure(srv, round, "");
		server_mark(srv);
		server_signal(srv, round % 4 == 0 ? SIGUSR2 : SIGHUP);
		server_expect(srv, "event=reload_done");
		use_and_expect(srv, round);
		ck_assert_uint_eq(server_count(srv, "event=reload_refused"), 0);
	}
	server_end(srv);
}
END_TEST

START_TEST(refused_reloads_use_up_no_names)
{
	struct server *srv = server_new();

	server_write(srv, "file", "no socket");
	configure(srv, 0, "");
	server_launch(srv);
	server_await_ready(srv);
	use_and_expect(srv, 0);
	for (unsigned round = 1; round <= 5 * ROUNDS; round++) {
		configure(srv, round, ",\n{ name = \"bad\"; "
		    "address = \"unix:$D/file\"; handler = \"echo\"; }");
		server_mark(srv);
		server_signal(srv, SIGHUP);
		server_expect(srv, "event=reload_refused");
		ck_assert_ptr_nonnull(strstr(srv->line, "address"));
	}
	/* Neither is anything forgotten for them. */
	await(metric(srv, "penstock_connections_accepted_total", 0,
	    0) == 1.0);
	configure(srv, 1000, "");
	server_reload(srv);
	await(metric(srv, "penstock_connections_accepted_total", 1000,
	    0) == 0.0);
	echo_on(srv, 0);
	await(metric(srv, "penstock_connections_accepted_total", 1000,
	    0) == 1.0);
	await(metric(srv, "penstock_connections_accepted_total", 0,
	    0) == 1.0);
	server_end(srv);
}
END_TEST

/* A listener of another name that has the address has the connections; those
 * were accepted under the previous name, and the limit holds for them all the
 * same. */
START_TEST(connections_count_for_the_new_name_and_its_limit)
{
	static const char gauge[] = "penstock_connections";
	struct server *srv = server_new();
	int fds[MOST], fd;

	server_install(srv, "penstock");
	configure(srv, 0, "");
	server_launch(srv);
	server_await_ready(srv);
	for (unsigned i = 0; i < MOST; i++) {
		fds[i] = connect_to(srv, 0);
		client_echo(fds[i], "hello");
	}
	for (unsigned round = 1; round < ROUNDS; round++) {
		configure(srv, round, "");
		server_mark(srv);
		server_signal(srv, round % 4 == 0 ? SIGUSR2 : SIGHUP);
		server_expect(srv, "event=reload_report carried=6");
		await(metric(srv, gauge, round, 0) == MOST);
		fd = connect_to(srv, 0);
		client_expect_text_frame(fd, "ERR busy");
		client_expect_eof(fd);
		close(fd);
	}
	/* One goes, and another one may come. */
	close(fds[0]);
	await(metric(srv, gauge, ROUNDS - 1, 0) == MOST - 1);
	fds[0] = connect_to(srv, 0);
	client_echo(fds[0], "hello");
	for (unsigned i = 0; i < MOST; i++)
		close(fds[i]);
	server_end(srv);
}
END_TEST

RUN_TESTS("server_names",
    connections_count_for_the_new_name_and_its_limit,
    any_number_of_names_can_follow_each_other_over_reloads,
    refused_reloads_use_up_no_names)
