/* SPDX-License-Identifier: ISC */
#include "master/probation.h"

#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "master/master.h"

void
probation_end(struct master *master)
{
	struct probation *probation = &master->probation;

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
	/* Of an upgrade that is not done yet. */
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
	why_set(&probation->why, "%s", why);
}

/* Whether a death of the generation counts: the first reason stands. */
static bool
probation_judges(const struct master *master,
    const struct generation *generation)
{
	return (clock_ms() < master->probation.until_ms &&
	    generation == master->running &&
	    *master->probation.why.text == '\0');
}

void
probation_on_death(struct master *master, const struct generation *generation,
    unsigned n, const char *whose, const char *how)
{
	struct probation *probation = &master->probation;

	if (n < PROBATION_DEATHS || !probation_judges(master, generation))
		return;
	why_set(&probation->why, "%s of generation %ju crash in a loop: %s",
	    whose, (uintmax_t)generation->number, how);
	master_changed(master);
}

void
probation_on_crash(struct master *master, const struct generation *generation,
    unsigned handler, const char *how)
{
	struct probation *probation = &master->probation;
	struct why worse;

	if (!probation_judges(master, generation) ||
	    !evidence_is_worse(master, handler, &worse))
		return;
	why_set(&probation->why, "%s of generation %ju crash: %s: %s",
	    generation->conf->handlers[handler].name,
	    (uintmax_t)generation->number, worse.text, how);
	master_changed(master);
}

static bool
probation_is_overruled(const struct master *master)
{
	return (master->pending.upgrade || (master->pending.reload &&
	    master->pending.kind == STATUS_RELOAD));
}

void
probation_run(struct master *master)
{
	struct probation *probation = &master->probation;

	/* The administrator, who knows better, has given the next order. */
	if (probation->until_ms != 0 && !probation->refused &&
	    (probation_is_overruled(master) ||
	    (*probation->why.text == '\0' &&
	    clock_ms() >= probation->until_ms)))
		probation_end(master);
}
