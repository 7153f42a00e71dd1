/* SPDX-License-Identifier: ISC */
#include "worker/request.h"

#include <stdlib.h>

#include "worker/lane.h"
#include "worker/trace.h"
#include "worker/worker.h"

void
request_free(struct worker *worker, struct request *request)
{
	buffer_release(&worker->buffers, &request->payload);
	buffer_release(&worker->buffers, &request->facts);
	buffer_release(&worker->buffers, &request->fields);
	free(request->trace);
	free(request);
}

void
request_abandon(struct request *request)
{
	struct worker *worker = request->conn->listener->worker;

	switch ((enum request_state)request->state) {
	case REQUEST_WAITING:
		trace_end_later(worker, request, SPAN_ABANDONED);
		lane_leave(request);
		lanes_make_roomy(request->queue);
		break;
	case REQUEST_RUNNING:
		/* Its executor has it; its reply will go nowhere. */
		request->conn = NULL;
		return;
	case REQUEST_DONE:
	case REQUEST_PARKED:
		break;
	}
	request_free(worker, request);
}
