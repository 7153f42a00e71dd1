/* SPDX-License-Identifier: ISC */
#include "common/ctl.h"

#include "common/log.h"

static const struct {
	const char *name;
	enum ctl_sender sender;
	uint32_t before;	/* in CTL_PREVIOUS */
	uint32_t length;
} messages[] = {
	[CTL_NONE] = { "none", CTL_FROM_MASTER, CTL_ABSENT, CTL_ABSENT },
#define CTL_ROW(name, sender, before, length)				\
	[CTL_##name] = { #name, CTL_##sender, before, length },
	CTL_MESSAGES(CTL_ROW)
#undef CTL_ROW
};

uint32_t
ctl_length(enum ctl_type type, unsigned version)
{
	return (version == CTL_PREVIOUS ? messages[type].before :
	    messages[type].length);
}

const char *
ctl_name(unsigned type)
{
	return (type < CTL_TYPE_COUNT ? messages[type].name : "unknown");
}

const char *
ctl_check(const struct ctl *msg, size_t n, enum ctl_sender sender)
{
	const struct ctl_header *header = &msg->header;
	uint32_t length;

	if (n < sizeof(*header))
		return ("shorter than a header");
	if (!ctl_is_spoken(header->version))
		return ("of another version");
	if (header->type == CTL_NONE || header->type >= CTL_TYPE_COUNT)
		return ("of an unknown type");
	length = ctl_length((enum ctl_type)header->type, header->version);
	if (length == CTL_ABSENT)
		return ("of an unknown type");
	if (messages[header->type].sender != sender)
		return ("not the sender's to send");
	if (header->length != length || n != sizeof(*header) + length)
		return ("of the wrong length");
	return (NULL);
}

bool
ctl_use_log(struct ctl *msg)
{
	log_configure((enum log_level)msg->log.level,
	    (enum log_format)msg->log.format);
	if (msg->fd[0] == -1)
		return (false);
	log_replace(msg->fd[0]);
	msg->fd[0] = -1;
	return (true);
}
