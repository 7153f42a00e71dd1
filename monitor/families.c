/* SPDX-License-Identifier: ISC */
#include "monitor/families.h"

#include "common/counters.h"

#define ROW(type, kind_, member_, metric_, help_)			\
	{ .member = #member_, .metric = metric_, .help = help_,		\
	  .kind = kind_, .offset = offsetof(struct type, member_), .per = 1 }
#define ROW_US(type, kind_, member_, name_, metric_, help_)		\
	{ .member = name_, .metric = metric_, .help = help_,		\
	  .kind = kind_, .offset = offsetof(struct type, member_),	\
	  .per = 1000000 }

static const char *
name_of_rejection(unsigned reason)
{
	return (reject_reason_name((enum reject_reason)reason));
}

static const char *
name_of_close(unsigned reason)
{
	return (close_reason_name((enum close_reason)reason));
}

#define COUNTER(member, metric, help)					\
	ROW(counters_listener, FAMILY_COUNTER, member, metric, help)

const struct family listener_families[] = {
	ROW(counters_listener, FAMILY_GAUGE, active,
	    "penstock_connections", "Open connections."),
	ROW(counters_listener, FAMILY_PEAK, peak,
	    "penstock_connections_peak", "Highest number of open "
	    "connections in each slot, summed."),
	COUNTER(accepted, "penstock_connections_accepted",
	    "Connections that were accepted."),
	{ .member = "rejected", .metric = "penstock_connections_rejected",
	  .help = "Rejected new clients, by reason.", .kind = FAMILY_COUNTER,
	  .offset = offsetof(struct counters_listener, rejected),
	  .count = REJECT_REASON_COUNT, .name = name_of_rejection, .per = 1 },
	COUNTER(not_proxied, "penstock_connections_not_proxied",
	    "New clients that were rejected because their address is not in "
	    "proxy_from."),
	{ .member = "closed", .metric = "penstock_connections_closed",
	  .help = "Connections that have ended, by reason.",
	  .kind = FAMILY_COUNTER,
	  .offset = offsetof(struct counters_listener, closed),
	  .count = CLOSE_REASON_COUNT, .name = name_of_close, .per = 1 },
	COUNTER(carried_out, "penstock_connections_carried_out",
	    "Connections handed over to another worker."),
	COUNTER(carried_in, "penstock_connections_carried_in",
	    "Connections adopted from another worker."),
	COUNTER(messages_in, "penstock_messages_received",
	    "Complete messages read from clients."),
	COUNTER(messages_out, "penstock_messages_sent",
	    "Replies made for clients."),
	COUNTER(bytes_in, "penstock_received_bytes",
	    "Bytes read from clients, with framing."),
	COUNTER(bytes_out, "penstock_sent_bytes",
	    "Bytes written to clients, with framing."),
	{ .member = NULL }
};

#undef COUNTER
#define GAUGE(member, metric, help)					\
	ROW(counters_handler, FAMILY_GAUGE, member, metric, help)
#define COUNTER(member, metric, help)					\
	ROW(counters_handler, FAMILY_COUNTER, member, metric, help)

const struct family handler_families[] = {
	GAUGE(waiting, "penstock_handler_queue_requests",
	    "Requests in the queue."),
	ROW(counters_handler, FAMILY_PEAK, waiting_peak,
	    "penstock_handler_queue_requests_peak",
	    "Highest number of requests in each slot's queue, summed."),
	GAUGE(executors, "penstock_handler_executors",
	    "Executors that serve."),
	GAUGE(executors_busy, "penstock_handler_executors_busy",
	    "Executors that have a request, at the last tick."),
	COUNTER(waits, "penstock_handler_waits",
	    "Requests that had to wait in the queue."),
	COUNTER(held_back, "penstock_handler_held_back",
	    "Messages not read because the queue was full."),
	COUNTER(shed, "penstock_handler_shed",
	    "Requests answered busy because the queue was full."),
	COUNTER(expired, "penstock_handler_expired",
	    "Requests answered busy after queue_timeout."),
	COUNTER(timeouts, "penstock_handler_timeouts",
	    "Requests that ran longer than request_timeout."),
	COUNTER(failed, "penstock_handler_failures",
	    "Requests whose executor died or reported a failure."),
	COUNTER(crashes, "penstock_handler_crashes",
	    "Executors that ended with an unanswered message."),
	COUNTER(slowed, "penstock_handler_slowed",
	    "How often a connection was slowed down for such a message."),
	COUNTER(offenders, "penstock_handler_offenders",
	    "Connections slowed down for the first time."),
	ROW_US(counters_handler, FAMILY_HISTOGRAM, wait, "wait",
	    "penstock_handler_wait_seconds",
	    "Time in the queue of requests that had to wait."),
	ROW_US(counters_handler, FAMILY_HISTOGRAM, handling, "handling",
	    "penstock_handler_request_seconds",
	    "Time with an executor, from request to reply."),
	{ .member = NULL }
};

#undef GAUGE
#undef COUNTER

const struct family worker_families[] = {
	{ .member = "beat_ms", .kind = FAMILY_PEAK,
	  .offset = offsetof(struct counters_worker, beat_ms), .per = 1 },
	ROW(counters_worker, FAMILY_GAUGE, active,
	    "penstock_worker_connections", "Open connections in the slot."),
	ROW(counters_worker, FAMILY_GAUGE, buffered,
	    "penstock_worker_buffered_bytes",
	    "Memory for partial messages and replies not taken."),
	ROW(counters_worker, FAMILY_PEAK, buffered_peak,
	    "penstock_worker_buffered_bytes_peak",
	    "Highest buffered memory of one worker of the slot."),
	ROW(counters_worker, FAMILY_COUNTER, accept_pauses,
	    "penstock_worker_accept_pauses",
	    "How often file descriptors ran out."),
	ROW(counters_worker, FAMILY_COUNTER, spans,
	    "penstock_worker_spans",
	    "Spans of traced requests."),
	ROW(counters_worker, FAMILY_COUNTER, spans_dropped,
	    "penstock_worker_spans_dropped",
	    "Spans dropped because the ring was full."),
	ROW_US(counters_worker, FAMILY_PEAK, lag_peak_us, "lag_peak_seconds",
	    "penstock_worker_loop_lag_peak_seconds",
	    "Largest delay of the tick of the event loop."),
	ROW_US(counters_worker, FAMILY_HISTOGRAM, lag, "lag",
	    "penstock_worker_loop_lag_seconds",
	    "Delay of the tick of the event loop."),
	{ .member = NULL }
};

/*
 * Sums.  The structs consist only of uint64_t.  The values may rise during the
 * sum, so each word is read once.
 */

_Static_assert(sizeof(struct counters_listener) % sizeof(uint64_t) == 0 &&
    sizeof(struct counters_handler) % sizeof(uint64_t) == 0 &&
    sizeof(struct counters_worker) % sizeof(uint64_t) == 0,
    "counters are words");

enum {
	WORDS_MAX = sizeof(union { struct counters_listener listener;
	    struct counters_handler handler; struct counters_worker worker; }) /
	    sizeof(uint64_t),
};

void
families_add(void *sum, const void *from, size_t size)
{
	uint64_t *to = sum;
	const uint64_t *words = from;

	for (size_t i = 0; i < size / sizeof(*to); i++)
		to[i] += counter_get(&words[i]);
}

void
families_fold(const struct family *families, void *sum, const void *from,
    size_t size)
{
	uint64_t words[WORDS_MAX] = { 0 }, *to, most, value;

	families_add(words, from, size);
	families_add(sum, words, size);
	for (; families->member != NULL; families++) {
		if (families->kind != FAMILY_PEAK)
			continue;
		to = (uint64_t *)(void *)((char *)sum + families->offset);
		value = *family_value(families, words);
		most = *to - value;
		*to = most > value ? most : value;
	}
}
