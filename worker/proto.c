/* SPDX-License-Identifier: ISC */
/*
 * The table of protocols.
 */
#include "worker/proto.h"

const struct proto *
proto_find(enum conf_protocol protocol)
{
	switch (protocol) {
	case CONF_PROTOCOL_FRAME:
		return (&proto_frame);
	case CONF_PROTOCOL_LINE:
		return (&proto_line);
	}
	return (NULL);
}
