/* SPDX-License-Identifier: ISC */
/*
 * Saying what is wrong with a setting.
 *
 * Runs in the reader.
 */
#include "conf/conf_complain.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "conf/conf_alloc.h"
#include "conf/conf_keys.h"
#include "conf/conf_source.h"
#include "conf/conf_text.h"

enum {
	FOUND_MAX = 60,			/* bytes of a string that are quoted */
	KEY_MAX = 47,			/* bytes of a name that may mean a key */
};

/* ---- naming a setting ---- */

const char *
conf_get_string(const config_setting_t *setting)
{
	return config_setting_type(setting) == CONFIG_TYPE_STRING ?
	    config_setting_get_string(setting) : NULL;
}

bool
conf_get_whole(const config_setting_t *setting, uint64_t *value)
{
	/* conf_source.c sees to it that there are no narrow ones. */
	if (config_setting_type(setting) != CONFIG_TYPE_INT64)
		return false;
	*value = (uint64_t)config_setting_get_int64(setting);
	/* Hexadecimal has no sign: libconfig has made one of bit 63. */
	return config_setting_get_format(setting) == CONFIG_FORMAT_HEX ||
	    *value <= INT64_MAX;
}

bool
conf_is_name(const char *text)
{
	size_t len = strlen(text);

	return len >= 1 && len <= CONF_NAME_MAX && len == strspn(text,
	    "0123456789_.-"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
}

const char *
conf_own_name(const config_setting_t *group)
{
	const config_setting_t *member = NULL;
	const char *name;

	if (config_setting_is_group(group))
		member = config_setting_get_member(group, "name");
	name = member != NULL ? conf_get_string(member) : NULL;
	return name != NULL && conf_is_name(name) ? name : NULL;
}

/* listeners["devices"].keepalive.idle, or listeners[1] if it has no name. */
void
conf_print_path(FILE *out, const config_setting_t *setting)
{
	const config_setting_t *parent = config_setting_parent(setting);
	const char *name;

	if (parent == NULL)
		return;
	conf_print_path(out, parent);
	if (config_setting_name(setting) != NULL)
		fprintf(out, "%s%s", config_setting_is_root(parent) ? "" : ".",
		    config_setting_name(setting));
	else if ((name = conf_own_name(setting)) != NULL)
		fprintf(out, "[\"%s\"]", name);
	else
		fprintf(out, "[%d]", config_setting_index(setting));
}

void
conf_print_place(struct conf_reader *reader, const config_setting_t *setting)
{
	struct conf_place there;

	there = conf_source_place(reader->source,
	    config_setting_source_line(setting));
	if (strcmp(reader->finding.error.file, there.file) == 0)
		fprintf(reader->stream, "line %u", there.line);
	else
		fprintf(reader->stream, "%s:%u", there.file, there.line);
}

/* ---- what was found ---- */

static void
complain_print_list(FILE *out, const config_setting_t *setting,
    const char *what)
{
	int length = config_setting_length(setting);

	if (length == 0)
		fprintf(out, "an empty %s", what);
	else
		fprintf(out, "a%s %s of %d", *what == 'a' ? "n" : "", what,
		    length);
}

static void
complain_print_found(FILE *out, const config_setting_t *setting)
{
	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_INT64:
		fprintf(out, config_setting_get_format(setting) ==
		    CONFIG_FORMAT_HEX ? "0x%llX" : "%lld",
		    config_setting_get_int64(setting));
		return;
	case CONFIG_TYPE_FLOAT:
		conf_print_float(out, config_setting_get_float(setting));
		return;
	case CONFIG_TYPE_BOOL:
		fputs(config_setting_get_bool(setting) ? "true" : "false",
		    out);
		return;
	case CONFIG_TYPE_STRING:
		conf_print_string(out, config_setting_get_string(setting),
		    FOUND_MAX);
		return;
	case CONFIG_TYPE_ARRAY:
		complain_print_list(out, setting, "array");
		return;
	case CONFIG_TYPE_LIST:
		complain_print_list(out, setting, "list");
		return;
	default:
		fputs("a group", out);
		return;
	}
}

/* ---- complaining ---- */

static FILE *
complain_begin(struct conf_reader *reader, const config_setting_t *setting)
{
	unsigned line = config_setting_source_line(setting);
	struct conf_place place = conf_source_place(reader->source, line);

	reader->finding = (struct conf_finding){
		.error = { .file = place.file, .line = place.line,
		    .text = reader->text },
		.line = line, .about = setting,
	};
	/* The last byte stays NUL. */
	reader->stream = conf_must(fmemopen(reader->text, CONF_FINDING_MAX,
	    "w"));
	return reader->stream;
}

void
conf_complaint_end(struct conf_reader *reader)
{
	fclose(reader->stream);
	conf_report_add(&reader->findings, reader->finding);
}

bool
conf_is_refused(const struct conf_reader *reader,
    const config_setting_t *setting)
{
	for (size_t i = 0; i < reader->findings.count; i++)
		if (reader->findings.sorted[i].about == setting)
			return true;
	return false;
}

FILE *
conf_refuse(struct conf_reader *reader, const config_setting_t *setting)
{
	FILE *out = complain_begin(reader, setting);

	conf_print_path(out, setting);
	fputs(": found ", out);
	complain_print_found(out, setting);
	fputs("; ", out);
	return out;
}

void
conf_refusef(struct conf_reader *reader, const config_setting_t *setting,
    const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(conf_refuse(reader, setting), fmt, ap);
	va_end(ap);
	conf_complaint_end(reader);
}

static void
complain_print_words(FILE *out, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		fprintf(out, "%s\"%s\"", i == 0 ? "" :
		    i + 1 == count ? " or " : ", ", words[i]);
}

/* What one letter after a % in the words of a type stands for. */
static void
complain_print_part(FILE *out, char part, const struct conf_key *key,
    const struct conf_reader *reader)
{
	size_t count = 0;

	switch (part) {
	case 'o':		/* off */
		fputs(key->zero_is_off ? "0 (off) or " : "", out);
		return;
	case 'u':		/* unit */
		if (key->unit != NULL)
			fprintf(out, " of %s", key->unit);
		return;
	case 'm':		/* min and max */
		fprintf(out, "%" PRIu64, key->min);
		return;
	case 'M':
		fprintf(out, "%" PRIu64, key->max);
		return;
	case 's':		/* the same, of milliseconds in seconds */
		fprintf(out, "%" PRIu64, key->min / 1000);
		return;
	case 'S':
		fprintf(out, "%" PRIu64, key->max / 1000);
		return;
	case 'r':		/* range */
		if (key->min > 0)
			fprintf(out, "%" PRIu64 " to ", key->min);
		else
			fputs("at most ", out);
		fprintf(out, "%" PRIu64, key->max);
		return;
	case 'c':		/* choices */
		while (key->choices[count] != NULL)
			count++;
		complain_print_words(out, key->choices, count);
		return;
	case 'h':		/* handlers */
		if (reader == NULL)
			return;
		fputs(": ", out);
		complain_print_words(out, reader->handlers, reader->nhandlers);
		return;
	}
}

void
conf_key_print_allowed(FILE *out, const struct conf_key *key,
    const struct conf_reader *reader)
{
	for (const char *p = key->type->allowed; *p != '\0'; p++)
		if (*p == '%')
			complain_print_part(out, *++p, key, reader);
		else
			putc(*p, out);
}

void
conf_refuse_value(struct conf_reader *reader, const config_setting_t *setting,
    const struct conf_key *key)
{
	FILE *out = conf_refuse(reader, setting);

	fputs("must be ", out);
	conf_key_print_allowed(out, key, reader);
	conf_complaint_end(reader);
}

void
conf_refuse_kind(struct conf_reader *reader, const config_setting_t *setting,
    const struct conf_key *key, const struct conf_key *kind)
{
	const config_setting_t *own;
	const char *before = "";
	FILE *out = conf_refuse(reader, setting);

	fprintf(out, "belongs to %s ", kind->name);
	for (unsigned i = 0; kind->choices[i] != NULL; i++) {
		if ((key->kinds & 1u << i) == 0)
			continue;
		fprintf(out, "%s\"%s\"", before, kind->choices[i]);
		before = " or ";
	}
	own = config_setting_get_member(config_setting_parent(setting),
	    kind->name);
	fprintf(out, ", not to \"%s\"", own != NULL ?
	    config_setting_get_string(own) : kind->choices[kind->initial]);
	conf_complaint_end(reader);
}

void
conf_miss(struct conf_reader *reader, const config_setting_t *group,
    const struct conf_key *key)
{
	FILE *out = complain_begin(reader, group);

	conf_print_path(out, group);
	fprintf(out, "%s%s: missing; must be ",
	    config_setting_is_root(group) ? "" : ".", key->name);
	conf_key_print_allowed(out, key, reader);
	conf_complaint_end(reader);
}

/* ---- names that are no keys ---- */

static unsigned
complain_min(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/*
 * How many slips of the finger lie between two names: a letter too many, too
 * few, wrong, or swapped with its neighbour.  Case does not count.
 */
static unsigned
complain_distance(const char *a, const char *b)
{
	unsigned d[KEY_MAX + 1][KEY_MAX + 1];
	size_t i, j;

	for (i = 0; i == 0 || a[i - 1] != '\0'; i++) {
		for (j = 0; j == 0 || b[j - 1] != '\0'; j++) {
			unsigned least = (unsigned)(i + j);

			if (i > 0 && j > 0) {
				least = d[i - 1][j - 1] +
				    (tolower((unsigned char)a[i - 1]) !=
				    tolower((unsigned char)b[j - 1]));
				least = complain_min(least, d[i - 1][j] + 1);
				least = complain_min(least, d[i][j - 1] + 1);
			}
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1])
				least = complain_min(least,
				    d[i - 2][j - 2] + 1);
			d[i][j] = least;
		}
	}
	return d[i - 1][j - 1];
}

/* The key whose name is nearest, if at most a third of the letters differ. */
static const struct conf_key *
complain_find_nearest(const struct conf_key *keys, const char *name)
{
	const struct conf_key *best = NULL;
	size_t least = strlen(name) / 3 + 1;

	if (strlen(name) > KEY_MAX)
		return NULL;
	for (; keys->name != NULL; keys++) {
		unsigned d = complain_distance(name, keys->name);

		if (d < least) {
			least = d;
			best = keys;
		}
	}
	return best;
}

/* Print where there is a key of a name, in the order of the manual; false if
 * there is none.  path is that of these keys: "", "log". */
static bool
complain_print_owner(FILE *out, const struct conf_key *keys, const char *path,
    const char *name)
{
	for (; keys->name != NULL; keys++) {
		char deeper[128];

		if (strcmp(keys->name, name) == 0) {
			fprintf(out, "; that is a %s%s", *path == '\0' ?
			    "global key" : "key of ", path);
			return true;
		}
		snprintf(deeper, sizeof(deeper), "%s%s%s", path,
		    *path == '\0' ? "" : ".", keys->name);
		if (keys->keys != NULL &&
		    complain_print_owner(out, keys->keys, deeper, name))
			return true;
	}
	return false;
}

/* What an unknown name among these keys may have meant: a key of that name
 * elsewhere, a key here that looks like it, or else all that are here. */
static void
complain_print_hint(struct conf_reader *reader, const struct conf_key *keys,
    const char *name)
{
	const struct conf_key *near;
	FILE *out = reader->stream;

	if (complain_print_owner(out, reader->keys, "", name))
		return;
	near = complain_find_nearest(keys, name);
	if (near != NULL) {
		fprintf(out, "; did you mean \"%s\"?", near->name);
		return;
	}
	fputs("; known here: ", out);
	for (; keys->name != NULL; keys++)
		fprintf(out, "%s%s", keys->name,
		    keys[1].name == NULL ? "" : ", ");
}

void
conf_refuse_unknown(struct conf_reader *reader,
    const config_setting_t *setting, const struct conf_key *keys)
{
	const config_setting_t *group = config_setting_parent(setting);
	const char *name = config_setting_name(setting);
	FILE *out = complain_begin(reader, setting);

	conf_print_path(out, group);
	if (!config_setting_is_root(group))
		fputs(": ", out);
	fputs("unknown key ", out);
	conf_print_string(out, name, FOUND_MAX);
	complain_print_hint(reader, keys, name);
	conf_complaint_end(reader);
}
