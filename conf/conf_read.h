/* SPDX-License-Identifier: ISC */
/*
 * From libconfig's settings to the fields of a struct, by a table of keys.
 */
#ifndef CONF_CONF_READ_H
#define CONF_CONF_READ_H

#include <libconfig.h>

#include <stddef.h>

#include "conf/conf_complain.h"

struct conf_key;
struct conf_seen;

/* One reading of a configuration. */
struct conf_reader {
	struct conf_complaints complaints;
	struct conf_seen *seen;		/* the addresses read up to here */
	size_t nseen;
};

/* Read a group into the struct at base, whose fields have their defaults. */
void conf_read_group(struct conf_reader *, const config_setting_t *,
    const struct conf_key *keys, void *base);

/* End the reading: report what there was to complain of. */
void conf_read_end(struct conf_reader *, struct conf_report *);

#endif
