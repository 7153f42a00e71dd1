/* SPDX-License-Identifier: ISC */
#include "tests/lib/harness.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <netinet/in.h>

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/proc.h"

enum {
	PATIENCE_MS = 20000,
	PAUSE_MS = 5,
	TEST_TIMEOUT_S = 100,
	LONG_TIMEOUT_S = 3600,
	TAIL_LINES = 60,
	ARGS_MAX = 16,
	WORD_MAX = 256,
};

/*
 * Patience.
 */

unsigned
slow_factor(void)
{
	const char *text = getenv("PENSTOCK_TEST_SLOW");
	int factor = text != NULL ? atoi(text) : 1;

	return (factor > 1 ? (unsigned)factor : 1);
}

unsigned
rounds(unsigned few, unsigned many)
{
	return (getenv("PENSTOCK_TEST_LONG") != NULL ? many : few);
}

uint64_t
patience_ms(void)
{
	return ((uint64_t)PATIENCE_MS * slow_factor());
}

void
await_pause(void)
{
	struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000L };

	nanosleep(&pause, NULL);
}

void
pause_us(unsigned us)
{
	const struct timespec time = {
		.tv_sec = us / 1000000,
		.tv_nsec = (long)(us % 1000000) * 1000,
	};

	nanosleep(&time, NULL);
}

unsigned
test_seed(unsigned otherwise)
{
	const char *text = getenv("PENSTOCK_TEST_SEED");
	unsigned seed = text != NULL ? (unsigned)strtoul(text, NULL, 10) :
	    otherwise;

	printf("PENSTOCK_TEST_SEED=%u\n", seed);
	fflush(stdout);
	return (seed);
}

/*
 * The address.
 */

uint32_t
own_address_number(void)
{
	/* A pid has at most 22 bits: 127.1.0.0 to 127.64.255.255. */
	return ((127U << 24) + (1U << 16) + (uint32_t)getpid());
}

const char *
own_address(void)
{
	static char text[INET_ADDRSTRLEN];
	struct in_addr address = { .s_addr = htonl(own_address_number()) };

	inet_ntop(AF_INET, &address, text, sizeof(text));
	return (text);
}

/*
 * Files.
 */

const char *
server_path(const struct server *srv, const char *file)
{
	static char path[sizeof(srv->dir) + NAME_MAX + 2];

	snprintf(path, sizeof(path), "%s/%s", srv->dir, file);
	return (path);
}

bool
server_has_file(const struct server *srv, const char *file)
{
	struct stat st;

	return (lstat(server_path(srv, file), &st) == 0);
}

const char *
server_file(const struct server *srv, const char *file)
{
	static char text[65536];
	FILE *from;
	size_t len;

	text[0] = '\0';
	if ((from = fopen(server_path(srv, file), "re")) == NULL)
		return (text);
	len = fread(text, 1, sizeof(text) - 1, from);
	text[len] = '\0';
	fclose(from);
	return (text);
}

/* "$A" is the test's own address, "$D" the server's directory. */
static void
put_text(FILE *to, const char *text, const char *dir)
{
	for (; *text != '\0'; text++) {
		if (text[0] == '$' && (text[1] == 'A' || text[1] == 'D')) {
			fputs(text[1] == 'A' ? own_address() : dir, to);
			text++;
		} else
			fputc(*text, to);
	}
}

/* Its default address is the same for all servers, and its process one more to
 * count: tests that want a monitor say so. */
static bool
lacks_monitor(const char *file, const char *text)
{
	return (strcmp(file, "conf") == 0 &&
	    strstr(text, "listeners") != NULL &&
	    strstr(text, "monitor") == NULL);
}

void
server_write(struct server *srv, const char *file, const char *text)
{
	char draft[PATH_MAX];
	FILE *to;

	/* A server that reads the file meanwhile gets the old or the new
	 * one. */
	snprintf(draft, sizeof(draft), "%s/draft", srv->dir);
	ck_assert_msg((to = fopen(draft, "we")) != NULL, "%s: %s", draft,
	    strerror(errno));
	put_text(to, text, srv->dir);
	if (lacks_monitor(file, text))
		fputs("monitor = { enabled = false; };\n", to);
	ck_assert_int_eq(fclose(to), 0);
	ck_assert_int_eq(rename(draft, server_path(srv, file)), 0);
}

void
server_configure(struct server *srv, const char *globals,
    const char *listeners)
{
	char *text;

	ck_assert_int_ne(asprintf(&text, "pid_file = \"penstock.pid\";\n"
	    "log = { file = \"log\"; level = \"info\"; };\n"
	    "%s\n"
	    "listeners = (\n%s\n);\n", globals, listeners), -1);
	server_write(srv, "conf", text);
	free(text);
}

static int
remove_entry(const char *path, const struct stat *st, int kind,
    struct FTW *where)
{
	(void)st;
	(void)kind;
	(void)where;
	return (remove(path));
}

static void
remove_directory(const char *dir)
{
	nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/*
 * The keeper: shows and removes what is left of a test that has failed.
 */

static void
print_tail(const char *dir, const char *file)
{
	char command[256];

	/* Also a log that was moved away by the test. */
	snprintf(command, sizeof(command), "cd %s && for f in %s*; do "
	    "test -f \"$f\" -a -s \"$f\" || continue; echo \"--- $f:\"; "
	    "tail -n %d \"$f\"; done >&2", dir, file, TAIL_LINES);
	if (system(command) == -1)
		warn("system");
}

static void
kill_all_in(const char *dir)
{
	pid_t pids[SERVER_PROCESSES_MAX];
	size_t n;

	n = proc_in_directory(dir, pids, SERVER_PROCESSES_MAX);
	for (size_t i = 0; i < n && i < SERVER_PROCESSES_MAX; i++)
		kill(pids[i], SIGKILL);
}

static void
keep(const char *dir, int from_test)
{
	char fine;

	/* Check kills the group of a test that is over. */
	setpgid(0, 0);
	close_range(3, (unsigned)from_test - 1, 0);
	close_range((unsigned)from_test + 1, ~0U, 0);
	if (read(from_test, &fine, 1) == 1)
		_exit(0);
	kill_all_in(dir);
	print_tail(dir, "stderr");
	print_tail(dir, "log");
	if (getenv("PENSTOCK_TEST_KEEP") != NULL)
		fprintf(stderr, "--- kept: %s\n", dir);
	else
		remove_directory(dir);
	_exit(0);
}

static void
start_keeper(struct server *srv)
{
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	fflush(NULL);
	ck_assert_int_ne(srv->keeper = fork(), -1);
	if (srv->keeper == 0) {
		close(ends[1]);
		keep(srv->dir, ends[0]);
	}
	close(ends[0]);
	srv->keeper_pipe = ends[1];
}

static void
dismiss_keeper(struct server *srv)
{
	ck_assert_int_eq(write(srv->keeper_pipe, "k", 1), 1);
	close(srv->keeper_pipe);
	waitpid(srv->keeper, NULL, 0);
}

/*
 * Start.
 */

static const char *
binary_name(void)
{
	const char *name = getenv("PENSTOCK");

	return (name != NULL ? name : "./penstock");
}

/* As it is from any directory. */
static const char *
binary_path(void)
{
	static char path[PATH_MAX];

	if (path[0] == '\0' && realpath(binary_name(), path) == NULL)
		ck_abort_msg("%s: %s", binary_name(), strerror(errno));
	return (path);
}

bool
server_is_sanitized(void)
{
	char command[PATH_MAX + 8], line[512];
	bool found = false;
	FILE *facts;

	snprintf(command, sizeof(command), "'%s' -V", binary_name());
	if ((facts = popen(command, "re")) == NULL)
		return (false);
	while (fgets(line, sizeof(line), facts) != NULL)
		if (strcmp(line, "sanitizers: yes\n") == 0)
			found = true;
	pclose(facts);
	return (found);
}

struct server *
server_new(void)
{
	struct server *srv = calloc(1, sizeof(*srv));

	ck_assert_ptr_nonnull(srv);
	binary_path();		/* fail before there is a directory */
	srv->log_fd = -1;
	strcpy(srv->dir, "/tmp/penstock-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(srv->dir));
	start_keeper(srv);
	/* Workers run as somebody else where we are root. */
	ck_assert_int_eq(chmod(srv->dir, 0755), 0);
	return (srv);
}

/* Where a process of the server writes; stderr is looked through at the end. */
static void
redirect(const char *out, const char *err)
{
	int fd;

	if ((fd = open("/dev/null", O_RDONLY)) == -1 || dup2(fd, 0) == -1)
		_exit(126);
	close(fd);
	fd = open(out, O_WRONLY | O_CREAT | O_APPEND, 0666);
	if (fd == -1 || dup2(fd, 1) == -1)
		_exit(126);
	close(fd);
	fd = open(err, O_WRONLY | O_CREAT | O_APPEND, 0666);
	if (fd == -1 || dup2(fd, 2) == -1)
		_exit(126);
	close(fd);
}

/* Run the binary; the child is in a group of its own, as under a shell. */
static pid_t
spawn(struct server *srv, const char *err, char **argv)
{
	const char *path = *srv->program != '\0' ? srv->program :
	    binary_path();
	pid_t parent = getpid(), pid;

	fflush(NULL);
	ck_assert_int_ne(pid = fork(), -1);
	if (pid != 0) {
		/* On both sides, so that it holds whoever comes first. */
		setpgid(pid, pid);
		return (pid);
	}
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || chdir(srv->dir) == -1)
		_exit(126);
	redirect("stdout", err);
	if (srv->prepare != NULL)
		srv->prepare();
	execv(path, argv);
	_exit(127);
}

bool
has_program(const char *name)
{
	char command[64];

	snprintf(command, sizeof(command), "command -v %s >/dev/null", name);
	if (system(command) == 0)
		return (true);
	printf("%s is not there: not tested\n", name);
	return (false);
}

void
server_install(struct server *srv, const char *program)
{
	char draft[sizeof(srv->program) + 8], bytes[65536];
	int from, to;
	ssize_t n;

	if (strcmp(program, "penstock") == 0)
		program = binary_name();
	snprintf(srv->program, sizeof(srv->program), "%s/program", srv->dir);
	snprintf(draft, sizeof(draft), "%s.draft", srv->program);
	ck_assert_int_ne(from = open(program, O_RDONLY | O_CLOEXEC), -1);
	to = open(draft, O_WRONLY | O_CREAT | O_CLOEXEC | O_EXCL, 0755);
	ck_assert_int_ne(to, -1);
	while ((n = read(from, bytes, sizeof(bytes))) > 0)
		ck_assert_int_eq(write(to, bytes, (size_t)n), n);
	ck_assert_int_eq(n, 0);
	ck_assert_int_eq(fchmod(to, 0755), 0);
	close(from);
	close(to);
	ck_assert_int_eq(rename(draft, srv->program), 0);
}

void
server_launch(struct server *srv)
{
	char name[] = "penstock", option[] = "-c", file[] = "conf";
	char *argv[] = { name, option, file, NULL };

	srv->master = spawn(srv, "stderr", argv);
	srv->is_daemon = false;
}

void
server_await_ready(struct server *srv)
{
	server_expect(srv, "event=ready");
}

struct server *
server_start(const char *globals, const char *listeners)
{
	struct server *srv = server_new();

	server_configure(srv, globals, listeners);
	server_launch(srv);
	server_await_ready(srv);
	return (srv);
}

/*
 * End.
 */

/* -1 while it runs. */
static int
try_wait(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, WNOHANG) != pid)
		return (-1);
	if (WIFEXITED(status))
		return (WEXITSTATUS(status));
	return (128 + WTERMSIG(status));
}

int
server_run(struct server *srv, char *output, size_t size, ...)
{
	char *argv[ARGS_MAX] = { NULL };
	int status, n = 0;
	va_list args;
	pid_t pid;

	va_start(args, size);
	argv[n++] = strdup("penstock");
	while (n < ARGS_MAX - 1 && (argv[n] = va_arg(args, char *)) != NULL)
		n++;
	va_end(args);
	unlink(server_path(srv, "stdout"));
	pid = spawn(srv, "stdout", argv);
	free(argv[0]);
	await((status = try_wait(pid)) != -1);
	if (output != NULL)
		snprintf(output, size, "%s", server_file(srv, "stdout"));
	return (status);
}

void
server_await_exit(struct server *srv, int status)
{
	int exited = -1;

	if (srv->is_daemon)
		await(proc_is_dead(srv->master));
	else
		await((exited = try_wait(srv->master)) != -1);
	if (!srv->is_daemon)
		ck_assert_msg(exited == status, "the master's exit status is "
		    "%d, not %d", exited, status);
	srv->master = 0;
}

static void
expect_no_report(struct server *srv, const char *file)
{
	static const char *const signs[] = {
		"ERROR: AddressSanitizer", "ERROR: LeakSanitizer",
		"WARNING: ThreadSanitizer", "runtime error:",
		"Assertion `",
	};
	const char *text = server_file(srv, file);

	for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++)
		ck_assert_msg(strstr(text, signs[i]) == NULL,
		    "the server said \"%s\":\n%s", signs[i], text);
}

/* What must hold in the end of every test. */
static void
expect_good_end(struct server *srv)
{
	expect_no_report(srv, "stderr");
	expect_no_report(srv, "stdout");
	srv->log_mark = 0;
	ck_assert_msg(srv->expects_deaths ||
	    server_log(srv, "event=worker_died") == NULL,
	    "a worker died: %s", srv->line);
	ck_assert_msg(server_log(srv, "event=worker_disowned") == NULL,
	    "a worker was disowned: %s", srv->line);
	if (srv->counters.nslots > 0) {
		ck_assert_msg(observe_adds_up(&srv->counters),
		    "those who came are not those here or gone");
		ck_assert_uint_eq(server_counters(srv).active, 0);
		/* Those of one that died stay until another has its place. */
		if (!srv->expects_deaths)
			ck_assert_uint_eq(observe_records(&srv->counters), 0);
	}
}

int
take_port(unsigned port)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(own_address_number()),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	return (fd);
}

void
server_end(struct server *srv)
{
	if (srv->master != 0) {
		server_counters(srv);
		server_signal(srv, SIGINT);
		server_await_exit(srv, 0);
	}
	await(proc_in_directory(srv->dir, NULL, 0) == 0);
	expect_good_end(srv);
	observe_close(&srv->counters);
	if (srv->log_fd != -1)
		close(srv->log_fd);
	remove_directory(srv->dir);
	dismiss_keeper(srv);
	free(srv->log);
	free(srv);
}

/*
 * Orders and processes.
 */

void
server_signal(struct server *srv, int signal)
{
	ck_assert_int_eq(kill(srv->master, signal), 0);
}

pid_t
server_worker(struct server *srv, unsigned slot)
{
	size_t mark = srv->log_mark;
	char words[64];
	pid_t pid = 0;

	snprintf(words, sizeof(words), "event=worker_ready child_slot=%u",
	    slot);
	srv->log_mark = 0;
	if (server_log_last(srv, words) != NULL)
		pid = (pid_t)log_number(srv->line, "child");
	srv->log_mark = mark;
	ck_assert_msg(pid != 0, "no worker was ever ready in slot %u", slot);
	return (pid);
}

pid_t
server_await_successor(struct server *srv, unsigned slot, pid_t old)
{
	await(server_worker(srv, slot) != old);
	return (server_worker(srv, slot));
}

size_t
server_children(const struct server *srv)
{
	return (proc_children(srv->master, NULL, 0));
}

/*
 * The log.
 */

static bool
is_another_file(int fd, const char *path)
{
	struct stat open_one, named;

	return (stat(path, &named) == 0 && fstat(fd, &open_one) == 0 &&
	    (named.st_ino != open_one.st_ino ||
	    named.st_dev != open_one.st_dev));
}

/* Room for so many bytes more of the log, and a NUL.  It doubles: the log of a
 * server under load has hundreds of megabytes. */
static void
make_room(struct server *srv, size_t more)
{
	size_t need = srv->log_len + more + 1;

	if (need <= srv->log_size)
		return;
	srv->log_size = need > 2 * srv->log_size ? need : 2 * srv->log_size;
	srv->log = realloc(srv->log, srv->log_size);
	ck_assert_ptr_nonnull(srv->log);
}

/* Read what is there now; of a log that grows as fast, no more than that. */
static void
read_more(struct server *srv)
{
	struct stat st;
	ssize_t n = 1;

	ck_assert_int_eq(fstat(srv->log_fd, &st), 0);
	for (off_t left = st.st_size - lseek(srv->log_fd, 0, SEEK_CUR);
	    left > 0 && n > 0; left -= n) {
		make_room(srv, (size_t)left);
		n = read(srv->log_fd, srv->log + srv->log_len, (size_t)left);
		if (n > 0)
			srv->log_len += (size_t)n;
		srv->log[srv->log_len] = '\0';
	}
}

/* Read what is new; when the file was replaced, the new one is read on behind
 * the old one. */
static void
refresh_log(struct server *srv)
{
	const char *path = server_path(srv, "log");

	if (srv->log_fd != -1 && !is_another_file(srv->log_fd, path)) {
		read_more(srv);
		return;
	}
	if (srv->log_fd != -1) {
		read_more(srv);
		/* A line can be seen before it is written to its end. */
		if (srv->log_len > 0 && srv->log[srv->log_len - 1] != '\n')
			return;
		close(srv->log_fd);
	}
	if ((srv->log_fd = open(path, O_RDONLY | O_CLOEXEC)) != -1)
		read_more(srv);
}

void
server_mark(struct server *srv)
{
	refresh_log(srv);
	srv->log_mark = srv->log_len;
}

static bool
ends_word(char c)
{
	return (c == ' ' || c == '\n' || c == '\0' || c == ',' || c == '{' ||
	    c == '}');
}

/* A word stands in a line if nothing of a longer one is before or behind it. */
static bool
line_has_word(const char *line, const char *word, size_t len)
{
	const char *at = line;

	while ((at = strstr(at, word)) != NULL) {
		if ((at == line || ends_word(at[-1])) && ends_word(at[len]))
			return (true);
		at++;
	}
	return (false);
}

static bool
line_has_words(const char *line, const char *words)
{
	char word[WORD_MAX];
	size_t len;

	while (*words != '\0') {
		len = strcspn(words, " ");
		ck_assert_uint_lt(len, WORD_MAX);
		memcpy(word, words, len);
		word[len] = '\0';
		if (len > 0 && !line_has_word(line, word, len))
			return (false);
		words += len + (words[len] == ' ');
	}
	return (true);
}

/* The word that takes the least time to look for. */
static void
longest_word(const char *words, char word[WORD_MAX])
{
	size_t len, longest = 0;

	word[0] = '\0';
	while (*words != '\0') {
		len = strcspn(words, " ");
		ck_assert_uint_lt(len, WORD_MAX);
		if (len > longest) {
			longest = len;
			memcpy(word, words, len);
			word[len] = '\0';
		}
		words += len + (words[len] == ' ');
	}
}

/* The end of the last whole line. */
static size_t
whole_lines(const struct server *srv)
{
	const char *lf = srv->log_len == 0 ? NULL :
	    memrchr(srv->log, '\n', srv->log_len);

	return (lf == NULL ? 0 : (size_t)(lf - srv->log) + 1);
}

/* Copy the next whole line from *at on that has a word, perhaps in another
 * one, and go behind it.  Returns false if there is none. */
static bool
next_line_with(const struct server *srv, size_t *at, const char *word,
    char *line)
{
	size_t end = whole_lines(srv), len;
	const char *hit, *begin, *lf;

	if (*at >= end)
		return (false);
	hit = memmem(srv->log + *at, end - *at, word, strlen(word));
	if (hit == NULL) {
		*at = end;
		return (false);
	}
	begin = memrchr(srv->log, '\n', (size_t)(hit - srv->log));
	begin = begin == NULL ? srv->log : begin + 1;
	lf = memchr(hit, '\n', end - (size_t)(hit - srv->log));
	*at = (size_t)(lf - srv->log) + 1;
	len = (size_t)(lf - begin);
	if (len > SERVER_LINE_MAX)
		len = SERVER_LINE_MAX;
	memcpy(line, begin, len);
	line[len] = '\0';
	return (true);
}

/* The same for a line that matches. */
static bool
next_match(const struct server *srv, size_t *at, const char *words,
    char *line)
{
	char word[WORD_MAX];

	longest_word(words, word);
	while (next_line_with(srv, at, word, line))
		if (line_has_words(line, words))
			return (true);
	return (false);
}

const char *
server_log(struct server *srv, const char *words)
{
	size_t at = srv->log_mark;

	refresh_log(srv);
	return (next_match(srv, &at, words, srv->line) ? srv->line : NULL);
}

const char *
server_log_last(struct server *srv, const char *words)
{
	char line[SERVER_LINE_MAX + 1];
	size_t at = srv->log_mark;
	bool found = false;

	refresh_log(srv);
	while (next_match(srv, &at, words, line)) {
		memcpy(srv->line, line, sizeof(line));
		found = true;
	}
	return (found ? srv->line : NULL);
}

void
server_each(struct server *srv, const char *words,
    void (*call)(const char *, void *), void *arg)
{
	char line[SERVER_LINE_MAX + 1];
	size_t at = srv->log_mark;

	refresh_log(srv);
	while (next_match(srv, &at, words, line))
		call(line, arg);
}

static void
count_line(const char *line, void *arg)
{
	unsigned *n = arg;

	(void)line;
	++*n;
}

unsigned
server_count(struct server *srv, const char *words)
{
	unsigned n = 0;

	server_each(srv, words, count_line, &n);
	return (n);
}

static void
expect_alive(struct server *srv, const char *words)
{
	siginfo_t info = { .si_pid = 0 };

	if (srv->master == 0 || srv->is_daemon ||
	    waitid(P_PID, (id_t)srv->master, &info,
	    WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
		return;
	if (server_log(srv, words) == NULL)
		ck_abort_msg("the master ended (%s %d), and never logged: %s",
		    info.si_code == CLD_EXITED ? "status" : "signal",
		    info.si_status, words);
}

/* Wait for a line from *at on, which goes behind it. */
static void
expect_from(struct server *srv, size_t *at, const char *words)
{
	uint64_t until = clock_ms() + patience_ms();

	refresh_log(srv);
	while (!next_match(srv, at, words, srv->line)) {
		expect_alive(srv, words);
		ck_assert_msg(clock_ms() < until,
		    "waited in vain for a line of the log with: %s", words);
		await_pause();
		refresh_log(srv);
	}
}

const char *
server_expect(struct server *srv, const char *words)
{
	size_t at = srv->log_mark;

	expect_from(srv, &at, words);
	return (srv->line);
}

static const char *
find_field(const char *line, const char *key)
{
	size_t len = strlen(key);
	const char *at = line;

	while ((at = strstr(at, key)) != NULL) {
		if (at > line && at[-1] == ' ' && at[len] == '=')
			return (at + len + 1);
		at += len;
	}
	return (NULL);
}

bool
log_has(const char *line, const char *key)
{
	return (find_field(line, key) != NULL);
}

uint64_t
log_number(const char *line, const char *key)
{
	const char *value = find_field(line, key);

	ck_assert_msg(value != NULL, "no %s= in: %s", key, line);
	return (strtoull(value, NULL, 10));
}

uint64_t
log_time_us(const char *line)
{
	struct tm tm = { .tm_isdst = 0 };
	unsigned us = 0;
	int n;

	n = sscanf(line, "%d-%d-%dT%d:%d:%d.%uZ ", &tm.tm_year, &tm.tm_mon,
	    &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &us);
	ck_assert_msg(n == 7, "no time in: %s", line);
	tm.tm_year -= 1900;
	tm.tm_mon--;
	return ((uint64_t)timegm(&tm) * 1000000 + us);
}

uint64_t
log_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return ((uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
}

static void
add_told(const char *line, void *arg)
{
	*(uint64_t *)arg += log_has(line, "suppressed") ?
	    log_number(line, "suppressed") : 1;
}

uint64_t
server_count_told(struct server *srv, const char *words)
{
	uint64_t told = 0;

	server_each(srv, words, add_told, &told);
	return (told);
}

/*
 * Reload.
 */

/* Whether the workers of generations before this one no longer accept. */
static bool
old_ones_drain(const struct server *srv, uint64_t generation)
{
	pid_t pids[SERVER_PROCESSES_MAX];
	char title[256];
	const char *gen;
	size_t n;

	n = proc_children(srv->master, pids, SERVER_PROCESSES_MAX);
	for (size_t i = 0; i < n; i++) {
		proc_title(pids[i], title, sizeof(title));
		gen = strstr(title, " gen=");
		/* Executors stay as long as their worker. */
		if (strstr(title, "worker ") == NULL)
			continue;
		if (gen != NULL && strtoull(gen + 5, NULL, 10) < generation &&
		    strstr(title, " draining") == NULL)
			return (false);
	}
	return (true);
}

void
server_reload(struct server *srv)
{
	uint64_t generation;
	size_t at;

	refresh_log(srv);
	at = srv->log_len;
	server_signal(srv, SIGHUP);
	expect_from(srv, &at, "event=reload_done");
	generation = log_number(srv->line, "gen");
	await(old_ones_drain(srv, generation));
}

/*
 * The counters.
 */

/* Mappings stay what they are, so they are opened again only for slots that a
 * reload may have added. */
static void
refresh_counters(struct server *srv)
{
	struct observer now;

	if (srv->master == 0 || proc_is_dead(srv->master))
		return;
	if (observe_open(&now, srv->master) == 0) {
		observe_close(&srv->counters);
		srv->counters = now;
		return;
	}
	observe_close(&now);
	ck_assert_msg(srv->counters.nslots > 0, "can't read the counters: %s",
	    strerror(errno));
}

struct counters_listener
server_counters(struct server *srv)
{
	refresh_counters(srv);
	return (observe_listener(&srv->counters, OBSERVE_ALL));
}

struct counters_worker
server_worker_counters(struct server *srv)
{
	refresh_counters(srv);
	return (observe_workers(&srv->counters));
}

uint64_t
server_closed(struct server *srv, enum close_reason reason)
{
	return (server_counters(srv).closed[reason]);
}

uint64_t
server_worker_memory(struct server *srv)
{
	pid_t pids[SERVER_PROCESSES_MAX];
	uint64_t sum = 0;
	size_t n;

	n = proc_children(srv->master, pids, SERVER_PROCESSES_MAX);
	for (size_t i = 0; i < n; i++)
		sum += proc_pss_anon(pids[i]);
	return (sum);
}

/*
 * Load.
 */

static enum message_wire
wire_on(unsigned port)
{
	switch (port) {
	case LINE_PORT:
		return (WIRE_LINE);
	case WEB_PORT:
		return (WIRE_HTTP);
	}
	return (WIRE_FRAME);
}

struct hold_options
load_on(unsigned port)
{
	struct hold_options options = {
		.wire = wire_on(port),
		.message_size = 24,
		.message_size_max = 99,
		.patience_ms = (unsigned)patience_ms(),
	};
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr = { .s_addr = htonl(own_address_number()) },
	};

	options.source_len = options.server_len = options.slow_server_len =
	    sizeof(address);
	memcpy(&options.source, &address, sizeof(address));
	address.sin_port = htons((uint16_t)port);
	memcpy(&options.server, &address, sizeof(address));
	address.sin_port = htons((uint16_t)(port + SLOW_PORTS));
	memcpy(&options.slow_server, &address, sizeof(address));
	return (options);
}

struct hold_process *
start_churn(unsigned clients)
{
	struct hold_options options = load_on(FRAME_PORT);
	struct hold_process *load;

	options.connections = clients;
	options.churn = 5;
	options.rate = HOLD_FULL_SPEED;
	load = hold_start(&options);
	await(hold_peek(load)->finished > clients);
	return (load);
}

void
expect_unharmed(const struct hold_report *report)
{
	char text[512];

	load_report_line(report, text, sizeof(text));
	ck_assert_msg(hold_report_is_clean(report), "the load was harmed: %s",
	    text);
	ck_assert_msg(report->answered > 0, "no load at all: %s", text);
}

void
print_report(const char *title, const struct hold_report *report)
{
	char text[512];

	load_report_line(report, text, sizeof(text));
	printf("%s: %s\n", title, text);
	fflush(stdout);
}

/*
 * main().
 */

int
run_tests_of_rows(const char *theme, size_t nloops, int rows,
    const TTest *const *tests, size_t n)
{
	Suite *suite = suite_create(theme);
	SRunner *runner = srunner_create(suite);
	struct rlimit limit;
	int failed;

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	for (size_t i = 0; i < n; i++) {
		TCase *one = tcase_create(tests[i]->name);

		tcase_set_timeout(one, rounds(TEST_TIMEOUT_S, LONG_TIMEOUT_S) *
		    slow_factor());
		tcase_add_loop_test(one, tests[i], 0, i < nloops ? rows : 1);
		suite_add_tcase(suite, one);
	}
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return (failed == 0 ? 0 : 1);
}

int
run_tests(const char *theme, const TTest *const *tests, size_t n)
{
	return (run_tests_of_rows(theme, 0, 0, tests, n));
}
