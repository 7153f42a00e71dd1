/* SPDX-License-Identifier: ISC */
/*
 * Holds verified connections to a server, for people who want to see what
 * becomes of them while they do something to it.  A line each second tells what
 * has been counted; at the end, by time, TERM, INT or "stop", every connection
 * is verified, and the exit status is 0 only if nothing at all went wrong.
 *
 *	holder --port 9000 --echo 9000 --split 200 --pipeline 100 --deaf 20
 *	    --stream 50 --slow 50 --slow-port 9001 --rate 2000 --seconds 30
 *
 * Commands on standard input: flush, verify, reset (forget the times so far),
 * report, rate N, stop.  The times of the rush at the beginning are forgotten
 * when all are connected.
 */
#include <sys/signalfd.h>

#include <netinet/in.h>

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/lib/load_report.h"
#include "tools/load/hold_process.h"

enum {
	LINE_SIZE = 128,
	REPORT_MS = 1000,
};

struct holder {
	struct hold_options options;
	unsigned seconds;		/* 0: until told */
	struct hold_process *process;
	uint64_t all;			/* connections that there are to be */
	uint64_t answered;		/* as of the last line */
	bool is_measuring;		/* all were there */
	int signals;			/* owned: TERM, INT */
	char line[LINE_SIZE];		/* a command as far as it has come */
	size_t len;
	bool input_is_open;
	bool is_to_stop;
};

/*
 * The command line.
 */

static void
usage(void)
{
	fprintf(stderr, "usage: holder --port N [--address A] [--source A] "
	    "[--protocol frame|line|http]\n"
	    "	[--echo N] [--pipeline N] [--split N] [--deaf N] [--stream N]\n"
	    "	[--slow N [--slow-port N]] [--processes N] [--rate N]\n"
	    "	[--size N] [--size-max N] [--pipeline-burst N] "
	    "[--slow-burst N]\n"
	    "	[--deaf-burst N] [--stream-bytes N] [--flush-ms N] "
	    "[--connecting N]\n"
	    "	[--patience-ms N] [--seconds N]\n");
	exit(2);
}

static unsigned
number(const char *text)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno != 0 || *text == '-' || end == text || *end != '\0' ||
	    value > INT_MAX)
		errx(2, "%s is not a number that serves", text);
	return ((unsigned)value);
}

static struct in_addr
address(const char *text)
{
	struct in_addr in;

	if (inet_pton(AF_INET, text, &in) != 1)
		errx(2, "%s is not an IPv4 address", text);
	return (in);
}

static enum message_wire
wire(const char *text)
{
	if (strcmp(text, "frame") == 0)
		return (WIRE_FRAME);
	if (strcmp(text, "http") == 0)
		return (WIRE_HTTP);
	if (strcmp(text, "line") != 0)
		errx(2, "the protocol is frame, line or http");
	return (WIRE_LINE);
}

static socklen_t
set_address(struct sockaddr_storage *to, struct in_addr in, unsigned port)
{
	struct sockaddr_in sin = {
		.sin_family = AF_INET,
		.sin_addr = in,
		.sin_port = htons((uint16_t)port),
	};

	memcpy(to, &sin, sizeof(sin));
	return (sizeof(sin));
}

static void
read_options(struct holder *holder, int argc, char **argv)
{
	struct hold_options *options = &holder->options;
	struct in_addr server = { htonl(INADDR_LOOPBACK) };
	struct in_addr source = { htonl(INADDR_LOOPBACK + 0x10000) };
	unsigned port = 0, slow_port = 0, rate = 0;
	enum { ADDRESS = 1, SOURCE, PROTOCOL, NUMBER };
	const struct option longs[] = {
		{ "address", required_argument, NULL, ADDRESS },
		{ "source", required_argument, NULL, SOURCE },
		{ "protocol", required_argument, NULL, PROTOCOL },
		{ "port", required_argument, NULL, NUMBER },
		{ "slow-port", required_argument, NULL, NUMBER + 1 },
		{ "rate", required_argument, NULL, NUMBER + 2 },
		{ "seconds", required_argument, NULL, NUMBER + 3 },
		{ "echo", required_argument, NULL, NUMBER + 4 },
		{ "pipeline", required_argument, NULL, NUMBER + 5 },
		{ "slow", required_argument, NULL, NUMBER + 6 },
		{ "split", required_argument, NULL, NUMBER + 7 },
		{ "deaf", required_argument, NULL, NUMBER + 8 },
		{ "stream", required_argument, NULL, NUMBER + 9 },
		{ "processes", required_argument, NULL, NUMBER + 10 },
		{ "size", required_argument, NULL, NUMBER + 11 },
		{ "size-max", required_argument, NULL, NUMBER + 12 },
		{ "pipeline-burst", required_argument, NULL, NUMBER + 13 },
		{ "slow-burst", required_argument, NULL, NUMBER + 14 },
		{ "deaf-burst", required_argument, NULL, NUMBER + 15 },
		{ "stream-bytes", required_argument, NULL, NUMBER + 16 },
		{ "flush-ms", required_argument, NULL, NUMBER + 17 },
		{ "connecting", required_argument, NULL, NUMBER + 18 },
		{ "patience-ms", required_argument, NULL, NUMBER + 19 },
		{ NULL, 0, NULL, 0 },
	};
	unsigned *const numbers[] = {
		&port, &slow_port, &rate, &holder->seconds,
		&options->connections, &options->pipeline, &options->slow,
		&options->split, &options->deaf, &options->stream,
		&options->processes, &options->message_size,
		&options->message_size_max, &options->pipeline_burst,
		&options->slow_burst, &options->deaf_burst,
		&options->stream_bytes_s, &options->flush_ms,
		&options->connecting_max, &options->patience_ms,
	};
	int option;

	while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (option == ADDRESS)
			server = address(optarg);
		else if (option == SOURCE)
			source = address(optarg);
		else if (option == PROTOCOL)
			options->wire = wire(optarg);
		else if (option >= NUMBER)
			*numbers[option - NUMBER] = number(optarg);
		else
			usage();
	}
	if (optind != argc || port == 0)
		usage();
	options->rate = rate;
	holder->all = (uint64_t)options->connections + options->pipeline +
	    options->slow + options->split + options->deaf + options->stream;
	options->server_len = set_address(&options->server, server, port);
	options->source_len = set_address(&options->source, source, 0);
	if (slow_port != 0)
		options->slow_server_len = set_address(&options->slow_server,
		    server, slow_port);
}

/*
 * While it runs.
 */

static void
print_line(struct holder *holder)
{
	const struct hold_report *report = hold_peek(holder->process);
	char line[512];

	load_report_line(report, line, sizeof(line));
	printf("%s, %" PRIu64 "/s\n", line,
	    report->answered - holder->answered);
	holder->answered = report->answered;
	if (!holder->is_measuring && report->open == holder->all) {
		holder->is_measuring = true;
		hold_remeasure(holder->process);
	}
}

static void
verify(struct holder *holder)
{
	const struct hold_report *report = hold_verify(holder->process);

	printf("verified %" PRIu64 " of %" PRIu64 " connections\n",
	    report->verified, report->open);
}

static void
obey(struct holder *holder, const char *command)
{
	if (strcmp(command, "flush") == 0)
		hold_order_flush(holder->process);
	else if (strcmp(command, "verify") == 0)
		verify(holder);
	else if (strcmp(command, "reset") == 0)
		hold_remeasure(holder->process);
	else if (strcmp(command, "report") == 0)
		load_report_print(hold_peek(holder->process), stdout);
	else if (strncmp(command, "rate ", 5) == 0)
		hold_set_rate(holder->process, atof(command + 5));
	else if (strcmp(command, "stop") == 0)
		holder->is_to_stop = true;
	else
		printf("commands are: flush, verify, reset, report, rate N, "
		    "stop\n");
}

static void
read_commands(struct holder *holder)
{
	char *end;
	ssize_t n;

	n = read(STDIN_FILENO, holder->line + holder->len,
	    LINE_SIZE - holder->len);
	if (n <= 0) {
		holder->input_is_open = false;
		return;
	}
	holder->len += (size_t)n;
	while ((end = memchr(holder->line, '\n', holder->len)) != NULL) {
		*end++ = '\0';
		obey(holder, holder->line);
		holder->len -= (size_t)(end - holder->line);
		memmove(holder->line, end, holder->len);
	}
	if (holder->len == LINE_SIZE)
		holder->len = 0;
}

static void
run(struct holder *holder)
{
	uint64_t began_ms = clock_ms(), due_ms = began_ms + REPORT_MS, now_ms;
	struct pollfd polled[] = {
		{ .fd = holder->signals, .events = POLLIN },
		{ .fd = STDIN_FILENO, .events = POLLIN },
	};

	while (!holder->is_to_stop) {
		now_ms = clock_ms();
		if (holder->seconds > 0 &&
		    now_ms - began_ms >= holder->seconds * 1000ULL)
			return;
		if (now_ms >= due_ms) {
			print_line(holder);
			due_ms += REPORT_MS;
			continue;
		}
		if (poll(polled, holder->input_is_open ? 2 : 1,
		    (int)(due_ms - now_ms)) <= 0)
			continue;
		if (polled[0].revents != 0)
			return;
		if (holder->input_is_open && polled[1].revents != 0)
			read_commands(holder);
	}
}

/* Verify all that stand, and print the sum of it all. */
static bool
finish(struct holder *holder)
{
	const struct hold_report *report;
	bool is_well;

	hold_set_rate(holder->process, 0);
	report = hold_verify(holder->process);
	load_report_print(report, stdout);
	is_well = hold_report_is_clean(report) &&
	    report->verified == holder->all;
	report = hold_stop(holder->process);
	is_well = is_well && hold_report_is_clean(report);
	printf("%s\n", is_well ? "all is well" : "NOT all is well");
	return (is_well);
}

int
main(int argc, char **argv)
{
	struct holder holder = { .input_is_open = true };
	bool is_well;
	sigset_t set;

	setvbuf(stdout, NULL, _IOLBF, 0);
	read_options(&holder, argc, argv);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if ((holder.signals = signalfd(-1, &set, SFD_CLOEXEC)) == -1)
		err(1, "signals");
	if ((holder.process = hold_start(&holder.options)) == NULL)
		err(1, "cannot start");
	run(&holder);
	is_well = finish(&holder);
	hold_drop(holder.process);
	return (is_well ? 0 : 1);
}
