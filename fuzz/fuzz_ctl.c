/* SPDX-License-Identifier: ISC */
/*
 * Control messages out of anything.
 *
 * An input is one byte that chooses the sender, and the packet.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/ctl.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* Whether it is one of the list, as long as it has to be. */
static bool
is_good(const struct ctl_header *header, size_t len, enum ctl_sender sender)
{
	static const struct {
		uint16_t type;
		enum ctl_sender sender;
		uint32_t before, length;
	} list[] = {
#define ROW(name, from, before, size) { CTL_##name, CTL_##from, before, size },
		CTL_MESSAGES(ROW)
#undef ROW
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++)
		if (header->type == list[i].type && sender == list[i].sender)
			return (len == (uint64_t)sizeof(*header) +
			    header->length &&
			    ((header->version == CTL_VERSION &&
			    header->length == list[i].length) ||
			    (header->version == CTL_PREVIOUS &&
			    header->length == list[i].before)));
	return (false);
}

int
LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
	struct ctl_header header = { .type = 0 };
	enum ctl_sender sender;
	struct ctl *msg;
	const char *wrong;

	if (len == 0)
		return (0);
	sender = input[0] % 2 == 0 ? CTL_FROM_MASTER : CTL_FROM_CHILD;
	input++;
	len--;
	/* No larger than the packet, so that a sanitizer sees who reads beyond;
	 * a longer one than any is told by its length. */
	msg = malloc(len > 0 ? len : 1);
	assert(msg != NULL);
	memcpy((void *)msg, input, len);
	memcpy(&header, input, len < sizeof(header) ? len : sizeof(header));
	wrong = ctl_check(msg, len, sender);
	if (len < sizeof(header))
		assert(wrong != NULL);
	else
		assert((wrong == NULL) == is_good(&header, len, sender));
	assert(ctl_name(header.type) != NULL);
	free(msg);
	return (0);
}
