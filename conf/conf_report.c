/* SPDX-License-Identifier: ISC */
#include "conf/conf_report.h"

#include <stdarg.h>
#include <stdio.h>

#include "conf/conf_alloc.h"

/* Bounds the room that they take.  A file can have far more mistakes. */
enum { FINDINGS_MAX = 4096 };

void
conf_report_add(struct conf_findings *findings, struct conf_finding finding)
{
	struct conf_finding *sorted = findings->sorted;
	size_t at = findings->count;

	if (at == FINDINGS_MAX) {
		findings->omitted++;
		return;
	}
	if (sorted == NULL)
		findings->sorted = sorted =
		    conf_alloc_scratch(FINDINGS_MAX, sizeof(*sorted));
	finding.error.file = conf_copy_up_to(finding.error.file,
	    CONF_FINDING_MAX);
	finding.error.text = conf_copy_up_to(finding.error.text,
	    CONF_FINDING_MAX);
	for (; at > 0 && sorted[at - 1].line > finding.line; at--)
		sorted[at] = sorted[at - 1];
	sorted[at] = finding;
	findings->count++;
}

void
conf_report_addf(struct conf_findings *findings, const char *file,
    unsigned line, const char *fmt, ...)
{
	char text[CONF_FINDING_MAX];
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
    const char *file)
{
	size_t count = findings->count;
	struct conf_error *errors = conf_alloc(count + 1, sizeof(*errors));
	char text[64];

	for (size_t i = 0; i < count; i++)
		errors[i] = findings->sorted[i].error;
	if (findings->omitted > 0) {
		snprintf(text, sizeof(text), "%zu more are not listed",
		    findings->omitted);
		errors[count++] = (struct conf_error){
			.file = conf_copy(file), .text = conf_copy(text),
		};
	}
	if (findings->are_warnings) {
		report->warnings = errors;
		report->nwarnings = count;
	} else {
		report->errors = errors;
		report->nerrors = count;
	}
}
