/* SPDX-License-Identifier: ISC */
/*
 * Print the counters of a running server as key=value lines: totals, and what
 * each listener that has met a client counts.
 *
 *	peek PID-of-the-master
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <err.h>

#include "tests/lib/observe.h"

static void
print(const char *prefix, const char *key, uint64_t value)
{
	printf("%s%s=%" PRIu64 "\n", prefix, key, value);
}

static void
print_listener(const char *prefix, const struct counters_listener *counters)
{
	char key[64];

	print(prefix, "active", counters->active);
	print(prefix, "peak", counters->peak);
	print(prefix, "accepted", counters->accepted);
	for (unsigned i = 0; i < REJECT_REASON_COUNT; i++) {
		snprintf(key, sizeof(key), "rejected.%s",
		    reject_reason_name((enum reject_reason)i));
		print(prefix, key, counters->rejected[i]);
	}
	for (unsigned i = 0; i < CLOSE_REASON_COUNT; i++) {
		snprintf(key, sizeof(key), "closed.%s",
		    close_reason_name((enum close_reason)i));
		print(prefix, key, counters->closed[i]);
	}
	print(prefix, "messages_in", counters->messages_in);
	print(prefix, "messages_out", counters->messages_out);
	print(prefix, "bytes_in", counters->bytes_in);
	print(prefix, "bytes_out", counters->bytes_out);
}

static void
print_listeners(const struct observer *observer)
{
	struct counters_listener one;
	char prefix[32];

	for (unsigned i = 0; i < COUNTERS_LISTENERS; i++) {
		one = observe_listener(observer, i);
		if (one.accepted == 0)
			continue;
		snprintf(prefix, sizeof(prefix), "listener.%u.", i);
		print_listener(prefix, &one);
	}
}

int
main(int argc, char **argv)
{
	struct counters_listener total;
	struct counters_worker workers;
	struct observer observer;

	if (argc != 2)
		errx(2, "usage: peek PID-of-the-master");
	if (observe_open(&observer, (pid_t)atoi(argv[1])) == -1)
		err(1, "no penstock master with pid %s", argv[1]);
	workers = observe_workers(&observer);
	total = observe_listener(&observer, OBSERVE_ALL);
	print("", "slots", observer.nslots);
	print("", "records", observe_records(&observer));
	print("", "buffered", workers.buffered);
	print("", "buffered_peak", workers.buffered_peak);
	print("", "accept_pauses", workers.accept_pauses);
	print("", "access_lost", workers.access_lost);
	print_listener("", &total);
	print_listeners(&observer);
	observe_close(&observer);
	return (0);
}
