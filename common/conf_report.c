/* SPDX-License-Identifier: ISC */
/*
 * The report of what is wrong with a configuration.
 *
 * Runs in the master.  Owns its texts; what they say is its callers' choice.
 */
#include "common/conf_report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/conf.h"
#include "common/conf_alloc.h"

void
conf_report_add(struct conf_report *report, const char *file, unsigned line,
    char *text)
{
	report->errors = conf_must(reallocarray(report->errors,
	    report->nerrors + 1, sizeof(*report->errors)));
	report->errors[report->nerrors++] = (struct conf_error){
		.file = conf_must(strdup(file)),
		.line = line,
		.text = text,
	};
}

void
conf_report_addf(struct conf_report *report, const char *file, unsigned line,
    const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) == -1)
		abort();
	va_end(ap);
	conf_report_add(report, file, line, text);
}

void
conf_report_free(struct conf_report *report)
{
	for (size_t i = 0; i < report->nerrors; i++) {
		free(report->errors[i].file);
		free(report->errors[i].text);
	}
	free(report->errors);
	*report = (struct conf_report){ 0 };
}
