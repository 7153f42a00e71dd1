/* SPDX-License-Identifier: ISC */
/*
 * The types of values that are one word: numbers, choices and strings.
 *
 * Runs in the reader, and where a configuration is printed.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "conf/conf_alloc.h"
#include "conf/conf_complain.h"
#include "conf/conf_keys.h"
#include "conf/conf_text.h"

/* ---- whole numbers ---- */

static bool
whole_read(const config_setting_t *setting, const struct conf_key *key,
    uint64_t *value)
{
	return conf_get_whole(setting, value) &&
	    ((*value >= key->min && *value <= key->max) ||
	    (key->zero_is_off && *value == 0));
}

/* libconfig 1.5 asks for an L behind a number of more than 32 bits. */
static void
whole_print(FILE *out, uint64_t value)
{
	fprintf(out, "%" PRIu64 "%s", value, value > INT32_MAX ? "L" : "");
}

static void
whole_print_allowed(FILE *out, const struct conf_key *key,
    const struct conf_reader *reader)
{
	const char *unit = key->type == &conf_size ? "bytes" : key->unit;

	(void)reader;
	fprintf(out, "%sa whole number", key->zero_is_off ? "0 (off) or " : "");
	if (unit != NULL)
		fprintf(out, " of %s", unit);
	fprintf(out, " from %" PRIu64 " to %" PRIu64, key->min, key->max);
}

static bool
uint_read(struct conf_reader *reader, const config_setting_t *setting,
    const struct conf_key *key, void *field)
{
	uint64_t value;

	(void)reader;
	if (!whole_read(setting, key, &value))
		return false;
	*(unsigned *)field = (unsigned)value;
	return true;
}

static void
uint_print(FILE *out, const struct conf_key *key, const void *field,
    struct conf_layout layout)
{
	(void)key, (void)layout;
	whole_print(out, *(const unsigned *)field);
}

static void
uint_init(const struct conf_key *key, void *field)
{
	*(unsigned *)field = (unsigned)key->initial;
}

const struct conf_type conf_uint = {
	.read = uint_read, .print = uint_print, .init = uint_init,
	.print_allowed = whole_print_allowed,
};

static bool
size_read(struct conf_reader *reader, const config_setting_t *setting,
    const struct conf_key *key, void *field)
{
	uint64_t value;

	(void)reader;
	if (!whole_read(setting, key, &value))
		return false;
	*(size_t *)field = value;
	return true;
}

static void
size_print(FILE *out, const struct conf_key *key, const void *field,
    struct conf_layout layout)
{
	(void)key, (void)layout;
	whole_print(out, *(const size_t *)field);
}

static void
size_init(const struct conf_key *key, void *field)
{
	*(size_t *)field = key->initial;
}

const struct conf_type conf_size = {
	.read = size_read, .print = size_print, .init = size_init,
	.print_allowed = whole_print_allowed,
};

/* ---- times and ratios ---- */

/* Scale a number to an unsigned if the result is within min and max; false
 * otherwise. */
static bool
scaled_read(const config_setting_t *setting, const struct conf_key *key,
    double scale, double min, double max, unsigned *field)
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
	if (!(number >= min && number <= max) &&
	    !(key->zero_is_off && number == 0))
		return false;
	*field = (unsigned)(number + 0.5);
	if (*field == 0 && number > 0)
		*field = 1;	/* 0 would mean something else */
	return true;
}

static bool
time_read(struct conf_reader *reader, const config_setting_t *setting,
    const struct conf_key *key, void *field)
{
	(void)reader;
	return scaled_read(setting, key, 1000, (double)key->min,
	    (double)key->max, field);
}

/* Milliseconds as seconds: "60.0", "0.25". */
static void
time_print(FILE *out, const struct conf_key *key, const void *field,
    struct conf_layout layout)
{
	unsigned ms = *(const unsigned *)field, fraction = ms % 1000;
	int digits = 3;

	(void)key, (void)layout;
	while (digits > 1 && fraction % 10 == 0) {
		fraction /= 10;
		digits--;
	}
	fprintf(out, "%u.%0*u", ms / 1000, digits, fraction);
}

static void
time_print_allowed(FILE *out, const struct conf_key *key,
    const struct conf_reader *reader)
{
	(void)reader;
	assert(key->min % 1000 == 0 && key->max % 1000 == 0);
	fprintf(out, "%sa number of seconds from %" PRIu64 " to %" PRIu64,
	    key->zero_is_off ? "0 (off) or " : "", key->min / 1000,
	    key->max / 1000);
}

const struct conf_type conf_time = {
	.read = time_read, .print = time_print, .init = uint_init,
	.print_allowed = time_print_allowed,
};

static bool
ratio_read(struct conf_reader *reader, const config_setting_t *setting,
    const struct conf_key *key, void *field)
{
	(void)reader;
	return scaled_read(setting, key, CONF_RATIO_ONE, 0, CONF_RATIO_ONE,
	    field);
}

static void
ratio_print(FILE *out, const struct conf_key *key, const void *field,
    struct conf_layout layout)
{
	(void)key, (void)layout;
	conf_print_float(out, *(const unsigned *)field /
	    (double)CONF_RATIO_ONE);
}

const struct conf_type conf_ratio = {
	.read = ratio_read, .print = ratio_print, .init = uint_init,
	.allowed = "a number from 0 to 1",
};

/* ---- choices ---- */

static bool
bool_read(struct conf_reader *reader, const config_setting_t *setting,
    const struct conf_key *key, void *field)
{
	(void)reader, (void)key;
	if (config_setting_type(setting) != CONFIG_TYPE_BOOL)
		return false;
	*(bool *)field = config_setting_get_bool(setting);
	return true;
}

static void
bool_print(FILE *out, const struct conf_key *key, const void *field,
    struct conf_layout layout)
{
	(void)key, (void)layout;
	fputs(*(const bool *)field ? "true" : "false", out);
}

static void
bool_init(const struct conf_key *key, void *field)
{
	*(bool *)field = key->initial != 0;
}

const struct conf_type conf_bool = {
	.read = bool_read, .print = bool_print, .init = bool_init,
	.allowed = "true or false",
};

static bool
choice_read(struct conf_reader *reader, const config_setting_t *setting,
    const struct conf_key *key, void *field)
{
	const char *word = conf_get_string(setting);

	(void)reader;
	for (unsigned i = 0; word != NULL && key->choices[i] != NULL; i++) {
		if (strcmp(key->choices[i], word) == 0) {
			*(unsigned *)field = i;
			return true;
		}
	}
	return false;
}

static void
choice_print(FILE *out, const struct conf_key *key, const void *field,
    struct conf_layout layout)
{
	(void)layout;
	conf_print_string(out, key->choices[*(const unsigned *)field],
	    SIZE_MAX);
}

static void
choice_print_words(FILE *out, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		fprintf(out, "%s\"%s\"", i == 0 ? "" :
		    i + 1 == count ? " or " : ", ", words[i]);
}

static void
choice_print_allowed(FILE *out, const struct conf_key *key,
    const struct conf_reader *reader)
{
	size_t count = 0;

	(void)reader;
	while (key->choices[count] != NULL)
		count++;
	choice_print_words(out, key->choices, count);
}

/* A choice is written through a pointer to unsigned. */
_Static_assert(sizeof(enum conf_protocol) == sizeof(unsigned),
    "an enum is as wide as an unsigned");

const struct conf_type conf_choice = {
	.read = choice_read, .print = choice_print, .init = uint_init,
	.print_allowed = choice_print_allowed,
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
string_print_allowed(FILE *out, const struct conf_key *key,
    const struct conf_reader *reader)
{
	(void)reader;
	fputs("a string of ", out);
	if (key->min > 0)
		fprintf(out, "%" PRIu64 " to ", key->min);
	else
		fputs("at most ", out);
	fprintf(out, "%" PRIu64 " %s", key->max, key->type->allowed);
}

static void
string_init(const struct conf_key *key, void *field)
{
	const char *text = key->initial_text;

	*(char **)field = conf_copy(text != NULL ? text : "");
}

const struct conf_type conf_string = {
	.read = string_read, .print = string_print, .init = string_init,
	.print_allowed = string_print_allowed, .allowed = "bytes",
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
	.read = string_read, .print = string_print, .init = string_init,
	.print_allowed = string_print_allowed, .fits = path_fits,
	.allowed = "bytes that begins with \"/\" and has no blanks, \"?\" or "
	    "\"#\"",
};

static bool
field_fits(const char *text)
{
	while (*text >= ' ' && *text <= '~')
		text++;
	return *text == '\0';
}

const struct conf_type conf_field = {
	.read = string_read, .print = string_print, .init = string_init,
	.print_allowed = string_print_allowed, .fits = field_fits,
	.allowed = "bytes, in ASCII, without control characters",
};

static bool
endpoint_fits(const char *text)
{
	struct conf_address address;
	const char *path;

	return *text == '\0' || conf_endpoint_parse(text, &address, &path);
}

const struct conf_type conf_endpoint = {
	.read = string_read, .print = string_print, .init = string_init,
	.fits = endpoint_fits,
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
	.print_allowed = string_print_allowed,
	.allowed = "bytes, or \"close\" to close the connection instead",
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
	.print_allowed = string_print_allowed, .fits = conf_is_name,
	.allowed = "letters, digits, \"_\", \".\" or \"-\"",
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

static void
handler_print_allowed(FILE *out, const struct conf_key *key,
    const struct conf_reader *reader)
{
	(void)key;
	fputs("the name of a handler", out);
	if (reader == NULL)
		return;
	fputs(": ", out);
	choice_print_words(out, reader->handlers, reader->nhandlers);
}

const struct conf_type conf_handler = {
	.read = handler_read, .print = string_print, .init = string_init,
	.print_allowed = handler_print_allowed,
};
