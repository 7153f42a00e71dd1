/* SPDX-License-Identifier: ISC */
/*
 * Finds, loads, checks and opens the module of a handler.
 */
#ifndef EXECUTOR_MODULE_H
#define EXECUTOR_MODULE_H

#include "conf/conf.h"
#include "penstock/handler.h"

struct module {
	const struct penstock_handler *handler;	/* in the shared object */
	void *state;				/* set by the module */
	struct penstock_settings settings;
	struct penstock_setting *list;		/* owned; the strings are the
						   configuration's */
};

/* Returns -1 with the reason in why; then there is nothing to close. */
int module_open(struct module *, const struct conf_handler *, unsigned threads,
    char *why, size_t why_size);

/* The shared object stays loaded: its code may have registered functions that
 * run when a thread or the process ends. */
void module_close(struct module *);

#endif
