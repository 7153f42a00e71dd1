/* SPDX-License-Identifier: ISC */
#include "master/pause.h"

#include <sys/wait.h>

#include <stdio.h>
#include <string.h>

#include "common/clock.h"

enum {
	/* A child that lived so long did not die of its start. */
	YOUNG_MS = 10000,
	FIRST_MS = 100,
	MAX_MS = 10000,
	/* See pause_after_several(). */
	SEVERAL = 5,
	RETRY_MS = 1000,
};

static uint64_t
pause_for(struct pause *pause, uint64_t ms)
{
	pause->again_ms = clock_ms() + ms;
	return (ms);
}

static uint64_t
pause_grow(struct pause *pause, uint64_t lived_ms, unsigned at_once)
{
	uint64_t ms = FIRST_MS;

	if (lived_ms >= YOUNG_MS)
		pause->young_deaths = 0;
	if (++pause->young_deaths <= at_once)
		return (pause_for(pause, 0));
	for (unsigned i = at_once + 1; i < pause->young_deaths && ms < MAX_MS;
	    i++)
		ms *= 2;
	return (pause_for(pause, ms < MAX_MS ? ms : MAX_MS));
}

uint64_t
pause_after(struct pause *pause, uint64_t lived_ms)
{
	return (pause_grow(pause, lived_ms, 1));
}

uint64_t
pause_after_several(struct pause *pause)
{
	/* Never before: a long time ago. */
	return (pause_grow(pause, clock_ms() - pause->again_ms, SEVERAL));
}

/* As if each had waited for its turn. */
uint64_t
pause_at_rate(struct pause *pause)
{
	uint64_t now_ms = clock_ms(), ahead_ms;

	pause->young_deaths = 0;
	if (pause->turn_ms < now_ms)
		pause->turn_ms = now_ms;
	ahead_ms = pause->turn_ms - now_ms;
	pause->turn_ms += PAUSE_RATE_MS;
	return (pause_for(pause, ahead_ms >= PAUSE_BURST * PAUSE_RATE_MS ?
	    ahead_ms - (PAUSE_BURST - 1) * PAUSE_RATE_MS : 0));
}

void
pause_shortly(struct pause *pause)
{
	(void)pause_for(pause, RETRY_MS);
}

const char *
describe_death(int status, char how[PAUSE_HOW_MAX])
{
	if (status == DEATH_UNSEEN)
		snprintf(how, PAUSE_HOW_MAX,
		    "not known: the kernel told its parent, another process");
	else if (WIFSIGNALED(status))
		snprintf(how, PAUSE_HOW_MAX, "signal %d (%s)",
		    WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(how, PAUSE_HOW_MAX, "exit status %d",
		    WEXITSTATUS(status));
	return (how);
}
