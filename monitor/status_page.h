/* SPDX-License-Identifier: ISC */
/*
 * /status: a view as JSON.  penstock-metrics(7) describes the members.
 */
#ifndef MONITOR_STATUS_PAGE_H
#define MONITOR_STATUS_PAGE_H

#include <stdio.h>

#include "monitor/view.h"

enum {
	/* Raised when a member is removed or changes its meaning, not for new
	 * members. */
	STATUS_PAGE_SCHEMA = 1,
};

void status_page_print(FILE *, const struct view *);

#endif
