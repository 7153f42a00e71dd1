/* SPDX-License-Identifier: ISC */
/*
 * The most that a configuration can have of what the processes number.
 */
#ifndef COMMON_BOUNDS_H
#define COMMON_BOUNDS_H

enum {
	CONF_WORKERS_MAX = 256,
	CONF_LISTENERS_MAX = 64,
	CONF_HANDLERS_MAX = 32,
};

#endif
