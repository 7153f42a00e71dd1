/* SPDX-License-Identifier: ISC */
#include "conf/conf_report.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf_alloc.h"

enum {
	/* A text may quote a name, which can be as long as the file. */
	TEXT_MAX = 4096,
	/* Of all findings together, so that they fit into the region.  A file
	 * can have far more of them than anyone reads. */
	TEXTS_MAX = 4 << 20,
};

void
conf_report_add(struct conf_findings *findings, struct conf_finding finding)
{
	struct conf_finding *sorted;
	size_t at = findings->count;

	if (findings->bytes > TEXTS_MAX) {
		findings->omitted++;
		return;
	}
	finding.error.file = conf_copy_up_to(finding.error.file, TEXT_MAX);
	finding.error.text = conf_copy_up_to(finding.error.text, TEXT_MAX);
	findings->bytes += strlen(finding.error.file) +
	    strlen(finding.error.text);
	sorted = conf_must(reallocarray(findings->sorted, at + 1,
	    sizeof(*sorted)));
	for (; at > 0 && sorted[at - 1].line > finding.line; at--)
		sorted[at] = sorted[at - 1];
	sorted[at] = finding;
	findings->sorted = sorted;
	findings->count++;
}

void
conf_report_addf(struct conf_findings *findings, const char *file,
    unsigned line, const char *fmt, ...)
{
	char text[TEXT_MAX + 1];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	conf_report_add(findings, (struct conf_finding){
		.error = { .file = file, .line = line, .text = text },
	});
}

void
conf_report_end(struct conf_findings *findings, struct conf_report *report,
    const char *file, bool are_warnings)
{
	struct conf_error *errors;
	char text[64];

	if (findings->omitted > 0) {
		snprintf(text, sizeof(text), "%zu more are not listed",
		    findings->omitted);
		findings->bytes = 0;
		conf_report_add(findings, (struct conf_finding){
			.error = { .file = file, .text = text },
			.line = UINT_MAX,
		});
	}
	errors = conf_alloc(findings->count, sizeof(*errors));
	for (size_t i = 0; i < findings->count; i++)
		errors[i] = findings->sorted[i].error;
	if (are_warnings) {
		report->warnings = errors;
		report->nwarnings = findings->count;
	} else {
		report->errors = errors;
		report->nerrors = findings->count;
	}
	free(findings->sorted);
	*findings = (struct conf_findings){ .count = 0 };
}
