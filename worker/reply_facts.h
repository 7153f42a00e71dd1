/* SPDX-License-Identifier: ISC */
/*
 * What a command says of its reply, in a frame of its own before it: a JSON
 * object.
 */
#ifndef WORKER_REPLY_FACTS_H
#define WORKER_REPLY_FACTS_H

#include <stddef.h>
#include <stdint.h>

#include "common/http.h"

struct reply_facts {
	unsigned status;		/* 0: nothing was said, as for "" */
	char type[HTTP_NOTE_MAX];
};

/* Read them; no bytes at all say nothing.  Returns -1 if they are no JSON
 * object, or a member that is known has a value that it cannot have. */
int reply_facts_read(struct reply_facts *, const uint8_t *bytes, size_t len);

#endif
