/* SPDX-License-Identifier: ISC */
/*
 * Groups with keys, and lists of them: structs with fields.
 *
 * Runs in the reader, and where a configuration is printed.  A setting that does
 * not fit its row is reported, and the reading goes on, so that one run finds all.
 */
#include "conf/conf_keys.h"

#include <string.h>

#include "conf/conf_alloc.h"
#include "conf/conf_complain.h"
#include "conf/conf_text.h"

/* ---- the rows of a group ---- */

static const struct conf_key *
group_find(const struct conf_key *keys, const char *name)
{
	for (; keys->name != NULL; keys++)
		if (strcmp(keys->name, name) == 0)
			return keys;
	return NULL;
}

/* The row that says what kind a group is of, or NULL. */
static const struct conf_key *
group_find_kind(const struct conf_key *keys)
{
	while (keys->name != NULL && !keys->is_kind)
		keys++;
	return keys->name != NULL ? keys : NULL;
}

void
conf_group_init(const struct conf_key *keys, void *base)
{
	for (; keys->name != NULL; keys++)
		if (keys->type->init != NULL)
			keys->type->init(keys, conf_key_field(keys, base));
}

/* ---- reading ---- */

/* The kind of a group in a file, which can be the default, as a bit; 0 if it
 * names none that there is. */
static unsigned
group_read_kind(const config_setting_t *group, const struct conf_key *keys)
{
	const struct conf_key *key = group_find_kind(keys);
	const config_setting_t *setting = NULL;
	uint64_t kind;

	if (key != NULL)
		setting = config_setting_get_member(group, key->name);
	if (setting == NULL)
		return key == NULL || key->required ? 0 : 1u << key->initial;
	return key->type->get(setting, key, &kind) ? 1u << kind : 0;
}

static void
group_read_setting(struct conf_reader *reader,
    const config_setting_t *setting, const struct conf_key *keys,
    unsigned kind, void *base)
{
	const struct conf_key *key;

	key = group_find(keys, config_setting_name(setting));
	if (key == NULL)
		conf_refuse_unknown(reader, setting, keys);
	else if (key->kinds != 0 && kind != 0 && (key->kinds & kind) == 0)
		conf_refuse_kind(reader, setting, key, group_find_kind(keys));
	else if (!key->type->read(reader, setting, key,
	    conf_key_field(key, base)))
		conf_refuse_value(reader, setting, key);
}

/* Whether a group has what makes up for a key that it lacks. */
static bool
group_has_instead(const config_setting_t *group, const struct conf_key *key)
{
	const config_setting_t *other = NULL;

	if (key->unless != NULL)
		other = config_setting_get_member(group, key->unless);
	return other != NULL && config_setting_length(other) > 0;
}

void
conf_group_read(struct conf_reader *reader, const config_setting_t *group,
    const struct conf_key *keys, void *base)
{
	unsigned length = (unsigned)config_setting_length(group);
	unsigned kind = group_read_kind(group, keys);

	for (unsigned i = 0; i < length; i++)
		group_read_setting(reader, config_setting_get_elem(group, i),
		    keys, kind, base);
	for (; keys->name != NULL; keys++)
		if (keys->required &&
		    (keys->kinds == 0 || (keys->kinds & kind) != 0) &&
		    config_setting_get_member(group, keys->name) == NULL &&
		    !group_has_instead(group, keys))
			conf_miss(reader, group, keys);
}

static bool
group_read(struct conf_reader *reader, const config_setting_t *setting,
    const struct conf_key *key, void *field)
{
	if (!config_setting_is_group(setting))
		return false;
	conf_group_read(reader, setting, key->keys, field);
	return true;
}

static bool
groups_read(struct conf_reader *reader, const config_setting_t *list,
    const struct conf_key *key, void *field)
{
	unsigned length = (unsigned)config_setting_length(list);
	bool fits = conf_is_list_of_some(list, key);
	char *group;

	if (!config_setting_is_list(list) || length == 0)
		return fits && config_setting_is_list(list);
	/* Of a list that is too long the beginning is read all the same: there
	 * may be more to report. */
	if (length > key->max)
		length = (unsigned)key->max;
	*(void **)field = group = conf_alloc(length, key->group_size);
	*conf_key_count(field) = length;
	for (unsigned i = 0; i < length; i++, group += key->group_size) {
		const config_setting_t *setting;

		setting = config_setting_get_elem(list, i);
		conf_group_init(key->keys, group);
		if (!group_read(reader, setting, key, group))
			conf_refusef(reader, setting,
			    "must be a group: { ... }");
	}
	return fits;
}

/* ---- printing ---- */

/* Whether a key is printed.  One that another makes up for is not if it is an
 * empty string. */
static bool
group_shows(const struct conf_key *key, unsigned kind, const void *base,
    struct conf_layout layout)
{
	return (key->kinds == 0 || (key->kinds & kind) != 0) &&
	    !(key->is_new && layout.is_previous) &&
	    !(key->unless != NULL &&
	    **(char *const *)conf_key_field(key, base) == '\0');
}

void
conf_group_print(FILE *out, const struct conf_key *keys, const void *base,
    struct conf_layout layout)
{
	const struct conf_key *key = group_find_kind(keys);
	unsigned kind = 0;

	if (key != NULL)
		kind = 1u << *(const unsigned *)conf_key_field(key, base);
	for (; keys->name != NULL; keys++) {
		if (!group_shows(keys, kind, base, layout))
			continue;
		conf_print_indent(out, layout.depth);
		fprintf(out, "%s = ", keys->name);
		keys->type->print(out, keys, conf_key_field(keys, base),
		    layout);
		fputs(";\n", out);
	}
}

static void
group_print(FILE *out, const struct conf_key *key, const void *field,
    struct conf_layout layout)
{
	struct conf_layout deeper = layout;

	deeper.depth++;
	fputs("{\n", out);
	conf_group_print(out, key->keys, field, deeper);
	conf_print_indent(out, layout.depth);
	putc('}', out);
}

static void
groups_print(FILE *out, const struct conf_key *key, const void *field,
    struct conf_layout layout)
{
	const char *groups = *(char *const *)field;
	size_t count = *conf_key_count(field);
	struct conf_layout deeper = layout;

	deeper.depth++;
	fputs("(\n", out);
	for (size_t i = 0; i < count; i++) {
		conf_print_indent(out, deeper.depth);
		group_print(out, key, groups + i * key->group_size, deeper);
		fputs(i + 1 < count ? ",\n" : "\n", out);
	}
	conf_print_indent(out, layout.depth);
	putc(')', out);
}

/* ---- the types ---- */

static void
group_init(const struct conf_key *key, void *field)
{
	conf_group_init(key->keys, field);
}

const struct conf_type conf_group = {
	.read = group_read, .print = group_print, .init = group_init,
	.allowed = "a group: { ... }",
};

const struct conf_type conf_groups = {
	.read = groups_read, .print = groups_print,
	.allowed = "a list of %r groups: ( { ... }, ... )",
};
