/* SPDX-License-Identifier: ISC */
#include "tests/hold.h"

#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/counters.h"

enum {
	EVENTS_MAX = 256,
	SCRATCH_SIZE = 65536,
	HEADER_LEN = 4,		/* of a frame */
	RETRY_MS = 20,		/* pause after a refused connect */
	PATROL_MS = 200,	/* how often to look for what hangs */
	TURN_MS = 10,
};

enum link_state {
	LINK_DOWN,		/* in the queue of those to connect */
	LINK_CONNECTING,
	LINK_OPEN,
	LINK_GONE,		/* for good */
};

struct link {
	int fd;
	enum link_state state;
	uint32_t number;	/* of this connection, unlike any other */
	uint32_t issued;	/* messages that it is to send */
	uint32_t sent;		/* that the kernel took as a whole */
	uint32_t answered;
	uint32_t sent_bytes;	/* of the message after those */
	uint32_t answered_bytes;
	uint64_t since_ms;	/* when it began to wait, for whatever */
	bool wants_write;
};

struct hold {
	struct hold_options options;
	struct hold_report *report;
	int epoll;
	struct link *links;
	/* Links to connect, as a ring; one is in it at most once. */
	unsigned *queue;
	unsigned queue_first, queued;
	unsigned connecting;
	uint64_t not_before_ms;	/* no connects until then */
	uint32_t next_number;
	unsigned turn;		/* whose turn it is to send, at a rate */
	uint64_t rate_since_us;
	uint64_t rate_issued;
	uint64_t issued;	/* by all, without what was lost */
	uint64_t patrol_ms;
	bool finishing;
	size_t wire_size;	/* of one message */
	uint8_t *scratch;	/* SCRATCH_SIZE, or one message if larger */
	uint8_t *expected;	/* one message */
	uint8_t filler[26 * 2];
};

static void
count_up(uint64_t *counter)
{
	counter_add(counter, 1);
}

static bool
at_full_speed(const struct hold *hold)
{
	return (hold->options.rate < 0);
}

static uint32_t
in_flight(const struct link *link)
{
	return (link->issued - link->answered);
}

/*
 * Messages.
 */

/* Put a message together as it stands on the wire. */
static void
build_message(const struct hold *hold, uint8_t *to, const struct link *link,
    uint32_t number)
{
	uint32_t header = htonl(hold->options.message_size);
	size_t len = hold->options.message_size, n;
	char text[HOLD_MESSAGE_MIN + 1];

	if (hold->options.wire == HOLD_FRAME) {
		memcpy(to, &header, HEADER_LEN);
		to += HEADER_LEN;
	}
	snprintf(text, sizeof(text), "%08x-%08x ", link->number, number);
	memcpy(to, text, HOLD_MESSAGE_MIN);
	/* What follows differs from message to message. */
	for (size_t at = HOLD_MESSAGE_MIN; at < len; at += n) {
		n = len - at < 26 ? len - at : 26;
		memcpy(to + at, hold->filler +
		    (link->number + number + at) % 26, n);
	}
	if (hold->options.wire == HOLD_LINE)
		to[len] = '\n';
}

/*
 * A link's life.
 */

static void
watch(struct hold *hold, unsigned index, int how, bool wants_write)
{
	struct epoll_event event = {
		.events = EPOLLIN | (wants_write ? EPOLLOUT : 0U),
		.data = { .u32 = index },
	};

	hold->links[index].wants_write = wants_write;
	epoll_ctl(hold->epoll, how, hold->links[index].fd, &event);
}

static void
enqueue(struct hold *hold, unsigned index)
{
	hold->links[index].state = LINK_DOWN;
	hold->queue[(hold->queue_first + hold->queued++) %
	    hold->options.connections] = index;
}

/* Take a link down, and up again where that is wanted. */
static void
link_down(struct hold *hold, unsigned index, bool again)
{
	struct link *link = &hold->links[index];

	if (link->state == LINK_CONNECTING)
		hold->connecting--;
	if (link->state == LINK_OPEN)
		counter_sub(&hold->report->open, 1);
	close(link->fd);
	*link = (struct link){ .fd = -1, .state = LINK_GONE };
	if (again && !hold->finishing)
		enqueue(hold, index);
}

static void
link_finish(struct hold *hold, unsigned index)
{
	if (hold->links[index].state == LINK_OPEN)
		count_up(&hold->report->finished);
	link_down(hold, index, true);
}

/* It ended in a way that was not ours; why is the counter of that way. */
static void
link_lost(struct hold *hold, unsigned index, uint64_t *why)
{
	const struct link *link = &hold->links[index];

	count_up(why);
	counter_add(&hold->report->lost, link->sent - link->answered);
	hold->issued -= in_flight(link);
	link_down(hold, index, hold->options.reconnect);
}

static int
make_socket(const struct hold *hold)
{
	const struct hold_options *options = &hold->options;
	int on = 1, fd;

	fd = socket(options->server.ss_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return (-1);
	if (options->server.ss_family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (options->source_len == 0)
		return (fd);
	/* The port is chosen at connect, so that one can serve many servers. */
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (bind(fd, (const void *)&options->source, options->source_len) == 0)
		return (fd);
	close(fd);
	return (-1);
}

static void
connect_failed(struct hold *hold, unsigned index)
{
	hold->not_before_ms = clock_ms() + RETRY_MS;
	link_lost(hold, index, &hold->report->refused);
}

static void
link_connect(struct hold *hold, unsigned index)
{
	struct link *link = &hold->links[index];

	*link = (struct link){
		.fd = make_socket(hold),
		.state = LINK_CONNECTING,
		.number = hold->next_number++,
		.since_ms = clock_ms(),
	};
	hold->connecting++;
	if (link->fd == -1) {
		connect_failed(hold, index);
		return;
	}
	if (connect(link->fd, (const void *)&hold->options.server,
	    hold->options.server_len) == -1 && errno != EINPROGRESS) {
		connect_failed(hold, index);
		return;
	}
	watch(hold, index, EPOLL_CTL_ADD, true);
}

static void
connect_some(struct hold *hold)
{
	unsigned index;

	if (hold->queued == 0 || clock_ms() < hold->not_before_ms)
		return;
	while (hold->queued > 0 &&
	    hold->connecting < hold->options.connecting_max) {
		index = hold->queue[hold->queue_first];
		hold->queue_first = (hold->queue_first + 1) %
		    hold->options.connections;
		hold->queued--;
		link_connect(hold, index);
	}
}

/*
 * Sending.
 */

static void
send_error(struct hold *hold, unsigned index)
{
	if (errno == EAGAIN || errno == EWOULDBLOCK) {
		if (!hold->links[index].wants_write)
			watch(hold, index, EPOLL_CTL_MOD, true);
		return;
	}
	/* What the server had to say before it closed may still be read; the
	 * end is met there. */
	if (hold->links[index].wants_write)
		watch(hold, index, EPOLL_CTL_MOD, false);
}

/* Send what the link is to send: as many messages at a time as fit. */
static void
link_send(struct hold *hold, unsigned index)
{
	struct link *link = &hold->links[index];
	size_t at_a_time = SCRATCH_SIZE / hold->wire_size;
	size_t n, bytes;
	ssize_t sent;

	while (link->sent < link->issued) {
		n = link->issued - link->sent;
		if (n > at_a_time)
			n = at_a_time > 0 ? at_a_time : 1;
		for (size_t i = 0; i < n; i++)
			build_message(hold, hold->scratch +
			    i * hold->wire_size, link,
			    link->sent + (uint32_t)i);
		sent = send(link->fd, hold->scratch + link->sent_bytes,
		    n * hold->wire_size - link->sent_bytes,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent == -1) {
			send_error(hold, index);
			return;
		}
		bytes = link->sent_bytes + (size_t)sent;
		counter_add(&hold->report->sent, bytes / hold->wire_size);
		link->sent += (uint32_t)(bytes / hold->wire_size);
		link->sent_bytes = (uint32_t)(bytes % hold->wire_size);
	}
	if (link->wants_write)
		watch(hold, index, EPOLL_CTL_MOD, false);
}

/* Give a link a burst of messages to send.  Returns how many that are. */
static uint32_t
issue(struct hold *hold, unsigned index)
{
	const struct hold_options *options = &hold->options;
	struct link *link = &hold->links[index];
	uint32_t n = options->burst;

	if (hold->finishing || link->state != LINK_OPEN ||
	    in_flight(link) > 0)
		return (0);
	if (options->churn > 0 && n > options->churn - link->issued)
		n = options->churn - link->issued;
	if (options->total > 0 && n > options->total - hold->issued)
		n = (uint32_t)(options->total - hold->issued);
	if (n == 0)
		return (0);
	link->issued += n;
	link->since_ms = clock_ms();
	hold->issued += n;
	link_send(hold, index);
	return (n);
}

/* Let as many links send as the rate demands by now. */
static void
issue_at_rate(struct hold *hold)
{
	const struct hold_options *options = &hold->options;
	double elapsed_s = (double)(clock_us() - hold->rate_since_us) / 1e6;
	double due = elapsed_s * options->rate - (double)hold->rate_issued;

	for (unsigned asked = 0; due >= 1 && asked < options->connections;
	    asked++) {
		uint32_t n = issue(hold, hold->turn);

		hold->turn = (hold->turn + 1) % options->connections;
		hold->rate_issued += n;
		due -= n;
	}
	/* What nobody was free to send is not made up for later. */
	if (due >= 1)
		hold->rate_issued += (uint64_t)due;
}

/*
 * Receiving.
 */

/* Everything that was sent has come back. */
static void
link_answered(struct hold *hold, unsigned index)
{
	struct link *link = &hold->links[index];
	uint64_t took_ms = clock_ms() - link->since_ms;

	if (took_ms > hold->report->slowest_ms)
		counter_set(&hold->report->slowest_ms, took_ms);
	if (hold->finishing || (hold->options.churn > 0 &&
	    link->answered >= hold->options.churn)) {
		link_finish(hold, index);
		return;
	}
	if (at_full_speed(hold))
		issue(hold, index);
}

/* Hold bytes that came against what they have to be.  Returns false if they
 * are something else. */
static bool
verify(struct hold *hold, struct link *link, const uint8_t *bytes, size_t len)
{
	size_t n;

	while (len > 0) {
		if (link->answered == link->sent)
			return (false);
		build_message(hold, hold->expected, link, link->answered);
		n = hold->wire_size - link->answered_bytes;
		n = len < n ? len : n;
		if (memcmp(bytes, hold->expected + link->answered_bytes, n) !=
		    0)
			return (false);
		bytes += n;
		len -= n;
		link->answered_bytes += (uint32_t)n;
		if (link->answered_bytes < hold->wire_size)
			continue;
		link->answered_bytes = 0;
		link->answered++;
		count_up(&hold->report->answered);
	}
	return (true);
}

static void
link_receive(struct hold *hold, unsigned index)
{
	struct link *link = &hold->links[index];
	ssize_t n;

	n = recv(link->fd, hold->scratch, SCRATCH_SIZE, MSG_DONTWAIT);
	if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK ||
	    errno == EINTR))
		return;
	if (n == -1)
		link_lost(hold, index, &hold->report->reset);
	else if (n == 0)
		link_lost(hold, index, &hold->report->disconnected);
	else if (!verify(hold, link, hold->scratch, (size_t)n))
		link_lost(hold, index, &hold->report->corrupted);
	else if (in_flight(link) == 0 && link->issued > 0)
		link_answered(hold, index);
}

static void
link_connected(struct hold *hold, unsigned index)
{
	struct link *link = &hold->links[index];
	socklen_t len = sizeof(int);
	uint64_t took_ms;
	int error = 0;

	getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error != 0) {
		connect_failed(hold, index);
		return;
	}
	took_ms = clock_ms() - link->since_ms;
	if (took_ms > hold->report->slowest_connect_ms)
		counter_set(&hold->report->slowest_connect_ms, took_ms);
	hold->connecting--;
	link->state = LINK_OPEN;
	count_up(&hold->report->connected);
	count_up(&hold->report->open);
	watch(hold, index, EPOLL_CTL_MOD, false);
	if (at_full_speed(hold))
		issue(hold, index);
}

static void
link_on_event(struct hold *hold, unsigned index, uint32_t what)
{
	struct link *link = &hold->links[index];

	if (link->state == LINK_CONNECTING) {
		link_connected(hold, index);
		return;
	}
	if (link->state == LINK_OPEN && (what & EPOLLOUT) != 0)
		link_send(hold, index);
	if (link->state == LINK_OPEN &&
	    (what & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
		link_receive(hold, index);
}

/*
 * The whole.
 */

/* Give up on what has waited for too long. */
static void
patrol(struct hold *hold)
{
	uint64_t now_ms = clock_ms();

	if (now_ms < hold->patrol_ms)
		return;
	hold->patrol_ms = now_ms + PATROL_MS;
	for (unsigned i = 0; i < hold->options.connections; i++) {
		const struct link *link = &hold->links[i];

		if ((link->state == LINK_CONNECTING ||
		    (link->state == LINK_OPEN && in_flight(link) > 0)) &&
		    now_ms - link->since_ms > hold->options.patience_ms)
			link_lost(hold, i, &hold->report->hung);
	}
}

static bool
all_is_done(const struct hold *hold)
{
	const struct hold_options *options = &hold->options;

	if (!hold->finishing && options->total > 0)
		return (hold->report->answered >= options->total);
	return (hold->report->open == 0 && hold->connecting == 0 &&
	    hold->queued == 0);
}

void
hold_turn(struct hold *hold, int timeout_ms)
{
	struct epoll_event events[EVENTS_MAX];
	int n;

	connect_some(hold);
	if (hold->options.rate > 0) {
		issue_at_rate(hold);
		timeout_ms = 1;
	}
	n = epoll_wait(hold->epoll, events, EVENTS_MAX, timeout_ms);
	for (int i = 0; i < n; i++)
		link_on_event(hold, events[i].data.u32, events[i].events);
	patrol(hold);
	counter_set(&hold->report->is_done, all_is_done(hold));
}

void
hold_finish(struct hold *hold)
{
	hold->finishing = true;
	hold->queued = 0;
	for (unsigned i = 0; i < hold->options.connections; i++) {
		const struct link *link = &hold->links[i];

		if (link->state == LINK_CONNECTING ||
		    (link->state == LINK_OPEN && in_flight(link) == 0))
			link_finish(hold, i);
	}
	counter_set(&hold->report->is_done, all_is_done(hold));
}

static void
set_defaults(struct hold_options *options)
{
	if (options->connecting_max == 0)
		options->connecting_max = 64;
	if (options->message_size == 0)
		options->message_size = 64;
	if (options->message_size < HOLD_MESSAGE_MIN)
		options->message_size = HOLD_MESSAGE_MIN;
	if (options->burst == 0)
		options->burst = 1;
	if (options->patience_ms == 0)
		options->patience_ms = 20000;
}

static int
allocate(struct hold *hold)
{
	unsigned n = hold->options.connections;
	size_t scratch = SCRATCH_SIZE;

	hold->wire_size = hold->options.message_size +
	    (hold->options.wire == HOLD_FRAME ? HEADER_LEN : 1);
	if (hold->wire_size > scratch)
		scratch = hold->wire_size;
	hold->links = calloc(n, sizeof(*hold->links));
	hold->queue = calloc(n, sizeof(*hold->queue));
	hold->scratch = malloc(scratch);
	hold->expected = malloc(hold->wire_size);
	hold->epoll = epoll_create1(EPOLL_CLOEXEC);
	return (hold->links == NULL || hold->queue == NULL ||
	    hold->scratch == NULL || hold->expected == NULL ||
	    hold->epoll == -1 ? -1 : 0);
}

struct hold *
hold_new(const struct hold_options *options, struct hold_report *report)
{
	struct hold *hold;

	if ((hold = calloc(1, sizeof(*hold))) == NULL)
		return (NULL);
	hold->options = *options;
	hold->report = report;
	hold->rate_since_us = clock_us();
	set_defaults(&hold->options);
	for (size_t i = 0; i < sizeof(hold->filler); i++)
		hold->filler[i] = (uint8_t)('a' + i % 26);
	if (allocate(hold) == -1) {
		hold->options.connections = 0;
		hold_free(hold);
		return (NULL);
	}
	for (unsigned i = 0; i < hold->options.connections; i++) {
		hold->links[i].fd = -1;
		enqueue(hold, i);
	}
	return (hold);
}

void
hold_free(struct hold *hold)
{
	for (unsigned i = 0; i < hold->options.connections; i++)
		if (hold->links[i].fd != -1)
			close(hold->links[i].fd);
	if (hold->epoll != -1)
		close(hold->epoll);
	free(hold->links);
	free(hold->queue);
	free(hold->scratch);
	free(hold->expected);
	free(hold);
}

/*
 * In a process of its own.
 */

/* What the two processes share. */
struct shared {
	struct hold_report report;	/* written there, read here */
	double rate;			/* written here, read there */
	uint32_t finish;		/* likewise, as a flag */
};

struct hold_process {
	pid_t pid;
	struct shared *shared;
};

static void
take_orders(struct hold *hold, const struct shared *shared)
{
	double rate;

	__atomic_load(&shared->rate, &rate, __ATOMIC_RELAXED);
	if (rate != hold->options.rate) {
		hold->options.rate = rate;
		hold->rate_since_us = clock_us();
		hold->rate_issued = 0;
		for (unsigned i = 0; rate < 0 &&
		    i < hold->options.connections; i++)
			issue(hold, i);
	}
	if (!hold->finishing &&
	    __atomic_load_n(&shared->finish, __ATOMIC_RELAXED) != 0)
		hold_finish(hold);
}

static int
run(const struct hold_options *options, struct shared *shared)
{
	struct hold *hold;

	if ((hold = hold_new(options, &shared->report)) == NULL)
		return (1);
	while (!hold->finishing || shared->report.is_done == 0) {
		take_orders(hold, shared);
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
	close_range(3, ~0U, 0);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

struct hold_process *
hold_start(const struct hold_options *options)
{
	struct hold_process *process;
	pid_t parent = getpid();

	if ((process = calloc(1, sizeof(*process))) == NULL)
		return (NULL);
	process->shared = mmap(NULL, sizeof(*process->shared),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (process->shared == MAP_FAILED)
		goto fail;
	process->shared->rate = options->rate;
	if ((process->pid = fork()) == -1)
		goto fail;
	if (process->pid == 0) {
		part_from(parent);
		_exit(run(options, process->shared));
	}
	return (process);
fail:
	if (process->shared != MAP_FAILED)
		munmap(process->shared, sizeof(*process->shared));
	free(process);
	return (NULL);
}

const struct hold_report *
hold_peek(const struct hold_process *process)
{
	return (&process->shared->report);
}

void
hold_set_rate(struct hold_process *process, double rate)
{
	__atomic_store(&process->shared->rate, &rate, __ATOMIC_RELAXED);
}

static void
reap(struct hold_process *process)
{
	if (process->pid == 0)
		return;
	while (waitpid(process->pid, NULL, 0) == -1 && errno == EINTR)
		continue;
	process->pid = 0;
}

const struct hold_report *
hold_stop(struct hold_process *process)
{
	__atomic_store_n(&process->shared->finish, 1, __ATOMIC_RELAXED);
	reap(process);
	return (&process->shared->report);
}

void
hold_drop(struct hold_process *process)
{
	if (process->pid != 0)
		kill(process->pid, SIGKILL);
	reap(process);
	munmap(process->shared, sizeof(*process->shared));
	free(process);
}
