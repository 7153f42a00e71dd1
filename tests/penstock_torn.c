/* SPDX-License-Identifier: ISC */
/*
 * For a penstock that finds, in spite of its check run, that it cannot take
 * over.
 */
#include <stdio.h>

#include "master/adopt.h"

int __wrap_adopt_finish(const struct adoption *, struct master *,
    const struct state *, char why[STATE_WHY_MAX]);

int
__wrap_adopt_finish(const struct adoption *adoption, struct master *master,
    const struct state *state, char why[STATE_WHY_MAX])
{
	(void)adoption;
	(void)master;
	(void)state;
	snprintf(why, STATE_WHY_MAX, "torn in two");
	return (-1);
}
