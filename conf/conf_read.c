/* SPDX-License-Identifier: ISC */
/*
 * From libconfig's settings to the fields of a struct, by a table of keys.
 *
 * Runs in the reader.  A setting that does not fit its row is told, and the
 * reading goes on, so that one run tells all.
 */
#include "conf/conf_read.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/http_head.h"
#include "conf/conf.h"
#include "conf/conf_addr.h"
#include "conf/conf_alloc.h"
#include "conf/conf_handlers.h"
#include "conf/conf_keys.h"
#include "conf/conf_print.h"

/* An address that was read, and where. */
struct conf_seen {
	struct conf_address address;
	const config_setting_t *setting;
};

/* ---- numbers ---- */

/* Get a whole number; false if it is none, or is negative. */
static bool
get_whole(const config_setting_t *setting, uint64_t *value)
{
	bool hex = config_setting_get_format(setting) == CONFIG_FORMAT_HEX;
	long long number;

	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_INT:
		number = config_setting_get_int(setting);
		/* Hexadecimal has no sign: libconfig has made one of bit 31. */
		*value = hex ? (unsigned)number : (uint64_t)number;
		return hex || number >= 0;
	case CONFIG_TYPE_INT64:
		number = config_setting_get_int64(setting);
		*value = (uint64_t)number;
		return hex || number >= 0;
	default:
		return false;
	}
}

static bool
in_range(const struct conf_key *key, uint64_t value)
{
	return (value >= key->min && value <= key->max) ||
	    (key->zero_is_off && value == 0);
}

static bool
read_uint(const config_setting_t *setting, const struct conf_key *key,
    unsigned *field)
{
	uint64_t value;

	if (!get_whole(setting, &value) || !in_range(key, value))
		return false;
	*field = (unsigned)value;
	return true;
}

static bool
read_size(const config_setting_t *setting, const struct conf_key *key,
    size_t *field)
{
	uint64_t value;

	if (!get_whole(setting, &value) || !in_range(key, value))
		return false;
	*field = value;
	return true;
}

static bool
get_number(const config_setting_t *setting, double *number)
{
	uint64_t whole;

	if (config_setting_type(setting) == CONFIG_TYPE_FLOAT) {
		*number = config_setting_get_float(setting);
		return true;
	}
	if (!get_whole(setting, &whole))
		return false;
	*number = (double)whole;
	return true;
}

/* Not after rounding, which would let through what lies just outside. */
static bool
time_in_range(const struct conf_key *key, double ms)
{
	return (ms >= (double)key->min && ms <= (double)key->max) ||
	    (key->zero_is_off && ms == 0);
}

static bool
read_time(const config_setting_t *setting, const struct conf_key *key,
    unsigned *field)
{
	double seconds;

	if (!get_number(setting, &seconds) ||
	    !time_in_range(key, seconds * 1000))
		return false;
	*field = (unsigned)(seconds * 1000 + 0.5);
	if (*field == 0 && seconds > 0)
		*field = 1;	/* 0 would mean something else */
	return true;
}

static bool
read_ratio(const config_setting_t *setting, unsigned *field)
{
	double ratio;

	if (!get_number(setting, &ratio) || !(ratio >= 0 && ratio <= 1))
		return false;
	*field = (unsigned)(ratio * CONF_RATIO_ONE + 0.5);
	if (*field == 0 && ratio > 0)
		*field = 1;	/* 0 would mean something else */
	return true;
}

/* ---- words ---- */

static bool
read_bool(const config_setting_t *setting, bool *field)
{
	if (config_setting_type(setting) != CONFIG_TYPE_BOOL)
		return false;
	*field = config_setting_get_bool(setting);
	return true;
}

static bool
read_choice(const config_setting_t *setting, const struct conf_key *key,
    unsigned *field)
{
	const char *word;

	if (!conf_is_string(setting))
		return false;
	word = config_setting_get_string(setting);
	for (unsigned i = 0; key->choices[i] != NULL; i++) {
		if (strcmp(key->choices[i], word) == 0) {
			*field = i;
			return true;
		}
	}
	return false;
}

static bool
read_string(const config_setting_t *setting, const struct conf_key *key,
    char **field)
{
	const char *text;

	if (!conf_is_string(setting))
		return false;
	text = config_setting_get_string(setting);
	if (strlen(text) < key->min || strlen(text) > key->max)
		return false;
	*field = conf_copy(text);
	return true;
}

static bool
read_reply(const config_setting_t *setting, const struct conf_key *key,
    char **field)
{
	if (!read_string(setting, key, field))
		return false;
	if (strcmp(*field, "close") == 0)
		*field = conf_copy("");
	return true;
}

static bool
read_endpoint(const config_setting_t *setting, const struct conf_key *key,
    char **field)
{
	struct conf_address address;
	const char *path;

	if (!read_string(setting, key, field))
		return false;
	if (**field == '\0')
		return true;
	return conf_endpoint_parse(*field, &address, &path);
}

/* Its place among the handlers is looked up later, when all are read. */
static bool
read_handler(const config_setting_t *setting, char **field)
{
	if (!conf_is_string(setting))
		return false;
	*field = conf_copy(config_setting_get_string(setting));
	return conf_handlers_have(setting, *field);
}

/* The name setting of an earlier group in the same list that says the same. */
static const config_setting_t *
find_namesake(const config_setting_t *setting)
{
	const config_setting_t *group = config_setting_parent(setting);
	const config_setting_t *list = config_setting_parent(group);
	const char *name = config_setting_get_string(setting);
	unsigned last = (unsigned)config_setting_index(group);

	for (unsigned i = 0; i < last; i++) {
		const config_setting_t *other;
		const char *its;

		other = config_setting_get_elem(list, i);
		its = conf_own_name(other);
		if (its != NULL && strcmp(its, name) == 0)
			return config_setting_get_member(other, "name");
	}
	return NULL;
}

static bool
read_name(struct conf_reader *reader, const config_setting_t *setting,
    char **field)
{
	const config_setting_t *other;

	if (!conf_is_string(setting) ||
	    !conf_is_name(config_setting_get_string(setting)))
		return false;
	*field = conf_copy(config_setting_get_string(setting));
	other = find_namesake(setting);
	if (other == NULL)
		return true;
	fputs("already taken at ", conf_refuse(&reader->complaints, setting));
	conf_print_place(&reader->complaints, other);
	conf_complaint_end(&reader->complaints);
	return true;
}

static bool
is_list_of_some(const config_setting_t *setting, const struct conf_key *key)
{
	size_t length = (size_t)config_setting_length(setting);

	return (config_setting_is_list(setting) ||
	    config_setting_is_array(setting)) &&
	    length >= key->min && length <= key->max;
}

static bool
read_argument(struct conf_reader *reader, const config_setting_t *setting,
    bool is_program, char **field)
{
	const char *must = NULL;

	if (!conf_is_string(setting))
		must = "be a string";
	else if (is_program && *config_setting_get_string(setting) == '\0')
		must = "be the name of a program";
	if (must != NULL) {
		conf_refuse_must(&reader->complaints, setting, must);
		return false;
	}
	*field = conf_copy(config_setting_get_string(setting));
	return true;
}

static bool
read_command(struct conf_reader *reader, const config_setting_t *setting,
    const struct conf_key *key, char ***field)
{
	unsigned length = (unsigned)config_setting_length(setting);
	size_t count = 0;

	if (!is_list_of_some(setting, key))
		return false;
	*field = conf_alloc(length + 1, sizeof(**field));
	for (unsigned i = 0; i < length; i++)
		count += read_argument(reader,
		    config_setting_get_elem(setting, i), i == 0,
		    &(*field)[count]);
	return true;
}

/* ---- words of HTTP ---- */

static bool
is_token(const char *word)
{
	return http_is_token(word, strlen(word));
}

/* Returns what it must be, or NULL. */
static const char *
check_token(const config_setting_t *word, const struct conf_key *key)
{
	const char *text;

	if (!conf_is_string(word) ||
	    !is_token(text = config_setting_get_string(word)))
		return "be a word of HTTP: letters, digits or "
		    "\"!#$%&'*+-.^_`|~\"";
	if (key->is_known != NULL && !key->is_known(text, strlen(text)))
		return "be a method that a request can have: \"GET\", "
		    "\"POST\", ... (CONNECT, TRACE and unknown ones are "
		    "answered 501)";
	return NULL;
}

static bool
read_tokens(struct conf_reader *reader, const config_setting_t *setting,
    const struct conf_key *key, char ***field)
{
	unsigned length = (unsigned)config_setting_length(setting);
	size_t count = 0;

	if (!is_list_of_some(setting, key))
		return false;
	*field = conf_alloc(length + 1, sizeof(**field));
	for (unsigned i = 0; i < length; i++) {
		const config_setting_t *word;
		const char *must;

		word = config_setting_get_elem(setting, i);
		if ((must = check_token(word, key)) != NULL)
			conf_refuse_must(&reader->complaints, word, must);
		else
			(*field)[count++] =
			    conf_copy(config_setting_get_string(word));
	}
	return true;
}

static bool
read_path(const config_setting_t *setting, const struct conf_key *key,
    char **field)
{
	if (!read_string(setting, key, field) || **field != '/')
		return false;
	for (const char *at = *field; *at != '\0'; at++)
		if (*at <= ' ' || *at > '~' || *at == '?' || *at == '#')
			return false;
	return true;
}

static bool
read_field(const config_setting_t *setting, const struct conf_key *key,
    char **field)
{
	if (!read_string(setting, key, field))
		return false;
	for (const char *at = *field; *at != '\0'; at++)
		if (*at < ' ' || *at > '~')
			return false;
	return true;
}

/* ---- settings with keys of their own ---- */

/*
 * Whether a whole number is what libconfig makes of one that does not fit into
 * 64 bits.  Those that are so large by themselves suffer with them.
 */
static bool
is_cut(const config_setting_t *setting)
{
	long long value = config_setting_get_int64(setting);

	if (config_setting_type(setting) != CONFIG_TYPE_INT64)
		return false;
	if (config_setting_get_format(setting) == CONFIG_FORMAT_HEX)
		return (unsigned long long)value == UINT64_MAX;
	return value == INT64_MAX || value == INT64_MIN;
}

/* In decimal, which is what every strtol(3) reads. */
static void
write_whole(FILE *out, const config_setting_t *setting)
{
	uint64_t value;

	/* A number that is refused is negative, in two's complement. */
	if (get_whole(setting, &value))
		fprintf(out, "%" PRIu64, value);
	else
		fprintf(out, "%" PRId64, (int64_t)value);
}

/* Write a value as text; if there is none, return what it must do. */
static const char *
write_scalar(FILE *out, const config_setting_t *setting)
{
	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_STRING:
		fputs(config_setting_get_string(setting), out);
		return NULL;
	case CONFIG_TYPE_BOOL:
		fputs(config_setting_get_bool(setting) ? "true" : "false",
		    out);
		return NULL;
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		if (is_cut(setting))
			return "be in quotes if it is so large";
		write_whole(out, setting);
		return NULL;
	case CONFIG_TYPE_FLOAT:
		if (!isfinite(config_setting_get_float(setting)))
			return "be in quotes if it is so large";
		conf_print_float(out, config_setting_get_float(setting));
		return NULL;
	default:
		return "be a string, a number, true or false";
	}
}

static const char *
write_string(FILE *out, const config_setting_t *setting)
{
	if (!conf_is_string(setting))
		return "be a string";
	fputs(config_setting_get_string(setting), out);
	return NULL;
}

/* How a value is written as text: as write_scalar(). */
typedef const char *(*write_fn)(FILE *, const config_setting_t *);

/* The value as text, or NULL after complaining; the caller frees it. */
static char *
read_text(struct conf_reader *reader, const config_setting_t *setting,
    write_fn write)
{
	const char *must;
	char *text;
	size_t size;
	FILE *out = conf_must(open_memstream(&text, &size));

	must = write(out, setting);
	if (fclose(out) == EOF)
		conf_lacks_memory();
	if (must == NULL)
		return text;
	conf_refuse_must(&reader->complaints, setting, must);
	free(text);
	return NULL;
}

static bool
read_free_group(struct conf_reader *reader, const config_setting_t *group,
    const struct conf_key *key, void *base, write_fn write)
{
	struct conf_setting **field = conf_key_field(key, base), *settings;
	size_t *count = conf_key_count(key, base);
	unsigned length = (unsigned)config_setting_length(group);

	if (!config_setting_is_group(group))
		return false;
	*field = settings = conf_alloc(length, sizeof(*settings));
	for (unsigned i = 0; i < length; i++) {
		const config_setting_t *member;
		char *value;

		member = config_setting_get_elem(group, i);
		value = read_text(reader, member, write);
		if (value != NULL)
			settings[(*count)++] = (struct conf_setting){
				.key = conf_copy(config_setting_name(member)),
				.value = conf_copy(value),
			};
		free(value);
	}
	return true;
}

/* ---- addresses ---- */

static const struct conf_seen *
find_seen(const struct conf_reader *reader, const struct conf_address *address)
{
	for (size_t i = 0; i < reader->nseen; i++)
		if (conf_addr_equal(&reader->seen[i].address, address))
			return &reader->seen[i];
	return NULL;
}

static void
refuse_seen(struct conf_reader *reader, const config_setting_t *setting,
    const struct conf_address *address, const struct conf_seen *seen)
{
	FILE *out = conf_refuse(&reader->complaints, setting);

	if (strcmp(config_setting_get_string(setting), address->text) != 0)
		fprintf(out, "%s is ", address->text);
	fputs("already taken by ", out);
	conf_print_path(out, seen->setting);
	fputs(" at ", out);
	conf_print_place(&reader->complaints, seen->setting);
	conf_complaint_end(&reader->complaints);
}

/* Note the addresses that one setting gave; refuse it if one is known. */
static void
see_addresses(struct conf_reader *reader, const config_setting_t *setting,
    const struct conf_address *addresses, size_t count)
{
	const struct conf_seen *seen = NULL;

	for (size_t i = 0; i < count && seen == NULL; i++) {
		seen = find_seen(reader, &addresses[i]);
		if (seen != NULL)
			refuse_seen(reader, setting, &addresses[i], seen);
	}
	for (size_t i = 0; i < count; i++) {
		reader->seen = conf_must(reallocarray(reader->seen,
		    reader->nseen + 1, sizeof(*reader->seen)));
		reader->seen[reader->nseen++] = (struct conf_seen){
			.address = addresses[i], .setting = setting,
		};
	}
}

/* One address can be two, which the array has room for. */
static void
read_address(struct conf_reader *reader, const config_setting_t *setting,
    struct conf_address *addresses, size_t *total)
{
	struct conf_address parsed[2];
	const char *must;
	size_t count;

	if (!conf_is_string(setting)) {
		conf_refuse_must(&reader->complaints, setting,
		    "be an address, as " CONF_ADDR_EXAMPLES);
		return;
	}
	count = conf_addr_parse(config_setting_get_string(setting), parsed,
	    &must);
	if (count == 0) {
		conf_refuse_must(&reader->complaints, setting, must);
		return;
	}
	see_addresses(reader, setting, parsed, count);
	memcpy(addresses + *total, parsed, count * sizeof(*addresses));
	*total += count;
}

static bool
read_addresses(struct conf_reader *reader, const config_setting_t *setting,
    const struct conf_key *key, void *base)
{
	struct conf_address **field = conf_key_field(key, base);
	size_t *count = conf_key_count(key, base);
	bool is_one = conf_is_string(setting);
	unsigned length;

	if (!is_one && !is_list_of_some(setting, key))
		return false;
	length = is_one ? 1 : (unsigned)config_setting_length(setting);
	*field = conf_alloc(2 * length, sizeof(**field));
	*count = 0;
	for (unsigned i = 0; i < length; i++)
		read_address(reader, is_one ? setting :
		    config_setting_get_elem(setting, i), *field, count);
	return true;
}

/* ---- groups ---- */

static bool
read_subgroup(struct conf_reader *reader, const config_setting_t *setting,
    const struct conf_key *key, void *base)
{
	if (!config_setting_is_group(setting))
		return false;
	conf_read_group(reader, setting, key->keys, base);
	return true;
}

static void
read_element(struct conf_reader *reader, const config_setting_t *setting,
    const struct conf_key *key, void *base)
{
	conf_keys_init(key->keys, base);
	if (!read_subgroup(reader, setting, key, base))
		conf_refuse_must(&reader->complaints, setting,
		    "be a group: { ... }");
}

static bool
read_groups(struct conf_reader *reader, const config_setting_t *setting,
    const struct conf_key *key, void *base)
{
	unsigned length = (unsigned)config_setting_length(setting);
	bool fits = is_list_of_some(setting, key);
	char *groups;

	if (!config_setting_is_list(setting) || length == 0)
		return fits && config_setting_is_list(setting);
	/* Of a list that is too long the beginning is read all the same: it
	 * may hold more to tell. */
	if (length > key->max)
		length = (unsigned)key->max;
	groups = conf_alloc(length, key->group_size);
	*(void **)conf_key_field(key, base) = groups;
	*conf_key_count(key, base) = length;
	for (unsigned i = 0; i < length; i++)
		read_element(reader, config_setting_get_elem(setting, i), key,
		    groups + i * key->group_size);
	return fits;
}

/* Read one setting by its row; false if it is not what the row allows. */
static bool
read_value(struct conf_reader *reader, const config_setting_t *setting,
    const struct conf_key *key, void *base)
{
	void *field = conf_key_field(key, base);

	switch (key->type) {
	case CONF_BOOL:
		return read_bool(setting, field);
	case CONF_UINT:
		return read_uint(setting, key, field);
	case CONF_SIZE:
		return read_size(setting, key, field);
	case CONF_TIME:
		return read_time(setting, key, field);
	case CONF_RATIO:
		return read_ratio(setting, field);
	case CONF_CHOICE:
	case CONF_KIND:
		return read_choice(setting, key, field);
	case CONF_STRING:
		return read_string(setting, key, field);
	case CONF_REPLY:
		return read_reply(setting, key, field);
	case CONF_ENDPOINT:
		return read_endpoint(setting, key, field);
	case CONF_NAME:
		return read_name(reader, setting, field);
	case CONF_HANDLER:
		return read_handler(setting, field);
	case CONF_PATH:
		return read_path(setting, key, field);
	case CONF_FIELD:
		return read_field(setting, key, field);
	case CONF_TOKENS:
		return read_tokens(reader, setting, key, field);
	case CONF_COMMAND:
		return read_command(reader, setting, key, field);
	case CONF_SETTINGS:
		return read_free_group(reader, setting, key, base,
		    write_scalar);
	case CONF_ENVIRONMENT:
		return read_free_group(reader, setting, key, base,
		    write_string);
	case CONF_ADDRESSES:
		return read_addresses(reader, setting, key, base);
	case CONF_GROUP:
		return read_subgroup(reader, setting, key, field);
	case CONF_GROUPS:
		return read_groups(reader, setting, key, base);
	}
	return false;
}

/* The kind that a group says it is of, or is of without a word, as a bit; 0 if
 * it says none that is. */
static unsigned
find_kind(const config_setting_t *group, const struct conf_key *keys)
{
	const struct conf_key *key = conf_keys_kind(keys);
	const config_setting_t *setting = NULL;
	unsigned kind;

	if (key != NULL)
		setting = config_setting_get_member(group, key->name);
	if (setting == NULL)
		return key == NULL || key->required ? 0 : 1u << key->initial;
	return read_choice(setting, key, &kind) ? 1u << kind : 0;
}

static void
read_setting(struct conf_reader *reader, const config_setting_t *setting,
    const struct conf_key *keys, unsigned kind, void *base)
{
	const struct conf_key *key;

	key = conf_key_find(keys, config_setting_name(setting));
	if (key == NULL)
		conf_refuse_unknown(&reader->complaints, setting, keys);
	else if (key->kinds != 0 && kind != 0 && (key->kinds & kind) == 0)
		conf_refuse_kind(&reader->complaints, setting, key,
		    conf_keys_kind(keys));
	else if (!read_value(reader, setting, key, base))
		conf_refuse_value(&reader->complaints, setting, key);
}

/* Whether a group has what makes up for a key that it lacks. */
static bool
has_instead(const config_setting_t *group, const struct conf_key *key)
{
	const config_setting_t *other = NULL;

	if (key->unless != NULL)
		other = config_setting_get_member(group, key->unless);
	return other != NULL && config_setting_length(other) > 0;
}

void
conf_read_group(struct conf_reader *reader, const config_setting_t *group,
    const struct conf_key *keys, void *base)
{
	unsigned length = (unsigned)config_setting_length(group);
	unsigned kind = find_kind(group, keys);

	for (unsigned i = 0; i < length; i++)
		read_setting(reader, config_setting_get_elem(group, i), keys,
		    kind, base);
	for (; keys->name != NULL; keys++)
		if (keys->required &&
		    (keys->kinds == 0 || (keys->kinds & kind) != 0) &&
		    config_setting_get_member(group, keys->name) == NULL &&
		    !has_instead(group, keys))
			conf_miss(&reader->complaints, group, keys);
}

void
conf_read_end(struct conf_reader *reader, struct conf_report *report)
{
	conf_complaints_report(&reader->complaints, report);
	free(reader->seen);
	reader->seen = NULL;
	reader->nseen = 0;
}
