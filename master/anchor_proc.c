/* SPDX-License-Identifier: ISC */
#include "master/anchor_proc.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/master.h"

enum {
	/* To clone a rescuer is all that an anchor does. */
	RESCUER_MS = 2000,
};

static void
anchor_proc_on_message(void *owner, struct ctl *msg)
{
	struct anchor_proc *anchor = owner;

	/* Another rescuer is asked for when this one is dead, and comes after
	 * both of these. */
	if (msg->header.type == CTL_RESCUER && anchor->rescuer != 0 &&
	    msg->cloned.pid == anchor->rescuer)
		return;
	if (msg->header.type != CTL_RESCUER || !anchor->is_asked) {
		anchor->events->on_end(anchor->worker,
		    "its anchor sent what it was not asked for");
		return;
	}
	anchor->is_asked = false;
	anchor->rescuer = msg->cloned.pid;
	anchor->process.patience_ms = 0;
	anchor->events->on_rescuer(anchor->worker, &msg->cloned);
}

static void
anchor_proc_on_misconduct(void *owner, const char *why)
{
	struct anchor_proc *anchor = owner;

	anchor->events->on_end(anchor->worker, why);
}

static void
anchor_proc_on_hangup(void *owner)
{
	struct anchor_proc *anchor = owner;

	/* Before that, its worker says that there is none, or dies. */
	if (anchor->process.is_alive || anchor->is_asked)
		anchor->events->on_end(anchor->worker,
		    "its anchor has closed its link");
}

static void
anchor_proc_on_death(void *owner, int status)
{
	struct anchor_proc *anchor = owner;
	char how[PAUSE_HOW_MAX], why[PAUSE_HOW_MAX + 32];

	/* If it has cloned a rescuer, that is about to say so: the link ends
	 * when no process has the descriptors any more. */
	if (anchor->is_asked && anchor->process.channel != NULL)
		return;
	snprintf(why, sizeof(why), "its anchor died: %s",
	    describe_death(status, how));
	anchor->events->on_end(anchor->worker, why);
}

static const struct process_kind anchor_kind = {
	.on_message = anchor_proc_on_message,
	.on_misconduct = anchor_proc_on_misconduct,
	.on_hangup = anchor_proc_on_hangup,
	.on_death = anchor_proc_on_death,
	.clones = true,
	.is_new = true,
};

struct anchor_proc *
anchor_proc_new(struct worker_proc *worker, const struct anchor_events *events,
    int *end)
{
	struct anchor_proc *anchor;
	int ends[2] = { -1, -1 }, saved;

	if ((anchor = calloc(1, sizeof(*anchor))) == NULL)
		return (NULL);
	anchor->worker = worker;
	anchor->events = events;
	process_init(&anchor->process, worker->process.master, &anchor_kind,
	    anchor);
	if (channel_pair(ends) == 0 && process_expect(&anchor->process,
	    worker->generation->number, ends[0], CTL_VERSION) == 0) {
		*end = ends[1];
		return (anchor);
	}
	saved = errno;
	if (ends[0] != -1) {
		close(ends[0]);
		close(ends[1]);
	}
	free(anchor);
	errno = saved;
	return (NULL);
}

const char *
anchor_proc_arrive(struct anchor_proc *anchor, const struct ctl_cloned *cloned)
{
	if (anchor->process.is_alive)
		return ("its worker has told of two anchors");
	if (cloned->pid <= 0)
		return (strerror(cloned->error));
	if (anchor->process.channel == NULL)
		return ("its anchor has closed its link");
	if (process_arrive(&anchor->process, cloned->pid) == -1)
		return ("its anchor is no child of the master");
	return (NULL);
}

int
anchor_proc_adopt(struct anchor_proc *anchor, struct master *master,
    const struct anchor_events *events)
{
	anchor->events = events;
	process_init(&anchor->process, master, &anchor_kind, anchor);
	if (process_adopt(&anchor->process,
	    anchor->worker->generation->number) == -1)
		return (-1);
	/* What it clones would be a child of another process too. */
	if (process_is_foster(&anchor->process))
		anchor->events->on_end(anchor->worker,
		    "the master that it was a child of has died");
	return (0);
}

bool
anchor_proc_is_there(const struct anchor_proc *anchor)
{
	return (anchor->process.is_alive && anchor->process.channel != NULL);
}

int
anchor_proc_ask(struct anchor_proc *anchor, int channel)
{
	if (channel_send(anchor->process.channel, CTL_RESCUE,
	    anchor->process.generation, NULL, channel) == -1)
		return (-1);
	anchor->is_asked = true;
	process_await(&anchor->process, RESCUER_MS, "RESCUER");
	return (0);
}

void
anchor_proc_watch(struct anchor_proc *anchor, uint64_t now_ms)
{
	if (process_is_late(&anchor->process, now_ms))
		anchor->events->on_end(anchor->worker,
		    "its anchor has cloned no rescuer in time");
}

void
anchor_proc_end(struct anchor_proc *anchor)
{
	if (anchor == NULL)
		return;
	process_kill(&anchor->process, SIGKILL);
	process_end(&anchor->process);
	free(anchor);
}
