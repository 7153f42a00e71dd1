/* SPDX-License-Identifier: ISC */
/*
 * The types of values that have several elements, but no keys of ours: lists of
 * words and of addresses, and groups with free keys.
 *
 * Runs in the reader, and where a configuration is printed.
 */
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/http_head.h"
#include "common/http_method.h"
#include "conf/conf.h"
#include "conf/conf_alloc.h"
#include "conf/conf_complain.h"
#include "conf/conf_keys.h"
#include "conf/conf_text.h"

/* ---- any list ---- */

bool
conf_is_list_of_some(const config_setting_t *setting,
    const struct conf_key *key)
{
	size_t length = (size_t)config_setting_length(setting);

	return (config_setting_is_list(setting) ||
	    config_setting_is_array(setting)) &&
	    length >= key->min && length <= key->max;
}

/* ---- words ---- */

static bool
words_read(struct conf_reader *reader, const config_setting_t *setting,
    const struct conf_key *key, void *field)
{
	unsigned length = (unsigned)config_setting_length(setting);
	char **words;

	if (!conf_is_list_of_some(setting, key))
		return false;
	*(char ***)field = words = conf_alloc(length + 1, sizeof(*words));
	for (unsigned i = 0; i < length; i++) {
		const config_setting_t *word;
		const char *must;

		word = config_setting_get_elem(setting, i);
		must = key->type->check(word, i);
		if (must != NULL)
			conf_refusef(reader, word, "must %s", must);
		else
			*words++ = conf_copy(conf_get_string(word));
	}
	return true;
}

static void
words_print(FILE *out, const struct conf_key *key, const void *field,
    struct conf_layout layout)
{
	char *const *words = *(char *const *const *)field;

	(void)key, (void)layout;
	fputs("[", out);
	for (size_t i = 0; words != NULL && words[i] != NULL; i++) {
		fputs(i > 0 ? ", " : " ", out);
		conf_print_string(out, words[i], SIZE_MAX);
	}
	fputs(" ]", out);
}

static const char *
command_check(const config_setting_t *argument, unsigned index)
{
	const char *text = conf_get_string(argument);

	if (text == NULL)
		return "be a string";
	if (index == 0 && *text == '\0')
		return "be the name of a program";
	return NULL;
}

const struct conf_type conf_command = {
	.read = words_read, .print = words_print,
	.check = command_check,
	.allowed = "a list of %r strings",
};

static const char *
token_check(const config_setting_t *word, unsigned index)
{
	const char *text = conf_get_string(word);

	(void)index;
	return text != NULL && http_is_token(text, strlen(text)) ? NULL :
	    "be a word of HTTP: letters, digits or \"!#$%&'*+-.^_`|~\"";
}

const struct conf_type conf_tokens = {
	.read = words_read, .print = words_print,
	.check = token_check,
	.allowed = "a list of %r words of HTTP: [ \"GET\", ... ]",
};

static const char *
method_check(const config_setting_t *word, unsigned index)
{
	const char *must = token_check(word, index);
	const char *text = conf_get_string(word);

	if (must != NULL || http_method_is_known(text, strlen(text)))
		return must;
	return "be a method that a request can have: \"GET\", \"POST\", ... "
	    "(CONNECT, TRACE and unknown ones are answered 501)";
}

const struct conf_type conf_methods = {
	.read = words_read, .print = words_print,
	.check = method_check,
	.allowed = "a list of %r words of HTTP: [ \"GET\", ... ]",
};

/* ---- groups with free keys ---- */

/*
 * Whether a number is what libconfig makes of one that does not fit into 64 bits,
 * or into a float.  Those that are so large by themselves suffer with them.
 */
static bool
settings_is_cut(const config_setting_t *setting)
{
	long long value;

	if (config_setting_type(setting) == CONFIG_TYPE_FLOAT)
		return !isfinite(config_setting_get_float(setting));
	if (config_setting_type(setting) != CONFIG_TYPE_INT64)
		return false;
	value = config_setting_get_int64(setting);
	if (config_setting_get_format(setting) == CONFIG_FORMAT_HEX)
		return value == -1;
	return value == INT64_MAX || value == INT64_MIN;
}

static const char *
settings_check(const config_setting_t *setting, unsigned index)
{
	(void)index;
	if (!config_setting_is_scalar(setting))
		return "be a string, a number, true or false";
	if (settings_is_cut(setting))
		return "be in quotes if it is so large";
	return NULL;
}

static const char *
environment_check(const config_setting_t *setting, unsigned index)
{
	(void)index;
	return conf_get_string(setting) != NULL ? NULL : "be a string";
}

/* A value as text.  Whole numbers are decimal, which is what every strtol(3)
 * reads. */
static char *
settings_copy(const config_setting_t *setting)
{
	char text[64] = "";
	FILE *out;

	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_STRING:
		return conf_copy(config_setting_get_string(setting));
	case CONFIG_TYPE_BOOL:
		return conf_copy(config_setting_get_bool(setting) ? "true" :
		    "false");
	case CONFIG_TYPE_FLOAT:
		out = conf_must(fmemopen(text, sizeof(text), "w"));
		conf_print_float(out, config_setting_get_float(setting));
		fclose(out);
		return conf_copy(text);
	default:
		snprintf(text, sizeof(text),
		    config_setting_get_format(setting) == CONFIG_FORMAT_HEX ?
		    "%llu" : "%lld", config_setting_get_int64(setting));
		return conf_copy(text);
	}
}

static bool
settings_read(struct conf_reader *reader, const config_setting_t *group,
    const struct conf_key *key, void *field)
{
	unsigned length = (unsigned)config_setting_length(group);
	struct conf_setting *settings;
	size_t *count = conf_key_count(field);

	if (!config_setting_is_group(group))
		return false;
	settings = conf_alloc(length, sizeof(*settings));
	*(struct conf_setting **)field = settings;
	for (unsigned i = 0; i < length; i++) {
		const config_setting_t *member;
		const char *must;

		member = config_setting_get_elem(group, i);
		must = key->type->check(member, i);
		if (must != NULL)
			conf_refusef(reader, member, "must %s", must);
		else
			settings[(*count)++] = (struct conf_setting){
				.key = conf_copy(config_setting_name(member)),
				.value = settings_copy(member),
			};
	}
	return true;
}

static void
settings_print(FILE *out, const struct conf_key *key, const void *field,
    struct conf_layout layout)
{
	const struct conf_setting *settings;
	size_t count = *conf_key_count(field);

	(void)key;
	if (count == 0) {
		fputs("{ }", out);
		return;
	}
	settings = *(struct conf_setting *const *)field;
	fputs("{\n", out);
	for (size_t i = 0; i < count; i++) {
		conf_print_indent(out, layout.depth + 1);
		fprintf(out, "%s = ", settings[i].key);
		conf_print_string(out, settings[i].value, SIZE_MAX);
		fputs(";\n", out);
	}
	conf_print_indent(out, layout.depth);
	putc('}', out);
}

const struct conf_type conf_settings = {
	.read = settings_read, .print = settings_print,
	.check = settings_check,
	.allowed = "a group of strings, numbers, true or false: "
	    "{ key = value; }",
};

const struct conf_type conf_environment = {
	.read = settings_read, .print = settings_print,
	.check = environment_check,
	.allowed = "a group of strings: { NAME = \"value\"; }",
};

/* ---- addresses ---- */

#define ADDRESS_EXAMPLES						\
	"\"127.0.0.1:9000\", \"[::1]:9000\", \"*:9000\" or \"unix:/path\""

/* An address that was read, and where. */
struct conf_seen {
	struct conf_seen *next;
	struct conf_address address;
	const config_setting_t *setting;
};

static void
addresses_refuse_seen(struct conf_reader *reader,
    const config_setting_t *setting, const struct conf_address *address,
    const struct conf_seen *seen)
{
	FILE *out = conf_refuse(reader, setting);

	if (strcmp(conf_get_string(setting), address->text) != 0)
		fprintf(out, "%s is ", address->text);
	fputs("already taken by ", out);
	conf_print_path(out, seen->setting);
	fputs(" at ", out);
	conf_print_place(reader, seen->setting);
	conf_complaint_end(reader);
}

/* Note the addresses that one setting gave; refuse it if one is known. */
static void
addresses_see(struct conf_reader *reader, const config_setting_t *setting,
    const struct conf_address *addresses, size_t count)
{
	struct conf_seen **seen = &reader->seen, *new;

	for (size_t i = 0; i < count; i++) {
		struct conf_seen *other = reader->seen;

		while (other != NULL && (other->setting == setting ||
		    !conf_addr_equal(&other->address, &addresses[i])))
			other = other->next;
		if (other == NULL)
			continue;
		addresses_refuse_seen(reader, setting, &addresses[i], other);
		break;
	}
	while (*seen != NULL)
		seen = &(*seen)->next;
	for (size_t i = 0; i < count; i++, seen = &new->next) {
		*seen = new = conf_alloc_scratch(1, sizeof(*new));
		new->address = addresses[i];
		new->setting = setting;
	}
}

/* One address can be two.  Returns how many. */
static size_t
addresses_read_one(struct conf_reader *reader, const config_setting_t *setting,
    struct conf_address into[2])
{
	const char *text = conf_get_string(setting);
	const char *must = "be an address, as " ADDRESS_EXAMPLES;
	size_t count = text == NULL ? 0 : conf_addr_parse(text, into, &must);

	if (text != NULL && count == 0 && errno == ENOMEM)
		conf_must(NULL);
	if (count == 0)
		conf_refusef(reader, setting, "must %s", must);
	addresses_see(reader, setting, into, count);
	return count;
}

static bool
addresses_read(struct conf_reader *reader, const config_setting_t *setting,
    const struct conf_key *key, void *field)
{
	bool is_one = conf_get_string(setting) != NULL;
	unsigned length = is_one ? 1 :
	    (unsigned)config_setting_length(setting);
	size_t *count = conf_key_count(field);
	struct conf_address *addresses;

	if (!is_one && !conf_is_list_of_some(setting, key))
		return false;
	/* With room for two of the last one too. */
	addresses = conf_alloc(2 * length, sizeof(*addresses));
	*(struct conf_address **)field = addresses;
	*count = 0;
	for (unsigned i = 0; i < length; i++)
		*count += addresses_read_one(reader, is_one ? setting :
		    config_setting_get_elem(setting, i), addresses + *count);
	return true;
}

static void
addresses_print(FILE *out, const struct conf_key *key, const void *field,
    struct conf_layout layout)
{
	const struct conf_address *addresses;
	size_t count = *conf_key_count(field);

	(void)key, (void)layout;
	addresses = *(struct conf_address *const *)field;
	fputs("[ ", out);
	for (size_t i = 0; i < count; i++) {
		const char *text = addresses[i].text;

		if (addresses[i].from_wildcard) {
			fprintf(out, "\"*%s\"", strrchr(text, ':'));
			i++;	/* the other family, from the same word */
		} else {
			conf_print_string(out, text, SIZE_MAX);
		}
		fputs(i + 1 < count ? ", " : " ]", out);
	}
}

static void
addresses_init(const struct conf_key *key, void *field)
{
	struct conf_address *address;
	const char *must;

	if (key->initial_text == NULL)
		return;
	*(struct conf_address **)field = address = conf_alloc(2,
	    sizeof(*address));
	/* There is nothing else that it can lack. */
	if (conf_addr_parse(key->initial_text, address, &must) != 1)
		conf_must(NULL);
	address->from_default = true;
	*conf_key_count(field) = 1;
}

const struct conf_type conf_addresses = {
	.read = addresses_read, .print = addresses_print,
	.init = addresses_init,
	.allowed = "an address or a list of %r addresses, as " ADDRESS_EXAMPLES,
};
