/* SPDX-License-Identifier: ISC */
#include "master/limits.h"

#include <sys/resource.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"

enum {
	/* Descriptors of a worker that hold no connection: 0 to 2, the log, the
	 * channel, the event loop's, and some to spare. */
	RESERVED = 16,
	/* A connection's record takes 80 bytes of address space in each block
	 * of each slot; this many is far beyond what one worker can serve. */
	RECORDS_MAX = 1 << 20,
};

void
limits_raise(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) == -1)
		LOG(WARN, LIMIT, F_STR("limit", "RLIMIT_NOFILE"),
		    F_ERRNO(errno));
}

static uint64_t
limits_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1 ||
	    limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > RECORDS_MAX)
		return (RECORDS_MAX);
	return (limit.rlim_cur);
}

uint32_t
limits_records(void)
{
	return ((uint32_t)limits_descriptors());
}

static void
limits_check_descriptors(const struct conf *conf, unsigned workers)
{
	uint64_t limit = limits_descriptors(), taken = RESERVED, wanted = 0;
	char advice[160];

	for (size_t i = 0; i < conf->nlisteners; i++) {
		taken += conf->listeners[i].naddresses;
		wanted += conf->listeners[i].max_connections;
	}
	if (wanted > conf->max_connections)
		wanted = conf->max_connections;
	if (limit > taken && wanted <= (limit - taken) * workers)
		return;
	snprintf(advice, sizeof(advice), "raise it with LimitNOFILE= in the "
	    "service's unit or ulimit -Hn, or configure more workers");
	LOG(WARN, LIMIT, F_STR("limit", "RLIMIT_NOFILE"),
	    F_U64("value", limit),
	    F_U64("max_connections", wanted),
	    F_U64("fits", limit > taken ? (limit - taken) * workers : 0),
	    F_U64("workers", workers), F_STR("advice", advice));
}

static unsigned
limits_somaxconn(void)
{
	FILE *file;
	unsigned value = 0;

	if ((file = fopen("/proc/sys/net/core/somaxconn", "re")) == NULL)
		return (0);
	if (fscanf(file, "%u", &value) != 1)
		value = 0;
	fclose(file);
	return (value);
}

static void
limits_check_backlogs(const struct conf *conf)
{
	unsigned most = limits_somaxconn();

	for (size_t i = 0; i < conf->nlisteners && most > 0; i++)
		if (conf->listeners[i].backlog > most)
			LOG(WARN, LIMIT, F_STR("limit", "net.core.somaxconn"),
			    F_U64("value", most),
			    F_STR("listener", conf->listeners[i].name),
			    F_U64("backlog", conf->listeners[i].backlog),
			    F_STR("advice", "the kernel cuts the backlog to "
				"it; raise it with sysctl"));
}

void
limits_check(const struct conf *conf, unsigned workers)
{
	limits_check_descriptors(conf, workers);
	limits_check_backlogs(conf);
}
