/* SPDX-License-Identifier: ISC */
/*
 * The exchange of HTTP: what is kept of a request while a handler works on it,
 * and its descriptions for the handler and the access log.
 */
#ifndef WORKER_HTTP_FACTS_H
#define WORKER_HTTP_FACTS_H

#include "common/exec.h"
#include "common/http.h"
#include "worker/proto.h"

/* An exchange that is kept.  It is one piece of memory, which its owner has
 * reserved: what clients make us keep counts against max_buffered. */
struct http_facts {
	struct http_exchange exchange;
	size_t len;		/* of the facts for handlers; 0: none */
	size_t logged_len;	/* of the strings after that, for the access
				   log: referer and agent */
	struct exec_http told;	/* with its strings */
};

/* Whether facts that come from elsewhere can be used. */
bool http_facts_are_sound(const struct http_facts *);

/*
 * Functions of struct proto.  What is kept for handlers is enough for any of
 * them, as the request can come to another one.  Only for the reply, there is
 * no more than the access log writes, if it is logged.
 */
size_t http_facts_keep_size(const struct exchange *,
    const struct conf_listener *, bool is_logged);
struct exchange *http_facts_keep(void *room, const struct exchange *,
    const struct conf_listener *, bool is_logged);
struct payload http_facts_tell(const struct exchange *);
void http_facts_tell_json(const struct exchange *, struct buffer *);
int http_facts_note(struct exchange *, unsigned status,
    const struct payload *type, const struct payload *fields);
void http_facts_log(const struct exchange *, struct access_facts *);
void http_facts_pack(const struct exchange *, struct proto_packed *);
struct exchange *http_facts_unpack(void *room, const struct proto_packed *,
    const struct buffer *fields);

#endif
