/* SPDX-License-Identifier: ISC */
/*
 * The process title: what ps(1) and top(1) show.
 */
#ifndef COMMON_TITLE_H
#define COMMON_TITLE_H

/* Call first in main(): makes room over argv and the environment. */
void title_init(int argc, char *argv[]);

/* Set the title to "penstock: " and the text of printf(3). */
void title_set(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
