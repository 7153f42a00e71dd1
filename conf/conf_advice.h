/* SPDX-License-Identifier: ISC */
/*
 * Warnings of a configuration without mistakes: keys that have no effect, or
 * not the likely one, because of the value of another key.
 */
#ifndef CONF_CONF_ADVICE_H
#define CONF_CONF_ADVICE_H

#include <libconfig.h>

struct conf;
struct conf_report;
struct conf_source;

/* Report what there is to warn of.  The configuration is as it was read, so that
 * its handlers are those of the file. */
void conf_advise(const struct conf_source *, const config_setting_t *root,
    const struct conf *, struct conf_report *);

#endif
