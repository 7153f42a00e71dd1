/* SPDX-License-Identifier: ISC */
/*
 * The table of handlers.
 */
#include "worker/handler.h"

const struct handler *
handler_find(enum conf_handler_type type)
{
	switch (type) {
	case CONF_HANDLER_ECHO:
		return (&handler_echo);
	case CONF_HANDLER_DISCARD:
		return (&handler_discard);
	}
	return (NULL);
}
