/* SPDX-License-Identifier: ISC */
#include "worker/reply_facts.h"

#include <sys/random.h>

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/why.h"

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
copy_type(char to[HTTP_NOTE_MAX], const json_t *value)
{
	const char *type = json_string_value(value);
	size_t len = json_string_length(value);

	if (len == 0 || len >= HTTP_NOTE_MAX)
		return (false);
	for (size_t i = 0; i < len; i++)
		if (type[i] < ' ' || type[i] > '~')
			return (false);
	memcpy(to, type, len + 1);
	return (true);
}

static bool
take_type(struct reply_facts *facts, const json_t *value)
{
	return (copy_type(facts->type, value));
}

static const struct member {
	const char *name;
	bool (*take)(struct reply_facts *, const json_t *);
	enum reply_verdict otherwise;
	const char *expected;
} members[] = {
	{ "status", take_status, REPLY_BROKEN, "an integer from 200 to 599" },
	{ "content_type", take_type, REPLY_REFUSED,
	    "1 to 255 printable ASCII characters" },
};

/*
 * Why it is refused.
 */

static void
explain_value(const char *name, const json_t *value, const char *expected,
    struct why *why)
{
	enum { SHOWN = 20 };
	char *found = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT |
	    JSON_ENSURE_ASCII | JSON_REAL_PRECISION(15));
	bool is_long = found != NULL && strlen(found) > SHOWN;

	why_set(why, "reply metadata: %s is %.*s%s, not %s", name, SHOWN,
	    found != NULL ? found : "", is_long ? "..." : "",
	    expected);
	free(found);
}

static void
explain_field(const char *name, const char *reason, struct why *why)
{
	enum { SHOWN = 40 };
	json_t *string = json_string(name);
	char *shown = json_dumps(string, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);

	why_set(why, "reply metadata: field %.*s: %s", SHOWN,
	    shown != NULL ? shown : "", reason);
	free(shown);
	json_decref(string);
}

/*
 * Response fields.
 */

static const char *
take_content_type(char type[HTTP_NOTE_MAX], const json_t *value)
{
	if (*type != '\0')
		return ("there is more than one");
	return (copy_type(type, value) ? NULL :
	    "the value is not 1 to 255 printable ASCII characters");
}

/* Returns NULL, or what is wrong with it. */
static const char *
take_value(struct reply_facts *facts, const char *name, const json_t *value)
{
	if (!json_is_string(value))
		return ("a value is not a string");
	return (http_fields_add(&facts->fields, name, strlen(name),
	    json_string_value(value), json_string_length(value)));
}

static const char *
take_values(struct reply_facts *facts, const char *name, const json_t *values)
{
	const char *reason = NULL;
	size_t i;
	json_t *value;

	if (!json_is_array(values))
		return (take_value(facts, name, values));
	json_array_foreach(values, i, value)
		if ((reason = take_value(facts, name, value)) != NULL)
			break;
	return (reason);
}

static enum reply_verdict
take_fields(struct reply_facts *facts, json_t *object, struct why *why)
{
	char type[HTTP_NOTE_MAX] = "";
	const char *name, *reason;
	json_t *value;

	if (!json_is_object(object)) {
		explain_value("fields", object, "an object", why);
		return (REPLY_REFUSED);
	}
	json_object_foreach(object, name, value) {
		reason = strcasecmp(name, "Content-Type") == 0 ?
		    take_content_type(type, value) :
		    take_values(facts, name, value);
		if (reason == NULL)
			continue;
		explain_field(name, reason, why);
		return (REPLY_REFUSED);
	}
	/* content_type goes before a Content-Type. */
	if (facts->type[0] == '\0')
		memcpy(facts->type, type, sizeof(type));
	return (REPLY_TAKEN);
}

/*
 * The whole.
 */

void
reply_facts_init(void)
{
	size_t seed;

	/* Else the library reads /dev/urandom.  Only the first seed counts. */
	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) == sizeof(seed))
		json_object_seed(seed | 1);
}

static enum reply_verdict
take_members(struct reply_facts *facts, const json_t *object,
    struct why *why)
{
	const struct member *member = members;
	json_t *value;

	if (!json_is_object(object)) {
		explain_value("it", object, "an object", why);
		return (REPLY_BROKEN);
	}
	for (size_t i = 0; i < sizeof(members) / sizeof(*members);
	    i++, member++) {
		value = json_object_get(object, member->name);
		if (value == NULL || member->take(facts, value))
			continue;
		explain_value(member->name, value, member->expected, why);
		return (member->otherwise);
	}
	value = json_object_get(object, "fields");
	return (value != NULL ? take_fields(facts, value, why) : REPLY_TAKEN);
}

/* Whether an object has a text that JSON cannot carry: libraries write half of a
 * surrogate pair, and bytes that are not UTF-8, as a client has sent them. */
static bool
is_odd_text(const json_error_t *error, const uint8_t *bytes, size_t len)
{
	for (; len > 0 && memchr(" \t\r\n", *bytes, 4) != NULL; len--)
		bytes++;
	if (len == 0 || *bytes != '{')
		return (false);
	switch (json_error_code(error)) {
	case json_error_invalid_utf8:
	case json_error_null_byte_in_key:
		return (true);
	default:
		/* Half of a pair has no code of its own. */
		return (strncmp(error->text, "invalid Unicode '", 17) == 0);
	}
}

static enum reply_verdict
facts_parse(struct reply_facts *facts, const uint8_t *bytes, size_t len,
    struct why *why)
{
	/* A number is read as a real one, because 200, 200.0 and 2e2 are the
	 * same; NUL is a character of a string like any other. */
	const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL |
	    JSON_ALLOW_NUL;
	json_error_t error;
	enum reply_verdict verdict;
	json_t *object;

	if (len > REPLY_METADATA_MAX) {
		why_set(why, "reply metadata: %zu bytes, more than %d", len,
		    REPLY_METADATA_MAX);
		return (REPLY_BROKEN);
	}
	object = json_loadb((const char *)bytes, len, flags, &error);
	if (object == NULL) {
		why_set(why, "reply metadata: byte %d: %.80s", error.position,
		    error.text);
		return (is_odd_text(&error, bytes, len) ? REPLY_REFUSED :
		    REPLY_BROKEN);
	}
	verdict = take_members(facts, object, why);
	json_decref(object);
	return (verdict);
}

enum reply_verdict
reply_facts_read(struct reply_facts *facts, const uint8_t *bytes, size_t len,
    struct why *why)
{
	/* Most replies of a program have the same metadata, and to parse it
	 * takes about as long as all else that is done for a reply. */
	if (len > 0 && len == facts->text_len &&
	    memcmp(bytes, facts->text, len) == 0)
		return (REPLY_TAKEN);
	/* Not the bytes of the fields: they are many. */
	facts->status = 0;
	facts->type[0] = '\0';
	facts->fields.count = 0;
	facts->fields.len = 0;
	facts->text_len = 0;
	facts->verdict = len > 0 ? facts_parse(facts, bytes, len, why) :
	    REPLY_TAKEN;
	/* The reason is not remembered. */
	if (len <= sizeof(facts->text) && facts->verdict == REPLY_TAKEN) {
		facts->text_len = len;
		memcpy(facts->text, bytes, len);
	}
	return (facts->verdict);
}
