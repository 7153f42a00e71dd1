/* SPDX-License-Identifier: ISC */
/*
 * One call of a module's handle(): a job as the module sees it, and the reply
 * that it makes.  Each thread has one, and uses it for all its calls.
 */
#ifndef EXECUTOR_CALL_H
#define EXECUTOR_CALL_H

#include <stdbool.h>

#include "common/exec.h"
#include "common/http_fields.h"
#include "common/trace_context.h"
#include "conf/conf.h"
#include "executor/job.h"
#include "executor/module.h"
#include "executor/replies.h"
#include "penstock/handler.h"

enum { CALL_PEER_MAX = 64 };

struct call {
	struct penstock_request request;
	struct penstock_reply reply;
	const struct conf *conf;	/* borrowed */
	struct chunk *draft;		/* owned; NULL after a large reply */
	struct exec_reply head;		/* of the reply in draft */
	size_t len;			/* of the reply with its content type
					   and response fields */
	struct penstock_field fields[CONF_FIELDS_MAX];
	char peer[CALL_PEER_MAX];
	char traceparent[TRACEPARENT_MAX];
	bool is_http;
	const char *id;			/* of an HTTP request, else NULL */
	uint64_t number;		/* of the request on its connection; 0:
					   not known */
	char printed_id[EXEC_ID_MAX];
	struct http_fields given;	/* fields of the reply */
};

void call_init(struct call *, const struct conf *, unsigned thread);
void call_free(struct call *);

/* Handle the job.  The reply is in call->draft with call->len bytes, and has
 * call->head.  Returns -1 with errno set if there is no memory for a draft. */
int call_run(struct call *, const struct module *, const struct job *);

#endif
