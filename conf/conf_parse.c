/* SPDX-License-Identifier: ISC */
/*
 * From the text of a configuration to a struct conf, or to what is wrong with
 * it.
 *
 * Runs in the reader.  conf_source.c reads the files, libconfig their grammar,
 * and conf_read.c each key by its row in conf_keys.c.  What holds between keys is
 * checked here.
 */
#include "conf/conf_parse.h"

#include <libconfig.h>

#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "conf/conf_advice.h"
#include "conf/conf_alloc.h"
#include "conf/conf_handlers.h"
#include "conf/conf_keys.h"
#include "conf/conf_print.h"
#include "conf/conf_read.h"
#include "conf/conf_report.h"
#include "conf/conf_source.h"

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

/* ---- parsing ---- */

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

void
conf_parse(const char *path, const char *text, struct conf *conf,
    struct conf_report *report)
{
	struct conf_source *source;

	conf->path = conf_copy(path);
	conf_keys_init(conf_keys, conf);
	source = conf_source_read(path, text, report);
	if (source != NULL) {
		read_source(source, conf, report);
		conf_source_free(source);
	}
	conf_report_end(report, path);
	if (report->nerrors > 0)
		return;
	conf_handlers_settle(conf);
	conf->hash = conf_hash(conf);
}
