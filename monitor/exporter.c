/* SPDX-License-Identifier: ISC */
#include "monitor/exporter.h"

#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/http.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "conf/conf.h"
#include "monitor/otlp.h"

enum { NO_TIMEOUT_S = 365 * 86400 };

enum {
	/* Nobody is to fill our memory with an answer. */
	ANSWER_MAX = 65536,
	HOST_MAX = 128,
	RINGS = CONF_WORKERS_MAX * COUNTERS_BLOCKS,
};

struct exporter {
	const struct heritage *heritage;	/* borrowed */
	struct evhttp_connection *conn;
	const char *path;			/* in the configuration */
	char authority[HOST_MAX];		/* "127.0.0.1:4318" */
	struct spans_map *taken;		/* borrowed */
	uint64_t due_ms;			/* the next batch, if it is small;
						   or any, after a failure */
	unsigned failures;			/* in a row */
	struct evhttp_request *request;		/* the batch is on its way: */
	uint64_t posted_ms;
	size_t n;
	struct span spans[EXPORTER_BATCH];
	unsigned slots[EXPORTER_BATCH];
	uint64_t upto[RINGS];			/* what it has of each ring */
	size_t first;				/* the ring to begin with */
};

/*
 * Fetching.
 */

static const struct spans *
ring_of(const struct exporter *exporter, size_t ring)
{
	return (counters_spans(&exporter->heritage->counters[
	    ring / COUNTERS_BLOCKS], ring % COUNTERS_BLOCKS));
}

static uint64_t *
taken_of(const struct exporter *exporter, size_t ring)
{
	return (&exporter->taken->taken[ring / COUNTERS_BLOCKS][
	    ring % COUNTERS_BLOCKS]);
}

/* How many spans a ring has for us, from *from on.  What its worker says need
 * not be so. */
static uint64_t
count_ready(const struct exporter *exporter, size_t ring, uint64_t *from)
{
	uint64_t head = __atomic_load_n(&ring_of(exporter, ring)->head,
	    __ATOMIC_ACQUIRE);

	*from = counter_get(taken_of(exporter, ring));
	if (head < *from || head - *from > SPANS_MAX)
		*from = head;
	return (head - *from);
}

static size_t
count_rings(const struct exporter *exporter)
{
	return (exporter->heritage->ncounters * COUNTERS_BLOCKS);
}

static uint64_t
count_all(const struct exporter *exporter)
{
	uint64_t from, sum = 0;

	for (size_t i = 0; i < count_rings(exporter); i++)
		sum += count_ready(exporter, i, &from);
	return (sum);
}

static void
fetch_from(struct exporter *exporter, size_t ring)
{
	uint64_t from, ready = count_ready(exporter, ring, &from);

	for (; ready > 0 && exporter->n < EXPORTER_BATCH; ready--, from++)
		if (spans_get(ring_of(exporter, ring), from,
		    &exporter->spans[exporter->n]))
			exporter->slots[exporter->n++] =
			    (unsigned)(ring / COUNTERS_BLOCKS);
	exporter->upto[ring] = from;
}

/* Each batch begins with another ring, so that a busy one leaves room for the
 * others. */
static void
fetch(struct exporter *exporter)
{
	size_t rings = count_rings(exporter);

	exporter->n = 0;
	for (size_t i = 0; i < rings; i++)
		fetch_from(exporter, (exporter->first + i) % rings);
	exporter->first = (exporter->first + 1) % rings;
}

static void
exporter_take(struct exporter *exporter)
{
	for (size_t i = 0; i < count_rings(exporter); i++)
		__atomic_store_n(taken_of(exporter, i), exporter->upto[i],
		    __ATOMIC_RELEASE);
}

/*
 * Posting.
 */

static void
exporter_fail(struct exporter *exporter, int code)
{
	uint64_t pause_ms = EXPORTER_EVERY_MS;

	for (unsigned i = 0; i < exporter->failures &&
	    pause_ms < EXPORTER_PAUSE_MAX_MS; i++)
		pause_ms *= 2;
	if (pause_ms > EXPORTER_PAUSE_MAX_MS)
		pause_ms = EXPORTER_PAUSE_MAX_MS;
	exporter->failures++;
	exporter->due_ms = clock_ms() + pause_ms;
	counter_add(&exporter->taken->lost, exporter->n);
	LOG(WARN, SPANS_LOST, F_STR("collector", exporter->authority),
	    F_U64("spans", exporter->n),
	    F_STR("error", code != 0 ? "the collector refused them" :
	    "the collector does not answer"), F_I64("status", code),
	    F_U64("retry_ms", pause_ms));
}

static void
on_answer(struct evhttp_request *request, void *arg)
{
	struct exporter *exporter = arg;
	int code = request == NULL ? 0 :
	    evhttp_request_get_response_code(request);

	exporter->request = NULL;
	exporter_take(exporter);
	if (code < 200 || code > 299) {
		exporter_fail(exporter, code);
		return;
	}
	exporter->failures = 0;
	counter_add(&exporter->taken->exported, exporter->n);
}

static char *
print_batch(const struct exporter *exporter, size_t *len)
{
	const struct otlp_batch batch = {
		.spans = exporter->spans, .slots = exporter->slots,
		.n = exporter->n, .epoch_ns = otlp_epoch_ns(),
	};
	char *text = NULL;
	FILE *out = open_memstream(&text, len);

	if (out == NULL)
		return (NULL);
	otlp_print(out, exporter->heritage, &batch);
	if (fclose(out) == 0)
		return (text);
	free(text);
	return (NULL);
}

/* Returns -1 if there is no memory; the spans stay where they are then. */
static int
post(struct exporter *exporter)
{
	struct evhttp_request *request;
	struct evkeyvalq *headers;
	size_t len = 0;
	char *text;
	int result = -1;

	if ((text = print_batch(exporter, &len)) == NULL)
		return (-1);
	request = evhttp_request_new(on_answer, exporter);
	if (request != NULL) {
		headers = evhttp_request_get_output_headers(request);
		evhttp_add_header(headers, "Host", exporter->authority);
		evhttp_add_header(headers, "Content-Type",
		    "application/json");
		result = evbuffer_add(evhttp_request_get_output_buffer(
		    request), text, len);
		if (result == -1)
			evhttp_request_free(request);
	}
	free(text);
	if (result == -1)
		return (-1);
	/* libevent owns the request from now on; on an immediate failure the
	 * callback runs before this returns. */
	exporter->request = request;
	exporter->posted_ms = clock_ms();
	result = evhttp_make_request(exporter->conn, request, EVHTTP_REQ_POST,
	    exporter->path);
	if (result == -1)
		exporter->request = NULL;
	return (result);
}

/* libevent's own timeout begins again with each byte. */
static void
check_patience(struct exporter *exporter)
{
	if (clock_ms() - exporter->posted_ms < EXPORTER_TIMEOUT_S * 1000)
		return;
	evhttp_cancel_request(exporter->request);
	exporter->request = NULL;
	exporter_take(exporter);
	exporter_fail(exporter, 0);
}

void
exporter_forgive(struct exporter *exporter, uint64_t stall_ms)
{
	if (exporter != NULL)
		exporter->posted_ms = clock_later(exporter->posted_ms,
		    stall_ms, clock_ms());
}

void
exporter_tick(struct exporter *exporter)
{
	uint64_t now_ms = clock_ms(), ready;

	if (exporter == NULL)
		return;
	if (exporter->request != NULL) {
		check_patience(exporter);
		return;
	}
	ready = count_all(exporter);
	if (now_ms < exporter->due_ms && (exporter->failures > 0 ||
	    ready < EXPORTER_BATCH))
		return;
	if (exporter->failures == 0)
		exporter->due_ms = now_ms + EXPORTER_EVERY_MS;
	if (ready == 0)
		return;
	fetch(exporter);
	if (exporter->n > 0)
		(void)post(exporter);
}

bool
exporter_is_idle(struct exporter *exporter)
{
	if (exporter == NULL)
		return (true);
	if (exporter->request == NULL && exporter->failures == 0)
		exporter->due_ms = 0;
	exporter_tick(exporter);
	return (exporter->request == NULL);
}

/*
 * Start and end.
 */

static int
exporter_open_conn(struct exporter *exporter, struct event_base *base)
{
	const char *url = exporter->heritage->conf->tracing.endpoint;
	struct conf_address address;
	char host[NI_MAXHOST], port[NI_MAXSERV];
	int wrong;

	if (!conf_endpoint_parse(url, &address, &exporter->path))
		return (-1);
	snprintf(exporter->authority, sizeof(exporter->authority), "%s",
	    address.text);
	wrong = getnameinfo((const struct sockaddr *)&address.addr,
	    address.len, host, sizeof(host), port, sizeof(port),
	    NI_NUMERICHOST | NI_NUMERICSERV);
	if (wrong != 0)
		return (-1);
	exporter->conn = evhttp_connection_base_new(base, NULL, host,
	    (unsigned short)strtoul(port, NULL, 10));
	if (exporter->conn == NULL)
		return (-1);
	/* check_patience() has the time: see front.c. */
	evhttp_connection_set_timeout(exporter->conn, NO_TIMEOUT_S);
	evhttp_connection_set_max_headers_size(exporter->conn, ANSWER_MAX);
	evhttp_connection_set_max_body_size(exporter->conn, ANSWER_MAX);
	return (0);
}

struct exporter *
exporter_new(struct event_base *base, const struct heritage *heritage)
{
	struct exporter *exporter;

	if (*heritage->conf->tracing.endpoint == '\0' ||
	    (exporter = calloc(1, sizeof(*exporter))) == NULL)
		return (NULL);
	exporter->heritage = heritage;
	exporter->taken = heritage->spans.map;
	if (exporter_open_conn(exporter, base) == 0)
		return (exporter);
	free(exporter);
	return (NULL);
}

void
exporter_free(struct exporter *exporter)
{
	if (exporter == NULL)
		return;
	/* What is on its way is not taken: the next monitor sends it again. */
	evhttp_connection_free(exporter->conn);
	free(exporter);
}
