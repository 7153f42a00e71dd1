/* SPDX-License-Identifier: ISC */
/*
 * The work channel between a worker and an executor for modules.
 *
 * It is a stream socket.  Both directions are sequences of frames: four bytes
 * of length, most significant first, then that many bytes.  These begin with
 * one of the structs below; the rest is the payload.  Both ends are on the same
 * machine, so the structs are sent as they are in memory.  Replies come in any
 * order.
 *
 * The two ends can be of two releases after an upgrade, and each knows the
 * CTL_VERSION of the other one (struct heritage, struct exec_link).  The
 * structs keep their size and order.  A new field goes into padding, where 0 is
 * its default; everything else that is new is only sent to an end that speaks
 * CTL_VERSION.
 *
 * An executor begins requests in the order in which they come.  If all of its
 * threads are in calls that take long, it returns the requests that it has not
 * begun.
 *
 * The programs of handlers use the same frames without these structs: see
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
	uint64_t deadline_us;	/* of request_timeout; 0: none */
	uint8_t peer[16];	/* address, in network order */
	uint16_t peer_port;	/* in host order */
	uint8_t family;		/* AF_INET, AF_INET6, AF_UNIX */
	uint8_t id_high;	/* see id */
	uint16_t listener;	/* index in conf->listeners */
	uint8_t traced;		/* enum exec_traced */
	uint8_t may_return;	/* 1: EXEC_RETURNED is understood, and the
				   payload fits into a reply */
	uint32_t told_len;	/* the payload begins with a struct exec_http
				   and its strings of this length; 0: none */
	/* HTTP: the offset of the request's id within told_len.  Other
	 * protocols: the number of the request on its connection, from 1;
	 * id_high has its bits 32 to 39.  0: not known. */
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
 * An HTTP request.  Strings with their NULs follow: method, target, path,
 * query, then name and value of each field; zeroes for alignment; the request's
 * id with its NUL; and zeroes, so that the payload is aligned and the last byte
 * is a NUL.
 */
struct exec_http {
	uint16_t nfields;
	uint8_t has_query;	/* if 0, the query is empty */
	uint8_t is_10;		/* HTTP/1.0 */
};

enum {
	EXEC_TOLD_ALIGN = 16,
	/* The most bytes of the id of an HTTP request, with its NUL. */
	EXEC_ID_MAX = 64,
	/* The bits of the number of a request.  Requests after the first 2^40
	 * of a connection (12 days at a million per second) have no number. */
	EXEC_NUMBER_BITS = 40,
};

enum exec_result {
	EXEC_REPLY,		/* the payload is the reply */
	EXEC_SILENT,		/* handled, without a reply */
	EXEC_FAILED,		/* the handler reported a failure */
	EXEC_RETURNED,		/* not begun; the payload is the message */
};

enum {
	EXEC_FIELDS_SHIFT = 16,
	EXEC_RESULT_MASK = (1 << EXEC_FIELDS_SHIFT) - 1,
};

struct exec_reply {
	uint64_t tag;
	uint32_t result;	/* enum exec_result; and from bit
				   EXEC_FIELDS_SHIFT on, the length of the
				   response fields (common/http_fields.h)
				   after the content type.  A worker that
				   sends no id with an HTTP request accepts
				   no fields. */
	uint16_t status;	/* of HTTP; 0: the default */
	uint16_t type_len;	/* length of a content type after the reply;
				   0: the default type */
};

_Static_assert(sizeof(struct exec_request) == 88 &&
    sizeof(struct exec_http) == 4 && sizeof(struct exec_reply) == 16,
    "the same as in the previous release");

#endif
