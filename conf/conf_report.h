/* SPDX-License-Identifier: ISC */
/*
 * Adding to the report that the caller of conf_read() gets.
 */
#ifndef CONF_CONF_REPORT_H
#define CONF_CONF_REPORT_H

struct conf_report;

/* Add an error or a warning to a report. */
void conf_report_add(struct conf_report *, const char *file, unsigned line,
    const char *text);
void conf_report_warn(struct conf_report *, const char *file, unsigned line,
    const char *text);
void conf_report_addf(struct conf_report *, const char *file, unsigned line,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Nothing follows.  Say how many errors the report has no room for. */
void conf_report_end(struct conf_report *, const char *file);

#endif
