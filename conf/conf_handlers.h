/* SPDX-License-Identifier: ISC */
/*
 * Which handlers there are: those of the file, and the built-in ones that it
 * has none instead of.
 */
#ifndef CONF_CONF_HANDLERS_H
#define CONF_CONF_HANDLERS_H

#include <libconfig.h>

#include <stddef.h>

struct conf;
struct conf_reader;

/* Before a file is read: collect the names of all handlers that there will be. */
void conf_handlers_collect(struct conf_reader *, const config_setting_t *root);

/* When it is read: how many built-in handlers it has none instead of. */
size_t conf_handlers_count_builtin(const struct conf *);

/* When it has no mistake: put the built-in handlers before the others, and give
 * each listener and route the index of its handler. */
void conf_handlers_settle(struct conf *);

#endif
