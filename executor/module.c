/* SPDX-License-Identifier: ISC */
#include "executor/module.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where modules are that are named without a path. */
#ifndef PENSTOCK_MODULE_DIR
#define PENSTOCK_MODULE_DIR "/usr/local/lib/penstock"
#endif

static const char descriptor[] = "penstock_handler";

static bool
ends_with(const char *text, const char *end)
{
	size_t text_len = strlen(text), end_len = strlen(end);

	return (text_len >= end_len &&
	    strcmp(text + text_len - end_len, end) == 0);
}

/* The file that a module's name means.  Returns -1 if that is too long. */
static int
module_find(const char *name, char path[PATH_MAX])
{
	int n;

	if (strchr(name, '/') != NULL)
		n = snprintf(path, PATH_MAX, "%s", name);
	else
		n = snprintf(path, PATH_MAX, PENSTOCK_MODULE_DIR "/%s%s", name,
		    ends_with(name, ".so") ? "" : ".so");
	return (n < 0 || n >= PATH_MAX ? -1 : 0);
}

/* What is wrong with the descriptor: NULL, or a reason, perhaps in why. */
static const char *
module_check(const struct penstock_handler *handler, char *why, size_t why_size)
{
	if (handler->version != PENSTOCK_HANDLER_VERSION) {
		snprintf(why, why_size, "it is made for version %u of "
		    "penstock/handler.h, this is version %u", handler->version,
		    (unsigned)PENSTOCK_HANDLER_VERSION);
		return (why);
	}
	if (handler->size < sizeof(*handler))
		return ("its penstock_handler has a wrong size");
	if (handler->handle == NULL)
		return ("its penstock_handler has no handle()");
	return (NULL);
}

static const struct penstock_handler *
load(const char *name, char *why, size_t why_size)
{
	const struct penstock_handler *handler;
	const char *wrong;
	char path[PATH_MAX], said[128];
	void *object;

	if (module_find(name, path) == -1) {
		snprintf(why, why_size, "module: the path is too long");
		return (NULL);
	}
	if ((object = dlopen(path, RTLD_NOW | RTLD_LOCAL)) == NULL) {
		snprintf(why, why_size, "module: %s", dlerror());
		return (NULL);
	}
	handler = dlsym(object, descriptor);
	wrong = handler == NULL ? "it does not define penstock_handler" :
	    module_check(handler, said, sizeof(said));
	/* A module stays loaded as long as the process lives. */
	if (wrong == NULL)
		/* cppcheck-suppress resourceLeak */
		return (handler);
	snprintf(why, why_size, "module %s: %s", path, wrong);
	dlclose(object);
	return (NULL);
}

static int
fill_settings(struct module *module, const struct conf_handler *conf,
    unsigned threads)
{
	/* One more, so that there is memory even if there are none. */
	module->list = calloc(conf->nsettings + 1, sizeof(*module->list));
	if (module->list == NULL)
		return (-1);
	for (size_t i = 0; i < conf->nsettings; i++) {
		module->list[i].key = conf->settings[i].key;
		module->list[i].value = conf->settings[i].value;
	}
	module->settings = (struct penstock_settings){
		.size = sizeof(module->settings),
		.handler = conf->name,
		.threads = threads,
		.settings = module->list,
		.count = conf->nsettings,
	};
	return (0);
}

static int
call_open(struct module *module, const char *name, char *why, size_t why_size)
{
	char said[200] = "";

	if (module->handler->open == NULL ||
	    module->handler->open(&module->settings, &module->state, said,
		sizeof(said)) == 0)
		return (0);
	said[sizeof(said) - 1] = '\0';
	snprintf(why, why_size, "module %s: open: %s", name,
	    *said == '\0' ? "it gave no reason" : said);
	return (-1);
}

int
module_open(struct module *module, const struct conf_handler *conf,
    unsigned threads, char *why, size_t why_size)
{
	*module = (struct module){ .state = NULL };
	module->handler = load(conf->module, why, why_size);
	if (module->handler == NULL)
		return (-1);
	if (fill_settings(module, conf, threads) == -1) {
		snprintf(why, why_size, "module %s: no memory for settings",
		    conf->module);
		return (-1);
	}
	if (call_open(module, conf->module, why, why_size) == 0)
		return (0);
	free(module->list);
	return (-1);
}

void
module_close(struct module *module)
{
	if (module->handler->close != NULL)
		module->handler->close(module->state);
	free(module->list);
}
