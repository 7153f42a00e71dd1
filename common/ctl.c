/* SPDX-License-Identifier: ISC */
#include "common/ctl.h"

#include "common/log.h"

static const struct {
	const char *name;
	enum ctl_sender sender;
	size_t length;
} messages[] = {
	[CTL_NONE] = { "none", CTL_FROM_MASTER, 0 },
#define CTL_ROW(name, sender, length)					\
	[CTL_##name] = { #name, CTL_##sender, length },
	CTL_MESSAGES(CTL_ROW)
#undef CTL_ROW
};

size_t
ctl_length(enum ctl_type type)
{
	return (messages[type].length);
}

const char *
ctl_name(unsigned type)
{
	return (type < CTL_TYPE_COUNT ? messages[type].name : "unknown");
}

const char *
ctl_check(const struct ctl *msg, size_t n, enum ctl_sender sender)
{
	if (n < sizeof(msg->header))
		return ("shorter than a header");
	if (msg->header.version != CTL_VERSION)
		return ("of another version");
	if (msg->header.type == CTL_NONE || msg->header.type >= CTL_TYPE_COUNT)
		return ("of an unknown type");
	if (messages[msg->header.type].sender != sender)
		return ("not the sender's to send");
	if (msg->header.length != messages[msg->header.type].length ||
	    n != sizeof(msg->header) + msg->header.length)
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
	log_use(msg->fd[0]);
	msg->fd[0] = -1;
	return (true);
}
