/* SPDX-License-Identifier: ISC */
#include "tools/load/hold_process.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <netinet/in.h>

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/counters.h"

enum {
	TURN_MS = 10,
	CONNS_LOG2 = 24,	/* numbers for the connections of a process */
};

/* What two processes share. */
struct shared {
	struct hold_report report;	/* written there, read here */
	/* Written here, read there: */
	double rate;
	uint64_t flush, verify, reset;	/* how often that was ordered */
	uint64_t finish;		/* as a flag */
};

struct hold_process {
	struct hold_options options;
	struct shared *shared;		/* one for each */
	pid_t *pids;			/* 0: has ended */
	unsigned n;
	unsigned crashed;
	struct hold_report report;	/* of all */
};

/*
 * There.
 */

struct orders {
	double rate;
	uint64_t flush, verify, reset;
};

static void
take_orders(struct hold *hold, struct orders *taken,
    const struct shared *shared)
{
	double rate;

	__atomic_load(&shared->rate, &rate, __ATOMIC_RELAXED);
	if (rate != taken->rate) {
		taken->rate = rate;
		hold_change_rate(hold, rate);
	}
	if (taken->flush != counter_get(&shared->flush)) {
		taken->flush = counter_get(&shared->flush);
		hold_flush(hold);
	}
	if (taken->reset != counter_get(&shared->reset)) {
		taken->reset++;
		hold_measure_anew(hold);
	}
	/* One round at a time. */
	if (taken->verify == shared->report.rounds &&
	    taken->verify != counter_get(&shared->verify)) {
		taken->verify++;
		hold_begin_round(hold);
	}
	if (!hold_is_finishing(hold) && counter_get(&shared->finish) != 0)
		hold_finish(hold);
}

static int
hold_process_run(const struct hold_options *options, uint32_t first_conn,
    struct shared *shared)
{
	struct orders taken = { .rate = options->rate };
	struct hold *hold;

	if ((hold = hold_new(options, first_conn, &shared->report)) == NULL)
		return (1);
	while (!hold_is_finishing(hold) || shared->report.is_done == 0) {
		take_orders(hold, &taken, shared);
		hold_turn(hold, TURN_MS);
	}
	hold_free(hold);
	return (0);
}

/* Keep nothing of the parent: neither its descriptors, which would keep its
 * connections open, nor life without it. */
static void
part_from(pid_t parent)
{
	struct rlimit limit;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	/* The parent decides on an end that is in order. */
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	close_range(3, ~0U, 0);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/*
 * Here.
 */

static unsigned
share(unsigned all, unsigned i, unsigned n)
{
	return (all / n + (i < all % n ? 1 : 0));
}

/* The part of it all that falls to process i. */
static struct hold_options
options_of(const struct hold_process *process, unsigned i)
{
	struct hold_options part = process->options;
	struct sockaddr_in *source = (void *)&part.source;
	unsigned n = process->n;

	part.connections = share(part.connections, i, n);
	part.pipeline = share(part.pipeline, i, n);
	part.slow = share(part.slow, i, n);
	part.split = share(part.split, i, n);
	part.deaf = share(part.deaf, i, n);
	part.stream = share(part.stream, i, n);
	if (part.rate > 0)
		part.rate /= n;
	if (part.source_len > 0 && part.source.ss_family == AF_INET)
		source->sin_addr.s_addr =
		    htonl(ntohl(source->sin_addr.s_addr) + i);
	return (part);
}

static int
start_one(struct hold_process *process, unsigned i)
{
	struct hold_options part = options_of(process, i);
	pid_t parent = getpid();

	process->shared[i].rate = part.rate;
	if ((process->pids[i] = fork()) == -1) {
		process->pids[i] = 0;
		return (-1);
	}
	if (process->pids[i] == 0) {
		part_from(parent);
		_exit(hold_process_run(&part, i << CONNS_LOG2,
		    &process->shared[i]));
	}
	return (0);
}

struct hold_process *
hold_start(const struct hold_options *options)
{
	unsigned n = options->processes > 0 ? options->processes : 1;
	struct hold_process *process;

	if ((process = calloc(1, sizeof(*process))) == NULL)
		return (NULL);
	process->options = *options;
	process->n = n;
	process->pids = calloc(n, sizeof(*process->pids));
	process->shared = mmap(NULL, n * sizeof(*process->shared),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (process->pids == NULL || process->shared == MAP_FAILED)
		goto fail;
	for (unsigned i = 0; i < n; i++)
		if (start_one(process, i) == -1)
			goto fail;
	return (process);
fail:
	hold_drop(process);
	return (NULL);
}

const struct hold_report *
hold_peek(struct hold_process *process)
{
	struct hold_report *sum = &process->report;

	*sum = (struct hold_report){ .is_done = 1 };
	sum->rounds = sum->resets = UINT64_MAX;
	for (unsigned i = 0; i < process->n; i++)
		hold_report_merge(sum, &process->shared[i].report);
	sum->crashed = process->crashed;
	return (sum);
}

void
hold_set_rate(struct hold_process *process, double rate)
{
	if (rate > 0)
		rate /= process->n;
	for (unsigned i = 0; i < process->n; i++)
		__atomic_store(&process->shared[i].rate, &rate,
		    __ATOMIC_RELAXED);
}

void
hold_order_flush(struct hold_process *process)
{
	for (unsigned i = 0; i < process->n; i++)
		counter_add(&process->shared[i].flush, 1);
}

static uint64_t
patience_ms(const struct hold_process *process)
{
	return (process->options.patience_ms > 0 ?
	    process->options.patience_ms : 20000);
}

static void
pause_a_little(void)
{
	const struct timespec time = { .tv_nsec = 2000000 };

	nanosleep(&time, NULL);
}

void
hold_remeasure(struct hold_process *process)
{
	uint64_t resets = process->shared[0].reset + 1;
	uint64_t until_ms = clock_ms() + patience_ms(process);

	for (unsigned i = 0; i < process->n; i++)
		counter_add(&process->shared[i].reset, 1);
	while (hold_peek(process)->resets < resets && clock_ms() < until_ms)
		pause_a_little();
}

const struct hold_report *
hold_verify(struct hold_process *process)
{
	uint64_t rounds = process->shared[0].verify + 1;
	uint64_t until_ms = clock_ms() + 3 * patience_ms(process);

	for (unsigned i = 0; i < process->n; i++)
		counter_add(&process->shared[i].verify, 1);
	while (hold_peek(process)->rounds < rounds && clock_ms() < until_ms)
		pause_a_little();
	return (&process->report);
}

static void
hold_process_reap(struct hold_process *process)
{
	int status;

	for (unsigned i = 0; i < process->n; i++) {
		status = 0;
		while (process->pids[i] != 0 &&
		    waitpid(process->pids[i], &status, 0) == -1 &&
		    errno == EINTR)
			continue;
		process->pids[i] = 0;
		if (status != 0)
			process->crashed++;
	}
}

const struct hold_report *
hold_stop(struct hold_process *process)
{
	for (unsigned i = 0; i < process->n; i++)
		counter_set(&process->shared[i].finish, 1);
	hold_process_reap(process);
	return (hold_peek(process));
}

void
hold_drop(struct hold_process *process)
{
	if (process->pids != NULL) {
		for (unsigned i = 0; i < process->n; i++)
			if (process->pids[i] != 0)
				kill(process->pids[i], SIGKILL);
		hold_process_reap(process);
	}
	if (process->shared != MAP_FAILED)
		munmap(process->shared, process->n * sizeof(*process->shared));
	free(process->pids);
	free(process);
}
