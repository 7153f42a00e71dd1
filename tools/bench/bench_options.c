/* SPDX-License-Identifier: ISC */
#include "tools/bench/bench_options.h"

#include <sys/un.h>

#include <netinet/in.h>

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	EX_USAGE = 2,
	FIRST_SOURCE = 0x7f010001,	/* 127.1.0.1 */
};

static const char *const wires[] = {
	[WIRE_FRAME] = "frame",
	[WIRE_LINE] = "line",
	[WIRE_POST] = "http",
	[WIRE_RAW] = "raw",
};

const char *
bench_wire_name(enum message_wire wire)
{
	return (wires[wire]);
}

static void
bench_options_usage(FILE *file)
{
	fprintf(file,
	    "usage: penstock-bench [options] address:port|unix:path\n"
	    "  -c, --connections N    open connections (50)\n"
	    "  -d, --duration S       seconds of the measurement (10)\n"
	    "  -i, --idle[=S]         hold the connections, with a message on\n"
	    "                         each every S seconds (60)\n"
	    "  -j, --json             print one JSON object\n"
	    "  -p, --pipeline N       messages sent at once on each (1)\n"
	    "  -P, --pid PID          measure the server with this master\n"
	    "  -q, --quiet            print no progress\n"
	    "  -r, --rate N           messages per second in all, even if the\n"
	    "                         server is slow (as fast as replies come)\n"
	    "  -s, --size N           bytes of each message (64)\n"
	    "  -t, --processes N      processes that hold connections (1)\n"
	    "  -w, --wire NAME        frame, line, http or raw (frame)\n"
	    "      --connecting N     connections opened at a time (64)\n"
	    "      --path PATH        http: target of the requests (/)\n"
	    "      --patience S       seconds after which a reply hangs (20)\n"
	    "      --reply-bytes N    raw: bytes of each reply\n"
	    "      --request TEXT     raw: the request, with \\r \\n \\\\\n"
	    "      --source ADDRESS   address of the first process (127.1.0.1\n"
	    "                         for several processes on loopback)\n"
	    "      --warmup S         seconds before the measurement (1)\n"
	    "  -h, --help             print this help\n"
	    "The exit status is 0 if nothing was wrong.\n");
}

/*
 * Words.
 */

static double
number(const char *option, const char *text, double least, double most)
{
	double value;
	char *end;

	errno = 0;
	value = strtod(text, &end);
	if (errno != 0 || end == text || *end != '\0' || !isfinite(value) ||
	    value < least || value > most)
		errx(EX_USAGE, "%s: \"%s\" is no number from %g to %g", option,
		    text, least, most);
	return (value);
}

static unsigned
whole(const char *option, const char *text, unsigned least, unsigned most)
{
	double value = number(option, text, least, most);

	if (value != (double)(unsigned)value)
		errx(EX_USAGE, "%s: \"%s\" is no whole number", option, text);
	return ((unsigned)value);
}

static enum message_wire
wire(const char *text)
{
	for (unsigned i = 0; i < sizeof(wires) / sizeof(wires[0]); i++)
		if (wires[i] != NULL && strcmp(text, wires[i]) == 0)
			return ((enum message_wire)i);
	errx(EX_USAGE, "--wire: \"%s\" is none of frame, line, http, raw",
	    text);
}

/* Replace what a backslash begins, in place.  Returns the length. */
static size_t
unescape(char *text)
{
	char *from = text, *to = text;

	for (; *from != '\0'; from++, to++) {
		*to = *from;
		if (*from != '\\')
			continue;
		switch (*++from) {
		case 'n':	*to = '\n'; break;
		case 'r':	*to = '\r'; break;
		case '\\':	break;
		default:
			errx(EX_USAGE, "--request: a backslash goes before n, "
			    "r or a backslash");
		}
	}
	return ((size_t)(to - text));
}

/*
 * Addresses.
 */

static void
use_unix(struct hold_options *hold, const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(un.sun_path))
		errx(EX_USAGE, "%s: a path this long is no address", path);
	memcpy(un.sun_path, path, strlen(path));
	memcpy(&hold->server, &un, sizeof(un));
	hold->server_len = sizeof(un);
}

/* The name without the brackets that an IPv6 address has, and the port. */
static void
use_inet(struct hold_options *hold, const char *text)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *info;
	const char *colon = strrchr(text, ':');
	char host[256];
	size_t len;
	int error;

	if (colon == NULL)
		errx(EX_USAGE, "%s: the port is missing", text);
	len = (size_t)(colon - text);
	if (len > 1 && text[0] == '[' && colon[-1] == ']') {
		text++;
		len -= 2;
	}
	if (len >= sizeof(host))
		errx(EX_USAGE, "%s: this is no address", text);
	memcpy(host, text, len);
	host[len] = '\0';
	error = getaddrinfo(len > 0 ? host : NULL, colon + 1, &hints, &info);
	if (error != 0)
		errx(EX_USAGE, "%s: %s", text, gai_strerror(error));
	memcpy(&hold->server, info->ai_addr, info->ai_addrlen);
	hold->server_len = info->ai_addrlen;
	freeaddrinfo(info);
}

static void
use_source(struct hold_options *hold, struct in_addr in)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr = in };

	memcpy(&hold->source, &sin, sizeof(sin));
	hold->source_len = sizeof(sin);
}

static void
read_source(struct hold_options *hold, const char *text)
{
	struct in_addr in;

	if (inet_pton(AF_INET, text, &in) != 1)
		errx(EX_USAGE, "--source: \"%s\" is no IPv4 address", text);
	use_source(hold, in);
}

/* Loopback has enough addresses for all processes. */
static void
choose_source(struct hold_options *hold)
{
	const struct sockaddr_in *server = (const void *)&hold->server;
	struct in_addr in = { htonl(FIRST_SOURCE) };

	if (hold->source_len == 0 && hold->processes > 1 &&
	    hold->server.ss_family == AF_INET &&
	    ntohl(server->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET)
		use_source(hold, in);
	if (hold->source_len > 0 && hold->server.ss_family != AF_INET)
		errx(EX_USAGE, "--source is for servers with an IPv4 address");
}

/*
 * All of it.
 */

enum {
	LONG_CONNECTING = 256,
	LONG_PATH,
	LONG_PATIENCE,
	LONG_REPLY_BYTES,
	LONG_REQUEST,
	LONG_SOURCE,
	LONG_WARMUP,
};

static void
take_option(struct bench_options *options, int option, char *value)
{
	struct hold_options *hold = &options->hold;

	switch (option) {
	case 'c':
		hold->connections = whole("-c", value, 1, 1 << 24);
		return;
	case 'd':
		options->seconds = number("-d", value, 0.1, 1e7);
		return;
	case 'i':
		options->idle_seconds = value == NULL ? 60 :
		    number("-i", value, 0.001, 1e6);
		return;
	case 'j':
		options->is_json = true;
		return;
	case 'p':
		hold->burst = whole("-p", value, 1, 65536);
		return;
	case 'P':
		options->pid = (pid_t)whole("-P", value, 1, INT_MAX);
		return;
	case 'q':
		options->is_quiet = true;
		return;
	case 'r':
		options->rate = number("-r", value, 0.001, 1e9);
		return;
	case 's':
		hold->message_size = whole("-s", value, MESSAGE_SIZE_MIN,
		    MESSAGE_SIZE_MAX);
		return;
	case 't':
		hold->processes = whole("-t", value, 1, 1000);
		return;
	case 'w':
		hold->wire = wire(value);
		return;
	case LONG_CONNECTING:
		hold->connecting_max = whole("--connecting", value, 1, 65536);
		return;
	case LONG_PATH:
		hold->path = value;
		return;
	case LONG_PATIENCE:
		hold->patience_ms = (unsigned)(1000 *
		    number("--patience", value, 0.001, 1e6));
		return;
	case LONG_REPLY_BYTES:
		hold->raw_reply_len = whole("--reply-bytes", value, 1, 1 << 30);
		return;
	case LONG_REQUEST:
		hold->raw = value;
		hold->raw_len = unescape(value);
		return;
	case LONG_SOURCE:
		read_source(hold, value);
		return;
	case LONG_WARMUP:
		options->warmup_seconds = number("--warmup", value, 0, 1e6);
		return;
	case 'h':
		bench_options_usage(stdout);
		exit(0);
	default:
		bench_options_usage(stderr);
		exit(EX_USAGE);
	}
}

static void
bench_options_check(const struct bench_options *options)
{
	const struct hold_options *hold = &options->hold;
	bool is_raw = hold->wire == WIRE_RAW;

	if (is_raw != (hold->raw_len > 0) ||
	    is_raw != (hold->raw_reply_len > 0))
		errx(EX_USAGE, "--request and --reply-bytes are needed for the "
		    "wire \"raw\", and only for it");
	if (hold->processes > hold->connections)
		errx(EX_USAGE, "there are more processes than connections");
	if (options->idle_seconds > 0 && options->rate > 0)
		errx(EX_USAGE, "--idle has its own rate");
}

void
bench_options_read(struct bench_options *options, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "connections", required_argument, NULL, 'c' },
		{ "duration", required_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ "idle", optional_argument, NULL, 'i' },
		{ "json", no_argument, NULL, 'j' },
		{ "pid", required_argument, NULL, 'P' },
		{ "pipeline", required_argument, NULL, 'p' },
		{ "processes", required_argument, NULL, 't' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "rate", required_argument, NULL, 'r' },
		{ "size", required_argument, NULL, 's' },
		{ "wire", required_argument, NULL, 'w' },
		{ "connecting", required_argument, NULL, LONG_CONNECTING },
		{ "path", required_argument, NULL, LONG_PATH },
		{ "patience", required_argument, NULL, LONG_PATIENCE },
		{ "reply-bytes", required_argument, NULL, LONG_REPLY_BYTES },
		{ "request", required_argument, NULL, LONG_REQUEST },
		{ "source", required_argument, NULL, LONG_SOURCE },
		{ "warmup", required_argument, NULL, LONG_WARMUP },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	*options = (struct bench_options){
		.hold = { .connections = 50, .burst = 1, .message_size = 64,
		    .processes = 1, .path = "/", .is_scheduled = true },
		.seconds = 10,
		.warmup_seconds = 1,
	};
	while ((option = getopt_long(argc, argv, "c:d:hi::jp:P:qr:s:t:w:",
	    longs, NULL)) != -1)
		take_option(options, option, optarg);
	if (optind != argc - 1)
		take_option(options, '?', NULL);
	options->address = argv[optind];
	options->hold.host = options->address;
	if (strncmp(options->address, "unix:", 5) == 0) {
		use_unix(&options->hold, options->address + 5);
		options->hold.host = "localhost";
	} else
		use_inet(&options->hold, options->address);
	choose_source(&options->hold);
	bench_options_check(options);
}
