/* SPDX-License-Identifier: ISC */
/*
 * Prometheus, as it is installed, scrapes a server under load, and knows in the
 * end exactly what the clients have counted.
 *
 * Exits with 77, which automake counts as skipped, where it is not installed.
 */
#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/harness.h"

enum {
	PROMETHEUS_PORT = 9090,
	CLIENTS = 100,
};

#define GLOBALS								\
	"workers = 2;\nmonitor = { address = [ \"$A:9180\" ]; };\n"

static pid_t
start_prometheus(struct server *srv)
{
	char text[256], config[256], data[256], listen[64];
	pid_t pid;

	snprintf(text, sizeof(text), "global: { scrape_interval: 500ms, "
	    "scrape_timeout: 500ms }\nscrape_configs:\n"
	    "  - job_name: penstock\n"
	    "    static_configs: [ { targets: [ \"%s:9180\" ] } ]\n",
	    own_address());
	server_write(srv, "prometheus.yml", text);
	snprintf(config, sizeof(config), "--config.file=%s",
	    server_path(srv, "prometheus.yml"));
	snprintf(data, sizeof(data), "--storage.tsdb.path=%s",
	    server_path(srv, "data"));
	snprintf(listen, sizeof(listen), "--web.listen-address=%s:%d",
	    own_address(), PROMETHEUS_PORT);
	ck_assert_int_ne(pid = fork(), -1);
	if (pid == 0) {
		execlp("prometheus", "prometheus", config, data, listen,
		    "--log.level=error", (char *)NULL);
		_exit(127);
	}
	return (pid);
}

static void
stop_prometheus(pid_t pid)
{
	int status;

	ck_assert_int_eq(kill(pid, SIGTERM), 0);
	while (waitpid(pid, &status, 0) == -1)
		ck_assert_int_eq(errno, EINTR);
	ck_assert(WIFEXITED(status));
}

/* What Prometheus knows: one number, -1 if it has none yet. */
static double
query(const char *expression)
{
	static const char ask[] =
	    "curl -s \"http://$PROMETHEUS/api/v1/query\" "
	    "--data-urlencode \"query=$QUERY\" | python3 -c '"
	    "import json, sys\n"
	    "try: print(json.load(sys.stdin)[\"data\"][\"result\"][0]"
	    "[\"value\"][1])\n"
	    "except (ValueError, LookupError): print(-1)\n'";
	char address[64];
	double value;
	FILE *from;

	snprintf(address, sizeof(address), "%s:%d", own_address(),
	    PROMETHEUS_PORT);
	setenv("PROMETHEUS", address, 1);
	setenv("QUERY", expression, 1);
	ck_assert_ptr_nonnull(from = popen(ask, "re"));
	ck_assert_int_eq(fscanf(from, "%lf", &value), 1);
	ck_assert_int_eq(pclose(from), 0);
	return (value);
}

static struct hold_process *
start_load(void)
{
	struct hold_options options = load_on(FRAME_PORT);
	struct hold_process *load;

	options.connections = CLIENTS;
	options.rate = 1000;
	load = hold_start(&options);
	await(hold_peek(load)->open == CLIENTS);
	return (load);
}

/* Returns how many messages were answered. */
static uint64_t
stop_load(struct hold_process *load)
{
	const struct hold_report *report = hold_stop(load);
	uint64_t answered = report->answered;

	expect_unharmed(report);
	hold_drop(load);
	return (answered);
}

static void
await_more(struct hold_process *load)
{
	uint64_t answered = hold_peek(load)->answered;

	await(hold_peek(load)->answered > answered + CLIENTS);
}

START_TEST(prometheus_totals_match_the_clients)
{
	struct server *srv = server_new();
	struct hold_process *load;
	uint64_t answered;
	pid_t prometheus, worker;

	srv->expects_deaths = true;
	server_configure(srv, GLOBALS, FRAMES(""));
	server_install(srv, "penstock");
	server_launch(srv);
	server_await_ready(srv);
	prometheus = start_prometheus(srv);
	load = start_load();
	for (int i = 0; i < 3; i++) {
		await_more(load);
		server_reload(srv);
	}
	await_more(load);
	server_signal(srv, SIGUSR2);
	server_expect(srv, "event=reload_done kind=upgrade");
	await_more(load);
	answered = stop_load(load);
	/* With nothing under way, so that all is known of what was. */
	await(server_counters(srv).messages_out == answered);
	await(server_counters(srv).active == 0);
	worker = server_worker(srv, 0);
	ck_assert_int_eq(kill(worker, SIGKILL), 0);
	server_await_successor(srv, 0, worker);
	load = start_load();
	await_more(load);
	answered += stop_load(load);
	await(query("sum(penstock_messages_sent_total)") == answered);
	await(query("sum(penstock_messages_received_total)") == answered);
	await(query("sum(penstock_connections_accepted_total)") ==
	    2 * CLIENTS);
	await(query("sum(penstock_connections)") == 0);
	await(query("penstock_orders_total{order=\"reload\",result=\"done\"}")
	    == 3);
	await(query("penstock_orders_total{order=\"upgrade\",result=\"done\"}")
	    == 1);
	await(query("sum(penstock_handovers_total{result=\"carried\"})") >=
	    4 * CLIENTS);
	await(query("up{job=\"penstock\"}") == 1);
	stop_prometheus(prometheus);
	server_end(srv);
}
END_TEST

START_TEST(promtool_has_nothing_to_say)
{
	struct server *srv = server_start(GLOBALS, FRAMES(""));

	setenv("A", own_address(), 1);
	ck_assert_int_eq(system("curl -s http://$A:9180/metrics | "
	    "promtool check metrics"), 0);
	ck_assert_int_eq(system("promtool check rules "
	    "$TOP_SRCDIR/etc/penstock.rules.yml"), 0);
	server_end(srv);
}
END_TEST

int
main(void)
{
	static const char *const programs[] = {
		"curl", "prometheus", "promtool", "python3",
	};
	const TTest *const tests[] = {
		prometheus_totals_match_the_clients,
		promtool_has_nothing_to_say,
	};

	for (size_t i = 0; i < sizeof(programs) / sizeof(*programs); i++)
		if (!has_program(programs[i]))
			return (77);
	return (run_tests("prometheus", tests,
	    sizeof(tests) / sizeof(*tests)));
}
