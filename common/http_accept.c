/* SPDX-License-Identifier: ISC */
#include "common/http_accept.h"

enum { WEIGHT_MAX = 1000 };

/* A weight from 0 to 1 with up to three digits after the point, times 1000.
 * Returns -1 if it is invalid. */
static int
read_weight(struct http_slice text)
{
	int weight, digit = WEIGHT_MAX / 10;

	if (text.len == 0 || text.len > 5 || (text.bytes[0] != '0' &&
	    text.bytes[0] != '1') || (text.len > 1 && text.bytes[1] != '.'))
		return (-1);
	weight = (text.bytes[0] - '0') * WEIGHT_MAX;
	for (size_t i = 2; i < text.len; i++, digit /= 10) {
		if (text.bytes[i] < '0' || text.bytes[i] > '9')
			return (-1);
		weight += (text.bytes[i] - '0') * digit;
	}
	return (weight <= WEIGHT_MAX ? weight : -1);
}

static bool
is_weight(struct http_slice parameter)
{
	return (parameter.len >= 2 && (parameter.bytes[0] | 0x20) == 'q' &&
	    parameter.bytes[1] == '=');
}

static void
rank(struct http_accept_rank *to, unsigned precision, unsigned weight,
    unsigned place)
{
	if (precision > to->precision)
		*to = (struct http_accept_rank){ precision, weight, place };
}

/* Read one range.  Only its weight is used of its parameters. */
static void
read_range(struct http_accept *accept, struct http_slice rest)
{
	unsigned place = accept->nranges++;
	struct http_slice type, parameter;
	int weight = WEIGHT_MAX;

	if (!http_slice_next(&rest, ';', true, &type))
		return;
	while (http_slice_next(&rest, ';', true, &parameter)) {
		if (!is_weight(parameter))
			continue;
		parameter.bytes += 2;
		parameter.len -= 2;
		if ((weight = read_weight(parameter)) == -1)
			return;
	}
	if (http_slice_is(type, "application/json"))
		rank(&accept->json, 3, (unsigned)weight, place);
	else if (http_slice_is(type, "application/*"))
		rank(&accept->json, 2, (unsigned)weight, place);
	else if (http_slice_is(type, "text/plain"))
		rank(&accept->text, 3, (unsigned)weight, place);
	else if (http_slice_is(type, "text/*"))
		rank(&accept->text, 2, (unsigned)weight, place);
	else if (http_slice_is(type, "*/*")) {
		rank(&accept->json, 1, (unsigned)weight, place);
		rank(&accept->text, 1, (unsigned)weight, place);
	}
}

void
http_accept_read(struct http_accept *accept, struct http_slice value)
{
	struct http_slice range;

	while (http_slice_next(&value, ',', true, &range))
		read_range(accept, range);
}

bool
http_accept_wants_json(const struct http_accept *accept)
{
	const struct http_accept_rank *json = &accept->json;
	const struct http_accept_rank *text = &accept->text;

	if (json->weight != text->weight)
		return (json->weight > text->weight);
	if (json->weight == 0 || json->precision != text->precision)
		return (json->weight > 0 && json->precision > text->precision);
	return (json->place < text->place);
}
