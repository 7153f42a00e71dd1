/* SPDX-License-Identifier: ISC */
#include "monitor/pages.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "monitor/connections.h"
#include "monitor/metrics.h"
#include "monitor/names.h"
#include "monitor/status_page.h"
#include "monitor/view.h"

#define TEXT "text/plain; charset=utf-8"
#define JSON "application/json"

enum {
	STATUS_ACCEPTED = 202,
	STATUS_FORBIDDEN = 403,
};

/* A request on its way to its answer. */
struct visit {
	const struct pages *pages;
	struct front_request *request;
	struct connections_query query;	/* of /connections */
};

/*
 * Replies.
 */

static void
send_bytes(const struct visit *visit, unsigned status, const char *type,
    struct evbuffer *body)
{
	const struct front_reply reply = {
		.status = status,
		.type = type,
		.allow = status == HTTP_405 ? "POST" : NULL,
		.body = body,
	};

	front_reply(visit->request, &reply);
}

static void
pages_say(const struct visit *visit, unsigned status, const char *words)
{
	struct evbuffer *body = evbuffer_new();

	if (body != NULL)
		evbuffer_add_printf(body, "%s\n", words);
	send_bytes(visit, status, TEXT, body);
	if (body != NULL)
		evbuffer_free(body);
}

static void
free_text(const void *text, size_t len, void *arg)
{
	(void)len;
	(void)arg;
	free((void *)(uintptr_t)text);
}

/* Send a page that print() writes; it returns -1 on failure. */
static void
send_page(const struct visit *visit, const char *type,
    int (*print)(FILE *, const struct visit *))
{
	struct evbuffer *body = evbuffer_new();
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	int made = out != NULL ? print(out, visit) : -1;

	if (out != NULL && fclose(out) == EOF)
		made = -1;
	if (made == -1 || body == NULL || evbuffer_add_reference(body, text,
	    len, free_text, NULL) == -1) {
		free(text);
		pages_say(visit, HTTP_500, "out of memory");
	} else
		send_bytes(visit, HTTP_OK, type, body);
	if (body != NULL)
		evbuffer_free(body);
}

/*
 * The pages.
 */

static void
show_index(struct visit *visit)
{
	pages_say(visit, HTTP_OK, "penstock: /metrics /status /connections "
	    "/healthz /readyz\nsee penstock-metrics(7)");
}

static bool
wants_open(const struct visit *visit)
{
	return (metrics_wants_open(visit->request->accept));
}

static int
print_metrics(FILE *out, const struct visit *visit)
{
	struct view *view;

	if ((view = view_new(visit->pages->heritage)) == NULL)
		return (-1);
	metrics_print(out, view, wants_open(visit));
	free(view);
	return (0);
}

static void
show_metrics(struct visit *visit)
{
	send_page(visit, wants_open(visit) ? METRICS_OPEN : METRICS_TEXT,
	    print_metrics);
}

static int
print_status(FILE *out, const struct visit *visit)
{
	struct view *view;

	if ((view = view_new(visit->pages->heritage)) == NULL)
		return (-1);
	status_page_print(out, view);
	free(view);
	return (0);
}

static void
pages_show_status(struct visit *visit)
{
	send_page(visit, JSON, print_status);
}

static void
show_health(struct visit *visit)
{
	pages_say(visit, HTTP_OK, "ok");
}

static void
show_readiness(struct visit *visit)
{
	struct view *view = view_new(visit->pages->heritage);
	char why[64] = "out of memory", words[96];

	if (view != NULL && view_is_ready(view, why, sizeof(why)))
		pages_say(visit, HTTP_OK, "ready");
	else {
		snprintf(words, sizeof(words), "not ready: %s", why);
		pages_say(visit, HTTP_503, words);
	}
	free(view);
}

/*
 * Connections.
 */

static bool
parse_number(const char *text, uint64_t *number)
{
	char *end;

	if (*text < '0' || *text > '9')
		return (false);
	errno = 0;
	*number = strtoull(text, &end, 10);
	return (errno == 0 && *end == '\0');
}

static int
pages_find_listener(const struct heritage *heritage, const char *name)
{
	const char *known;

	for (size_t i = 0; i < heritage->nlistener_names; i++)
		if ((known = names_listener(heritage, i)) != NULL &&
		    strcmp(known, name) == 0)
			return ((int)i);
	return (-1);
}

/* Take over one "key=value".  Returns NULL, or what is wrong with it. */
static const char *
read_parameter(const struct heritage *heritage, const char *key,
    const char *value, struct connections_query *query)
{
	uint64_t limit;

	if (strcmp(key, "sort") == 0) {
		query->sort = connections_find_sort(value);
		return (query->sort != -1 ? NULL : "sort is id, age, idle, "
		    "messages, bytes_in, bytes_out or requests");
	}
	if (strcmp(key, "limit") == 0) {
		if (!parse_number(value, &limit) || limit < 1 ||
		    limit > CONNECTIONS_LIMIT_MAX)
			return ("limit is a number from 1 to 100000");
		query->limit = (size_t)limit;
		return (NULL);
	}
	if (strcmp(key, "listener") == 0) {
		query->listener = pages_find_listener(heritage, value);
		return (query->listener != -1 ? NULL :
		    "there is no listener of that name");
	}
	return ("the parameters are sort, limit and listener");
}

static int
print_connections(FILE *out, const struct visit *visit)
{
	return (connections_print(out, visit->pages->heritage,
	    &visit->query, clock_coarse_ms()));
}

static void
pages_show_connections(struct visit *visit)
{
	const struct evkeyval *parameter;
	struct evkeyvalq parameters;
	const char *wrong = NULL;

	visit->query = (struct connections_query){
		.sort = connections_find_sort("id"),
		.limit = CONNECTIONS_LIMIT,
		.listener = -1,
	};
	if (evhttp_parse_query_str(visit->request->query, &parameters) ==
	    -1) {
		pages_say(visit, HTTP_400, "the query is malformed");
		return;
	}
	for (parameter = parameters.tqh_first; parameter != NULL &&
	    wrong == NULL; parameter = parameter->next.tqe_next)
		wrong = read_parameter(visit->pages->heritage,
		    parameter->key, parameter->value, &visit->query);
	if (wrong != NULL)
		pages_say(visit, HTTP_400, wrong);
	else
		send_page(visit, JSON, print_connections);
	evhttp_clear_headers(&parameters);
}

/*
 * Orders.
 */

static void
pages_pass_on(const struct visit *visit, enum ctl_type type, uint64_t id)
{
	const struct pages *pages = visit->pages;

	if (pages->order(type, id, pages->arg))
		pages_say(visit, STATUS_ACCEPTED, "ordered");
	else
		pages_say(visit, HTTP_503, "the master does not listen");
}

static void
order_close(const struct visit *visit, const char *text)
{
	uint64_t id;

	if (!parse_number(text, &id))
		pages_say(visit, HTTP_400, "the id is a number");
	else if (!connections_have(visit->pages->heritage, id))
		pages_say(visit, HTTP_404, "there is no such connection");
	else
		pages_pass_on(visit, CTL_ASK_CLOSE, id);
}

/* The id in "/connections/ID/close", or false. */
static bool
is_close(const char *path, char id[24])
{
	int end = 0;

	return (sscanf(path, "/connections/%23[^/]/close%n", id, &end) == 1 &&
	    end > 0 && path[end] == '\0');
}

static void
pages_take_order(const struct visit *visit, const char *path)
{
	char id[24];

	if (!is_close(path, id) && strcmp(path, "/rebalance") != 0)
		pages_say(visit, HTTP_404, "there is no such order");
	else if (!visit->request->trusted)
		pages_say(visit, STATUS_FORBIDDEN,
		    "orders are accepted only on a unix socket");
	else if (is_close(path, id))
		order_close(visit, id);
	else
		pages_pass_on(visit, CTL_ASK_REBALANCE, 0);
}

/*
 * Which is which.
 */

static const struct {
	const char *path;
	void (*show)(struct visit *);
	bool is_large;
} table[] = {
	{ "/", show_index, false },
	{ "/metrics", show_metrics, true },
	{ "/status", pages_show_status, true },
	{ "/connections", pages_show_connections, true },
	{ "/healthz", show_health, false },
	{ "/readyz", show_readiness, false },
};

static void
pages_show(struct visit *visit, const char *path, size_t pending)
{
	char id[24];

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		if (strcmp(table[i].path, path) != 0)
			continue;
		if (table[i].is_large && pending > PAGES_PENDING_MAX)
			pages_say(visit, HTTP_503,
			    "clients have not taken too many replies");
		else
			table[i].show(visit);
		return;
	}
	if (is_close(path, id) || strcmp(path, "/rebalance") == 0)
		pages_say(visit, HTTP_405, "orders need POST");
	else
		pages_say(visit, HTTP_404, "there is no such page");
}

void
pages_answer(const struct pages *pages, struct front_request *request,
    size_t pending)
{
	struct visit visit = { .pages = pages, .request = request };

	if (http_slice_is(request->head->method, "POST"))
		pages_take_order(&visit, request->path);
	else
		pages_show(&visit, request->path, pending);
}
