/* SPDX-License-Identifier: ISC */
/*
 * The result of a request: it is stored with the request, and the connection is
 * put on the ready list when it is the request's turn.
 */
#ifndef WORKER_RESULT_H
#define WORKER_RESULT_H

#include "worker/request.h"

/* A request is done, in whatever way; reply may be NULL.  The request belongs to
 * its connection now.  With a reply, the caller runs the ready connections while
 * the bytes of it are there. */
void result_store(struct request *, enum request_result,
    const struct payload *reply);

/* The same from an executor: counts how long it took. */
void result_of_executor(struct request *, enum request_result,
    const struct payload *reply);

/* An executor has returned a request with its message: it waits again. */
void result_returned(struct request *, const struct payload *message);

#endif
