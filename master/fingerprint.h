/* SPDX-License-Identifier: ISC */
/*
 * The files of a handler as they were at one time: its program or module, and
 * the files among the arguments of its command.
 *
 * A file that was replaced or written to since then is recognised by its inode,
 * size and time of modification.  What the program reads by itself, such as
 * libraries, is not known.
 */
#ifndef MASTER_FINGERPRINT_H
#define MASTER_FINGERPRINT_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/conf.h"

enum {
	FINGERPRINT_FILES = 8,		/* arguments that are looked at */
};

struct fingerprint {
	uint64_t files[FINGERPRINT_FILES];	/* by argument; 0: no file */
};

void fingerprint_take(struct fingerprint *, const struct conf_handler *);

/* The first file that is another one now, as the configuration names it; NULL
 * if there is none. */
const char *fingerprint_changed(const struct fingerprint *,
    const struct conf_handler *);

/* Whether two handlers run the same command or module, with the same
 * fingerprint. */
bool fingerprint_same_program(const struct fingerprint *,
    const struct conf_handler *, const struct fingerprint *,
    const struct conf_handler *);

#endif
