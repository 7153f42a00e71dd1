/* SPDX-License-Identifier: ISC */
/*
 * What holds between keys.
 */
#ifndef CONF_CONF_CHECK_H
#define CONF_CONF_CHECK_H

#include <libconfig.h>

struct conf;
struct conf_reader;

/* Before a file is read: collect the names of all handlers that there will be. */
void conf_handlers_collect(struct conf_reader *, const config_setting_t *root);

/* When it is read: refuse values that do not go together.  If there is no mistake
 * at all, warn of keys that have no effect, or not the likely one, because of the
 * value of another key. */
void conf_check(struct conf_reader *, const config_setting_t *root,
    const struct conf *);

/* When it has no mistake: put the built-in handlers before the others, and give
 * each listener and route the index of its handler. */
void conf_handlers_settle(struct conf *);

#endif
