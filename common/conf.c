/* SPDX-License-Identifier: ISC */
/*
 * The configuration: read from a file, checked whole, never written again.
 *
 * Runs in the master; its children inherit the result.  conf_source.c reads the
 * files, libconfig their grammar, and conf_read.c each key by its row in
 * conf_keys.c.  What holds between keys is checked here.
 */
#include "common/conf.h"

#include <libconfig.h>

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/conf_alloc.h"
#include "common/conf_keys.h"
#include "common/conf_read.h"
#include "common/conf_report.h"
#include "common/conf_source.h"

/* ---- what holds between keys ---- */

static bool
find_handler(const char *name, enum conf_handler_type *type)
{
	for (unsigned i = 0; conf_handler_names[i] != NULL; i++) {
		if (strcmp(conf_handler_names[i], name) == 0) {
			*type = (enum conf_handler_type)i;
			return true;
		}
	}
	return false;
}

static void
check_handler(struct conf_reader *reader, const config_setting_t *group,
    struct conf_listener *listener)
{
	const config_setting_t *setting;
	FILE *out;

	if (!config_setting_is_group(group))
		return;
	setting = config_setting_get_member(group, "handler");
	if (setting == NULL || !conf_is_string(setting) ||
	    find_handler(listener->handler, &listener->handler_type))
		return;
	out = conf_refuse(&reader->complaints, setting);
	fputs("must be ", out);
	conf_print_handlers(out);
	conf_complaint_end(&reader->complaints);
}

static void
check_listeners(struct conf_reader *reader, const config_setting_t *root,
    struct conf *conf)
{
	const config_setting_t *list;

	/* Where there are listeners there is a list that they come from. */
	list = config_setting_get_member(root, "listeners");
	for (size_t i = 0; i < conf->nlisteners; i++)
		check_handler(reader,
		    config_setting_get_elem(list, (unsigned)i),
		    &conf->listeners[i]);
}

/* ---- loading ---- */

static struct conf *
conf_new(const char *path)
{
	struct conf *conf = conf_must(calloc(1, sizeof(*conf)));

	conf->path = conf_must(strdup(path));
	conf_keys_init(conf_keys, conf);
	return conf;
}

void
conf_free(struct conf *conf)
{
	if (conf == NULL)
		return;
	conf_keys_free(conf_keys, conf);
	free(conf->path);
	free(conf);
}

/* What libconfig says, which is little, and the line that it says it of. */
static void
report_grammar(const config_t *config, const struct conf_source *source,
    struct conf_report *report)
{
	unsigned line = (unsigned)config_error_line(config);
	const char *text = config_error_text(config);
	struct conf_place place = conf_source_place(source, line);
	char *near;

	/* Its parser's word for brackets that are nested some thousand deep. */
	if (strcmp(text, "memory exhausted") == 0)
		text = "values are nested too deep";
	near = conf_source_line(source, line);
	conf_report_addf(report, place.file, place.line, "%s near %s", text,
	    near);
	free(near);
}

static void
read_settings(const config_t *config, const struct conf_source *source,
    struct conf *conf, struct conf_report *report)
{
	const config_setting_t *root = config_root_setting(config);
	struct conf_reader reader = { .complaints.source = source };

	conf_read_group(&reader, root, conf_keys, conf);
	check_listeners(&reader, root, conf);
	conf_read_end(&reader, report);
}

static void
read_source(const struct conf_source *source, struct conf *conf,
    struct conf_report *report)
{
	config_t config;

	config_init(&config);
	if (config_read_string(&config, conf_source_text(source)))
		read_settings(&config, source, conf, report);
	else
		report_grammar(&config, source, report);
	config_destroy(&config);
}

struct conf *
conf_load(const char *path, struct conf_report *report)
{
	struct conf_source *source;
	struct conf *conf;

	source = conf_source_read(path, report);
	if (source == NULL)
		return NULL;
	conf = conf_new(path);
	read_source(source, conf, report);
	conf_source_free(source);
	if (report->nerrors > 0) {
		conf_free(conf);
		return NULL;
	}
	return conf;
}

/* ---- questions ---- */

/* How many CPUs the process may use; 0 if the kernel does not say. */
static unsigned
count_cpus(void)
{
	/* The kernel refuses a set with fewer bits than it has itself. */
	for (int bits = CPU_SETSIZE; bits <= CPU_SETSIZE * 64; bits *= 2) {
		size_t size = CPU_ALLOC_SIZE(bits);
		cpu_set_t *set = conf_must(CPU_ALLOC(bits));
		unsigned count = 0;
		bool too_small = false;

		CPU_ZERO_S(size, set);
		if (sched_getaffinity(0, size, set) == 0)
			count = (unsigned)CPU_COUNT_S(size, set);
		else
			too_small = errno == EINVAL;
		CPU_FREE(set);
		if (!too_small)
			return count;
	}
	return 0;
}

unsigned
conf_worker_count(const struct conf *conf)
{
	unsigned count = conf->workers;

	if (count == 0)
		count = count_cpus();
	if (count == 0)
		return 1;
	return count < CONF_WORKERS_MAX ? count : CONF_WORKERS_MAX;
}

const char *
conf_protocol_name(enum conf_protocol protocol)
{
	return conf_protocol_names[protocol];
}
