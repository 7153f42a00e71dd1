/* SPDX-License-Identifier: ISC */
/*
 * /status: a view as JSON, for people's tools.  penstock-metrics(7) tells what
 * the members are.
 */
#ifndef MONITOR_STATUS_PAGE_H
#define MONITOR_STATUS_PAGE_H

#include <stdio.h>

#include "monitor/view.h"

enum {
	/* Raised when a member changes its meaning or goes; not for new
	 * ones. */
	STATUS_PAGE_SCHEMA = 1,
};

void status_page_print(FILE *, const struct view *);

#endif
