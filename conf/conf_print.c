/* SPDX-License-Identifier: ISC */
/*
 * The configuration in effect, as a file that can be read back.
 *
 * Runs in the master.  Follows the rows of conf_keys.c, and knows what
 * libconfig 1.5 asks of a value: an L behind a number of more than 32 bits, a
 * decimal point in every float.
 */
#include "conf/conf_print.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "conf/conf_alloc.h"
#include "conf/conf_keys.h"

static void
print_char(FILE *out, unsigned char c)
{
	static const char special[] = "\"\\\n\r\t\f", letters[] = "\"\\nrtf";
	const char *at = c == '\0' ? NULL : strchr(special, c);

	if (at != NULL)
		fprintf(out, "\\%c", letters[at - special]);
	else if (c < ' ' || c == 0x7f)
		fprintf(out, "\\x%02X", c);
	else
		putc(c, out);
}

void
conf_print_string(FILE *out, const char *string, size_t max)
{
	size_t len = strlen(string);
	bool cut = len > max;

	if (cut) {
		len = max;
		/* Not in the middle of a character of UTF-8. */
		while (len > 0 && ((unsigned char)string[len] & 0xc0) == 0x80)
			len--;
	}
	putc('"', out);
	for (size_t i = 0; i < len; i++)
		print_char(out, (unsigned char)string[i]);
	fputs(cut ? "\"..." : "\"", out);
}

void
conf_print_float(FILE *out, double value)
{
	char text[32];
	int digits = 15;

	do
		snprintf(text, sizeof(text), "%.*g", digits, value);
	while (digits++ < 17 && strtod(text, NULL) != value);
	fprintf(out, "%s%s", text, strpbrk(text, ".en") == NULL ? ".0" : "");
}

static void
print_indent(FILE *out, unsigned depth)
{
	while (depth-- > 0)
		putc('\t', out);
}

static void
print_size(FILE *out, size_t size)
{
	fprintf(out, "%zu%s", size, size > INT32_MAX ? "L" : "");
}

/* Milliseconds as seconds: "60.0", "0.25". */
static void
print_time(FILE *out, unsigned ms)
{
	unsigned fraction = ms % 1000;
	int digits = 3;

	while (digits > 1 && fraction % 10 == 0) {
		fraction /= 10;
		digits--;
	}
	fprintf(out, "%u.%0*u", ms / 1000, digits, fraction);
}

/* What a client is told, or that nothing is. */
static void
print_reply(FILE *out, const char *payload)
{
	conf_print_string(out, *payload != '\0' ? payload : "close", SIZE_MAX);
}

static void
print_command(FILE *out, char *const *strings)
{
	fputs("[", out);
	for (size_t i = 0; strings != NULL && strings[i] != NULL; i++) {
		fputs(i > 0 ? ", " : " ", out);
		conf_print_string(out, strings[i], SIZE_MAX);
	}
	fputs(" ]", out);
}

static void
print_settings(FILE *out, const struct conf_setting *settings, size_t count,
    unsigned depth)
{
	if (count == 0) {
		fputs("{ }", out);
		return;
	}
	fputs("{\n", out);
	for (size_t i = 0; i < count; i++) {
		print_indent(out, depth + 1);
		fprintf(out, "%s = ", settings[i].key);
		conf_print_string(out, settings[i].value, SIZE_MAX);
		fputs(";\n", out);
	}
	print_indent(out, depth);
	putc('}', out);
}

static void
print_addresses(FILE *out, const struct conf_address *addresses, size_t count)
{
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

/* A handler that no name is needed of, as routes have theirs. */
static bool
is_left_out(const struct conf_key *key, const void *base)
{
	return key->type == CONF_HANDLER &&
	    **(char *const *)conf_key_field(key, base) == '\0';
}

/* What of a configuration is printed. */
enum extent {
	EXTENT_ALL,
	EXTENT_PREVIOUS,	/* the keys that the previous release knows */
};

static void print_value(FILE *, const struct conf_key *, const void *base,
    unsigned depth, enum extent);

static void
print_keys(FILE *out, const struct conf_key *keys, const void *base,
    unsigned depth, enum extent extent)
{
	unsigned kind = conf_keys_kind_of(keys, base);

	for (; keys->name != NULL; keys++) {
		if ((keys->kinds != 0 && (keys->kinds & kind) == 0) ||
		    (keys->is_new && extent == EXTENT_PREVIOUS) ||
		    is_left_out(keys, base))
			continue;
		print_indent(out, depth);
		fprintf(out, "%s = ", keys->name);
		print_value(out, keys, base, depth, extent);
		fputs(";\n", out);
	}
}

static void
print_group(FILE *out, const struct conf_key *key, const void *base,
    unsigned depth, enum extent extent)
{
	fputs("{\n", out);
	print_keys(out, key->keys, base, depth + 1, extent);
	print_indent(out, depth);
	putc('}', out);
}

static void
print_groups(FILE *out, const struct conf_key *key, const char *groups,
    size_t count, unsigned depth, enum extent extent)
{
	fputs("(\n", out);
	for (size_t i = 0; i < count; i++) {
		print_indent(out, depth + 1);
		print_group(out, key, groups + i * key->group_size, depth + 1,
		    extent);
		fputs(i + 1 < count ? ",\n" : "\n", out);
	}
	print_indent(out, depth);
	putc(')', out);
}

static void
print_value(FILE *out, const struct conf_key *key, const void *base,
    unsigned depth, enum extent extent)
{
	const void *field = conf_key_field(key, base);

	switch (key->type) {
	case CONF_BOOL:
		fputs(*(const bool *)field ? "true" : "false", out);
		return;
	case CONF_UINT:
		print_size(out, *(const unsigned *)field);
		return;
	case CONF_SIZE:
		print_size(out, *(const size_t *)field);
		return;
	case CONF_TIME:
		print_time(out, *(const unsigned *)field);
		return;
	case CONF_RATIO:
		conf_print_float(out, *(const unsigned *)field /
		    (double)CONF_RATIO_ONE);
		return;
	case CONF_CHOICE:
	case CONF_KIND:
		conf_print_string(out,
		    key->choices[*(const unsigned *)field], SIZE_MAX);
		return;
	case CONF_STRING:
	case CONF_ENDPOINT:
	case CONF_NAME:
	case CONF_HANDLER:
	case CONF_PATH:
	case CONF_FIELD:
		conf_print_string(out, *(char *const *)field, SIZE_MAX);
		return;
	case CONF_REPLY:
		print_reply(out, *(char *const *)field);
		return;
	case CONF_COMMAND:
	case CONF_TOKENS:
		print_command(out, *(char *const *const *)field);
		return;
	case CONF_SETTINGS:
	case CONF_ENVIRONMENT:
		print_settings(out, *(struct conf_setting *const *)field,
		    *conf_key_count(key, base), depth);
		return;
	case CONF_ADDRESSES:
		print_addresses(out, *(struct conf_address *const *)field,
		    *conf_key_count(key, base));
		return;
	case CONF_GROUP:
		print_group(out, key, field, depth, extent);
		return;
	case CONF_GROUPS:
		print_groups(out, key, *(char *const *)field,
		    *conf_key_count(key, base), depth, extent);
		return;
	}
}

void
conf_print_value(FILE *out, const struct conf_key *key, const void *base,
    unsigned depth)
{
	print_value(out, key, base, depth, EXTENT_ALL);
}

static int
print_conf(FILE *out, const struct conf *conf, enum extent extent)
{
	fputs("# The configuration in effect, read from ", out);
	conf_print_string(out, conf->path, SIZE_MAX);
	fputs(".\n", out);
	print_keys(out, conf_keys, conf, 0, extent);
	return fflush(out) == EOF || ferror(out) ? -1 : 0;
}

int
conf_print(FILE *out, const struct conf *conf)
{
	return (print_conf(out, conf, EXTENT_ALL));
}

int
conf_print_previous(FILE *out, const struct conf *conf)
{
	return (print_conf(out, conf, EXTENT_PREVIOUS));
}

/* FNV-1a. */
static uint64_t
hash_bytes(const char *bytes, size_t len)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001b3;
	return (hash);
}

uint64_t
conf_hash(const struct conf *conf)
{
	char *text;
	size_t len;
	uint64_t hash;
	FILE *out = conf_must(open_memstream(&text, &len));

	print_keys(out, conf_keys, conf, 0, EXTENT_ALL);
	if (fclose(out) == EOF)
		conf_lacks_memory();
	hash = hash_bytes(text, len);
	free(text);
	return (hash);
}
