/* SPDX-License-Identifier: ISC */
/*
 * The keys of the configuration: one row each, and what a row has.
 */
#ifndef CONF_CONF_KEYS_H
#define CONF_CONF_KEYS_H

#include <libconfig.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct conf_key;
struct conf_reader;

enum {
	CONF_NAME_MAX = 63,	/* bytes of a name */
};

/* How a value is printed. */
struct conf_layout {
	unsigned depth;			/* tabs before its lines, if it has more
					   than one */
	bool is_previous;		/* without keys that the previous
					   release does not know */
};

/* What a value is in a file, and in a field of a struct. */
struct conf_type {
	/* Read a setting; false if it is not what the row allows. */
	bool (*read)(struct conf_reader *, const config_setting_t *,
	    const struct conf_key *, void *field);
	void (*print)(FILE *, const struct conf_key *, const void *field,
	    struct conf_layout);
	/* What values there may be: words that follow "must be "; see
	 * conf_key_print_allowed(). */
	const char *allowed;
	/* Give a zeroed field its default.  NULL: it has that. */
	void (*init)(const struct conf_key *, void *field);
	/* Of numbers: the size of the field, and the value of a setting, if it
	 * is allowed. */
	size_t size;
	bool (*get)(const config_setting_t *, const struct conf_key *,
	    uint64_t *value);
	void (*put)(FILE *, const struct conf_key *, uint64_t value);
	/* Of strings: whether this is one; NULL: any is. */
	bool (*fits)(const char *);
	/* Of lists and free groups: what an element must do, or NULL. */
	const char *(*check)(const config_setting_t *, unsigned index);
};

/* The field is a bool, unsigned, size_t in bytes, unsigned in milliseconds where
 * the file has seconds, unsigned in millionths where it has 0 to 1, an enum that
 * numbers the choices from 0. */
extern const struct conf_type conf_bool, conf_uint, conf_size, conf_time,
    conf_ratio, conf_choice;
/* The field is a char *: any string; "" where the file has "close"; "" or as
 * conf_endpoint_parse() has it; a name that is unique within its list; the name of
 * a handler; a path, a field's value of HTTP. */
extern const struct conf_type conf_string, conf_reply, conf_endpoint,
    conf_name, conf_handler, conf_path, conf_field;
/* The field is a char ** that ends with NULL: an argv; words of HTTP, methods. */
extern const struct conf_type conf_command, conf_tokens, conf_methods;
/* The field is a pointer with a count after it: struct conf_address, struct
 * conf_network, and twice struct conf_setting, the second time only strings in the
 * file. */
extern const struct conf_type conf_addresses, conf_networks, conf_settings,
    conf_environment;
/* A struct with keys of its own; a pointer to an array of such with a count
 * after it. */
extern const struct conf_type conf_group, conf_groups;

/*
 * One key.  A row leaves out what its type does not use.  min and max bound the
 * value itself, the milliseconds of a time, the bytes of a string, and the
 * elements of commands, addresses and groups.
 *
 * Where one row of a table is a kind, others may be for some kinds alone.  In a
 * group of another kind their keys are refused, and are not required; their
 * fields have the defaults.
 *
 * A change of any key takes effect at a reload.
 */
struct conf_key {
	const char *name;		/* NULL ends a table */
	const struct conf_type *type;
	size_t offset;			/* of the field in its struct */
	bool is_kind;			/* of a conf_choice */
	unsigned kinds;			/* a bit for each; 0: for all of them */
	bool required;			/* so there is no default */
	const char *unless;		/* another key, where it stands, is as
					   good as a required string */
	bool zero_is_off;		/* 0 is allowed, whatever min says */
	bool is_new;			/* the previous release does not know
					   it, nor its group */
	uint64_t min, max;
	const char *unit;		/* of a conf_uint; NULL: none */
	uint64_t initial;		/* the default */
	const char *initial_text;	/* the same of a string; NULL: "", and
					   no addresses */
	const char *const *choices;	/* end with NULL */
	const struct conf_key *keys;	/* of each group */
	size_t group_size;		/* of the struct of each group */
};

/* The keys of struct conf, and of each of its handlers. */
extern const struct conf_key conf_keys[];
extern const struct conf_key conf_handler_keys[];

extern const char *const conf_protocol_names[];

/* Of groups: give every field of a zeroed struct its default; read a group into the
 * struct at base, whose fields have their defaults; print it, without brackets. */
void conf_group_init(const struct conf_key *keys, void *base);
void conf_group_read(struct conf_reader *, const config_setting_t *,
    const struct conf_key *keys, void *base);
void conf_group_print(FILE *, const struct conf_key *keys, const void *base,
    struct conf_layout);

/* Of lists: whether a setting has as many elements as a key allows. */
bool conf_is_list_of_some(const config_setting_t *, const struct conf_key *);

/* The field of a key, in the struct at base.  const goes in and does not come
 * out, as with strchr(3). */
static inline void *
conf_key_field(const struct conf_key *key, const void *base)
{
	return ((char *)(uintptr_t)base + key->offset);
}

/* The count after a field that is a pointer. */
static inline size_t *
conf_key_count(const void *field)
{
	return ((size_t *)((uintptr_t)field + sizeof(void *)));
}

#endif
