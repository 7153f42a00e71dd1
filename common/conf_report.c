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

static void
add(struct conf_error **list, size_t *n, const char *file, unsigned line,
    char *text)
{
	*list = conf_must(reallocarray(*list, *n + 1, sizeof(**list)));
	(*list)[(*n)++] = (struct conf_error){
		.file = conf_must(strdup(file)),
		.line = line,
		.text = text,
	};
}

void
conf_report_add(struct conf_report *report, const char *file, unsigned line,
    char *text)
{
	add(&report->errors, &report->nerrors, file, line, text);
}

void
conf_report_warn(struct conf_report *report, const char *file, unsigned line,
    char *text)
{
	add(&report->warnings, &report->nwarnings, file, line, text);
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

static void
free_list(struct conf_error *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(list[i].file);
		free(list[i].text);
	}
	free(list);
}

void
conf_report_free(struct conf_report *report)
{
	free_list(report->errors, report->nerrors);
	free_list(report->warnings, report->nwarnings);
	*report = (struct conf_report){ 0 };
}
