/* SPDX-License-Identifier: ISC */
/*
 * The report of what is wrong with a configuration.
 *
 * Runs in the reader.  What it says is its callers' choice.
 */
#include "conf/conf_report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "conf/conf_alloc.h"

enum {
	/* A text may quote a name, which can be as long as the file. */
	TEXT_MAX = 4096,
	/* Of all errors together, so that they fit into the region.  A file can
	 * have far more of them than anyone reads. */
	TEXTS_MAX = 4 << 20,
};

static size_t texts;			/* bytes, up to now */
static size_t omitted;			/* errors for which there was no room */

static void
add(struct conf_error **list, size_t *n, const char *file, unsigned line,
    const char *text)
{
	struct conf_error *grown;

	if ((*n & (*n - 1)) == 0) {
		/* All that there is room for are in use. */
		grown = conf_alloc(*n == 0 ? 1 : 2 * *n, sizeof(*grown));
		if (*n > 0)
			memcpy(grown, *list, *n * sizeof(*grown));
		*list = grown;
	}
	(*list)[(*n)++] = (struct conf_error){
		.file = conf_copy_up_to(file, TEXT_MAX),
		.line = line,
		.text = conf_copy_up_to(text, TEXT_MAX),
	};
	texts += strlen((*list)[*n - 1].file) + strlen((*list)[*n - 1].text);
}

void
conf_report_add(struct conf_report *report, const char *file, unsigned line,
    const char *text)
{
	if (texts > TEXTS_MAX)
		omitted++;
	else
		add(&report->errors, &report->nerrors, file, line, text);
}

void
conf_report_warn(struct conf_report *report, const char *file, unsigned line,
    const char *text)
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
		conf_lacks_memory();
	va_end(ap);
	conf_report_add(report, file, line, text);
	free(text);
}

void
conf_report_end(struct conf_report *report, const char *file)
{
	size_t n = omitted;

	texts = omitted = 0;
	if (n > 0)
		conf_report_addf(report, file, 0, "%zu more are not listed", n);
}

const char *
conf_error_place(const struct conf_error *error, char place[CONF_PLACE_MAX])
{
	if (error->line > 0)
		snprintf(place, CONF_PLACE_MAX, "%s:%u", error->file,
		    error->line);
	else
		snprintf(place, CONF_PLACE_MAX, "%s", error->file);
	return (place);
}
