/* SPDX-License-Identifier: ISC */
/*
 * What may lie where a new penstock is looked for: a program that does what the
 * environment variable DECOY says when it is run as a check, instead of being
 * able to take over.
 */
#include <sys/stat.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/masters.h"

/* The answer of a program that can take over. */
static int
answer(uint64_t more)
{
	const char *fd = getenv("PENSTOCK_STATE");
	static struct master master;
	struct why why;

	master_init(&master);
	if (fd == NULL || state_read(&master, atoi(fd), &why) == -1)
		return (EXIT_FAILURE);
	printf("penstock-check %" PRIu64 " decoy\n",
	    master.numbered + more);
	return (EXIT_SUCCESS);
}

int
main(void)
{
	const char *decoy = getenv("DECOY");

	if (decoy == NULL)
		return (EXIT_FAILURE);
	if (strcmp(decoy, "hang") == 0)
		for (;;)
			pause();
	if (strcmp(decoy, "crash") == 0)
		abort();
	if (strcmp(decoy, "lie") == 0)
		return (answer(1));
	/* It passes, and then cannot be executed. */
	if (strcmp(decoy, "vanish") == 0 &&
	    chmod("/proc/self/exe", 0644) == 0)
		return (answer(0));
	fputs("a decoy\n", stderr);
	return (EXIT_FAILURE);
}
