/* SPDX-License-Identifier: ISC */
/*
 * What is kept of a request of HTTP while a handler works on it, and what the
 * handler is told.
 */
#ifndef WORKER_HTTP_FACTS_H
#define WORKER_HTTP_FACTS_H

#include "common/escape.h"
#include "common/exec.h"
#include "common/http.h"
#include "worker/access_log.h"
#include "worker/buffer.h"
#include "worker/request.h"

enum {
	/* The most bytes of JSON beside six for each of the strings. */
	HTTP_JSON_MAX = 256,
	HTTP_JSON_PER_BYTE = ESCAPE_JSON_PER_BYTE,
};

/* In one piece of memory, which its owner has reserved: what clients make us
 * keep counts against max_buffered. */
struct http_facts {
	struct http_exchange exchange;
	size_t len;		/* of what is told; 0: nothing */
	size_t logged_len;	/* of the strings behind that, which are for
				   the access log: referer and agent */
	struct exec_http told;	/* with its strings */
};

/*
 * The memory that the facts of a request take, and the facts there.  With what
 * handlers are told: any of them, as the request can come to another one.  The
 * configuration is NULL if none is told any more, and the reply only waits for
 * its turn: then there is no more than the access log writes, if it is logged.
 */
size_t http_facts_size(const struct http_head *, const struct conf_http *,
    bool is_logged);
struct http_facts *http_facts_fill(void *room, const struct http_head *,
    const struct conf_http *, bool is_logged);

/* The same for so many bytes that are told, and logged, which are still to be
 * put there. */
size_t http_facts_size_of(size_t len, size_t logged_len);
struct http_facts *http_facts_lay(void *room, const struct http_exchange *,
    size_t len, size_t logged_len);

/* What the access log tells of the request; arrived_us is left alone. */
void http_facts_for_log(const struct http_facts *, struct access_facts *);
/* Whether those that come from elsewhere can be used. */
bool http_facts_are_sound(const struct http_facts *);

/* Append a JSON object that tells the same; there is room for it. */
void http_facts_json(const struct http_facts *, struct buffer *);

/* NULL if the request is of another protocol. */
struct http_exchange *http_exchange_of(const struct request *);

/*
 * Note what a handler has said of its reply: a status, 0 for the usual one, and
 * a content type, of no bytes for the usual one.  Returns -1 if that may not
 * stand in a reply.
 */
int http_note_reply(struct http_exchange *, unsigned status, const char *type,
    size_t type_len);

#endif
