/* SPDX-License-Identifier: ISC */
/*
 * Saying what is wrong with a setting: where it stands, what was found there,
 * and what must be.
 *
 * Runs in the reader.  Owns the complaints until they are reported; decides
 * about none.
 */
#include "conf/conf_complain.h"

#include <stdlib.h>
#include <string.h>

#include "conf/conf_alloc.h"
#include "conf/conf_handlers.h"
#include "conf/conf_keys.h"
#include "conf/conf_print.h"
#include "conf/conf_report.h"
#include "conf/conf_source.h"

enum { FOUND_MAX = 60 };	/* bytes of a string that are quoted */

struct conf_complaint {
	const config_setting_t *about;
	unsigned line;		/* of the text with all includes; 0: of none */
	char *text;
};

/* ---- naming a setting ---- */

bool
conf_is_string(const config_setting_t *setting)
{
	return config_setting_type(setting) == CONFIG_TYPE_STRING;
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
	if (member == NULL || !conf_is_string(member))
		return NULL;
	name = config_setting_get_string(member);
	return conf_is_name(name) ? name : NULL;
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

/*
 * libconfig gives a string in a list the line of what comes after it, which may
 * be a bracket some lines below.
 */
static unsigned
line_of(const struct conf_complaints *complaints,
    const config_setting_t *setting)
{
	const config_setting_t *parent = config_setting_parent(setting);

	if (parent == NULL || config_setting_is_group(parent) ||
	    !conf_is_string(setting))
		return config_setting_source_line(setting);
	return conf_source_find_string(complaints->source,
	    config_setting_source_line(parent),
	    config_setting_source_line(setting),
	    config_setting_get_string(setting));
}

void
conf_print_place(struct conf_complaints *complaints,
    const config_setting_t *setting)
{
	struct conf_place here, there;

	here = conf_source_place(complaints->source, complaints->line);
	there = conf_source_place(complaints->source,
	    line_of(complaints, setting));
	if (strcmp(here.file, there.file) == 0)
		fprintf(complaints->stream, "line %u", there.line);
	else
		fprintf(complaints->stream, "%s:%u", there.file, there.line);
}

/* ---- what was found ---- */

static void
print_integer(FILE *out, const config_setting_t *setting)
{
	bool hex = config_setting_get_format(setting) == CONFIG_FORMAT_HEX;
	long long value = config_setting_get_int64(setting);

	if (config_setting_type(setting) == CONFIG_TYPE_INT) {
		int narrow = config_setting_get_int(setting);

		value = hex ? (long long)(unsigned)narrow : narrow;
	}
	if (hex)
		fprintf(out, "0x%llX", (unsigned long long)value);
	else
		fprintf(out, "%lld", value);
}

static void
print_list(FILE *out, const config_setting_t *setting, const char *what,
    const char *empty)
{
	int length = config_setting_length(setting);

	if (length == 0)
		fputs(empty, out);
	else
		fprintf(out, "%s of %d", what, length);
}

static void
print_found(FILE *out, const config_setting_t *setting)
{
	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		print_integer(out, setting);
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
		print_list(out, setting, "an array", "an empty array");
		return;
	case CONFIG_TYPE_LIST:
		print_list(out, setting, "a list", "an empty list");
		return;
	default:
		fputs("a group", out);
		return;
	}
}

/* ---- complaining ---- */

static FILE *
begin(struct conf_complaints *complaints, const config_setting_t *setting)
{
	complaints->about = setting;
	complaints->line = line_of(complaints, setting);
	complaints->stream = conf_must(open_memstream(&complaints->text,
	    &complaints->text_size));
	return complaints->stream;
}

void
conf_complaint_end(struct conf_complaints *complaints)
{
	struct conf_complaint *sorted;
	size_t at = complaints->count;

	if (fclose(complaints->stream) == EOF)
		conf_lacks_memory();
	sorted = conf_must(reallocarray(complaints->sorted, at + 1,
	    sizeof(*sorted)));
	for (; at > 0 && sorted[at - 1].line > complaints->line; at--)
		sorted[at] = sorted[at - 1];
	sorted[at] = (struct conf_complaint){
		.about = complaints->about,
		.line = complaints->line,
		.text = complaints->text,
	};
	complaints->sorted = sorted;
	complaints->count++;
}

bool
conf_is_refused(const struct conf_complaints *complaints,
    const config_setting_t *setting)
{
	for (size_t i = 0; i < complaints->count; i++)
		if (complaints->sorted[i].about == setting)
			return true;
	return false;
}

/* What the value of a key may be, and if that is a name, which names there
 * are. */
static void
print_allowed(FILE *out, const config_setting_t *setting,
    const struct conf_key *key)
{
	conf_key_print_allowed(out, key);
	if (key->type != CONF_HANDLER)
		return;
	fputs(": ", out);
	conf_handlers_print(out, setting);
}

FILE *
conf_refuse(struct conf_complaints *complaints, const config_setting_t *setting)
{
	FILE *out = begin(complaints, setting);

	conf_print_path(out, setting);
	fputs(": found ", out);
	print_found(out, setting);
	fputs("; ", out);
	return out;
}

void
conf_refuse_value(struct conf_complaints *complaints,
    const config_setting_t *setting, const struct conf_key *key)
{
	FILE *out = conf_refuse(complaints, setting);

	fputs("must be ", out);
	print_allowed(out, setting, key);
	conf_complaint_end(complaints);
}

void
conf_refuse_must(struct conf_complaints *complaints,
    const config_setting_t *setting, const char *must)
{
	fprintf(conf_refuse(complaints, setting), "must %s", must);
	conf_complaint_end(complaints);
}

void
conf_refuse_unknown(struct conf_complaints *complaints,
    const config_setting_t *setting, const struct conf_key *keys)
{
	const config_setting_t *group = config_setting_parent(setting);
	const char *name = config_setting_name(setting);
	FILE *out = begin(complaints, setting);

	conf_print_path(out, group);
	if (!config_setting_is_root(group))
		fputs(": ", out);
	fputs("unknown key ", out);
	conf_print_string(out, name, FOUND_MAX);
	conf_keys_print_hint(out, keys, name);
	conf_complaint_end(complaints);
}

void
conf_refuse_kind(struct conf_complaints *complaints,
    const config_setting_t *setting, const struct conf_key *key,
    const struct conf_key *kind)
{
	const config_setting_t *group = config_setting_parent(setting);
	const config_setting_t *own;
	FILE *out = conf_refuse(complaints, setting);

	own = config_setting_get_member(group, kind->name);
	fprintf(out, "belongs to %s ", kind->name);
	conf_key_print_kinds(out, key, kind);
	fprintf(out, ", not to \"%s\"", own != NULL ?
	    config_setting_get_string(own) : kind->choices[kind->initial]);
	conf_complaint_end(complaints);
}

void
conf_miss(struct conf_complaints *complaints, const config_setting_t *group,
    const struct conf_key *key)
{
	FILE *out = begin(complaints, group);

	conf_print_path(out, group);
	fprintf(out, "%s%s: missing; must be ",
	    config_setting_is_root(group) ? "" : ".", key->name);
	print_allowed(out, group, key);
	conf_complaint_end(complaints);
}

void
conf_complaints_report(struct conf_complaints *complaints,
    struct conf_report *report)
{
	for (size_t i = 0; i < complaints->count; i++) {
		struct conf_place place;

		place = conf_source_place(complaints->source,
		    complaints->sorted[i].line);
		if (complaints->are_warnings)
			conf_report_warn(report, place.file, place.line,
			    complaints->sorted[i].text);
		else
			conf_report_add(report, place.file, place.line,
			    complaints->sorted[i].text);
		free(complaints->sorted[i].text);
	}
	free(complaints->sorted);
	complaints->sorted = NULL;
	complaints->count = 0;
}
