/* SPDX-License-Identifier: ISC */
/*
 * How requests and replies look on the channel to an executor: see
 * common/exec.h, and penstock-handler(7) for programs.
 *
 * Nothing that an executor says is believed before it is checked.
 */
#ifndef WORKER_EXEC_WIRE_H
#define WORKER_EXEC_WIRE_H

#include <sys/types.h>

#include "worker/request.h"

struct exec_link;

enum exec_wire {
	EXEC_WIRE_PLAIN,	/* payloads, replies in order */
	EXEC_WIRE_TAGGED,	/* eight bytes of tag before each payload */
	EXEC_WIRE_MODULE,	/* the structs of common/exec.h */
};

enum {
	/* The low bits of a tag are a place, the rest a serial number. */
	EXEC_PLACE_BITS = 16,
	/* The first bytes of a reply that is wrong, as the log shows them. */
	EXEC_SHOWN = 16,
	EXEC_SHOWN_MAX = 4 * EXEC_SHOWN + 1,
};

/* What an executor says of a request. */
struct exec_answer {
	struct request *request;	/* NULL: nothing, or a late reply */
	enum request_result result;
	bool is_returned;		/* the payload is the message */
	struct payload payload;
};

/* The most bytes that a request takes with a payload of that length; and append
 * it to link->out. */
size_t exec_wire_room(const struct exec_link *, const struct request *,
    size_t len);
void exec_wire_put(struct exec_link *, const struct request *,
    const struct payload *message);

/* Read the frame at the head of the bytes.  Returns its length, 0 if it is not
 * whole, or -1 with link->fault set. */
ssize_t exec_wire_read(struct exec_link *, const uint8_t *bytes, size_t len,
    struct exec_answer *);

/* The first bytes of a reply, for the log. */
const char *exec_wire_show(const uint8_t *bytes, size_t len,
    char shown[EXEC_SHOWN_MAX]);

#endif
