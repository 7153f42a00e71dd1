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
pause_after(unsigned young_deaths)
{
	uint64_t pause = FIRST_MS;

	if (young_deaths <= 1)
		return (0);
	for (unsigned i = 2; i < young_deaths && pause < MAX_MS; i++)
		pause *= 2;
	return (pause < MAX_MS ? pause : MAX_MS);
}

const char *
describe_death(int status, char how[PAUSE_HOW_MAX])
{
	if (WIFSIGNALED(status))
		snprintf(how, PAUSE_HOW_MAX, "signal %d (%s)",
		    WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(how, PAUSE_HOW_MAX, "exit status %d",
		    WEXITSTATUS(status));
	return (how);
}
