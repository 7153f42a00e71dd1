/* SPDX-License-Identifier: ISC */
/*
 * Which handlers there are: those of the file, and the built-in ones that it
 * has none instead of.
 */
#ifndef CONF_CONF_HANDLERS_H
#define CONF_CONF_HANDLERS_H

#include <libconfig.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct conf;

/* While a file is read: whether there is, or will be, a handler of a name; and
 * print the names of all.  Any setting of the file will do. */
bool conf_handlers_have(const config_setting_t *, const char *name);
void conf_handlers_print(FILE *, const config_setting_t *);

/* When it is read: how many built-in handlers it has none instead of. */
size_t conf_handlers_count_builtin(const struct conf *);

/* When it is as it should be: put those before the others, and tell each
 * listener where its handler is. */
void conf_handlers_settle(struct conf *);

#endif
