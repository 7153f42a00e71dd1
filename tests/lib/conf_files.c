/* SPDX-License-Identifier: ISC */
#include "tests/lib/conf_files.h"

#include <sys/stat.h>

#include <err.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/conf_alloc.h"
#include "conf/conf_parse.h"

static char source_dir[PATH_MAX];	/* absolute: tests change theirs */
static char scratch_root[PATH_MAX];	/* of what tests leave, if they fail */
static char scratch[2 * PATH_MAX];

/* ---- files ---- */

/* A file whole; the caller frees it. */
static char *
read_file(const char *path)
{
	FILE *in = fopen(path, "r");
	char *text = NULL;
	size_t size = 0;

	if (in == NULL)
		err(EXIT_FAILURE, "%s", path);
	if (getdelim(&text, &size, '\0', in) == -1) {
		free(text);
		text = strdup("");
	}
	fclose(in);
	return text;
}

/* A file of the source tree. */
char *
read_source(const char *name)
{
	char path[2 * PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", source_dir, name);
	return read_file(path);
}

void
write_bytes(const char *name, const char *bytes, size_t len)
{
	FILE *out = fopen(name, "w");

	if (out == NULL)
		err(EXIT_FAILURE, "%s", name);
	ck_assert_uint_eq(fwrite(bytes, 1, len, out), len);
	ck_assert_int_eq(fclose(out), 0);
}

void
write_file(const char *name, const char *text)
{
	write_bytes(name, text, strlen(text));
}

void
copy_source(const char *from, const char *to)
{
	char *text = read_source(from);

	write_file(to, text);
	free(text);
}

static int
remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void
make_scratch_root(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(scratch_root, sizeof(scratch_root), "%s/check_conf.XXXXXX",
	    tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(scratch_root) == NULL)
		err(EXIT_FAILURE, "%s", scratch_root);
}

static void
remove_tree(const char *path)
{
	nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static void
enter_scratch(void)
{
	snprintf(scratch, sizeof(scratch), "%s/XXXXXX", scratch_root);
	ck_assert_ptr_nonnull(mkdtemp(scratch));
	ck_assert_int_eq(chdir(scratch), 0);
	copy_source("tests/data/ok.inc", "ok.inc");
}

static void
leave_scratch(void)
{
	ck_assert_int_eq(chdir("/"), 0);
	remove_tree(scratch);
}

/* ---- loading ---- */

/* libconfig 1.5 loses a string that stands where none is expected: of no account
 * in a reader. */
const char *__lsan_default_suppressions(void);
const char *
__lsan_default_suppressions(void)
{
	return "leak:libconfig.so\n";
}

/*
 * What is wrong with a file, or with a text, one mistake a line; "" if nothing is.
 * This process is its own reader, and is to survive that.
 */
char *
conf_mistakes(const char *path, const char *source)
{
	enum { REGION = 64 << 20 };
	void *region = calloc(1, REGION);
	struct conf_report report = { 0 };
	struct conf conf = { .path = NULL };
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	conf_alloc_begin(region, REGION, NULL);
	conf_parse(path, source, &conf, &report);
	for (size_t i = 0; i < report.nerrors; i++) {
		const struct conf_error *error = &report.errors[i];

		if (strcmp(error->file, "main.conf") != 0)
			fprintf(out, "%s:", error->file);
		fprintf(out, "%u: %s\n", error->line, error->text);
	}
	fclose(out);
	free(region);
	return text;
}

void
assert_mistakes(const char *path, const char *expected)
{
	char *found = conf_mistakes(path, NULL);

	ck_assert_str_eq(found, expected);
	free(found);
}

void
assert_mistakes_in(const char *text, const char *expected)
{
	write_file("main.conf", text);
	assert_mistakes("main.conf", expected);
}

/* The same for what there is to warn of in a file that is good. */
void
assert_warnings_in(const char *text, const char *expected)
{
	struct conf_report report = { 0 };
	struct conf *conf;
	char *found;
	size_t size;
	FILE *out = open_memstream(&found, &size);

	write_file("main.conf", text);
	ck_assert_ptr_nonnull(conf = conf_load("main.conf", &report));
	for (size_t i = 0; i < report.nwarnings; i++)
		fprintf(out, "%u: %s\n", report.warnings[i].line,
		    report.warnings[i].text);
	fclose(out);
	ck_assert_str_eq(found, expected);
	free(found);
	conf_free(conf);
	conf_report_free(&report);
	ck_assert_ptr_null(report.warnings);
}

/* A file that has nothing wrong. */
struct conf *
load_file(const char *path)
{
	struct conf_report report = { 0 };
	struct conf *conf = conf_load(path, &report);

	ck_assert_msg(report.nerrors == 0, "%s:%u: %s", report.errors[0].file,
	    report.errors[0].line, report.errors[0].text);
	ck_assert_ptr_nonnull(conf);
	conf_report_free(&report);
	return conf;
}

struct conf *
load_text(const char *text)
{
	write_file("main.conf", text);
	return load_file("main.conf");
}

struct conf *
load_source(const char *name)
{
	copy_source(name, "main.conf");
	return load_file("main.conf");
}

/* The configuration as it is printed; the caller frees it. */
char *
print_conf(const struct conf *conf)
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	ck_assert_int_eq(conf_print(out, conf), 0);
	fclose(out);
	return text;
}

void
assert_reads_back(const struct conf *conf)
{
	char *first = print_conf(conf), *second;
	struct conf *again;

	again = load_text(first);
	second = print_conf(again);
	ck_assert_str_eq(first, second);
	free(first);
	free(second);
	conf_free(again);
}

/* ---- cases in text files ---- */

enum { FILES_MAX = 4 };

struct sample {
	char *name;
	char *expected;			/* lines */
	struct {
		char *name;
		char *text;
	} files[FILES_MAX];
	size_t nfiles;
};

struct samples {
	struct sample *all;
	int count;
};

static struct samples malformed, wellformed;
static void (*reads_back)(const struct conf *);

void
add_line(char **text, const char *line)
{
	char *longer;

	if (asprintf(&longer, "%s%s\n", *text, line) == -1)
		abort();
	free(*text);
	*text = longer;
}

static void
begin_sample(struct samples *samples, const char *name)
{
	samples->all = reallocarray(samples->all, (size_t)samples->count + 1,
	    sizeof(*samples->all));
	samples->all[samples->count++] = (struct sample){
		.name = strdup(name), .expected = strdup(""),
	};
}

static void
begin_file(struct sample *sample, const char *name)
{
	if (sample->nfiles == FILES_MAX)
		abort();
	sample->files[sample->nfiles].name = strdup(name);
	sample->files[sample->nfiles++].text = strdup("");
}

/* Take one line; *sample is the case that it belongs to, or NULL. */
static void
read_line(struct samples *samples, struct sample **sample, const char *line)
{
	if (strncmp(line, "== ", 3) == 0) {
		begin_sample(samples, line + 3);
		*sample = &samples->all[samples->count - 1];
	} else if (strncmp(line, "########", 8) == 0) {
		*sample = NULL;
	} else if (*sample == NULL) {
		return;		/* a comment */
	} else if (strcmp(line, "--") == 0) {
		begin_file(*sample, "main.conf");
	} else if (strncmp(line, "-- ", 3) == 0) {
		begin_file(*sample, line + 3);
	} else if ((*sample)->nfiles > 0) {
		add_line(&(*sample)->files[(*sample)->nfiles - 1].text, line);
	} else {
		add_line(&(*sample)->expected, line);
	}
}

static void
trim_files(struct sample *sample)
{
	for (size_t i = 0; i < sample->nfiles; i++) {
		char *text = sample->files[i].text;
		size_t len = strlen(text);

		if (strcmp(text, "\n") == 0)
			len = 0;
		while (len > 1 && text[len - 1] == '\n' &&
		    text[len - 2] == '\n')
			len--;
		text[len] = '\0';
	}
}

static void
read_samples(struct samples *samples, const char *name)
{
	char *text = read_source(name), *rest = text, *line;
	struct sample *sample = NULL;

	while ((line = strsep(&rest, "\n")) != NULL)
		read_line(samples, &sample, line);
	for (int i = 0; i < samples->count; i++)
		trim_files(&samples->all[i]);
	free(text);
}

static void
free_samples(struct samples *samples)
{
	for (int i = 0; i < samples->count; i++) {
		struct sample *sample = &samples->all[i];

		for (size_t j = 0; j < sample->nfiles; j++) {
			free(sample->files[j].name);
			free(sample->files[j].text);
		}
		free(sample->name);
		free(sample->expected);
	}
	free(samples->all);
}

static void
write_sample(const struct sample *sample)
{
	for (size_t i = 0; i < sample->nfiles; i++)
		write_file(sample->files[i].name, sample->files[i].text);
}

START_TEST(a_malformed_file_is_refused_with_all_its_mistakes)
{
	const struct sample *sample = &malformed.all[_i];
	char *found;

	ck_assert_str_ne(sample->expected, "");
	write_sample(sample);
	found = conf_mistakes("main.conf", NULL);
	ck_assert_msg(strcmp(found, sample->expected) == 0,
	    "%s:\n%sinstead of:\n%s", sample->name, found, sample->expected);
	free(found);
}
END_TEST

/* Whether a text has these lines in this order, blanks before them aside. */
static bool
has_lines(const char *text, const char *lines)
{
	while (*lines != '\0') {
		size_t len = strcspn(lines, "\n");

		text += strspn(text, "\t");
		if (strcspn(text, "\n") == len &&
		    memcmp(text, lines, len) == 0)
			lines += len + 1;
		text += strcspn(text, "\n");
		if (*text == '\0')
			break;
		text++;
	}
	return *lines == '\0';
}

START_TEST(a_wellformed_file_is_read_and_reads_back_when_printed)
{
	const struct sample *sample = &wellformed.all[_i];
	struct conf *conf;
	char *printed;

	write_sample(sample);
	conf = load_file("main.conf");
	printed = print_conf(conf);
	ck_assert_msg(has_lines(printed, sample->expected),
	    "%s:\n%sdoes not hold:\n%s", sample->name, printed,
	    sample->expected);
	reads_back(conf);
	free(printed);
	conf_free(conf);
}
END_TEST

/* ---- files that are damaged ---- */
void
expect_no_harm_of_beginnings(const char *name)
{
	char *text = read_source(name);

	for (size_t len = strlen(text); len-- > 0; ) {
		text[len] = '\0';
		free(conf_mistakes("main.conf", text));
	}
	free(text);
}

void
expect_no_harm_of_wrong_bytes(const char *name, const char *wrong)
{
	char *text = read_source(name);
	size_t len = strlen(text), nwrong = strlen(wrong);

	for (size_t i = 0; i < len; i++) {
		char right = text[i];

		text[i] = wrong[i % nwrong];
		free(conf_mistakes("main.conf", text));
		text[i] = right;
	}
	free(text);
}

/* ---- all together ---- */

TCase *
add_case(Suite *suite, const char *name)
{
	TCase *tests = tcase_create(name);

	tcase_add_checked_fixture(tests, enter_scratch, leave_scratch);
	tcase_set_timeout(tests, 60);
	suite_add_tcase(suite, tests);
	return tests;
}

const char *
scratch_dir(void)
{
	return scratch;
}

static void
add_samples(Suite *suite)
{
	TCase *tests = add_case(suite, "samples");

	tcase_add_loop_test(tests,
	    a_malformed_file_is_refused_with_all_its_mistakes, 0,
	    malformed.count);
	tcase_add_loop_test(tests,
	    a_wellformed_file_is_read_and_reads_back_when_printed, 0,
	    wellformed.count);
}

int
run_conf_tests(const struct conf_tests *tests)
{
	const char *srcdir = getenv("srcdir");
	Suite *suite = suite_create(tests->theme);
	SRunner *runner;
	int failed;

	if (realpath(srcdir != NULL ? srcdir : ".", source_dir) == NULL)
		err(EXIT_FAILURE, "%s", srcdir);
	read_samples(&malformed, tests->malformed);
	read_samples(&wellformed, tests->wellformed);
	reads_back = tests->reads_back;
	if (malformed.count < tests->nmalformed ||
	    wellformed.count < tests->nwellformed)
		errx(EXIT_FAILURE, "there were more samples");
	make_scratch_root();
	add_samples(suite);
	tests->add(suite);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	remove_tree(scratch_root);
	free_samples(&malformed);
	free_samples(&wellformed);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
