/* SPDX-License-Identifier: ISC */
#include "tests/lib/exposition.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = 128, SERIES = 256, SERIES_MAX = 65536 };

struct checker {
	bool open;
	bool ended;			/* "# EOF" was there */
	char help[NAME], family[NAME], type[16];
	char **families;		/* that were there, and are over */
	size_t nfamilies;
	uint64_t *seen;			/* hashes of samples */
	size_t nseen;
	/* The series of buckets that is being read. */
	bool in_buckets;
	char bucket_labels[SERIES];
	double bucket_count, bucket_le;
	bool bucket_inf;
};

static const char *
is_name(const char *at, bool colon)
{
	if (!isalpha((unsigned char)*at) && *at != '_')
		return (NULL);
	while (isalnum((unsigned char)*at) || *at == '_' ||
	    (colon && *at == ':'))
		at++;
	return (at);
}

/* "{a="b",c="d"}": copies them without a "le"; its value goes to *le.
 * Returns what is behind them, or NULL. */
static const char *
read_labels(const char *at, char labels[SERIES], const char **le)
{
	size_t len = 0;

	labels[0] = '\0';
	*le = NULL;
	if (*at != '{')
		return (at);
	do {
		const char *from = ++at;

		if ((at = is_name(at, false)) == NULL || *at++ != '=' ||
		    *at++ != '"')
			return (NULL);
		if (at - from == 4 && strncmp(from, "le=", 3) == 0)
			*le = at;
		for (; *at != '"'; at++) {
			if (*at == '\0' || *at == '\n')
				return (NULL);
			if (*at == '\\' && strchr("\\\"n", *++at) == NULL)
				return (NULL);
		}
		at++;
		if (*le != NULL && *le > from)
			continue;
		if (len + (size_t)(at - from) + 2 > SERIES)
			return (NULL);
		len += (size_t)sprintf(labels + len, "%.*s,", (int)(at - from),
		    from);
	} while (*at == ',');
	return (*at == '}' ? at + 1 : NULL);
}

static uint64_t
hash_of(const char *text, size_t len)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3;
	return (hash);
}

/* Whether a sample is there for the first time. */
static bool
is_new(struct checker *checker, const char *series, size_t len)
{
	uint64_t hash = hash_of(series, len);

	for (size_t i = 0; i < checker->nseen; i++)
		if (checker->seen[i] == hash)
			return (false);
	if (checker->nseen < SERIES_MAX)
		checker->seen[checker->nseen++] = hash;
	return (true);
}

static const char *
end_buckets(struct checker *checker)
{
	bool open = checker->in_buckets;

	checker->in_buckets = false;
	return (open && !checker->bucket_inf ? "buckets without +Inf" : NULL);
}

static const char *
check_bucket(struct checker *checker, const char *labels, const char *le,
    double value)
{
	bool inf;
	double bound;

	if (le == NULL)
		return ("a bucket without le");
	inf = strncmp(le, "+Inf\"", 5) == 0;
	bound = strtod(le, NULL);
	if (!checker->in_buckets ||
	    strcmp(labels, checker->bucket_labels) != 0) {
		if (end_buckets(checker) != NULL)
			return ("buckets without +Inf");
		checker->in_buckets = true;
		checker->bucket_inf = false;
		snprintf(checker->bucket_labels, SERIES, "%s", labels);
		checker->bucket_count = 0;
		checker->bucket_le = -1;
	} else if (checker->bucket_inf)
		return ("a bucket behind +Inf");
	if (value < checker->bucket_count)
		return ("buckets that fall");
	if (!inf && bound <= checker->bucket_le)
		return ("bounds that do not rise");
	checker->bucket_count = value;
	checker->bucket_le = bound;
	checker->bucket_inf = inf;
	return (NULL);
}

/* What is behind the family's name in that of a sample. */
static const char *
check_suffix(struct checker *checker, const char *suffix, const char *labels,
    const char *le, double value)
{
	if (strcmp(checker->type, "histogram") == 0) {
		if (strcmp(suffix, "_bucket") == 0)
			return (check_bucket(checker, labels, le, value));
		if (strcmp(suffix, "_count") == 0)
			return (value == checker->bucket_count ? NULL :
			    "a count that is not the last bucket");
		return (strcmp(suffix, "_sum") == 0 ? NULL :
		    "no sample of a histogram");
	}
	if (le != NULL)
		return ("le outside of a histogram");
	if (strcmp(checker->type, "counter") == 0 && checker->open)
		return (strcmp(suffix, "_total") == 0 ? NULL :
		    "a counter without _total");
	if (strcmp(checker->type, "info") == 0)
		return (strcmp(suffix, "_info") == 0 && value == 1 ? NULL :
		    "an info that is none");
	return (*suffix == '\0' ? NULL : "a sample of no family");
}

static const char *
check_sample(struct checker *checker, const char *line)
{
	char labels[SERIES], name[2 * NAME];
	size_t family = strlen(checker->family);
	const char *at, *le;
	double value;
	char *end;

	if ((at = is_name(line, true)) == NULL || at - line >= NAME)
		return ("no name");
	snprintf(name, sizeof(name), "%.*s", (int)(at - line), line);
	if (family == 0 || strncmp(name, checker->family, family) != 0)
		return ("a sample without its TYPE");
	if ((at = read_labels(at, labels, &le)) == NULL)
		return ("bad labels");
	if (!is_new(checker, line, (size_t)(at - line)))
		return ("a sample for the second time");
	if (*at++ != ' ')
		return ("no value");
	value = strtod(at, &end);
	if (end == at || *end != '\0' || isspace((unsigned char)*at))
		return ("a bad value");
	if (value < 0 && strcmp(checker->type, "gauge") != 0)
		return ("a value below 0");
	return (check_suffix(checker, name + family, labels, le, value));
}

static bool
ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), n = strlen(end);

	return (len >= n && strcmp(text + len - n, end) == 0);
}

/* The rules of names. */
static const char *
check_family(const struct checker *checker)
{
	const char *name = checker->family;
	bool total = ends_with(name, "_total");
	bool counter = strcmp(checker->type, "counter") == 0;

	if (counter && total == checker->open)
		return ("_total, or none, where it does not belong");
	if (!counter && total)
		return ("_total at what is no counter");
	if (ends_with(name, "_count") || ends_with(name, "_sum") ||
	    ends_with(name, "_bucket"))
		return ("a name that is kept for histograms");
	if (strstr(name, "_milliseconds") || strstr(name, "_ms") ||
	    strstr(name, "_us") || strstr(name, "__"))
		return ("a unit that is no base unit");
	return (NULL);
}

static const char *
begin_family(struct checker *checker, const char *text)
{
	const char *wrong = end_buckets(checker);

	if (wrong != NULL)
		return (wrong);
	if (sscanf(text, "%127s %15s", checker->family, checker->type) != 2)
		return ("a bad TYPE");
	if (strcmp(checker->family, checker->help) != 0)
		return ("no HELP before the TYPE");
	if (strcmp(checker->type, "counter") != 0 &&
	    strcmp(checker->type, "gauge") != 0 &&
	    strcmp(checker->type, "histogram") != 0 &&
	    (!checker->open || strcmp(checker->type, "info") != 0))
		return ("an unknown type");
	for (size_t i = 0; i < checker->nfamilies; i++)
		if (strcmp(checker->families[i], checker->family) == 0)
			return ("a family for the second time");
	checker->families = realloc(checker->families,
	    (checker->nfamilies + 1) * sizeof(*checker->families));
	checker->families[checker->nfamilies++] = strdup(checker->family);
	return (check_family(checker));
}

static const char *
check_line(struct checker *checker, const char *line)
{
	if (checker->ended)
		return ("something behind # EOF");
	if (checker->open && strcmp(line, "# EOF") == 0) {
		checker->ended = true;
		return (end_buckets(checker));
	}
	if (strncmp(line, "# HELP ", 7) == 0)
		return (sscanf(line + 7, "%127s %*[^ ]", checker->help) == 1 &&
		    strchr(line + 7, ' ') != NULL ? NULL : "a bad HELP");
	if (strncmp(line, "# TYPE ", 7) == 0)
		return (begin_family(checker, line + 7));
	if (*line == '#' || *line == '\0')
		return ("neither HELP nor TYPE");
	return (check_sample(checker, line));
}

const char *
exposition_check(const char *text, bool open)
{
	static char said[512];
	struct checker checker = { .open = open };
	const char *wrong = NULL, *lf;
	char line[1024] = "";
	unsigned number = 0;

	checker.seen = calloc(SERIES_MAX, sizeof(*checker.seen));
	for (; *text != '\0' && wrong == NULL; text = lf + 1) {
		number++;
		if ((lf = strchr(text, '\n')) == NULL) {
			wrong = "no newline at the end";
			break;
		}
		snprintf(line, sizeof(line), "%.*s", (int)(lf - text), text);
		wrong = check_line(&checker, line);
	}
	if (wrong == NULL)
		wrong = end_buckets(&checker);
	if (wrong == NULL && (open != checker.ended ||
	    checker.nfamilies == 0))
		wrong = "no end, or nothing at all";
	while (checker.nfamilies > 0)
		free(checker.families[--checker.nfamilies]);
	free(checker.families);
	free(checker.seen);
	if (wrong == NULL)
		return (NULL);
	snprintf(said, sizeof(said), "line %u: %s: %.300s", number, wrong,
	    line);
	return (said);
}

double
exposition_value(const char *text, const char *sample)
{
	size_t len = strlen(sample);

	for (; text != NULL; text = strchr(text, '\n')) {
		text += *text == '\n';
		if (strncmp(text, sample, len) == 0 && text[len] == ' ')
			return (strtod(text + len, NULL));
	}
	return (-1);
}

void
exposition_each(const char *text, void (*call)(const char *, void *),
    void *arg)
{
	char name[NAME];

	while ((text = strstr(text, "# TYPE ")) != NULL) {
		text += strlen("# TYPE ");
		if (sscanf(text, "%127s", name) == 1)
			call(name, arg);
	}
}
