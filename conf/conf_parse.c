/* SPDX-License-Identifier: ISC */
/*
 * From the text of a configuration to a struct conf, or to what is wrong with
 * it.
 *
 * Runs in the reader.  conf_source.c reads the files, libconfig their grammar,
 * conf_groups.c each key by its row in conf_keys.c, and conf_check.c checks what
 * holds between keys.
 */
#include "conf/conf_parse.h"

#include <libconfig.h>

#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "conf/conf_alloc.h"
#include "conf/conf_check.h"
#include "conf/conf_complain.h"
#include "conf/conf_keys.h"
#include "conf/conf_source.h"

/* What libconfig says, which is little, and the line that it says it of. */
static void
parse_report_grammar(struct conf_reader *reader, const config_t *config)
{
	unsigned line = (unsigned)config_error_line(config);
	struct conf_place place = conf_source_place(reader->source, line);
	const char *text = config_error_text(config);

	/* Its parser's word for brackets that are nested some thousand deep. */
	if (strcmp(text, "memory exhausted") == 0)
		text = "values are nested too deep";
	conf_report_addf(&reader->findings, place.file, place.line,
	    "%s near %s", text, conf_source_line(reader->source, line));
}

static void
parse_source(struct conf_reader *reader, struct conf *conf)
{
	const config_setting_t *root;
	config_t config;

	config_init(&config);
	if (config_read_string(&config, conf_source_text(reader->source))) {
		root = config_root_setting(&config);
		conf_handlers_collect(reader, root);
		conf_group_read(reader, root, reader->keys, conf);
		conf_check(reader, root, conf);
	} else {
		parse_report_grammar(reader, &config);
	}
	config_destroy(&config);
}

/* FNV-1a of what is printed. */
static uint64_t
parse_hash(const struct conf *conf)
{
	char *text;
	size_t len;
	uint64_t hash = 0xcbf29ce484222325;
	FILE *out = conf_must(open_memstream(&text, &len));

	conf_group_print(out, conf_keys, conf, (struct conf_layout){ 0 });
	if (fclose(out) == EOF)
		conf_must(NULL);
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3;
	free(text);
	return hash;
}

void
conf_parse(const char *path, const char *text, struct conf *conf,
    struct conf_report *report)
{
	struct conf_reader reader = { .keys = conf_keys };

	conf->path = conf_copy(path);
	conf_group_init(conf_keys, conf);
	reader.source = conf_source_read(path, text, &reader.findings);
	if (reader.findings.count == 0)
		parse_source(&reader, conf);
	conf_report_end(&reader.findings, report, path);
	if (report->nerrors > 0)
		return;
	conf_handlers_settle(conf);
	conf->hash = parse_hash(conf);
}
