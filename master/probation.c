/* SPDX-License-Identifier: ISC */
#include "master/probation.h"

#include <stdio.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "master/master.h"
#include "master/notify.h"
#include "master/publish.h"

void
probation_end(struct master *master)
{
	struct probation *probation = &master->probation;

	/* A roll-back that has begun needs them. */
	if (master->reload.back == NULL)
		crews_release(master);
	generation_release(probation->before);
	if (probation->program != -1)
		close(probation->program);
	*probation = (struct probation){ .program = -1 };
}

void
probation_begin(struct master *master, enum status_kind of,
    struct generation *before)
{
	struct probation *probation = &master->probation;
	unsigned lasts_ms = master->running->conf->probation_ms;
	int program = probation->program;

	evidence_begin(master, of);
	/* The program of before is that of an upgrade that is not yet whole. */
	probation->program = -1;
	probation_end(master);
	if (of == STATUS_UPGRADE)
		probation->program = program;
	else if (program != -1)
		close(program);
	if (before == NULL || lasts_ms == 0 || of == STATUS_ROLLBACK ||
	    (of == STATUS_UPGRADE && probation->program == -1)) {
		probation_end(master);
		return;
	}
	probation->until_ms = clock_ms() + lasts_ms;
	probation->of = of;
	probation->before = generation_hold(before);
}

void
probation_refuse(struct master *master, const char *why)
{
	struct probation *probation = &master->probation;
	int program = probation->program;

	probation->program = -1;
	probation_end(master);
	if (program == -1)
		return;
	probation->program = program;
	probation->until_ms = clock_ms();
	probation->of = STATUS_UPGRADE;
	probation->before = generation_hold(master->running);
	probation->refused = true;
	master->upgrade.again = master->upgrade.ordered;
	master->upgrade.ordered = false;
	snprintf(probation->why, sizeof(probation->why), "%s", why);
}

void
probation_on_death(struct master *master, const struct generation *generation,
    unsigned n, const char *whose, const char *how)
{
	struct probation *probation = &master->probation;

	if (clock_ms() >= probation->until_ms ||
	    generation != master->running || n < PROBATION_DEATHS ||
	    *probation->why != '\0')
		return;
	/* What follows must not happen amid a burial. */
	snprintf(probation->why, sizeof(probation->why), "%s of generation "
	    "%ju crash in a loop: %s", whose, (uintmax_t)generation->number,
	    how);
	/* Whoever waits for its end is not to take it for over meanwhile. */
	publish_now(master);
}

void
probation_on_crash(struct master *master, const struct generation *generation,
    unsigned handler, const char *how)
{
	struct probation *probation = &master->probation;
	char worse[EVIDENCE_WHY_MAX];

	if (clock_ms() >= probation->until_ms ||
	    generation != master->running || *probation->why != '\0' ||
	    !evidence_is_worse(master, handler, worse))
		return;
	snprintf(probation->why, sizeof(probation->why), "%s of generation "
	    "%ju crash: %s: %s", generation->conf->handlers[handler].name,
	    (uintmax_t)generation->number, worse, how);
	publish_now(master);
}

static void
go_back(struct master *master)
{
	struct probation *probation = &master->probation;

	LOG(ERROR, ROLLBACK, F_STR("of", status_kind_name(probation->of)),
	    F_U64("to", probation->before->number),
	    F_STR("error", probation->why));
	notify_status("rolling back: %s", probation->why);
	if (probation->of == STATUS_UPGRADE)
		upgrade_back(master);
	else
		reload_back(master, probation->before, probation->why);
}

static bool
is_overruled(const struct master *master)
{
	return (master->upgrade.ordered || (master->reload.ordered &&
	    master->reload.ordered_kind == STATUS_RELOAD));
}

void
probation_run(struct master *master)
{
	struct probation *probation = &master->probation;

	if (probation->until_ms == 0)
		return;
	/* The administrator, who knows better, has given the next order. */
	if (!probation->refused && is_overruled(master)) {
		probation_end(master);
		return;
	}
	if (*probation->why != '\0') {
		if (!reload_may_begin(master))
			return;
		go_back(master);
		probation_end(master);
	} else if (clock_ms() >= probation->until_ms)
		probation_end(master);
}
