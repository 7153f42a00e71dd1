/* SPDX-License-Identifier: ISC */
/*
 * The interface of handler modules for Penstock: the only header that a module
 * needs.  It works in C99 and C++11, and there is nothing to link with.
 *
 * A module is a shared object that defines one variable, penstock_handler,
 * below.  Penstock loads it into executors: processes that hold no connection,
 * so that a crash costs a client only an error reply.  Each executor calls
 * open() once, then handle() for each message, from several threads at once,
 * and close() at its end.
 *
 * Ownership: what Penstock passes to a function belongs to Penstock.  A
 * request, its payload and its reply are valid until handle() returns, settings
 * until close() returns.  The state that open() makes belongs to the module.
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
 * Changes when a module has to be compiled again; Penstock refuses a module of
 * another version.  Additions do not change it: new members are the last ones
 * of a struct, and its member size says which are present.
 */
#define PENSTOCK_HANDLER_VERSION 1

#if defined(__GNUC__)
#define PENSTOCK_EXPORT		__attribute__((visibility("default")))
#define PENSTOCK_PRINTF(f, a)	__attribute__((format(printf, f, a)))
#else
#define PENSTOCK_EXPORT
#define PENSTOCK_PRINTF(f, a)
#endif

/* The result of handle().  Any other value means PENSTOCK_FAILED. */
enum penstock_result {
	PENSTOCK_REPLY = 0,	/* answer with the reply, which may be empty */
	PENSTOCK_SILENT = 1,	/* handled, without a reply */
	PENSTOCK_FAILED = -1	/* answer with the handler's "failed" */
};

/* One setting of the handler in the configuration. */
struct penstock_setting {
	const char *key;
	const char *value;	/* as text, of any type */
};

struct penstock_settings {
	size_t size;		/* of this struct in this Penstock */
	const char *handler;	/* its name in the configuration */
	unsigned threads;	/* number of threads that call handle() */
	const struct penstock_setting *settings;
	size_t count;		/* of settings */
};

/* A field of an HTTP request. */
struct penstock_field {
	const char *name;	/* as written in the listener's fields */
	const char *value;	/* several values are joined by commas */
};

enum { PENSTOCK_CONTENT_TYPE_MAX = 256 };	/* with the NUL */

/* A message.  Times are microseconds on CLOCK_MONOTONIC. */
struct penstock_request {
	size_t size;		/* of this struct in this Penstock */
	const void *payload;	/* followed by a NUL */
	size_t length;		/* in bytes, without the NUL */
	uint64_t conn_id;	/* id of the connection, as in the log; never
				   used again */
	uint64_t request_id;	/* unique in this executor */
	const char *listener;	/* its name in the configuration */
	uint64_t arrived_us;	/* when the message was complete */
	uint64_t deadline_us;	/* when request_timeout is over and this
				   executor is replaced; 0: never */
	unsigned thread;	/* that runs handle(), from 0 */
	/* Of the client: AF_INET, AF_INET6, or AF_UNIX without address and
	 * port. */
	int family;
	const unsigned char *address;	/* 16 bytes, the first 4 for AF_INET; in
					   network byte order */
	unsigned port;		/* in host byte order */
	/* Call penstock_peer() instead. */
	const char *(*peer)(const struct penstock_request *);
	/* Only of HTTP requests, else NULL.  Call penstock_method() and the
	 * others instead: they also work with an older Penstock. */
	const char *method;
	const char *target;	/* as it was sent */
	const char *path;	/* of the target */
	const char *query;	/* of the target, after the "?"; or NULL */
	const struct penstock_field *fields;	/* of the listener's fields */
	size_t nfields;		/* those that the request has */
	/* Trace context, as in W3C Trace Context; NULL unless tracing is on. */
	const char *traceparent;
	/* Call penstock_id() instead. */
	const char *(*id)(const struct penstock_request *);
};

/* The reply to a request, in memory that Penstock owns and that may move when
 * it grows.  Empty when handle() is called. */
struct penstock_reply {
	size_t size;		/* of this struct in this Penstock */
	unsigned char *data;
	size_t length;		/* of the reply, in bytes */
	size_t capacity;	/* of data, in bytes */
	int failed;		/* a function below has failed */
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
	 * Prepare, and store in *state what the other functions get.  May take
	 * as long as ready_timeout: the executor gets requests after this has
	 * returned, and at a reload the old executors serve until then.
	 * Returns 0, or -1 with the reason as a string in why; then the start
	 * fails or the reload is refused.  NULL if there is nothing to prepare.
	 */
	int (*open)(const struct penstock_settings *, void **state, char *why,
	    size_t why_size);

	/*
	 * Answer a request.  Returns an enum penstock_result.  Runs in several
	 * threads at once, but only once at a time for each request->thread.
	 */
	int (*handle)(void *state, const struct penstock_request *,
	    struct penstock_reply *);

	/* Release what open() made, after the last handle().  Not called when
	 * an executor is killed or has to exit at once.  NULL if there is
	 * nothing to release. */
	void (*close)(void *state);
};

/* Every module defines this variable. */
extern PENSTOCK_EXPORT const struct penstock_handler penstock_handler;

/*
 * Settings, for open().
 */

/* The value of a key, or fallback if the key is not set. */
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

/* Store the value of a key as a decimal number in *value, or fallback if the
 * key is not set.  Returns -1 if the value is not a number or does not fit into
 * a long. */
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
 * "unix".  Valid as long as the request. */
static inline const char *
penstock_peer(const struct penstock_request *request)
{
	return (request->peer(request));
}

/* Whether a member of a struct is present, by the size of the struct. */
#define PENSTOCK_HAS(pointer, type, member)				\
	((pointer)->size >= offsetof(struct type, member) +		\
	    sizeof((pointer)->member))

/* The id of the request, as in X-Request-Id and in the logs; an HTTP client may
 * have chosen it.  Valid as long as the request.  NULL if this Penstock is
 * older than the function, and for frame and line messages after the first 2^40
 * of a connection. */
static inline const char *
penstock_id(const struct penstock_request *request)
{
	return (PENSTOCK_HAS(request, penstock_request, id) ?
	    request->id(request) : NULL);
}

/* Only for HTTP; these return NULL for requests of other protocols. */

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

/* The value of a field, by its name as written in the listener's fields; NULL
 * also if the request does not have it. */
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
 * Replies.  These return NULL or -1 if there is no memory, or if the reply
 * would be larger than 1 GiB.  A module need not check this: the client then
 * gets "failed", whatever handle() returns.
 */

/* Make room for more bytes and return where it begins.  The bytes belong to the
 * reply after penstock_commit(). */
static inline void *
penstock_reserve(struct penstock_reply *reply, size_t more)
{
	if (more > reply->capacity - reply->length &&
	    reply->grow(reply, more) != 0)
		return (NULL);
	return (reply->data + reply->length);
}

/* Add bytes to the reply that were written to the room of penstock_reserve(),
 * at most as many as it made room for. */
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

/* Append what printf(3) would print, without a NUL. */
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
 * Only for HTTP; other protocols ignore it.  These return -1 and change nothing
 * if this Penstock is older than the function or the value is not allowed.
 */

/* From 200 to 599; the default is 200. */
static inline int
penstock_set_status(struct penstock_reply *reply, unsigned status)
{
	if (!PENSTOCK_HAS(reply, penstock_reply, status) || status < 200 ||
	    status > 599)
		return (-1);
	reply->status = status;
	return (0);
}

/* In ASCII, without control characters; the default is
 * "application/octet-stream". */
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
 * Add a field to the reply, such as Location; Set-Cookie can be added several
 * times.  If a field is not allowed, or there is no room for it, the reply
 * fails: the client gets "failed", whatever handle() returns, and the log has
 * the reason.
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
