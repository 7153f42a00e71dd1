/* SPDX-License-Identifier: ISC */
#include "worker/reply_facts.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The members that are known: each takes its value, or refuses it.
 */

static bool
take_status(struct reply_facts *facts, const json_t *value)
{
	double status = json_real_value(value);

	if (!(status >= HTTP_OK && status <= HTTP_STATUS_MAX))
		return (false);
	facts->status = (unsigned)status;
	return (facts->status == status);
}

static bool
take_type(struct reply_facts *facts, const json_t *value)
{
	const char *type = json_string_value(value);
	size_t len = json_string_length(value);

	if (len == 0 || len >= sizeof(facts->type))
		return (false);
	for (size_t i = 0; i < len; i++)
		if (type[i] < ' ' || type[i] > '~')
			return (false);
	memcpy(facts->type, type, len + 1);
	return (true);
}

static const struct member {
	const char *name;
	bool (*take)(struct reply_facts *, const json_t *);
	const char *expected;
} members[] = {
	{ "status", take_status, "an integer from 200 to 599" },
	{ "content_type", take_type,
	    "1 to 255 printable ASCII characters" },
};

/*
 * Why it is refused.
 */

static void
explain_value(const char *name, const json_t *value, const char *expected,
    char why[REPLY_WHY_MAX])
{
	enum { SHOWN = 20 };
	char *found = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT |
	    JSON_ENSURE_ASCII | JSON_REAL_PRECISION(15));
	bool is_long = found != NULL && strlen(found) > SHOWN;

	snprintf(why, REPLY_WHY_MAX, "reply metadata: %s is %.*s%s, not %s",
	    name, SHOWN, found != NULL ? found : "", is_long ? "..." : "",
	    expected);
	free(found);
}

static void
explain_syntax(const json_error_t *error, char why[REPLY_WHY_MAX])
{
	snprintf(why, REPLY_WHY_MAX, "reply metadata: byte %d: %.80s",
	    error->position, error->text);
}

/*
 * The whole.
 */

static int
take_members(struct reply_facts *facts, const json_t *object,
    char why[REPLY_WHY_MAX])
{
	const struct member *member = members;
	const json_t *value;

	if (!json_is_object(object)) {
		explain_value("it", object, "an object", why);
		return (-1);
	}
	for (size_t i = 0; i < sizeof(members) / sizeof(*members);
	    i++, member++) {
		value = json_object_get(object, member->name);
		if (value == NULL || member->take(facts, value))
			continue;
		explain_value(member->name, value, member->expected, why);
		return (-1);
	}
	return (0);
}

static int
parse(struct reply_facts *facts, const uint8_t *bytes, size_t len,
    char why[REPLY_WHY_MAX])
{
	/* A number is read as a real one, because 200, 200.0 and 2e2 are the
	 * same; NUL is a character of a string like any other. */
	const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL |
	    JSON_ALLOW_NUL;
	json_error_t error;
	json_t *object;
	int result;

	if (len > REPLY_METADATA_MAX) {
		snprintf(why, REPLY_WHY_MAX,
		    "reply metadata: %zu bytes, more than %d", len,
		    REPLY_METADATA_MAX);
		return (-1);
	}
	object = json_loadb((const char *)bytes, len, flags, &error);
	if (object == NULL) {
		explain_syntax(&error, why);
		return (-1);
	}
	result = take_members(facts, object, why);
	json_decref(object);
	return (result);
}

int
reply_facts_read(struct reply_facts *facts, const uint8_t *bytes, size_t len,
    char why[REPLY_WHY_MAX])
{
	/* Most replies of a program have the same metadata, and to parse it
	 * takes about as long as all else that is done for a reply. */
	if (len > 0 && len == facts->text_len &&
	    memcmp(bytes, facts->text, len) == 0)
		return (0);
	*facts = (struct reply_facts){ .status = 0 };
	if (len == 0)
		return (0);
	if (parse(facts, bytes, len, why) == -1)
		return (-1);
	if (len <= sizeof(facts->text)) {
		facts->text_len = len;
		memcpy(facts->text, bytes, len);
	}
	return (0);
}
