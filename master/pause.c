/* SPDX-License-Identifier: ISC */
#include "master/pause.h"

#include <sys/wait.h>

#include <stdio.h>
#include <string.h>

enum {
	FIRST_MS = 100,
	MAX_MS = 10000,
};

uint64_t
pause_after(unsigned *young_deaths, uint64_t lived_ms)
{
	uint64_t pause = FIRST_MS;

	if (lived_ms >= PAUSE_YOUNG_MS)
		*young_deaths = 0;
	if (++*young_deaths == 1)
		return (0);
	for (unsigned i = 2; i < *young_deaths && pause < MAX_MS; i++)
		pause *= 2;
	return (pause < MAX_MS ? pause : MAX_MS);
}

uint64_t
pause_at_rate(struct pause_rate *rate, uint64_t now_ms)
{
	uint64_t ahead_ms;

	if (rate->next_ms < now_ms)
		rate->next_ms = now_ms;
	ahead_ms = rate->next_ms - now_ms;
	rate->next_ms += PAUSE_RATE_MS;
	return (ahead_ms >= PAUSE_BURST * PAUSE_RATE_MS ?
	    ahead_ms - (PAUSE_BURST - 1) * PAUSE_RATE_MS : 0);
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
