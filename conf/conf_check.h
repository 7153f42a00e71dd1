/* SPDX-License-Identifier: ISC */
/*
 * What holds between keys, of a configuration whose values are what they may be.
 */
#ifndef CONF_CONF_CHECK_H
#define CONF_CONF_CHECK_H

#include <libconfig.h>

struct conf;
struct conf_reader;

/* Refuse values that do not go together. */
void conf_check(struct conf_reader *, const config_setting_t *root,
    const struct conf *);

/* Of a configuration without mistakes: warn of keys that have no effect, or not
 * the likely one, because of the value of another key. */
void conf_advise(struct conf_reader *, const config_setting_t *root,
    const struct conf *);

#endif
