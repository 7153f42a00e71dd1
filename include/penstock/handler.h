/* SPDX-License-Identifier: ISC */
/*
 * What a handler module for Penstock is: the only header that one needs.  It
 * works in C99 and C++11, and there is nothing to link with.
 *
 * A module is a shared object that defines one variable, penstock_handler,
 * below.  Penstock loads it into executors: processes that hold no connection,
 * so that a crash costs no client more than an error reply.  Each executor
 * calls open() once, then handle() for each message, from several threads at
 * once, and close() at its end.
 *
 * Ownership: what Penstock passes to a function is Penstock's.  A request, its
 * payload and its reply last until handle() returns; settings until close()
 * returns.  The state that open() makes is the module's.
 *
 * See penstock-handler(3).
 */
#ifndef PENSTOCK_HANDLER_H
#define PENSTOCK_HANDLER_H

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Changes when a module has to be compiled anew; Penstock refuses one of
 * another version.  Additions do not change it: each struct says in its member
 * size how much of it is there, and grows at its end alone.
 */
#define PENSTOCK_HANDLER_VERSION 1

#if defined(__GNUC__)
#define PENSTOCK_EXPORT		__attribute__((visibility("default")))
#define PENSTOCK_PRINTF(f, a)	__attribute__((format(printf, f, a)))
#else
#define PENSTOCK_EXPORT
#define PENSTOCK_PRINTF(f, a)
#endif

/* What handle() returns.  Anything else is taken for PENSTOCK_FAILED. */
enum penstock_result {
	PENSTOCK_REPLY = 0,	/* answer with the reply, which may be empty */
	PENSTOCK_SILENT = 1,	/* handled; nothing is answered */
	PENSTOCK_FAILED = -1	/* answer with the handler's "failed" */
};

/* One line of the handler's settings in the configuration. */
struct penstock_setting {
	const char *key;
	const char *value;	/* whatever its type was there, as text */
};

struct penstock_settings {
	size_t size;		/* of this struct, as this Penstock knows it */
	const char *handler;	/* its name in the configuration */
	unsigned threads;	/* that call handle(): numbered from 0 */
	const struct penstock_setting *settings;
	size_t count;		/* of settings */
};

/* A field of a request's header: HTTP. */
struct penstock_field {
	const char *name;	/* as the listener's fields have it */
	const char *value;	/* those of several with commas between */
};

enum { PENSTOCK_CONTENT_TYPE_MAX = 256 };	/* with the NUL */

/* A message.  Times are microseconds on CLOCK_MONOTONIC. */
struct penstock_request {
	size_t size;		/* of this struct, as this Penstock knows it */
	const void *payload;	/* a NUL follows, which length does not count */
	size_t length;		/* in bytes */
	uint64_t conn_id;	/* one connection's, as in the log; no other
				   ever has the same */
	uint64_t request_id;	/* no other of this executor has the same */
	const char *listener;	/* its name in the configuration */
	uint64_t arrived_us;	/* when the message was complete */
	uint64_t deadline_us;	/* when its client is told "timeout", and this
				   executor replaced; 0: never */
	unsigned thread;	/* that runs handle() */
	/* The client: AF_INET, AF_INET6 or AF_UNIX, which has neither address
	 * nor port. */
	int family;
	const unsigned char *address;	/* 16 bytes, the first 4 for AF_INET; in
					   network order */
	unsigned port;		/* in host order */
	/* Call penstock_peer() instead. */
	const char *(*peer)(const struct penstock_request *);
	/* Of HTTP, else NULL: call penstock_method() and so on instead, which
	 * do without where Penstock does not know these yet. */
	const char *method;
	const char *target;	/* as it was sent */
	const char *path;	/* of it */
	const char *query;	/* of it, behind the "?"; NULL: there is none */
	const struct penstock_field *fields;	/* the listener's fields */
	size_t nfields;		/* that the request has */
	/* Its place in a trace, as in W3C Trace Context; NULL unless tracing is
	 * on. */
	const char *traceparent;
	/* Call penstock_id() instead. */
	const char *(*id)(const struct penstock_request *);
};

/* The answer to a request: bytes in memory that Penstock owns, and that moves
 * when there is no room.  Empty when handle() is called. */
struct penstock_reply {
	size_t size;		/* of this struct, as this Penstock knows it */
	unsigned char *data;
	size_t length;		/* bytes of it that are the reply */
	size_t capacity;	/* bytes of it that there is room for */
	int failed;		/* something did not fit: see below */
	/* Call penstock_reserve() instead. */
	int (*grow)(struct penstock_reply *, size_t more);
	/* Call penstock_set_status() and penstock_set_content_type()
	 * instead. */
	unsigned status;
	char content_type[PENSTOCK_CONTENT_TYPE_MAX];
	/* Call penstock_add_field() instead. */
	int (*add_field)(struct penstock_reply *, const char *name,
	    const char *value);
};

/* A module: see penstock_handler. */
struct penstock_handler {
	uint32_t version;	/* PENSTOCK_HANDLER_VERSION */
	uint32_t size;		/* sizeof(struct penstock_handler) */
	const char *name;	/* of the module, for messages */

	/*
	 * Prepare, and leave in *state what the other functions are to get.
	 * May take its time: the executor takes part when this has returned,
	 * and what served before it goes on until then.  Returns 0, or -1 with
	 * the reason as a string in why; that ends a start or a reload.  NULL
	 * if there is nothing to prepare.
	 */
	int (*open)(const struct penstock_settings *, void **state, char *why,
	    size_t why_size);

	/*
	 * Answer a request.  Returns an enum penstock_result.  Runs in several
	 * threads at once; never twice at once with the same request->thread.
	 */
	int (*handle)(void *state, const struct penstock_request *,
	    struct penstock_reply *);

	/* Release what open() made; no handle() runs any more, and none will.
	 * Not called when an executor is killed or told to leave at once.  NULL
	 * if there is nothing to release. */
	void (*close)(void *state);
};

/* Every module defines this one. */
extern PENSTOCK_EXPORT const struct penstock_handler penstock_handler;

/*
 * Settings, for open().
 */

/* The value of a key, or fallback if the configuration does not have it. */
static inline const char *
penstock_setting(const struct penstock_settings *settings, const char *key,
    const char *fallback)
{
	size_t i;

	for (i = 0; i < settings->count; i++)
		if (strcmp(settings->settings[i].key, key) == 0)
			return (settings->settings[i].value);
	return (fallback);
}

/* The same for a whole number; *value is fallback if it is not there.  Returns
 * -1 if it is something else than a number that a long holds. */
static inline int
penstock_setting_number(const struct penstock_settings *settings,
    const char *key, long fallback, long *value)
{
	const char *text = penstock_setting(settings, key, NULL);
	char *end;

	*value = fallback;
	if (text == NULL)
		return (0);
	errno = 0;
	*value = strtol(text, &end, 10);
	return (end == text || *end != '\0' || errno != 0 ? -1 : 0);
}

/*
 * Requests.
 */

/* The client's address as in the log: "192.0.2.1:5000", "[2001:db8::1]:5000",
 * "unix".  Lasts as long as the request. */
static inline const char *
penstock_peer(const struct penstock_request *request)
{
	return (request->peer(request));
}

/* Whether a member of a struct is there, by what the struct says of its size. */
#define PENSTOCK_HAS(pointer, type, member)				\
	((pointer)->size >= offsetof(struct type, member) +		\
	    sizeof((pointer)->member))

/* The request's id, the one in X-Request-Id and in the logs, which a client of
 * HTTP may have chosen.  Lasts as long as the request.  NULL if this Penstock is
 * older than the function, and for frames and lines after the first 2^40 of a
 * connection. */
static inline const char *
penstock_id(const struct penstock_request *request)
{
	return (PENSTOCK_HAS(request, penstock_request, id) ?
	    request->id(request) : NULL);
}

/* Of HTTP; these return NULL for requests of other protocols. */

static inline const char *
penstock_method(const struct penstock_request *request)
{
	return (PENSTOCK_HAS(request, penstock_request, method) ?
	    request->method : NULL);
}

static inline const char *
penstock_target(const struct penstock_request *request)
{
	return (PENSTOCK_HAS(request, penstock_request, target) ?
	    request->target : NULL);
}

static inline const char *
penstock_path(const struct penstock_request *request)
{
	return (PENSTOCK_HAS(request, penstock_request, path) ?
	    request->path : NULL);
}

/* Also NULL if the target has none. */
static inline const char *
penstock_query(const struct penstock_request *request)
{
	return (PENSTOCK_HAS(request, penstock_request, query) ?
	    request->query : NULL);
}

/* The value of a field, by its name as the listener's fields have it; NULL also
 * if the request does not have it. */
static inline const char *
penstock_field(const struct penstock_request *request, const char *name)
{
	size_t i;

	if (!PENSTOCK_HAS(request, penstock_request, nfields))
		return (NULL);
	for (i = 0; i < request->nfields; i++)
		if (strcmp(request->fields[i].name, name) == 0)
			return (request->fields[i].value);
	return (NULL);
}

/*
 * Replies.  These return NULL or -1 when there is no memory, or the reply would
 * be larger than 1 GiB.  Nobody has to look: the client is then answered
 * "failed", whatever handle() returns.
 */

/* Room for so many more bytes; they belong to the reply after
 * penstock_commit(). */
static inline void *
penstock_reserve(struct penstock_reply *reply, size_t more)
{
	if (more > reply->capacity - reply->length &&
	    reply->grow(reply, more) != 0)
		return (NULL);
	return (reply->data + reply->length);
}

/* Take in bytes that were written to what penstock_reserve() has returned: at
 * most as many as were asked for. */
static inline void
penstock_commit(struct penstock_reply *reply, size_t length)
{
	reply->length += length;
}

static inline int
penstock_append(struct penstock_reply *reply, const void *bytes, size_t length)
{
	void *room = penstock_reserve(reply, length);

	if (room == NULL)
		return (-1);
	if (length > 0)
		memcpy(room, bytes, length);
	penstock_commit(reply, length);
	return (0);
}

static inline int
penstock_append_text(struct penstock_reply *reply, const char *text)
{
	return (penstock_append(reply, text, strlen(text)));
}

static inline int penstock_printf(struct penstock_reply *, const char *, ...)
    PENSTOCK_PRINTF(2, 3);

/* Append as printf(3) would print, without the NUL. */
static inline int
penstock_printf(struct penstock_reply *reply, const char *format, ...)
{
	size_t room = reply->capacity - reply->length;
	va_list args, again;
	int length;

	va_start(args, format);
	va_copy(again, args);
	length = vsnprintf((char *)reply->data + reply->length, room, format,
	    args);
	va_end(args);
	/* vsnprintf() needs room for a NUL, too. */
	if (length >= 0 && (size_t)length >= room) {
		if (penstock_reserve(reply, (size_t)length + 1) == NULL)
			length = -1;
		else
			(void)vsnprintf((char *)reply->data + reply->length,
			    (size_t)length + 1, format, again);
	}
	va_end(again);
	if (length < 0)
		return (-1);
	penstock_commit(reply, (size_t)length);
	return (0);
}

/*
 * What HTTP has beside: other protocols leave it out.  These return -1, and
 * change nothing, where Penstock does not know of it yet or it may not be.
 */

/* From 200 to 599; 200 if it is not set. */
static inline int
penstock_set_status(struct penstock_reply *reply, unsigned status)
{
	if (!PENSTOCK_HAS(reply, penstock_reply, status) || status < 200 ||
	    status > 599)
		return (-1);
	reply->status = status;
	return (0);
}

/* In ASCII, without control characters; "application/octet-stream" if it is not
 * set. */
static inline int
penstock_set_content_type(struct penstock_reply *reply, const char *type)
{
	size_t i;

	if (!PENSTOCK_HAS(reply, penstock_reply, content_type))
		return (-1);
	for (i = 0; type[i] != '\0'; i++)
		if (i + 1 == PENSTOCK_CONTENT_TYPE_MAX || type[i] < ' ' ||
		    type[i] > '~')
			return (-1);
	memcpy(reply->content_type, type, i + 1);
	return (0);
}

/*
 * Give the reply a field, such as Location; Set-Cookie may be given several
 * times.  A field that may not be given, or for which there is no room, fails the
 * reply: the client is then answered "failed", whatever handle() returns, and the
 * log says why.
 */
static inline int
penstock_add_field(struct penstock_reply *reply, const char *name,
    const char *value)
{
	return (PENSTOCK_HAS(reply, penstock_reply, add_field) ?
	    reply->add_field(reply, name, value) : -1);
}

#ifdef __cplusplus
}
#endif

#endif
