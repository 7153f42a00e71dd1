/* SPDX-License-Identifier: ISC */
#include "config.h"

#include "master/options.h"

#include <event2/event.h>
#include <libconfig.h>
#include <stdio.h>
#include <unistd.h>

#include "master/signals.h"

static void
options_usage(FILE *stream)
{
	fprintf(stream,
	    "usage: penstock [-DTVhtv] [-c file] [-s signal]\n"
	    "  -c file    read the configuration from file\n"
	    "             (default: %s)\n"
	    "  -t         test the configuration and exit\n"
	    "  -T         print the configuration with every default and exit\n"
	    "  -D         become a daemon: return when all workers accept\n"
	    "  -s signal  signal the running master: ",
	    PENSTOCK_DEFAULT_CONF);
	signals_print_names(stream);
	fprintf(stream,
	    "\n"
	    "  -v         print the version and exit\n"
	    "  -V         print the version and how it was built, and exit\n"
	    "  -h         print this help and exit\n");
}

static void
options_print_build(void)
{
	printf("penstock %s\n", PENSTOCK_VERSION);
	printf("compiler: %s\n", PENSTOCK_BUILD_CC);
	printf("flags: %s\n", PENSTOCK_BUILD_CFLAGS);
	printf("sanitizers: %s\n", PENSTOCK_BUILD_SANITIZERS);
	printf("configuration: %s\n", PENSTOCK_DEFAULT_CONF);
	printf("libevent: %s (built with %s)\n", event_get_version(),
	    LIBEVENT_VERSION);
	printf("libconfig: %d.%d.%d\n", LIBCONFIG_VER_MAJOR,
	    LIBCONFIG_VER_MINOR, LIBCONFIG_VER_REVISION);
}

int
options_parse(struct options *options, int argc, char *argv[])
{
	int opt;

	*options = (struct options){ .conf_path = PENSTOCK_DEFAULT_CONF };
	while ((opt = getopt(argc, argv, "DTVc:hs:tv")) != -1) {
		switch (opt) {
		case 'D':
			options->daemonize = true;
			break;
		case 'T':
			options->print = true;
			break;
		case 'V':
			options_print_build();
			return (EXIT_FINE);
		case 'c':
			options->conf_path = optarg;
			break;
		case 'h':
			options_usage(stdout);
			return (EXIT_FINE);
		case 's':
			options->signal = signals_find(optarg);
			if (options->signal != 0)
				break;
			fprintf(stderr, "penstock: -s %s: not one of ", optarg);
			signals_print_names(stderr);
			fputc('\n', stderr);
			return (EXIT_USAGE);
		case 't':
			options->test = true;
			break;
		case 'v':
			printf("penstock %s\n", PENSTOCK_VERSION);
			return (EXIT_FINE);
		default:
			options_usage(stderr);
			return (EXIT_USAGE);
		}
	}
	if (optind < argc) {
		fprintf(stderr, "penstock: %s: unexpected argument\n",
		    argv[optind]);
		options_usage(stderr);
		return (EXIT_USAGE);
	}
	return (-1);
}
