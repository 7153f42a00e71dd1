/* SPDX-License-Identifier: ISC */
/*
 * The types of values that are one word: numbers, choices and strings.
 *
 * Runs in the reader, and where a configuration is printed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "conf/conf_alloc.h"
#include "conf/conf_complain.h"
#include "conf/conf_keys.h"
#include "conf/conf_text.h"

/* ---- numbers ---- */

static uint64_t
number_load(const struct conf_key *key, const void *field)
{
	switch (key->type->size) {
	case sizeof(bool):
		return *(const bool *)field;
	case sizeof(unsigned):
		return *(const unsigned *)field;
	default:
		return *(const size_t *)field;
	}
}

static void
number_store(const struct conf_key *key, void *field, uint64_t value)
{
	switch (key->type->size) {
	case sizeof(bool):
		*(bool *)field = value != 0;
		break;
	case sizeof(unsigned):
		*(unsigned *)field = (unsigned)value;
		break;
	default:
		*(size_t *)field = value;
	}
}

static bool
number_read(struct conf_reader *reader, const config_setting_t *setting,
    const struct conf_key *key, void *field)
{
	uint64_t value;

	(void)reader;
	if (!key->type->get(setting, key, &value))
		return false;
	number_store(key, field, value);
	return true;
}

static void
number_print(FILE *out, const struct conf_key *key, const void *field,
    struct conf_layout layout)
{
	(void)layout;
	key->type->put(out, key, number_load(key, field));
}

static void
number_init(const struct conf_key *key, void *field)
{
	number_store(key, field, key->initial);
}

#define NUMBER(kind)							\
	.read = number_read, .print = number_print, .init = number_init, \
	.size = sizeof(kind)

static bool
whole_get(const config_setting_t *setting, const struct conf_key *key,
    uint64_t *value)
{
	return conf_get_whole(setting, value) &&
	    ((*value >= key->min && *value <= key->max) ||
	    (key->zero_is_off && *value == 0));
}

/* libconfig 1.5 asks for an L after a number of more than 32 bits. */
static void
whole_put(FILE *out, const struct conf_key *key, uint64_t value)
{
	(void)key;
	fprintf(out, "%" PRIu64 "%s", value, value > INT32_MAX ? "L" : "");
}

const struct conf_type conf_uint = {
	NUMBER(unsigned), .get = whole_get, .put = whole_put,
	.allowed = "%oa whole number%u from %m to %M",
};

const struct conf_type conf_size = {
	NUMBER(size_t), .get = whole_get, .put = whole_put,
	.allowed = "%oa whole number of bytes from %m to %M",
};

/* Scale a number, if the result is within min and max. */
static bool
scaled_get(const config_setting_t *setting, const struct conf_key *key,
    unsigned scale, uint64_t max, uint64_t *value)
{
	double number;
	uint64_t whole;

	if (config_setting_type(setting) == CONFIG_TYPE_FLOAT)
		number = config_setting_get_float(setting) * scale;
	else if (conf_get_whole(setting, &whole))
		number = (double)whole * scale;
	else
		return false;
	/* Not after rounding, which would let through what lies just outside. */
	if (!(number >= (double)key->min && number <= (double)max) &&
	    !(key->zero_is_off && number == 0))
		return false;
	*value = (uint64_t)(number + 0.5);
	if (*value == 0 && number > 0)
		*value = 1;	/* 0 would mean something else */
	return true;
}

static bool
time_get(const config_setting_t *setting, const struct conf_key *key,
    uint64_t *ms)
{
	return scaled_get(setting, key, 1000, key->max, ms);
}

/* Milliseconds as seconds: "60.0", "0.25". */
static void
time_put(FILE *out, const struct conf_key *key, uint64_t ms)
{
	unsigned fraction = ms % 1000;
	int digits = 3;

	(void)key;
	while (digits > 1 && fraction % 10 == 0) {
		fraction /= 10;
		digits--;
	}
	fprintf(out, "%" PRIu64 ".%0*u", ms / 1000, digits, fraction);
}

const struct conf_type conf_time = {
	NUMBER(unsigned), .get = time_get, .put = time_put,
	.allowed = "%oa number of seconds from %s to %S",
};

static bool
ratio_get(const config_setting_t *setting, const struct conf_key *key,
    uint64_t *millionths)
{
	return scaled_get(setting, key, CONF_RATIO_ONE, CONF_RATIO_ONE,
	    millionths);
}

static void
ratio_put(FILE *out, const struct conf_key *key, uint64_t millionths)
{
	(void)key;
	conf_print_float(out, (double)millionths / CONF_RATIO_ONE);
}

const struct conf_type conf_ratio = {
	NUMBER(unsigned), .get = ratio_get, .put = ratio_put,
	.allowed = "a number from 0 to 1",
};

/* ---- choices, which are numbers in their fields ---- */

static bool
bool_get(const config_setting_t *setting, const struct conf_key *key,
    uint64_t *value)
{
	(void)key;
	*value = (uint64_t)config_setting_get_bool(setting);
	return config_setting_type(setting) == CONFIG_TYPE_BOOL;
}

static void
bool_put(FILE *out, const struct conf_key *key, uint64_t value)
{
	(void)key;
	fputs(value != 0 ? "true" : "false", out);
}

const struct conf_type conf_bool = {
	NUMBER(bool), .get = bool_get, .put = bool_put,
	.allowed = "true or false",
};

static bool
choice_get(const config_setting_t *setting, const struct conf_key *key,
    uint64_t *choice)
{
	const char *word = conf_get_string(setting);

	for (*choice = 0; key->choices[*choice] != NULL; ++*choice)
		if (word != NULL && strcmp(key->choices[*choice], word) == 0)
			return true;
	return false;
}

static void
choice_put(FILE *out, const struct conf_key *key, uint64_t choice)
{
	conf_print_string(out, key->choices[choice], SIZE_MAX);
}

_Static_assert(sizeof(enum conf_protocol) == sizeof(unsigned),
    "an enum is as wide as an unsigned");

const struct conf_type conf_choice = {
	NUMBER(unsigned), .get = choice_get, .put = choice_put,
	.allowed = "%c",
};

/* ---- strings ---- */

static bool
string_read(struct conf_reader *reader, const config_setting_t *setting,
    const struct conf_key *key, void *field)
{
	const char *text = conf_get_string(setting);

	(void)reader;
	if (text == NULL || strlen(text) < key->min ||
	    strlen(text) > key->max ||
	    (key->type->fits != NULL && !key->type->fits(text)))
		return false;
	*(char **)field = conf_copy(text);
	return true;
}

static void
string_print(FILE *out, const struct conf_key *key, const void *field,
    struct conf_layout layout)
{
	(void)key, (void)layout;
	conf_print_string(out, *(char *const *)field, SIZE_MAX);
}

static void
string_init(const struct conf_key *key, void *field)
{
	const char *text = key->initial_text;

	*(char **)field = conf_copy(text != NULL ? text : "");
}

#define STRING								\
	.read = string_read, .print = string_print, .init = string_init

const struct conf_type conf_string = {
	STRING, .allowed = "a string of %r bytes",
};

static bool
path_fits(const char *text)
{
	if (*text != '/')
		return false;
	while (*text > ' ' && *text <= '~' && *text != '?' && *text != '#')
		text++;
	return *text == '\0';
}

const struct conf_type conf_path = {
	STRING, .fits = path_fits,
	.allowed = "a string of %r bytes that begins with \"/\" and has no "
	    "blanks, \"?\" or \"#\"",
};

static bool
field_fits(const char *text)
{
	while (*text >= ' ' && *text <= '~')
		text++;
	return *text == '\0';
}

const struct conf_type conf_field = {
	STRING, .fits = field_fits,
	.allowed = "a string of %r bytes, in ASCII, without control characters",
};

static bool
endpoint_fits(const char *text)
{
	struct conf_address address;
	const char *path;

	if (*text == '\0' || conf_endpoint_parse(text, &address, &path))
		return true;
	if (errno == ENOMEM)
		conf_must(NULL);
	return false;
}

const struct conf_type conf_endpoint = {
	STRING, .fits = endpoint_fits,
	.allowed = "empty (off) or as \"http://127.0.0.1:4318/v1/traces\"",
};

/* What a client gets, or that it gets nothing. */
static bool
reply_read(struct conf_reader *reader, const config_setting_t *setting,
    const struct conf_key *key, void *field)
{
	if (!string_read(reader, setting, key, field))
		return false;
	if (strcmp(*(char **)field, "close") == 0)
		**(char **)field = '\0';
	return true;
}

static void
reply_print(FILE *out, const struct conf_key *key, const void *field,
    struct conf_layout layout)
{
	const char *payload = *(char *const *)field;

	(void)key, (void)layout;
	conf_print_string(out, *payload != '\0' ? payload : "close", SIZE_MAX);
}

const struct conf_type conf_reply = {
	.read = reply_read, .print = reply_print, .init = string_init,
	.allowed = "a string of %r bytes, or \"close\" to close the connection "
	    "instead",
};

/* ---- names ---- */

/* The name of an earlier group in the same list that is the same. */
static const config_setting_t *
name_find_same(const config_setting_t *setting)
{
	const config_setting_t *group = config_setting_parent(setting);
	const config_setting_t *list = config_setting_parent(group), *other;
	unsigned last = (unsigned)config_setting_index(group);

	for (unsigned i = 0; i < last; i++) {
		const char *its;

		other = config_setting_get_elem(list, i);
		its = conf_own_name(other);
		if (its != NULL && strcmp(its, conf_get_string(setting)) == 0)
			return config_setting_get_member(other, "name");
	}
	return NULL;
}

static bool
name_read(struct conf_reader *reader, const config_setting_t *setting,
    const struct conf_key *key, void *field)
{
	const config_setting_t *other;

	if (!string_read(reader, setting, key, field))
		return false;
	if ((other = name_find_same(setting)) == NULL)
		return true;
	fputs("already taken at ", conf_refuse(reader, setting));
	conf_print_place(reader, other);
	conf_complaint_end(reader);
	return true;
}

const struct conf_type conf_name = {
	.read = name_read, .print = string_print, .init = string_init,
	.fits = conf_is_name,
	.allowed = "a string of %r letters, digits, \"_\", \".\" or \"-\"",
};

/* Its place among the handlers is looked up later, when all are read. */
static bool
handler_read(struct conf_reader *reader, const config_setting_t *setting,
    const struct conf_key *key, void *field)
{
	const char *name = conf_get_string(setting);

	(void)key;
	for (size_t i = 0; name != NULL && i < reader->nhandlers; i++) {
		if (strcmp(reader->handlers[i], name) == 0) {
			*(char **)field = conf_copy(name);
			return true;
		}
	}
	return false;
}

const struct conf_type conf_handler = {
	.read = handler_read, .print = string_print, .init = string_init,
	.allowed = "the name of a handler%h",
};
