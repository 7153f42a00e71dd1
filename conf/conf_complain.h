/* SPDX-License-Identifier: ISC */
/*
 * Saying what is wrong with a setting: where it stands, what was found there,
 * and what must be.
 */
#ifndef CONF_CONF_COMPLAIN_H
#define CONF_CONF_COMPLAIN_H

#include <libconfig.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "conf/conf_report.h"

struct conf_key;
struct conf_seen;
struct conf_source;

/* One reading of a configuration. */
struct conf_reader {
	const struct conf_source *source;
	struct conf_findings findings;
	const struct conf_key *keys;	/* all of them */
	const char **handlers;		/* their names, built-in ones too */
	size_t nhandlers;
	struct conf_seen *seen;		/* the addresses read up to here */

	/* The complaint that is being written. */
	FILE *stream;
	char text[CONF_FINDING_MAX + 1];
	struct conf_finding finding;
};

/* The name that a group gives itself, or NULL if it has none that may be. */
const char *conf_own_name(const config_setting_t *group);
bool conf_is_name(const char *);

/* The text of a setting, or NULL if it is no string. */
const char *conf_get_string(const config_setting_t *);
/* Get a whole number; false if it is none, or is negative. */
bool conf_get_whole(const config_setting_t *, uint64_t *);

/*
 * Say that a setting was found, and what.  The caller adds to the stream what
 * is wrong with that, and calls conf_complaint_end().
 */
FILE *conf_refuse(struct conf_reader *, const config_setting_t *);
void conf_complaint_end(struct conf_reader *);
/* The same in one. */
void conf_refusef(struct conf_reader *, const config_setting_t *,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Within a complaint: print the path of a setting, and its line, with its file
 * if that is not the one that the complaint is about. */
void conf_print_path(FILE *, const config_setting_t *);
void conf_print_place(struct conf_reader *, const config_setting_t *);

/* Whether there is a complaint about a setting. */
bool conf_is_refused(const struct conf_reader *, const config_setting_t *);

/* Print what values a key may have.  The reader knows the names that there are; it
 * can be NULL. */
void conf_key_print_allowed(FILE *, const struct conf_key *,
    const struct conf_reader *);

/* Whole complaints: the setting is not what its key allows, has a name that is
 * no key, or belongs to groups of another kind; the group lacks a key. */
void conf_refuse_value(struct conf_reader *, const config_setting_t *,
    const struct conf_key *);
void conf_refuse_unknown(struct conf_reader *, const config_setting_t *,
    const struct conf_key *keys);
void conf_refuse_kind(struct conf_reader *, const config_setting_t *,
    const struct conf_key *, const struct conf_key *kind);
void conf_miss(struct conf_reader *, const config_setting_t *group,
    const struct conf_key *);

#endif
