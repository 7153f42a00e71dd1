/* SPDX-License-Identifier: ISC */
#include "common/http_slice.h"

struct http_slice
http_slice_trim(struct http_slice slice)
{
	while (slice.len > 0 && (*slice.bytes == ' ' || *slice.bytes == '\t')) {
		slice.bytes++;
		slice.len--;
	}
	while (slice.len > 0 && (slice.bytes[slice.len - 1] == ' ' ||
	    slice.bytes[slice.len - 1] == '\t'))
		slice.len--;
	return (slice);
}

bool
http_slice_next(struct http_slice *list, char separator, bool has_quotes,
    struct http_slice *part)
{
	bool is_quoted = false;
	size_t n = 0;

	if (list->bytes == NULL)
		return (false);
	for (; n < list->len; n++) {
		char c = list->bytes[n];

		if (c == separator && !is_quoted)
			break;
		if (c == '"' && has_quotes)
			is_quoted = !is_quoted;
		else if (c == '\\' && is_quoted)
			n++;
	}
	if (n > list->len)
		n = list->len;
	*part = http_slice_trim((struct http_slice){ list->bytes, n });
	if (n == list->len) {
		list->bytes = NULL;
	} else {
		list->bytes += n + 1;
		list->len -= n + 1;
	}
	return (true);
}
