/* SPDX-License-Identifier: ISC */
/*
 * From the text of a configuration to a struct conf.
 */
#ifndef CONF_CONF_PARSE_H
#define CONF_CONF_PARSE_H

struct conf;
struct conf_report;

/*
 * Read and check a file, or the text if that is not NULL, into a conf and a
 * report that are zeroed.  The conf is whole if the report has no errors.  All
 * that they point to comes from conf_alloc().
 */
void conf_parse(const char *path, const char *text, struct conf *,
    struct conf_report *);

#endif
