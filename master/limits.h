/* SPDX-License-Identifier: ISC */
/*
 * What the system allows, held against what the configuration asks for.
 */
#ifndef MASTER_LIMITS_H
#define MASTER_LIMITS_H

#include <stdint.h>

#include "conf/conf.h"

/* Raise the soft limit of descriptors to the hard one. */
void limits_raise(void);

/* The connections that one worker could ever hold. */
uint32_t limits_records(void);

/* Warn of what the configuration asks for and will not get. */
void limits_check(const struct conf *, unsigned workers);

#endif
