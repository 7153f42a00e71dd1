/* SPDX-License-Identifier: ISC */
/*
 * The work channel: what a worker and Penstock's own executor say to each
 * other.
 *
 * A stream socket.  Each way goes a sequence of frames: four bytes of length,
 * most significant first, then so many bytes, which begin with one of the
 * structs below; the payload is the rest.  Both ends are on the same machine, so
 * the structs go as they are in memory.  Replies come in any order.
 *
 * The two ends can be of two releases, as after an upgrade in place: each knows
 * which CTL_VERSION the other one speaks (struct heritage, struct exec_link).
 * The structs keep their size and order.  A new fact goes into padding, where 0
 * is its default; whatever else is new is said only to one that speaks
 * CTL_VERSION.
 *
 * An executor works on requests in the order in which they come.  It returns
 * those that it has not begun when all of its threads are in calls that take
 * long.
 *
 * Programs of the user's speak the same frames without these structs: see
 * penstock-handler(7).
 */
#ifndef COMMON_EXEC_H
#define COMMON_EXEC_H

#include <stdint.h>

enum { EXEC_LENGTH_LEN = 4 };	/* bytes before each frame */

struct exec_request {
	uint64_t tag;		/* the reply repeats it */
	uint64_t conn;		/* id of the connection */
	uint64_t arrived_us;	/* clock_us() when the message was complete */
	uint64_t deadline_us;	/* when the client is told; 0: never */
	uint8_t peer[16];	/* address, in network order */
	uint16_t peer_port;	/* in host order */
	uint8_t family;		/* AF_INET, AF_INET6, AF_UNIX */
	uint8_t id_high;	/* see id */
	uint16_t listener;	/* index in conf->listeners */
	uint8_t traced;		/* enum exec_traced */
	uint8_t may_return;	/* 1: EXEC_RETURNED is understood, and the
				   payload fits into a reply */
	uint32_t told_len;	/* of the struct exec_http with its strings that
				   the payload begins with; 0: there is none */
	/* HTTP: the offset, within told_len, of the string that is the
	 * request's id.  Other protocols: the number of the request on its
	 * connection, from 1; id_high has its bits 32 to 39.  0: not known. */
	uint32_t id;
	uint8_t trace[16];	/* as in struct trace_context, if it has one */
	uint8_t span[8];
};

enum exec_traced {
	EXEC_UNTRACED,		/* tracing is off */
	EXEC_UNSAMPLED,
	EXEC_SAMPLED,
};

/*
 * A request of HTTP.  Behind this stand strings, each with its NUL: method,
 * target, path, query, then name and value of each field; zeroes, so that what
 * follows is aligned; the request's id with its NUL; and zeroes again, so that the
 * payload is aligned and the last byte a NUL.
 */
struct exec_http {
	uint16_t nfields;
	uint8_t has_query;	/* else its string is empty */
	uint8_t is_10;		/* HTTP/1.0 */
};

enum {
	EXEC_TOLD_ALIGN = 16,
	/* The most bytes of the id of a request of HTTP, with its NUL. */
	EXEC_ID_MAX = 64,
	/* The bits of the number of a request.  The requests after the first
	 * 2^40 of a connection, which come after 12 days at a million a second,
	 * have none. */
	EXEC_NUMBER_BITS = 40,
};

enum exec_result {
	EXEC_REPLY,		/* the payload is the reply */
	EXEC_SILENT,		/* handled; nothing is answered */
	EXEC_FAILED,		/* the handler could not */
	EXEC_RETURNED,		/* not begun; the payload is the message */
};

enum {
	EXEC_FIELDS_SHIFT = 16,
	EXEC_RESULT_MASK = (1 << EXEC_FIELDS_SHIFT) - 1,
};

struct exec_reply {
	uint64_t tag;
	uint32_t result;	/* enum exec_result; and from bit
				   EXEC_FIELDS_SHIFT on, the bytes of
				   response fields (common/http_fields.h)
				   behind the content type.  A worker that
				   does not give the id of a request of HTTP
				   does not take fields. */
	uint16_t status;	/* of HTTP; 0: the usual one */
	uint16_t type_len;	/* bytes of a content type behind the reply,
				   which are not its own; 0: the usual one */
};

_Static_assert(sizeof(struct exec_request) == 88 &&
    sizeof(struct exec_http) == 4 && sizeof(struct exec_reply) == 16,
    "as the previous release has them");

#endif
