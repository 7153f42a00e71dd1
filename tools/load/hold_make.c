/* SPDX-License-Identifier: ISC */
#include <sys/epoll.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "tools/load/hold.h"
#include "tools/load/hold_inner.h"

enum {
	SPLIT_SIZES = 8,	/* short, as it is cut at each byte in turn */
};

static void
default_to(unsigned *option, unsigned value)
{
	if (*option == 0)
		*option = value;
}

static void
set_defaults(struct hold *hold)
{
	struct hold_options *options = &hold->options;

	default_to(&options->connecting_max, 64);
	default_to(&options->message_size, 64);
	default_to(&options->burst, 1);
	default_to(&options->pipeline_burst, 16);
	default_to(&options->slow_burst, 2);
	default_to(&options->deaf_burst, 2000);
	default_to(&options->stream_bytes_s, 10000);
	default_to(&options->patience_ms, 20000);
	hold->burst[HOLD_ECHO] = options->burst;
	hold->burst[HOLD_PIPELINE] = options->pipeline_burst;
	hold->burst[HOLD_SLOW] = options->slow_burst;
	hold->burst[HOLD_DEAF] = options->deaf_burst;
}

static void
make_routes(struct hold *hold)
{
	const struct hold_options *options = &hold->options;
	struct link_route *route;

	for (int kind = 0; kind < HOLD_KINDS; kind++) {
		route = &hold->route[kind];
		route->server = options->server;
		route->server_len = options->server_len;
		route->source = options->source;
		route->source_len = options->source_len;
	}
	if (options->slow_server_len > 0) {
		hold->route[HOLD_SLOW].server = options->slow_server;
		hold->route[HOLD_SLOW].server_len = options->slow_server_len;
	}
	hold->route[HOLD_DEAF].is_narrow = true;
}

/* Returns -1 with errno set. */
static int
make_forms(struct hold *hold)
{
	const struct hold_options *options = &hold->options;
	struct message_form *form;

	for (int kind = 0; kind < HOLD_KINDS; kind++) {
		form = &hold->gear.form[kind];
		message_form_init(form, options->wire, options->message_size,
		    options->message_size_max);
		if (kind == HOLD_SPLIT)
			message_form_init(form, options->wire,
			    MESSAGE_SIZE_MIN,
			    MESSAGE_SIZE_MIN + SPLIT_SIZES - 1);
		message_form_set_raw(form, options->raw, options->raw_len,
		    options->raw_reply_len);
		if (options->host == NULL || options->path == NULL ||
		    message_form_set_target(form, options->host,
		    options->path) == 0)
			continue;
		errno = EMSGSIZE;
		return (-1);
	}
	return (0);
}

static int
allocate_gear(struct hold *hold)
{
	struct link_gear *gear = &hold->gear;
	size_t room = message_room(&gear->form[HOLD_ECHO]);

	gear->send_size = room > LINK_SCRATCH ? room : LINK_SCRATCH;
	gear->send_buf = malloc(gear->send_size);
	gear->receive_buf = malloc(LINK_SCRATCH);
	/* Whatever a message that came says it is can be put together. */
	gear->reply_buf = malloc(room + MESSAGE_SIZE_MIN + SPLIT_SIZES);
	gear->epoll = epoll_create1(EPOLL_CLOEXEC);
	return (gear->send_buf == NULL || gear->receive_buf == NULL ||
	    gear->reply_buf == NULL || gear->epoll == -1 ? -1 : 0);
}

/* How many times a kind of link notes when messages left. */
static uint32_t
hold_ring_size(const struct hold *hold, enum hold_kind kind)
{
	switch (kind) {
	case HOLD_ECHO:
	case HOLD_PIPELINE:
	case HOLD_SLOW:
		return (hold->burst[kind]);
	case HOLD_SPLIT:
		return (1);
	case HOLD_STREAM:
		return (STREAM_WINDOW);
	case HOLD_DEAF:
	case HOLD_KINDS:
		break;
	}
	return (0);
}

static int
allocate_links(struct hold *hold, const unsigned *counts)
{
	size_t nleft = 0;

	for (int kind = 0; kind < HOLD_KINDS; kind++) {
		hold->nlinks += counts[kind];
		nleft += (size_t)counts[kind] * hold_ring_size(hold, kind);
	}
	hold->links = calloc(hold->nlinks, sizeof(*hold->links));
	hold->queue = calloc(hold->nlinks, sizeof(*hold->queue));
	hold->left_us = calloc(nleft, sizeof(*hold->left_us));
	return (hold->nlinks > 0 && (hold->links == NULL ||
	    hold->queue == NULL || (nleft > 0 && hold->left_us == NULL)) ?
	    -1 : 0);
}

static void
make_links(struct hold *hold, const unsigned *counts)
{
	uint64_t *left_us = hold->left_us;
	struct link *link = hold->links;

	for (enum hold_kind kind = 0; kind < HOLD_KINDS; kind++) {
		for (unsigned i = 0; i < counts[kind]; i++, link++) {
			*link = (struct link){
				.fd = -1,
				.kind = kind,
				.index = (uint32_t)(link - hold->links),
				.ring_size = hold_ring_size(hold, kind),
			};
			if (link->ring_size > 0)
				link->left_us = left_us;
			left_us += link->ring_size;
			hold_enqueue(hold, link);
		}
	}
}

/* Turns go round in long steps, so that links of one kind, and links that
 * connected together, have their turns far from each other. */
static unsigned
coprime_stride(unsigned n)
{
	unsigned stride, a, b, rest;

	for (stride = n * 5 / 8 + 1; stride > 1; stride--) {
		for (a = n, b = stride; b > 0; a = b, b = rest)
			rest = a % b;
		if (a == 1)
			break;
	}
	return (stride);
}

struct hold *
hold_new(const struct hold_options *options, uint32_t first_conn,
    struct hold_report *report)
{
	const unsigned counts[HOLD_KINDS] = {
		[HOLD_ECHO] = options->connections,
		[HOLD_PIPELINE] = options->pipeline,
		[HOLD_SLOW] = options->slow,
		[HOLD_SPLIT] = options->split,
		[HOLD_DEAF] = options->deaf,
		[HOLD_STREAM] = options->stream,
	};
	struct hold *hold;

	if ((hold = calloc(1, sizeof(*hold))) == NULL)
		return (NULL);
	hold->options = *options;
	hold->gear.report = report;
	hold->next_conn = first_conn;
	hold->rate_since_us = hold->streamed_us = clock_us();
	set_defaults(hold);
	make_routes(hold);
	hold->gear.epoll = -1;
	if (make_forms(hold) == -1 || allocate_gear(hold) == -1 ||
	    allocate_links(hold, counts) == -1) {
		hold->nlinks = 0;
		hold_free(hold);
		return (NULL);
	}
	hold->nturns = counts[HOLD_ECHO] + counts[HOLD_PIPELINE] +
	    counts[HOLD_SLOW];
	hold->first_stream = hold->nlinks - counts[HOLD_STREAM];
	hold->stride = coprime_stride(hold->nturns);
	make_links(hold, counts);
	return (hold);
}

void
hold_free(struct hold *hold)
{
	for (unsigned i = 0; i < hold->nlinks; i++)
		link_close(&hold->links[i]);
	if (hold->gear.epoll != -1)
		close(hold->gear.epoll);
	free(hold->gear.send_buf);
	free(hold->gear.receive_buf);
	free(hold->gear.reply_buf);
	free(hold->left_us);
	free(hold->links);
	free(hold->queue);
	free(hold);
}
