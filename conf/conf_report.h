/* SPDX-License-Identifier: ISC */
/*
 * The findings about a configuration, in the order of its lines.
 */
#ifndef CONF_CONF_REPORT_H
#define CONF_CONF_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/conf.h"

/* A text may quote a name, which can be as long as the file. */
enum { CONF_FINDING_MAX = 2048 };

struct conf_finding {
	struct conf_error error;
	unsigned line;			/* of the text with all includes; 0:
					   before all that have one */
	const void *about;		/* a setting, or NULL */
};

/* Zeroed before; ended by conf_report_end(). */
struct conf_findings {
	struct conf_finding *sorted;	/* by line, then as they came */
	size_t count;
	size_t omitted;			/* beyond what anyone reads */
	bool are_warnings;		/* all of them */
};

/* Add a finding.  The text and the name of the file are copied. */
void conf_report_add(struct conf_findings *, struct conf_finding);
void conf_report_addf(struct conf_findings *, const char *file, unsigned line,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Move all findings into a report of a file. */
void conf_report_end(struct conf_findings *, struct conf_report *,
    const char *file);

#endif
