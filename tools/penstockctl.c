/* SPDX-License-Identifier: ISC */
/*
 * penstockctl: show and control a running server.
 *
 * The monitor serves the status.  Orders go to the master as signals, or
 * through the monitor's unix socket if they have no signal.
 */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "tools/contact.h"
#include "tools/show.h"
#include "tools/top.h"

enum {
	POLL_MS = 50,
	/* While a monitor is replaced or a server restarts, nothing answers for
	 * at most this time. */
	ABSENCE_MS = 5000,
};

struct request {
	struct contact contact;
	const char *address;		/* -a */
	const char *conf_path;		/* -c */
	bool json;
	bool wait;
	unsigned every_ms;
	unsigned times;
	const char *sort, *limit, *listener;
	const char *argument;
};

/*
 * Status commands.
 */

/* Show a page, as JSON or as text. */
static int
show_page(const struct request *request, const char *path,
    void (*show)(FILE *, const struct json_value *))
{
	struct http_reply reply;
	struct json_value *value;
	int status;

	if (request->json) {
		status = contact_get(&request->contact, path, &reply, false);
		if (status == CONTACT_FINE)
			fwrite(reply.body, 1, reply.len, stdout);
		http_reply_free(&reply);
		return (status);
	}
	status = contact_get_json(&request->contact, path, &value, false);
	if (status == CONTACT_FINE)
		show(stdout, value);
	json_free(value);
	return (status);
}

static int
do_status(const struct request *request)
{
	return (show_page(request, "/status", show_status));
}

/* Append a parameter to a query.  Characters other than letters, digits and a
 * few signs are percent-encoded. */
static void
add_parameter(char *query, size_t size, const char *key, const char *value)
{
	size_t len = strlen(query);

	if (value == NULL)
		return;
	len += (size_t)snprintf(query + len, size - len, "%c%s=",
	    len == 0 ? '?' : '&', key);
	for (; *value != '\0' && len + 4 < size; value++)
		len += (size_t)snprintf(query + len, size - len,
		    strchr("._-", *value) != NULL ||
		    (*value >= '0' && *value <= '9') ||
		    ((*value | 0x20) >= 'a' && (*value | 0x20) <= 'z') ?
		    "%c" : "%%%02x", (unsigned char)*value);
}

static int
do_connections(const struct request *request)
{
	char query[512] = "", path[600];

	add_parameter(query, sizeof(query), "sort", request->sort);
	add_parameter(query, sizeof(query), "limit", request->limit);
	add_parameter(query, sizeof(query), "listener", request->listener);
	snprintf(path, sizeof(path), "/connections%s", query);
	return (show_page(request, path, show_connections));
}

static int
do_top(const struct request *request)
{
	return (top_run(&request->contact, request->every_ms, request->times));
}

/*
 * Signals.
 */

struct order {
	const char *name;
	int signal;
	pid_t pid;			/* of the master that got the order */
	uint64_t started;		/* when that master was started */
	double given;			/* when, on the server's clock */
};

static uint64_t
when_started(const struct json_value *status)
{
	return (json_u64(json_get(json_get(status, "server"), "started")));
}

/* Send the signal to the master. */
static int
penstockctl_give(const struct request *request, struct order *order)
{
	struct json_value *status;
	int result = contact_get_json(&request->contact, "/status", &status,
	    false);

	if (result != CONTACT_FINE)
		return (result);
	order->given = json_double(json_get(status, "clock_seconds"));
	order->pid = contact_master(status);
	order->started = when_started(status);
	json_free(status);
	if (order->pid == 0)
		return (contact_complain(CONTACT_NOT_RUNNING,
		    request->contact.source,
		    "the server that answers names no master on this host"));
	if (kill(order->pid, order->signal) == -1)
		return (contact_complain(CONTACT_FAILED, "signal",
		    strerror(errno)));
	return (CONTACT_FINE);
}

static void
nap(void)
{
	struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };

	nanosleep(&pause, NULL);
}

static bool
is_about(const struct json_value *report, const char *order)
{
	return (strcmp(json_text(json_get(report, "order")), order) == 0);
}

/* The report of a reload or upgrade that began after the order.  A reload that
 * was already running may have read another file.  A reload that is ordered
 * while an upgrade waits becomes part of that upgrade. */
static const struct json_value *
penstockctl_find_report(const struct json_value *status,
    const struct order *order)
{
	JSON_EACH(report, json_get(status, "reports"))
		if (json_double(json_get(report, "read_clock_seconds")) >=
		    order->given && (is_about(report, order->name) ||
		    (order->signal == SIGHUP && is_about(report, "upgrade"))))
			return (report);
	return (NULL);
}

/* The report of a roll-back that began after the order.  It can come before the
 * report of the reload that it rolls back. */
static const struct json_value *
find_rollback(const struct json_value *status, const struct order *order)
{
	JSON_EACH(report, json_get(status, "reports"))
		if (json_double(json_get(report, "read_clock_seconds")) >=
		    order->given && is_about(report, "rollback"))
			return (report);
	return (NULL);
}

static void
print_report(const struct request *request, const struct json_value *report)
{
	if (request->json) {
		json_print(stdout, report);
		putchar('\n');
	} else
		show_report(stdout, report);
	fflush(stdout);
}

/* A wait for the report of an order, and then for the end of the probation. */
struct vigil {
	const struct request *request;
	const struct order *order;
	uint64_t number;		/* of the report; 0: not there yet */
	uint64_t generation;		/* in the report */
};

/* Returns an exit status, or -1 to continue. */
static int
look_for_report(struct vigil *vigil, const struct json_value *status)
{
	const struct json_value *report =
	    penstockctl_find_report(status, vigil->order);

	if (report == NULL)
		return (-1);
	print_report(vigil->request, report);
	if (strcmp(json_text(json_get(report, "result")), "done") != 0)
		return (CONTACT_FAILED);
	vigil->number = json_u64(json_get(report, "number"));
	vigil->generation = json_u64(json_get(report, "generation"));
	return (-1);
}

/* Returns an exit status, or -1 while the new generation is on probation.  If
 * another order has replaced the generation, the wait ends as well. */
static int
look_for_end(const struct vigil *vigil, const struct json_value *status)
{
	const struct json_value *server = json_get(status, "server");
	if (json_u64(json_get(server, "generation")) == vigil->generation)
		return (json_double(json_get(server, "probation_seconds")) >
		    0 || strcmp(json_text(json_get(server, "state")),
		    "reloading") == 0 ? -1 : CONTACT_FINE);
	JSON_EACH(report, json_get(status, "reports"))
		if (json_u64(json_get(report, "number")) > vigil->number)
			return (CONTACT_FINE);
	return (-1);
}

/* Whether another server answers.  An upgrade changes neither pid nor start. */
static bool
is_of_another(const struct json_value *status, const struct order *order)
{
	uint64_t pid = json_u64(json_get(json_get(status, "server"), "pid"));

	/* A monitor that has no data from its master yet shows pid 0. */
	return (pid != 0 && (pid != (uint64_t)order->pid ||
	    when_started(status) != order->started));
}

static int
penstockctl_look(struct vigil *vigil, const struct json_value *status)
{
	const struct json_value *back;
	int result = -1;

	if (is_of_another(status, vigil->order))
		return (contact_complain(CONTACT_FAILED, vigil->order->name,
		    "another server answers there now"));
	if (vigil->number == 0)
		result = look_for_report(vigil, status);
	back = result == -1 ? find_rollback(status, vigil->order) : NULL;
	if (back != NULL) {
		print_report(vigil->request, back);
		return (CONTACT_FAILED);
	}
	if (vigil->number != 0)
		result = look_for_end(vigil, status);
	return (result);
}

static int
await_end(const struct request *request, const struct order *order)
{
	struct vigil vigil = { .request = request, .order = order };
	uint64_t seen_ms = clock_ms();
	struct json_value *status;
	int result;

	while (clock_ms() - seen_ms < ABSENCE_MS) {
		result = contact_get_json(&request->contact, "/status", &status,
		    true);
		if (result == CONTACT_FINE) {
			seen_ms = clock_ms();
			result = penstockctl_look(&vigil, status);
			json_free(status);
			if (result != -1)
				return (result);
		}
		nap();
	}
	return (contact_complain(CONTACT_FAILED, order->name,
	    "the server does not answer"));
}

static int
give_and_report(const struct request *request, const char *name, int signal)
{
	struct order order = { .name = name, .signal = signal };
	int status = penstockctl_give(request, &order);

	if (status != CONTACT_FINE)
		return (status);
	if (request->wait)
		return (await_end(request, &order));
	printf("%s ordered, pid %d\n", name, (int)order.pid);
	return (CONTACT_FINE);
}

static int
do_reload(const struct request *request)
{
	return (give_and_report(request, "reload", SIGHUP));
}

static int
do_upgrade(const struct request *request)
{
	return (give_and_report(request, "upgrade", SIGUSR2));
}

static int
do_reopen(const struct request *request)
{
	struct order order = { .name = "reopen", .signal = SIGUSR1 };
	int status = penstockctl_give(request, &order);

	if (status == CONTACT_FINE)
		printf("reopen ordered, pid %d\n", (int)order.pid);
	return (status);
}

static int
do_stop(const struct request *request)
{
	struct order order = { .name = "stop", .signal = SIGTERM };
	int status = penstockctl_give(request, &order);

	if (status != CONTACT_FINE)
		return (status);
	if (!request->wait) {
		printf("stop ordered, pid %d\n", (int)order.pid);
		return (CONTACT_FINE);
	}
	while (kill(order.pid, 0) == 0 || errno == EPERM)
		nap();
	printf("stopped, pid %d\n", (int)order.pid);
	return (CONTACT_FINE);
}

/*
 * Orders through the monitor.
 */

static int
do_close(const struct request *request)
{
	const char *id = request->argument;
	char path[64];
	int status;

	if (id[strspn(id, "0123456789")] != '\0' || strlen(id) > 20)
		return (contact_complain(CONTACT_USAGE, id,
		    "the id is a number"));
	snprintf(path, sizeof(path), "/connections/%s/close", id);
	if ((status = contact_order(&request->contact, path)) == CONTACT_FINE)
		printf("close of %s ordered\n", id);
	return (status);
}

static int
do_rebalance(const struct request *request)
{
	int status = contact_order(&request->contact, "/rebalance");

	if (status == CONTACT_FINE)
		puts("rebalance ordered");
	return (status);
}

/*
 * The command line.
 */

static const struct command {
	const char *name;
	const char *argument;		/* NULL: it has none */
	int (*run)(const struct request *);
	const char *help;
} commands[] = {
	{ "status", NULL, do_status, "show the state of the server" },
	{ "connections", NULL, do_connections,
	    "list the connections [--sort KEY] [--limit N] [--listener NAME]" },
	{ "top", NULL, do_top,
	    "show the activity every second [-d SECONDS] [-n TIMES]" },
	{ "reload", NULL, do_reload, "read the configuration again [--wait]" },
	{ "upgrade", NULL, do_upgrade, "run the new program [--wait]" },
	{ "stop", NULL, do_stop, "drain and exit [--wait]" },
	{ "reopen", NULL, do_reopen, "open the log files again" },
	{ "rebalance", NULL, do_rebalance,
	    "distribute connections evenly over the workers" },
	{ "close", "ID", do_close, "close a connection" },
};

#define NCOMMANDS (sizeof(commands) / sizeof(*commands))

static void
print_help(FILE *out)
{
	fprintf(out, "usage: penstockctl [-hjv] [-a address] [-c file] "
	    "command\n"
	    "  -a address  address of the monitor, instead of that in the "
	    "configuration\n"
	    "  -c file     configuration of the server (%s)\n"
	    "  -j, --json  print JSON\n"
	    "commands:\n", PENSTOCK_DEFAULT_CONF);
	for (size_t i = 0; i < NCOMMANDS; i++)
		fprintf(out, "  %-11s %s%s%s\n", commands[i].name,
		    commands[i].argument != NULL ? commands[i].argument : "",
		    commands[i].argument != NULL ? "  " : "",
		    commands[i].help);
}

static const struct command *
find_command(const char *name)
{
	for (size_t i = 0; i < NCOMMANDS; i++)
		if (strcmp(commands[i].name, name) == 0)
			return (&commands[i]);
	return (NULL);
}

/* A number of at least least and at most most; -1 if it is none. */
static double
read_number(const char *text, double least, double most)
{
	char *end;
	double value = strtod(text, &end);

	return (end != text && *end == '\0' && value >= least &&
	    value <= most ? value : -1);
}

static int
read_interval(struct request *request, const char *text)
{
	double seconds = read_number(text, 0.1, 3600);

	if (seconds < 0)
		return (contact_complain(CONTACT_USAGE, text,
		    "-d is a number of seconds from 0.1 to 3600"));
	request->every_ms = (unsigned)(seconds * 1000);
	return (-1);
}

static int
read_times(struct request *request, const char *text)
{
	double times = read_number(text, 1, 1000000);

	if (times < 0)
		return (contact_complain(CONTACT_USAGE, text,
		    "-n is a number from 1 to 1000000"));
	request->times = (unsigned)times;
	return (-1);
}

/* Returns -1 to continue, or the exit status. */
static int
read_option(struct request *request, int option)
{
	switch (option) {
	case 'a':
		request->address = optarg;
		return (-1);
	case 'c':
		request->conf_path = optarg;
		return (-1);
	case 'd':
		return (read_interval(request, optarg));
	case 'n':
		return (read_times(request, optarg));
	case 'j':
		request->json = true;
		return (-1);
	case 'w':
		request->wait = true;
		return (-1);
	case 's':
		request->sort = optarg;
		return (-1);
	case 'l':
		request->limit = optarg;
		return (-1);
	case 'L':
		request->listener = optarg;
		return (-1);
	case 'h':
		print_help(stdout);
		return (CONTACT_FINE);
	case 'v':
		puts(PACKAGE_VERSION);
		return (CONTACT_FINE);
	}
	print_help(stderr);
	return (CONTACT_USAGE);
}

static int
read_options(struct request *request, int argc, char *argv[])
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "wait", no_argument, NULL, 'w' },
		{ "sort", required_argument, NULL, 's' },
		{ "limit", required_argument, NULL, 'l' },
		{ "listener", required_argument, NULL, 'L' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 }
	};
	int option, status;

	while ((option = getopt_long(argc, argv, "a:c:d:hjn:v", options,
	    NULL)) != -1)
		if ((status = read_option(request, option)) != -1)
			return (status);
	return (-1);
}

static int
penstockctl_run(struct request *request, const struct command *command)
{
	int status = contact_open(&request->contact, request->address,
	    request->conf_path);

	request->contact.verbatim = request->json;
	if (status == CONTACT_FINE)
		status = command->run(request);
	contact_close(&request->contact);
	if (fflush(stdout) == EOF || ferror(stdout))
		status = contact_complain(CONTACT_FAILED, "standard output",
		    strerror(errno));
	return (status);
}

int
main(int argc, char *argv[])
{
	struct request request = {
		.conf_path = PENSTOCK_DEFAULT_CONF, .every_ms = 1000,
	};
	const struct command *command;
	int status, wanted;

	if ((status = read_options(&request, argc, argv)) != -1)
		return (status);
	if (optind == argc) {
		print_help(stderr);
		return (CONTACT_USAGE);
	}
	if ((command = find_command(argv[optind])) == NULL)
		return (contact_complain(CONTACT_USAGE, argv[optind],
		    "there is no such command; -h lists them"));
	wanted = command->argument != NULL ? 2 : 1;
	if (argc - optind != wanted) {
		fprintf(stderr, "usage: penstockctl %s%s%s\n", command->name,
		    command->argument != NULL ? " " : "",
		    command->argument != NULL ? command->argument : "");
		return (CONTACT_USAGE);
	}
	request.argument = argv[optind + 1];
	return (penstockctl_run(&request, command));
}
