/* SPDX-License-Identifier: ISC */
#include "tools/load/response.h"

#include <string.h>
#include <strings.h>

enum {
	STATUS_LINE_MIN = 13,		/* "HTTP/1.1 200", and one more */
	BODY_MAX = 1 << 30,
};

/* The value of a header, if the line is of that name; NULL otherwise. */
static const char *
value_of(const char *line, size_t len, const char *name)
{
	size_t name_len = strlen(name);

	if (len <= name_len || line[name_len] != ':' ||
	    strncasecmp(line, name, name_len) != 0)
		return (NULL);
	for (line += name_len + 1; *line == ' ' || *line == '\t'; line++)
		;
	return (line);
}

/* The line ends with something that is no digit. */
static int
response_read_length(const char *value, size_t *length)
{
	*length = 0;
	if (*value < '0' || *value > '9')
		return (-1);
	for (; *value >= '0' && *value <= '9'; value++) {
		*length = *length * 10 + (size_t)(*value - '0');
		if (*length > BODY_MAX)
			return (-1);
	}
	return (0);
}

static int
read_status(const char *head, size_t len, unsigned *status)
{
	if (len < STATUS_LINE_MIN || memcmp(head, "HTTP/1.", 7) != 0 ||
	    head[8] != ' ')
		return (-1);
	*status = 0;
	for (int i = 9; i < 12; i++) {
		if (head[i] < '0' || head[i] > '9')
			return (-1);
		*status = *status * 10 + (unsigned)(head[i] - '0');
	}
	return (0);
}

/* head_len is the length of the header.  Returns -1 if it does not give the
 * length of the body, or is malformed. */
static int
response_parse_head(const char *head, struct response *response)
{
	const char *line = head, *end = head + response->head_len, *value, *lf;
	int status = -1;

	if (read_status(head, response->head_len, &response->status) == -1)
		return (-1);
	while ((lf = memchr(line, '\n', (size_t)(end - line))) != NULL) {
		value = value_of(line, (size_t)(lf - line), "Content-Length");
		if (value != NULL)
			status =
			    response_read_length(value, &response->body_len);
		line = lf + 1;
	}
	return (status);
}

static int
find_head(struct response_head *kept, const uint8_t *bytes, size_t len,
    struct response *response)
{
	const uint8_t *end;

	if (kept->parsed.head_len > 0 && len >= kept->parsed.head_len &&
	    memcmp(bytes, kept->bytes, kept->parsed.head_len) == 0) {
		*response = kept->parsed;
		return (0);
	}
	if ((end = memmem(bytes, len, "\r\n\r\n", 4)) == NULL)
		return (-1);
	*response = (struct response){
		.head_len = (size_t)(end - bytes) + 4,
	};
	return (0);
}

enum response_verdict
response_parse(struct response_head *kept, const uint8_t *bytes, size_t len,
    struct response *response)
{
	if (find_head(kept, bytes, len, response) == -1)
		return (RESPONSE_MORE);
	if (response->status == 0) {
		if (response_parse_head((const char *)bytes, response) == -1)
			return (RESPONSE_BAD);
		if (response->head_len <= RESPONSE_HEAD_KEPT) {
			kept->parsed = *response;
			memcpy(kept->bytes, bytes, response->head_len);
		}
	}
	return (len - response->head_len < response->body_len ?
	    RESPONSE_MORE : RESPONSE_WHOLE);
}
