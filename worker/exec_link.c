/* SPDX-License-Identifier: ISC */
#include "worker/exec_link.h"

#include <sys/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fd.h"
#include "worker/memory.h"
#include "worker/queue.h"
#include "worker/result.h"
#include "worker/worker.h"

enum {
	/* The most requests that a module has for each of its threads: one that
	 * runs, and one that is there when it is done. */
	PER_THREAD = 2,
	MODULE_CAPACITY_MIN = 64,
	/* What is sent ahead to a module is begun within this time, if calls
	 * take as long as they did on average. */
	AHEAD_US = 5000,
	AVERAGE_OVER = 8,	/* calls */
	/* A long call counts as this long, so that a thread that had to wait
	 * for its CPU does not make a quick module slow for long. */
	CALL_US_MAX = 2 * AHEAD_US,
	/* The most bytes that are gathered in one turn, and the part of
	 * max_buffered; a single request may be larger. */
	GATHER_MAX = 65536,
	GATHER_SHARE = 16,
	/* With that many requests the executor begins to work, while this
	 * worker continues with its turn. */
	GATHER_REQUESTS = 16,
};

/*
 * Birth and death.
 */

static enum exec_wire
wire_of(const struct conf_handler *conf)
{
	if (conf->type == CONF_HANDLER_MODULE)
		return (EXEC_WIRE_MODULE);
	return (conf->tagged ? EXEC_WIRE_TAGGED : EXEC_WIRE_PLAIN);
}

/* What a program does with several messages at a time is its own matter.  If it
 * answers in their order, the oldest is the one that it has to be done with
 * first. */
static unsigned
threads_of(const struct exec_link *link, const struct conf_handler *conf)
{
	switch (link->wire) {
	case EXEC_WIRE_PLAIN:
		break;
	case EXEC_WIRE_TAGGED:
		return (conf->pipeline);
	case EXEC_WIRE_MODULE:
		return (heritage_share(link->worker->heritage, conf->threads));
	}
	return (1);
}

static unsigned
capacity_of(const struct exec_link *link, const struct conf_handler *conf)
{
	if (link->wire != EXEC_WIRE_MODULE)
		return (conf->pipeline);
	return (link->nthreads * PER_THREAD > MODULE_CAPACITY_MIN ?
	    link->nthreads * PER_THREAD : MODULE_CAPACITY_MIN);
}

/* By how long its calls take. */
void
exec_link_set_limit(struct exec_link *link)
{
	uint64_t call_us = link->calls_us / AVERAGE_OVER, ahead;

	link->limit = link->capacity;
	if (link->is_retired)
		link->limit = 0;
	else if (link->wire == EXEC_WIRE_MODULE) {
		ahead = call_us >= AHEAD_US ? 0 :
		    link->nthreads * AHEAD_US / (call_us + 1);
		if (ahead < link->capacity - link->nthreads)
			link->limit = link->nthreads + (unsigned)ahead;
	}
}

static int
set_up(struct exec_link *link, const int fds[CTL_FDS_MAX],
    event_callback_fn on_readable, event_callback_fn on_writable)
{
	struct event_base *base = link->worker->base;

	link->places = calloc(link->capacity, sizeof(*link->places));
	link->free = calloc(link->capacity, sizeof(*link->free));
	if (link->places == NULL || link->free == NULL)
		return (-1);
	for (unsigned i = 0; i < link->capacity; i++)
		link->free[i] = link->capacity - 1 - i;
	event_assign(&link->readable, base, fds[0], EV_READ | EV_PERSIST,
	    on_readable, link);
	event_assign(&link->writable, base, link->is_socket ? fds[0] : fds[1],
	    EV_WRITE | EV_PERSIST, on_writable, link);
	return (event_add(&link->readable, NULL));
}

struct exec_link *
exec_link_new(struct worker *worker, struct queue *queue, uint64_t id,
    const int fds[CTL_FDS_MAX], const struct conf_handler *conf,
    event_callback_fn on_readable, event_callback_fn on_writable)
{
	struct exec_link *link;

	if ((link = calloc(1, sizeof(*link))) == NULL)
		return (NULL);
	link->worker = worker;
	link->queue = queue;
	link->id = id;
	link->wire = wire_of(conf);
	link->metadata = conf->metadata;
	link->reply_metadata = conf->reply_metadata;
	if (link->reply_metadata)
		reply_facts_init();
	link->nthreads = threads_of(link, conf);
	link->capacity = capacity_of(link, conf);
	/* Slow, until it has shown that it is not. */
	link->calls_us = (uint64_t)CALL_US_MAX * AVERAGE_OVER;
	exec_link_set_limit(link);
	TAILQ_INIT(&link->running);
	link->is_socket = fds[1] == -1;
	link->looks = link->is_socket && !fd_refuses_rights(fds[0]);
	if (set_up(link, fds, on_readable, on_writable) == 0)
		return (link);
	free(link->places);
	free(link->free);
	free(link);
	errno = ENOMEM;
	return (NULL);
}

/* Free threads take up what is ahead. */
static void
begin_calls(struct exec_link *link)
{
	struct request *request;

	while ((request = link->ahead) != NULL &&
	    link->ncalls < link->nthreads) {
		link->ahead = TAILQ_NEXT(request, of_work);
		link->ncalls++;
		request->is_ahead = false;
		request->since_us = worker_now_us(link->worker);
	}
}

struct request *
exec_link_take_out(struct exec_link *link, struct request *request)
{
	unsigned place = request->tag & ((1U << EXEC_PLACE_BITS) - 1);

	if (request == link->ahead)
		link->ahead = TAILQ_NEXT(request, of_work);
	link->ncalls -= !request->is_ahead;
	request->is_ahead = false;
	TAILQ_REMOVE(&link->running, request, of_work);
	link->places[place] = NULL;
	link->nrunning--;
	link->free[link->capacity - link->nrunning - 1] = place;
	begin_calls(link);
	return (request);
}

/* A text that is shorter than the length that it is taken for is an unfinished
 * reply, until the program is late or ends. */
static const char *
add_partial_reply(struct exec_link *link, const char *why)
{
	char shown[EXEC_SHOWN_MAX];

	if (why == NULL || why == link->fault.text || link->in == NULL)
		return (why);
	why_set(&link->fault, "%.50s%sits reply begins '%.40s'", why,
	    *why != '\0' ? "; " : "",
	    exec_wire_show(link->in->bytes, link->in->len, shown));
	return (link->fault.text);
}

void
exec_link_count_end(const struct exec_link *link, bool with_message)
{
	struct counters_handler *counters = link->queue->counters;

	if (with_message)
		counter_add(&counters->crashes, 1);
	/* The last: the master looks for it. */
	counter_add(&counters->used, 1);
}

void
exec_link_free(struct exec_link *link, enum request_result result,
    const char *why)
{
	struct worker *worker = link->worker;
	bool ended = why != NULL && *why == '\0';
	struct request *request;

	why = add_partial_reply(link, why);
	event_del(&link->readable);
	event_del(&link->writable);
	if (link->is_socket) {
		fd_close_unread(exec_link_reply_fd(link));
	} else {
		close(exec_link_reply_fd(link));
		close(exec_link_request_fd(link));
	}
	if (link->is_unsent)
		TAILQ_REMOVE(&worker->unsent, link, unsent);
	buffer_release(&worker->buffers, &link->in);
	buffer_release(&worker->buffers, &link->out);
	TAILQ_REMOVE(&link->queue->links, link, of_queue);
	counter_sub(&link->queue->counters->executors, 1);
	if (why != NULL) {
		if (link->serial > 0 && !link->is_retired)
			exec_link_count_end(link, link->nrunning > 0);
		notice_disown(worker, link->id, why, ended);
	}
	while ((request = TAILQ_FIRST(&link->running)) != NULL)
		result_of_executor(exec_link_take_out(link, request), result,
		    NULL);
	free(link->places);
	free(link->free);
	free(link);
}

/*
 * Sending.
 */

bool
exec_link_has_room(const struct exec_link *link)
{
	return (link->nrunning < link->limit && !link->is_blocked);
}

/* As write(2).  A pipe's end is non-blocking, and SIGPIPE is ignored. */
static ssize_t
transmit(const struct exec_link *link, const uint8_t *bytes, size_t len)
{
	ssize_t n;

	do {
		n = link->is_socket ? send(exec_link_request_fd(link), bytes, len,
		    MSG_DONTWAIT | MSG_NOSIGNAL) :
		    write(exec_link_request_fd(link), bytes, len);
	} while (n == -1 && errno == EINTR);
	return (n);
}

int
exec_link_flush(struct exec_link *link)
{
	ssize_t n = transmit(link, link->out->bytes, link->out->len);

	if (n == -1 && errno != EAGAIN)
		return (-1);
	if (n > 0)
		buffer_consume(&link->worker->buffers, &link->out, (size_t)n);
	if ((link->out != NULL) == link->is_blocked)
		return (0);
	link->is_blocked = link->out != NULL;
	if (link->is_blocked)
		return (event_add(&link->writable, NULL));
	return (event_del(&link->writable));
}

static bool
gathers_too_much(const struct exec_link *link, size_t room)
{
	size_t most = link->worker->buffers.limit / GATHER_SHARE;

	if (most > GATHER_MAX)
		most = GATHER_MAX;
	return (link->out != NULL && link->out->len + room > most);
}

int
exec_link_reserve(struct exec_link *link, const struct request *request,
    size_t len)
{
	size_t room = exec_wire_room(link, request, len);

	/* One that is gone is found to be so in executors_flush(). */
	if (gathers_too_much(link, room) &&
	    (exec_link_flush(link) == -1 || link->is_blocked)) {
		errno = EAGAIN;
		return (-1);
	}
	if (memory_reserve_work(link->queue, request->conn, &link->out,
	    room) == -1)
		return (-1);
	buffer_use(&link->worker->buffers, link->out, BUFFER_WORK);
	if (!link->is_unsent) {
		link->is_unsent = true;
		link->ngathered = 0;
		TAILQ_INSERT_TAIL(&link->worker->unsent, link, unsent);
		worker_end_later(link->worker);
	}
	return (0);
}

void
exec_link_send(struct exec_link *link, struct request *request,
    const struct payload *message)
{
	unsigned place = link->free[link->capacity - link->nrunning - 1];

	request->tag = (++link->serial << EXEC_PLACE_BITS) | place;
	request->begun_us = worker_now_us(link->worker);
	exec_wire_put(link, request, message);
	request->state = REQUEST_RUNNING;
	link->places[place] = request;
	link->nrunning++;
	request->is_ahead = true;
	TAILQ_INSERT_TAIL(&link->running, request, of_work);
	if (link->ahead == NULL)
		link->ahead = request;
	begin_calls(link);
	if (++link->ngathered == GATHER_REQUESTS ||
	    !exec_link_has_room(link)) {
		/* One that is gone is found to be so in executors_flush(). */
		(void)exec_link_flush(link);
		link->ngathered = 0;
	}
}

/*
 * Receiving.
 */

static void
learn(struct exec_link *link, const struct request *request)
{
	uint64_t took_us = worker_now_us(link->worker) - request->since_us;

	if (took_us > CALL_US_MAX)
		took_us = CALL_US_MAX;
	link->calls_us += took_us - link->calls_us / AVERAGE_OVER;
}

/* A request is done with here: it has a reply, or waits again. */
static void
settle_request(struct exec_link *link, const struct exec_answer *answer)
{
	struct request *request = answer->request;

	if (answer->is_returned) {
		link->calls_us = (uint64_t)CALL_US_MAX * AVERAGE_OVER;
		exec_link_set_limit(link);
		result_returned(exec_link_take_out(link, request),
		    &answer->payload);
		return;
	}
	if (!request->is_ahead)
		learn(link, request);
	result_of_executor(exec_link_take_out(link, request), answer->result,
	    &answer->payload);
}

ssize_t
exec_link_take(struct exec_link *link, const uint8_t *bytes, size_t len)
{
	struct exec_answer answer;
	size_t used = 0;
	ssize_t n;

	while ((n = exec_wire_read(link, bytes + used, len - used,
	    &answer)) > 0) {
		used += (size_t)n;
		if (answer.request != NULL)
			settle_request(link, &answer);
	}
	exec_link_set_limit(link);
	return (n == -1 ? -1 : (ssize_t)used);
}

void
exec_link_forgive(struct exec_link *link, uint64_t stall_us)
{
	uint64_t now_us = worker_now_us(link->worker);
	struct request *request;

	TAILQ_FOREACH(request, &link->running, of_work)
		request->since_us = clock_later(request->since_us, stall_us,
		    now_us);
}
