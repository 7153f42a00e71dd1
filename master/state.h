/* SPDX-License-Identifier: ISC */
/*
 * What one master leaves to the next at an upgrade in place: a text of one
 * record a line, in a memfd.
 *
 * The rows in state_record.c describe the master's own structs: a field is
 * written from where it is, and read to there.  state.c knows which records a
 * master makes, and how it is put together from them.  Descriptors stay
 * numbers until adopt.c takes them into use.  The server depends on what is
 * read: a text with anything that is not known or does not fit together is
 * refused.
 */
#ifndef MASTER_STATE_H
#define MASTER_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/*
 * The version of the last release, and that of this program, which reads and
 * writes both: it writes the previous one for a program that knows no other.
 * To extend a record, append a row with its version: in the previous version
 * the field is missing, and is 0, or -1 if it is a descriptor.  Tests build a
 * program that only knows the previous version.
 */
#define STATE_PREVIOUS 3
#ifndef STATE_VERSION
#define STATE_VERSION 4
#endif

enum {
	/* Far beyond what any server has to say. */
	STATE_SIZE_MAX = 64 << 20,
};

/* What the new master does when it has taken over. */
enum state_task {
	STATE_TASK_UPGRADE,	/* a reload, by which all workers become new */
	STATE_TASK_ROLLBACK,	/* the same, to the previous configuration */
};

struct master;
struct why;

/* Write all that another program has to know to go on, in a version that this
 * program knows.  Returns -1 with errno set. */
int state_write(FILE *, const struct master *, unsigned version);

/* Read a text into a master that has nothing yet.  Its generations have no
 * configuration after that, and one more reference each.  Returns -1 and says
 * why the text cannot be taken; what was read before that is left in the
 * master. */
int state_parse(struct master *, const char *text, size_t len, struct why *);

/* The same from a descriptor, which stays open. */
int state_read(struct master *, int fd, struct why *);

/* Let a new program inherit every descriptor of a state, or no longer.  Returns
 * -1 with errno set if one is not open; the others are seen to. */
int state_pass_on(const struct master *, unsigned version, bool pass);

#endif
