/* SPDX-License-Identifier: ISC */
/*
 * Groups with keys, and lists of them: structs with fields.
 */
#ifndef CONF_CONF_GROUPS_H
#define CONF_CONF_GROUPS_H

#include <libconfig.h>

#include <stdbool.h>
#include <stdio.h>

#include "conf/conf_keys.h"

/* Give every field of a zeroed struct its default. */
void conf_group_init(const struct conf_key *keys, void *base);

/* Read a group into the struct at base, whose fields have their defaults. */
void conf_group_read(struct conf_reader *, const config_setting_t *,
    const struct conf_key *keys, void *base);

/* Print the struct at base, without brackets. */
void conf_group_print(FILE *, const struct conf_key *keys, const void *base,
    struct conf_layout);

#endif
