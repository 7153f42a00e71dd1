/* SPDX-License-Identifier: ISC */
#include "tests/lib/handlers.h"

#include <sys/stat.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/lib/client.h"

static void
link_to(struct server *srv, const char *variable, const char *name)
{
	const char *target = getenv(variable);

	ck_assert_int_eq(symlink(target != NULL ? target : ".",
	    server_path(srv, name)), 0);
}

struct server *
handlers_new(void)
{
	struct server *srv = server_new();

	link_to(srv, "TOP_SRCDIR", "src");
	link_to(srv, "TOP_BUILDDIR", "build");
	ck_assert_int_eq(chmod(srv->dir, 0777), 0);
	return (srv);
}

void
handlers_configure(struct server *srv, const char *globals,
    const char *listeners)
{
	char *whole;

	ck_assert_int_ne(asprintf(&whole, "%s%s", geteuid() == 0 ?
	    "user = \"root\";\n" : "", globals), -1);
	server_configure(srv, whole, listeners);
	free(whole);
}

struct server *
handlers_start_with(const char *file, const char *text, const char *globals,
    const char *listeners)
{
	struct server *srv = handlers_new();

	if (file != NULL)
		server_write(srv, file, text);
	handlers_configure(srv, globals, listeners);
	server_launch(srv);
	server_await_ready(srv);
	return (srv);
}

struct server *
handlers_start(const char *globals, const char *listeners)
{
	return (handlers_start_with(NULL, NULL, globals, listeners));
}

void
handlers_release(struct server *srv)
{
	server_write(srv, "release", "");
}

struct counters_handler
handler_counters(struct server *srv)
{
	struct counters_handler sum = { .waiting = 0 };
	const struct counters_handler *one;
	const struct counters_map *map;

	server_counters(srv);
	for (unsigned slot = 0; slot < srv->counters.nslots; slot++) {
		map = srv->counters.slot[slot].map;
		for (int i = 0; map != NULL && i < COUNTERS_BLOCKS *
		    COUNTERS_HANDLERS; i++) {
			one = &map->block[i / COUNTERS_HANDLERS]
			    .handler[i % COUNTERS_HANDLERS];
			sum.waiting += counter_get(&one->waiting);
			sum.executors += counter_get(&one->executors);
			sum.waits += counter_get(&one->waits);
			sum.held_back += counter_get(&one->held_back);
			sum.shed += counter_get(&one->shed);
			sum.expired += counter_get(&one->expired);
			sum.timeouts += counter_get(&one->timeouts);
			sum.failed += counter_get(&one->failed);
			sum.crashes += counter_get(&one->crashes);
			sum.slowed += counter_get(&one->slowed);
			sum.offenders += counter_get(&one->offenders);
			for (int k = 0; k < HISTOGRAM_BUCKETS; k++)
				sum.handling.count[k] +=
				    counter_get(&one->handling.count[k]);
		}
	}
	return (sum);
}

void
expect_answered(unsigned port, const char *text)
{
	int fd = client_connect(port);

	client_echo(fd, text);
	close(fd);
}

pid_t
handlers_pid_in(const struct server *srv, const char *file)
{
	await(server_has_file(srv, file));
	return ((pid_t)atoi(server_file(srv, file)));
}
