/* SPDX-License-Identifier: ISC */
/*
 * Why connections are closed, and why new ones are rejected.  Each reason has a
 * counter, see common/counters.h.
 */
#ifndef COMMON_REASONS_H
#define COMMON_REASONS_H

/* Why a connection ended; the name is used in the log and for the counter. */
#define CLOSE_REASONS(R)						\
	R(EOF,		"eof")		/* the client closed it */	\
	R(ABORTED,	"aborted")	/* within a message */		\
	R(RESET,	"reset")	/* the client or network broke it */ \
	R(IDLE,		"idle")		/* idle_timeout */		\
	R(READ_TIMEOUT,	"read_timeout")					\
	R(WRITE_TIMEOUT, "write_timeout")				\
	R(MALFORMED,	"malformed")	/* not the protocol */		\
	R(TOO_LARGE,	"too_large")	/* above max_message_size */	\
	R(MEMORY,	"memory")	/* max_buffered */		\
	R(DRAIN,	"drain")	/* stop, between two messages */ \
	R(CUT,		"cut")		/* drain_timeout, or SIGINT */	\
	R(HANDLER,	"handler")	/* a request that failed */ \
	R(LOST,		"lost")		/* its worker died */ \
	R(DONE,		"done")		/* after the last HTTP request */ \
	R(OPERATOR,	"operator")	/* penstockctl close */

enum close_reason {
#define CLOSE_REASON_ENUM(id, name) CLOSE_##id,
	CLOSE_REASONS(CLOSE_REASON_ENUM)
#undef CLOSE_REASON_ENUM
	CLOSE_REASON_COUNT
};

/* Why a new client was rejected. */
#define REJECT_REASONS(R)						\
	R(SERVER_LIMIT,	  "max_connections")				\
	R(LISTENER_LIMIT, "listener_max_connections")			\
	R(NO_ROOM,	  "no_room")	/* worker out of memory */

enum reject_reason {
#define REJECT_REASON_ENUM(id, name) REJECT_##id,
	REJECT_REASONS(REJECT_REASON_ENUM)
#undef REJECT_REASON_ENUM
	REJECT_REASON_COUNT
};

/* Why a connection could not be kept when its worker had died. */
#define RESCUE_REASONS(R)						\
	R(OVER,		"over")		/* it had ended: it is not lost */ \
	R(BUSY,		"busy")		/* within a message or a reply */ \
	R(COUNTS,	"counts")	/* other bytes have passed than its \
					   worker had said */		\
	R(OFFERED,	"offered")	/* it may be another worker's */ \
	R(DAMAGED,	"damaged")	/* what its worker left is not valid */ \
	R(TOUCHED,	"touched")	/* two rescuers have died at it */ \
	R(FULL,		"full")		/* no memory */

enum rescue_reason {
#define RESCUE_REASON_ENUM(id, name) RESCUE_##id,
	RESCUE_REASONS(RESCUE_REASON_ENUM)
#undef RESCUE_REASON_ENUM
	RESCUE_REASON_COUNT
};

const char *close_reason_name(enum close_reason);
const char *reject_reason_name(enum reject_reason);
const char *rescue_reason_name(enum rescue_reason);

#endif
