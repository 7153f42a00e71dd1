/* SPDX-License-Identifier: ISC */
#include "tools/load/verifier.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "common/counters.h"
#include "tools/load/wire_http.h"

enum {
	MISSING_MAX = 64,
	HEADER_LEN = 4,
	/* Replies that are no echo, as messages of the server's, have room; and
	 * so have heads of HTTP. */
	ODDITY_ROOM = 8192,
};

/*
 * A message that isn't the one that is due, as far as it has come, and the last
 * of those that were passed over.
 */
struct oddity {
	uint32_t missing[MISSING_MAX];	/* those not known yet stand first */
	unsigned nmissing;
	size_t len;		/* of bytes; 0: nothing is wrong right now */
	size_t size;
	uint8_t bytes[];	/* as on the wire */
};

/* What all the steps below need. */
struct check {
	struct verifier *verifier;
	const struct verifier_rule *rule;
	uint32_t conn;
	uint32_t sent;
};

static struct message_id
verifier_id_of(const struct check *check, uint32_t number)
{
	return ((struct message_id){ check->conn, number });
}

/*
 * Verdicts on a whole message.
 */

/* Note the number of a reply that was passed over; the oldest is forgotten. */
static void
miss(struct check *check, uint32_t number)
{
	struct oddity *oddity = check->verifier->oddity;

	counter_add(&check->rule->report->lost, 1);
	if (oddity->nmissing == MISSING_MAX) {
		oddity->nmissing--;
		memmove(oddity->missing, oddity->missing + 1,
		    oddity->nmissing * sizeof(oddity->missing[0]));
	}
	oddity->missing[oddity->nmissing++] = number;
}

/* Returns false if it was not missing. */
static bool
find_missing(struct check *check, uint32_t number)
{
	struct oddity *oddity = check->verifier->oddity;

	for (unsigned i = 0; i < oddity->nmissing; i++) {
		if (oddity->missing[i] != number)
			continue;
		oddity->nmissing--;
		memmove(oddity->missing + i, oddity->missing + i + 1,
		    (oddity->nmissing - i) * sizeof(oddity->missing[0]));
		return (true);
	}
	return (false);
}

/* It stands where a reply is due, which won't come any more. */
static void
verifier_replace(struct check *check, uint64_t *counter)
{
	counter_add(counter, 1);
	if (check->verifier->next != check->sent)
		check->verifier->next++;
}

/* A reply is whole and right, but not the one that is due. */
static void
judge_out_of_turn(struct check *check, uint32_t number)
{
	struct verifier *verifier = check->verifier;
	struct hold_report *report = check->rule->report;

	if (number >= verifier->next && number < check->sent) {
		while (verifier->next != number)
			miss(check, verifier->next++);
		verifier->next++;
		counter_add(&report->answered, 1);
	} else if (find_missing(check, number)) {
		counter_sub(&report->lost, 1);
		counter_add(&report->reordered, 1);
		counter_add(&report->answered, 1);
	} else if (number < verifier->next)
		counter_add(&report->doubled, 1);
	else
		verifier_replace(check, &report->corrupted);	/* never sent */
}

static size_t
header_of(const struct message_form *form, const uint8_t *wire, size_t len)
{
	switch (form->wire) {
	case WIRE_FRAME:
		return (HEADER_LEN);
	case WIRE_LINE:
		return (0);
	case WIRE_HTTP:
	case WIRE_POST:
	case WIRE_RAW:
		break;
	}
	return (wire_http_head(wire, len));
}

/* Whether a whole message is the server's own, about trouble. */
static bool
is_error(const struct message_form *form, const uint8_t *wire, size_t len)
{
	size_t header = header_of(form, wire, len);

	if (form->wire == WIRE_HTTP)
		return (!wire_http_is_ok(wire, len));
	return (len - header > 4 && memcmp(wire + header, "ERR ", 4) == 0);
}

/* Of a POST only the body is known. */
static bool
is_echo(const struct check *check, struct message_id id, const uint8_t *wire,
    size_t len, size_t header)
{
	const struct message_form *form = check->rule->form;
	uint8_t *due = check->rule->scratch;

	if (form->wire == WIRE_POST)
		return (message_build_payload(form, due, id) == len - header &&
		    memcmp(due, wire + header, len - header) == 0);
	return (message_build_reply(form, due, id) == len &&
	    message_is_reply(form, due, 0, wire, len));
}

static void
verifier_judge(struct check *check, const uint8_t *wire, size_t len)
{
	const struct message_form *form = check->rule->form;
	size_t header = header_of(form, wire, len);
	const uint8_t *payload = wire + header;
	struct message_id id;

	if (message_read_id(payload, len - header, &id) &&
	    id.conn == check->conn &&
	    is_echo(check, id, wire, len, header))
		judge_out_of_turn(check, id.number);
	else if (is_error(form, wire, len))
		verifier_replace(check, &check->rule->report->errors);
	else
		verifier_replace(check, &check->rule->report->corrupted);
}

/* The reply that is due has come. */
static void
accept_due(struct check *check)
{
	check->verifier->at = 0;
	check->verifier->next++;
	counter_add(&check->rule->report->answered, 1);
}

/*
 * Bytes that are not what is due.
 */

/* From here on keep what comes, and what of it was as it should be.  Returns
 * false without memory. */
static bool
become_odd(struct check *check)
{
	struct verifier *verifier = check->verifier;
	size_t size = message_room(check->rule->form) + ODDITY_ROOM;

	if (verifier->oddity == NULL) {
		verifier->oddity = calloc(1, sizeof(struct oddity) + size);
		if (verifier->oddity == NULL)
			return (false);
		verifier->oddity->size = size;
	}
	verifier->oddity->len = verifier->at;
	memcpy(verifier->oddity->bytes, check->rule->scratch, verifier->at);
	verifier->at = 0;
	return (true);
}

/* How many bytes the message lacks at least, by its own account. */
static size_t
frame_lacks(const struct oddity *oddity)
{
	uint32_t header;

	if (oddity->len < HEADER_LEN)
		return (HEADER_LEN - oddity->len);
	memcpy(&header, oddity->bytes, sizeof(header));
	return (HEADER_LEN + (size_t)ntohl(header) - oddity->len);
}

static size_t
line_lacks(const struct oddity *oddity, const uint8_t *bytes, size_t len)
{
	const uint8_t *end;

	if (oddity->len > 0 && oddity->bytes[oddity->len - 1] == '\n')
		return (0);
	end = memchr(bytes, '\n', len);
	return (end == NULL ? len + 1 : (size_t)(end - bytes) + 1);
}

static size_t
http_lacks(const struct oddity *oddity)
{
	size_t whole = wire_http_length(oddity->bytes, oddity->len);

	if (whole == 0)
		return (1);
	return (whole == SIZE_MAX ? whole : whole - oddity->len);
}

static size_t
lacks(const struct check *check, const uint8_t *bytes, size_t len)
{
	const struct oddity *oddity = check->verifier->oddity;

	switch (check->rule->form->wire) {
	case WIRE_FRAME:
		return (frame_lacks(oddity));
	case WIRE_LINE:
		return (line_lacks(oddity, bytes, len));
	case WIRE_HTTP:
	case WIRE_POST:
	case WIRE_RAW:
		break;
	}
	return (http_lacks(oddity));
}

/* Returns how many of the bytes belong to a message that is not the one that
 * is due; 0 if that is never going to be a message. */
static size_t
take_odd(struct check *check, const uint8_t *bytes, size_t len)
{
	struct oddity *oddity = check->verifier->oddity;
	size_t taken = 0, n;

	while ((n = lacks(check, bytes + taken, len - taken)) > 0) {
		if (n > oddity->size - oddity->len)
			return (0);
		if (n > len - taken)
			n = len - taken;
		memcpy(oddity->bytes + oddity->len, bytes + taken, n);
		oddity->len += n;
		taken += n;
		if (taken == len && lacks(check, bytes, 0) > 0)
			return (taken);
	}
	verifier_judge(check, oddity->bytes, oddity->len);
	oddity->len = 0;
	return (taken);
}

/*
 * Bytes that are.
 */

/* Returns how many of the bytes are as they have to be. */
static size_t
take_due(struct check *check, const uint8_t *bytes, size_t len)
{
	struct verifier *verifier = check->verifier;
	uint8_t *due = check->rule->scratch;
	size_t whole, n;

	if (verifier->next == check->sent)
		return (0);
	whole = message_build_reply(check->rule->form, due,
	    verifier_id_of(check, verifier->next));
	n = whole - verifier->at < len ? whole - verifier->at : len;
	if (!message_is_reply(check->rule->form, due, verifier->at, bytes, n))
		return (0);
	verifier->at += (uint32_t)n;
	if (verifier->at == whole)
		accept_due(check);
	return (n);
}

/* Returns how many of the bytes belong to the next message, as it was due or
 * not; 0 if that is never going to be one. */
static size_t
take_echo(struct check *check, const uint8_t *bytes, size_t len)
{
	const struct oddity *oddity = check->verifier->oddity;
	size_t n;

	if (oddity == NULL || oddity->len == 0) {
		if ((n = take_due(check, bytes, len)) > 0)
			return (n);
		if (!become_odd(check))
			return (0);
	}
	return (take_odd(check, bytes, len));
}

/*
 * Responses to a POST.  Their headers are not known before, so a response is
 * kept until it is complete, and checked then.
 */

static void
judge_response(struct check *check, const uint8_t *bytes,
    const struct response *response)
{
	const struct verifier *verifier = check->verifier;
	const uint8_t *body = bytes + response->head_len;
	uint8_t *due = check->rule->scratch;

	if (response->status < 200 || response->status > 299)
		verifier_replace(check, &check->rule->report->errors);
	else if (verifier->next != check->sent &&
	    message_build_payload(check->rule->form, due,
	    verifier_id_of(check, verifier->next)) == response->body_len &&
	    memcmp(body, due, response->body_len) == 0)
		accept_due(check);
	else if (verifier->oddity != NULL || become_odd(check))
		verifier_judge(check, bytes,
		    response->head_len + response->body_len);
}

static bool
verifier_keep(struct check *check, const uint8_t *bytes, size_t len)
{
	struct oddity *oddity;

	if (check->verifier->oddity == NULL && !become_odd(check))
		return (false);
	oddity = check->verifier->oddity;
	if (len > oddity->size - oddity->len)
		return (false);
	memcpy(oddity->bytes + oddity->len, bytes, len);
	oddity->len += len;
	return (true);
}

/* As take_echo(). */
static size_t
take_response(struct check *check, const uint8_t *bytes, size_t len)
{
	struct oddity *oddity = check->verifier->oddity;
	size_t had = oddity != NULL ? oddity->len : 0;
	const uint8_t *view = bytes;
	struct response response;

	if (had > 0) {
		if (len > oddity->size - had)
			len = oddity->size - had;
		memcpy(oddity->bytes + had, bytes, len);
		view = oddity->bytes;
	}
	switch (response_parse(check->rule->head, view, had + len, &response)) {
	case RESPONSE_WHOLE:
		judge_response(check, view, &response);
		if (had > 0)
			oddity->len = 0;
		return (response.head_len + response.body_len - had);
	case RESPONSE_MORE:
		return (verifier_keep(check, bytes, len) ? len : 0);
	case RESPONSE_BAD:
		break;
	}
	return (0);
}

/* As take_echo(), of replies of which only the length is known. */
static size_t
take_raw(struct check *check, size_t len)
{
	struct verifier *verifier = check->verifier;
	size_t n = check->rule->form->raw_reply_len - verifier->at;

	if (verifier->next == check->sent)
		return (0);
	if (n > len)
		n = len;
	verifier->at += (uint32_t)n;
	if (verifier->at == check->rule->form->raw_reply_len)
		accept_due(check);
	return (n);
}

static size_t
take_some(struct check *check, const uint8_t *bytes, size_t len)
{
	switch (check->rule->form->wire) {
	case WIRE_FRAME:
	case WIRE_LINE:
	case WIRE_HTTP:
		return (take_echo(check, bytes, len));
	case WIRE_POST:
		return (take_response(check, bytes, len));
	case WIRE_RAW:
		break;
	}
	return (take_raw(check, len));
}

bool
verifier_take(struct verifier *verifier, const struct verifier_rule *rule,
    uint32_t conn, uint32_t sent, const uint8_t *bytes, size_t len)
{
	struct check check = { verifier, rule, conn, sent };
	size_t n;

	while (len > 0) {
		if ((n = take_some(&check, bytes, len)) == 0) {
			counter_add(&rule->report->corrupted, 1);
			return (false);
		}
		bytes += n;
		len -= n;
	}
	return (true);
}

void
verifier_clear(struct verifier *verifier)
{
	free(verifier->oddity);
	*verifier = (struct verifier){ .oddity = NULL };
}
