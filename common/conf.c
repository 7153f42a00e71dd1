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

#include "common/conf_advice.h"
#include "common/conf_alloc.h"
#include "common/conf_handlers.h"
#include "common/conf_keys.h"
#include "common/conf_read.h"
#include "common/conf_report.h"
#include "common/conf_source.h"

/* ---- what holds between keys ---- */

/* A message has to fit while its buffer moves, and beside it others. */
enum { MESSAGES_BUFFERED_MIN = 4 };

static void
refuse_message_size(struct conf_reader *reader,
    const config_setting_t *setting, const struct conf *conf)
{
	fprintf(conf_refuse(&reader->complaints, setting), "must be at most "
	    "%zu, a quarter of max_buffered (%zu)",
	    conf->max_buffered / MESSAGES_BUFFERED_MIN, conf->max_buffered);
	conf_complaint_end(&reader->complaints);
}

/* A max_buffered that is too small for the default size of a listener. */
static void
refuse_max_buffered(struct conf_reader *reader,
    const config_setting_t *setting, const config_setting_t *group,
    const struct conf_listener *listener)
{
	FILE *out = conf_refuse(&reader->complaints, setting);

	fprintf(out, "must be at least %zu, four times the max_message_size "
	    "of ", listener->max_message_size * MESSAGES_BUFFERED_MIN);
	conf_print_path(out, group);
	fprintf(out, " (%zu, its default)", listener->max_message_size);
	conf_complaint_end(&reader->complaints);
}

static void
check_message_size(struct conf_reader *reader, const config_setting_t *group,
    const config_setting_t *buffered, const struct conf *conf,
    const struct conf_listener *listener)
{
	const config_setting_t *own, *culprit;

	own = config_setting_get_member(group, "max_message_size");
	culprit = own != NULL ? own : buffered;
	if (conf_is_refused(&reader->complaints, culprit))
		return;
	if (own != NULL)
		refuse_message_size(reader, own, conf);
	else
		refuse_max_buffered(reader, buffered, group, listener);
}

static void
check_message_sizes(struct conf_reader *reader, const config_setting_t *root,
    const struct conf *conf)
{
	const config_setting_t *buffered, *list, *group;

	buffered = config_setting_get_member(root, "max_buffered");
	if (buffered != NULL && conf_is_refused(&reader->complaints, buffered))
		return;
	/* Where there are listeners there is a list that they come from. */
	list = config_setting_get_member(root, "listeners");
	for (size_t i = 0; i < conf->nlisteners; i++) {
		const struct conf_listener *listener = &conf->listeners[i];

		group = config_setting_get_elem(list, (unsigned)i);
		if (config_setting_is_group(group) &&
		    listener->max_message_size >
		    conf->max_buffered / MESSAGES_BUFFERED_MIN)
			check_message_size(reader, group, buffered, conf,
			    listener);
	}
}

/* With the built-in ones there may be one or two handlers too many. */
static void
check_handlers(struct conf_reader *reader, const config_setting_t *root,
    const struct conf *conf)
{
	const config_setting_t *list;
	size_t room = CONF_HANDLERS_MAX - conf_handlers_count_builtin(conf);
	FILE *out;

	list = config_setting_get_member(root, "handlers");
	if (conf->nhandlers <= room ||
	    conf_is_refused(&reader->complaints, list))
		return;
	out = conf_refuse(&reader->complaints, list);
	fprintf(out, "must be a list of at most %zu groups beside the built-in "
	    "handlers", room);
	conf_complaint_end(&reader->complaints);
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
	check_message_sizes(&reader, root, conf);
	check_handlers(&reader, root, conf);
	conf_read_end(&reader, report);
	if (report->nerrors == 0)
		conf_advise(source, root, conf, report);
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
	conf_handlers_settle(conf);
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
