/* SPDX-License-Identifier: ISC */
/*
 * Why something cannot be done, or has ended: a text for the log or a report.
 * Whoever fails sets it, and whoever decides what follows tells it.
 */
#ifndef COMMON_WHY_H
#define COMMON_WHY_H

struct why {
	char text[320];		/* "": there is none */
};

/* Set the text of printf(3), cut to what fits; the previous one may be part of
 * it.  Returns -1, with errno as it was. */
int why_set(struct why *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
