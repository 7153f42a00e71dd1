/* SPDX-License-Identifier: ISC */
/*
 * Saying what is wrong with a setting: where it stands, what was found there,
 * and what must be.
 *
 * Complaints come in any order and are reported in that of the files.
 */
#ifndef CONF_CONF_COMPLAIN_H
#define CONF_CONF_COMPLAIN_H

#include <libconfig.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct conf_complaint;
struct conf_key;
struct conf_report;
struct conf_source;

/* Zeroed but for the source, which is borrowed; ended by
 * conf_complaints_report(). */
struct conf_complaints {
	const struct conf_source *source;
	struct conf_complaint *sorted;	/* by line, then as they came */
	size_t count;
	bool are_warnings;		/* all of them */

	FILE *stream;			/* of the one that is being written */
	char *text;
	size_t text_size;
	const config_setting_t *about;
	unsigned line;
};

/* The name that a group gives itself, or NULL if it has none that may be. */
const char *conf_own_name(const config_setting_t *group);
bool conf_is_name(const char *);
bool conf_is_string(const config_setting_t *);

/*
 * Say that a setting was found, and what.  The caller adds to the stream what
 * is wrong with that, and calls conf_complaint_end().
 */
FILE *conf_refuse(struct conf_complaints *, const config_setting_t *);
void conf_complaint_end(struct conf_complaints *);

/* Within a complaint: print the path of a setting, and its line, with its file
 * if that is not the one that the complaint is about. */
void conf_print_path(FILE *, const config_setting_t *);
void conf_print_place(struct conf_complaints *, const config_setting_t *);

/* Whether there is a complaint about a setting. */
bool conf_is_refused(const struct conf_complaints *, const config_setting_t *);

/* Whole complaints: the setting is not what its key allows, must do something
 * else, has a name that is no key, or belongs to groups of another kind; the
 * group lacks a key. */
void conf_refuse_value(struct conf_complaints *, const config_setting_t *,
    const struct conf_key *);
void conf_refuse_must(struct conf_complaints *, const config_setting_t *,
    const char *must);
void conf_refuse_unknown(struct conf_complaints *, const config_setting_t *,
    const struct conf_key *keys);
void conf_refuse_kind(struct conf_complaints *, const config_setting_t *,
    const struct conf_key *, const struct conf_key *kind);
void conf_miss(struct conf_complaints *, const config_setting_t *group,
    const struct conf_key *);

/* Move all complaints into a report: as errors, or as warnings. */
void conf_complaints_report(struct conf_complaints *, struct conf_report *);

#endif
