/* SPDX-License-Identifier: ISC */
#include "monitor/json.h"

#include <inttypes.h>

#include "common/escape.h"

static void
json_begin(struct json *json, const char *name)
{
	if (json->some)
		putc(',', json->out);
	json->some = true;
	if (name == NULL)
		return;
	escape_json_print(json->out, name);
	putc(':', json->out);
}

void
json_open(struct json *json, const char *name, char bracket)
{
	json_begin(json, name);
	putc(bracket, json->out);
	json->some = false;
}

void
json_close(struct json *json, char bracket)
{
	putc(bracket, json->out);
	json->some = true;
}

void
json_str(struct json *json, const char *name, const char *value)
{
	json_begin(json, name);
	escape_json_print(json->out, value);
}

void
json_number(struct json *json, const char *name, uint64_t value)
{
	json_begin(json, name);
	fprintf(json->out, "%" PRIu64, value);
}

void
json_signed(struct json *json, const char *name, int64_t value)
{
	json_begin(json, name);
	fprintf(json->out, "%" PRId64, value);
}

void
json_bool(struct json *json, const char *name, bool value)
{
	json_begin(json, name);
	fputs(value ? "true" : "false", json->out);
}

void
json_seconds(struct json *json, const char *name, uint64_t us)
{
	json_begin(json, name);
	fprintf(json->out, "%" PRIu64 ".%06u", us / 1000000,
	    (unsigned)(us % 1000000));
}
