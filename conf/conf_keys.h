/* SPDX-License-Identifier: ISC */
/*
 * The keys of the configuration: one row each.
 *
 * Included by the rooms that read, check and print a configuration, and by the
 * test that holds the rows against penstock.conf(5).
 */
#ifndef CONF_CONF_KEYS_H
#define CONF_CONF_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
	CONF_NAME_MAX = 63,	/* bytes of a name */
};

enum conf_type {
	CONF_BOOL,		/* bool */
	CONF_UINT,		/* unsigned */
	CONF_SIZE,		/* size_t, bytes */
	CONF_TIME,		/* unsigned, ms; the file has seconds */
	CONF_RATIO,		/* unsigned, millionths; the file has 0 to 1 */
	CONF_CHOICE,		/* an enum that numbers the choices from 0 */
	CONF_KIND,		/* the same; some keys belong to some kinds */
	CONF_STRING,		/* char *, owned */
	CONF_REPLY,		/* the same; "" where the file has "close" */
	CONF_ENDPOINT,		/* the same; "", or see conf_endpoint_parse() */
	CONF_NAME,		/* the same; unique within its list */
	CONF_HANDLER,		/* the same; names a handler */
	CONF_PATH,		/* the same; a path of HTTP */
	CONF_FIELD,		/* the same; a field's value of HTTP */
	CONF_COMMAND,		/* char **, owned, ends with NULL; an argv */
	CONF_TOKENS,		/* the same; words of HTTP, NULL: none */
	CONF_ADDRESSES,		/* struct conf_address *, owned, and a count */
	CONF_SETTINGS,		/* struct conf_setting *, owned, and a count */
	CONF_ENVIRONMENT,	/* the same; the file has strings alone */
	CONF_GROUP,		/* a struct with keys of its own, in place */
	CONF_GROUPS,		/* an array of such, owned, and a count */
};

/*
 * One key.  A row leaves out what its type does not use.  min and max bound the
 * value itself, the milliseconds of a time, the bytes of a string, and the
 * elements of commands, addresses and groups.
 *
 * Where one row of a table is a CONF_KIND, others may be for some kinds alone.
 * In a group of another kind their keys are refused, and are not required;
 * their fields have the defaults.
 *
 * A change of any key takes effect at a reload.
 */
struct conf_key {
	const char *name;		/* NULL ends a table */
	enum conf_type type;
	size_t offset;			/* of the field in its struct */
	size_t count_offset;		/* of the field's count */
	unsigned kinds;			/* a bit for each; 0: for all of them */
	bool required;			/* so there is no default */
	const char *unless;		/* another key, where it stands, is as
					   good as a required one */
	bool zero_is_off;		/* 0 is allowed, whatever min says */
	bool is_new;			/* the previous release does not know
					   it, nor its group */
	uint64_t min, max;
	const char *unit;		/* of a CONF_UINT; NULL: none */
	uint64_t initial;		/* the default */
	const char *initial_text;	/* the same of a string; NULL: "", and
					   no addresses */
	/* Whether a word of a CONF_TOKENS is one that can occur; NULL: any can. */
	bool (*is_known)(const char *word, size_t len);
	const char *const *choices;	/* end with NULL */
	const struct conf_key *keys;	/* of each group */
	size_t group_size;		/* of the struct of each group */
};

/* The keys of struct conf. */
extern const struct conf_key conf_keys[];

extern const char *const conf_protocol_names[];

const struct conf_key *conf_key_find(const struct conf_key *keys,
    const char *name);

/* The field of a key, in the struct at base. */
void *conf_key_field(const struct conf_key *, const void *base);
size_t *conf_key_count(const struct conf_key *, const void *base);

/* The row that tells the kind of a group, or NULL. */
const struct conf_key *conf_keys_kind(const struct conf_key *keys);
/* The kind that the struct at base is of, as a bit; 0 if there are none. */
unsigned conf_keys_kind_of(const struct conf_key *keys, const void *base);

/* Give every field its default.  The struct at base is zeroed before. */
void conf_keys_init(const struct conf_key *keys, void *base);

/* Print what values a key may have: words that follow "must be ". */
void conf_key_print_allowed(FILE *, const struct conf_key *);

/* Print the kinds that a key belongs to: "command" or "module". */
void conf_key_print_kinds(FILE *, const struct conf_key *,
    const struct conf_key *kind);

/* Print what an unknown name among these keys may have meant: a key of that
 * name elsewhere, a key here that looks like it, or else all that are here. */
void conf_keys_print_hint(FILE *, const struct conf_key *keys,
    const char *name);

#endif
