/* SPDX-License-Identifier: ISC */
#include "config.h"

#include "master/upgrade.h"

#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fd.h"
#include "common/log.h"
#include "master/adopt.h"
#include "master/master.h"
#include "master/notify.h"
#include "master/options.h"
#include "master/pause.h"
#include "master/signals.h"

/* The descriptors of the state and of the previous program; and why another
 * program could not take over from this one. */
#define ENV_STATE	"PENSTOCK_STATE"
#define ENV_PREVIOUS	"PENSTOCK_PREVIOUS"
#define ENV_REFUSED	"PENSTOCK_REFUSED"

/* The check run's word that it would take over: this, the number of generations
 * that it has read, and its version. */
#define ANSWER		"penstock-check "

enum {
	CHECK_MS = 10000,
	EXIT_NOT_RUN = 127,
};

/*
 * How we were started.
 */

/* Whether a path leads to the file that runs. */
static bool
upgrade_is_self(const char *path)
{
	struct stat found, self;

	return (stat(path, &found) == 0 && stat("/proc/self/exe", &self) == 0 &&
	    found.st_dev == self.st_dev && found.st_ino == self.st_ino);
}

/* The file that runs, whatever it was called; it may be gone. */
static char *
upgrade_resolve_self(void)
{
	char path[PATH_MAX];
	ssize_t len;

	if ((len = readlink("/proc/self/exe", path, sizeof(path) - 1)) == -1)
		return (NULL);
	path[len] = '\0';
	return (strdup(path));
}

/* Where to look for the next program: where this one was found, symbolic links
 * unresolved, as these are what a deployment turns over.  Returns the caller's
 * own copy; NULL with errno set. */
static char *
upgrade_find_self(void)
{
	const char *name = (const char *)(uintptr_t)getauxval(AT_EXECFN);
	char *cwd = NULL, *path = NULL;

	if (name != NULL && *name == '/')
		path = strdup(name);
	else if (name != NULL && (cwd = getcwd(NULL, 0)) != NULL &&
	    asprintf(&path, "%s/%s", cwd, name) == -1)
		path = NULL;
	free(cwd);
	/* One that was executed by a descriptor has no name of its own. */
	if (path != NULL && (strncmp(path, "/dev/fd/", 8) == 0 ||
	    !upgrade_is_self(path))) {
		free(path);
		path = NULL;
	}
	return (path != NULL ? path : upgrade_resolve_self());
}

int
upgrade_init(struct upgrade *upgrade, int argc, char *argv[])
{
	*upgrade = (struct upgrade){
		.program = -1, .answer = -1, .before = -1, .previous = -1,
		.log = -1,
		.format = STATE_VERSION, .newborn_speaks = CTL_VERSION,
	};
	/* Room for one more option, see upgrade_add_option(). */
	upgrade->argv = calloc((size_t)argc + 2, sizeof(char *));
	if (upgrade->argv == NULL)
		return (-1);
	upgrade->path = upgrade_find_self();
	for (int i = 0; i < argc; i++)
		if ((upgrade->argv[i] = strdup(argv[i])) == NULL)
			return (-1);
	return (0);
}

static void
upgrade_forget_task(struct upgrade *upgrade)
{
	if (upgrade->program != -1)
		close(upgrade->program);
	upgrade->program = -1;
	generation_release(upgrade->back);
	upgrade->back = NULL;
	upgrade->task = STATE_TASK_UPGRADE;
	upgrade->format = STATE_VERSION;
	upgrade->newborn_speaks = CTL_VERSION;
	upgrade->passed = false;
	upgrade->refused = false;
}

void
upgrade_free(struct upgrade *upgrade)
{
	upgrade_forget_task(upgrade);
	stderr_line_close(&upgrade->errors);
	if (upgrade->answer != -1)
		close(upgrade->answer);
	if (upgrade->before != -1)
		close(upgrade->before);
	for (size_t i = 0; upgrade->argv != NULL && upgrade->argv[i] != NULL;
	    i++)
		free(upgrade->argv[i]);
	free(upgrade->argv);
	free(upgrade->path);
}

/*
 * Refusal: nothing has changed.
 */

static enum status_kind
upgrade_kind_of(enum state_task task)
{
	return (task == STATE_TASK_ROLLBACK ? STATUS_ROLLBACK :
	    STATUS_UPGRADE);
}

/* Whether the last report is that of the canary that refused it. */
static bool
upgrade_is_reported(const struct master *master, enum status_kind kind,
    const char *why)
{
	const struct status *status = &master->status;
	struct status_report last;

	/* Only the report of a canary has workers. */
	return (status_get_report(status, status->map->reports, &last) &&
	    last.kind == kind && last.result == STATUS_REFUSED &&
	    last.slots > 0 && strcmp(last.why, why) == 0);
}

static void
upgrade_tell_refusal(struct master *master, enum status_kind kind,
    const char *why)
{
	LOG(ERROR, UPGRADE_REFUSED, F_STR("kind", status_kind_name(kind)),
	    F_STR("error", why),
	    F_STR("kept", "the running program and its workers"));
	if (!upgrade_is_reported(master, kind, why))
		reload_report_refusal(master, kind, clock_ms(), why);
	notify_status("%s refused: %s", status_kind_name(kind), why);
}

static void
upgrade_refuse(struct master *master, const char *why)
{
	enum status_kind kind = upgrade_kind_of(master->upgrade.task);

	upgrade_forget_task(&master->upgrade);
	upgrade_tell_refusal(master, kind, why);
}

static void
upgrade_refuse_errno(struct master *master, const char *what)
{
	struct why why;

	why_set(&why, "%s: %s", what, strerror(errno));
	upgrade_refuse(master, why.text);
}

/*
 * The state.
 */

static int
upgrade_put_number(const char *name, int number)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", number);
	return (setenv(name, text, 1));
}

/* What this master is, for the task and in the format, in a memfd; previous is
 * the program that is to be executed if the next one cannot take over.  Returns
 * -1 with errno set. */
static int
upgrade_save(struct master *master, int previous)
{
	struct upgrade *upgrade = &master->upgrade;
	FILE *out = NULL;
	int fd, copy, saved;

	if (workers_are_rescued(master)) {
		errno = EAGAIN;
		return (-1);
	}
	upgrade->previous = previous;
	upgrade->speaks = CTL_PREVIOUS;
	/* Standard error is where it was. */
	upgrade->log = log_is_stderr() ? -1 : log_fd();
	snprintf(upgrade->version, sizeof(upgrade->version), "%s",
	    PENSTOCK_VERSION);
	if ((fd = memfd_create("penstock-state", MFD_CLOEXEC)) == -1)
		return (-1);
	if ((copy = fcntl(fd, F_DUPFD_CLOEXEC, 0)) != -1 &&
	    (out = fdopen(copy, "w")) == NULL)
		close(copy);
	if (out != NULL && state_write(out, master, upgrade->format) == 0 &&
	    fclose(out) == 0)
		return (fd);
	saved = errno;
	close(fd);
	errno = saved;
	return (-1);
}

/* Execute a program that is to take over; previous is the one to go back to, or
 * -1, and refused says why it gets the server back, or is NULL.  Returns if
 * that has failed, with errno set.  If a descriptor of the state is not open,
 * the program says so. */
static void
upgrade_execute(const struct master *master, int program, int state_fd,
    int previous, const char *refused)
{
	if (fcntl(state_fd, F_SETFD, 0) == -1 ||
	    upgrade_put_number(ENV_STATE, state_fd) == -1 ||
	    (previous != -1 &&
	    upgrade_put_number(ENV_PREVIOUS, previous) == -1) ||
	    (refused != NULL && setenv(ENV_REFUSED, refused, 1) == -1))
		return;
	(void)state_pass_on(master, master->upgrade.format, true);
	fflush(NULL);
	fexecve(program, master->upgrade.argv, environ);
}

/*
 * The check run.
 */

/* The ends of its pipes: [0] is ours. */
struct pipes {
	int answer[2];
	int errors[2];
};

static void
upgrade_close_pipes(const struct pipes *pipes, int side)
{
	if (pipes->answer[side] != -1)
		close(pipes->answer[side]);
	if (pipes->errors[side] != -1)
		close(pipes->errors[side]);
}

static int
upgrade_open_pipes(struct pipes *pipes)
{
	*pipes = (struct pipes){ { -1, -1 }, { -1, -1 } };
	if (pipe2(pipes->answer, O_CLOEXEC) == 0 &&
	    pipe2(pipes->errors, O_CLOEXEC) == 0 &&
	    fcntl(pipes->answer[0], F_SETFL, O_NONBLOCK) == 0 &&
	    fcntl(pipes->errors[0], F_SETFL, O_NONBLOCK) == 0)
		return (0);
	upgrade_close_pipes(pipes, 0);
	upgrade_close_pipes(pipes, 1);
	return (-1);
}

/* There is room for it. */
static void
upgrade_add_option(char **argv, char *option)
{
	size_t n = 1;

	while (argv[n] != NULL)
		n++;
	memmove(&argv[2], &argv[1], n * sizeof(*argv));
	argv[1] = option;
}

/* In the child: become the new program, as it would be started, with -t. */
static void __attribute__((noreturn))
upgrade_run_check(const struct master *master, int state_fd,
    const struct pipes *pipes)
{
	const struct upgrade *upgrade = &master->upgrade;
	static char option[] = "-t";

	signals_default_in_child();
	/* A group of its own, so that what it starts ends with it; and nobody
	 * would end it if we died. */
	(void)setpgid(0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd_redirect_to_null(STDIN_FILENO);
	unsetenv("NOTIFY_SOCKET");
	upgrade_add_option(upgrade->argv, option);
	if (dup2(pipes->answer[1], STDOUT_FILENO) != -1 &&
	    dup2(pipes->errors[1], STDERR_FILENO) != -1)
		upgrade_execute(master, upgrade->program, state_fd, -1, NULL);
	dprintf(STDERR_FILENO, "cannot run %s: %s\n", upgrade->path,
	    strerror(errno));
	_exit(EXIT_NOT_RUN);
}

/* Listen to the check run.  What it says is needed at its end. */
static void
upgrade_attend_check(struct master *master, const struct pipes *pipes)
{
	struct upgrade *upgrade = &master->upgrade;

	upgrade->answer = pipes->answer[0];
	if (stderr_line_open(&upgrade->errors, master->base, pipes->errors[0],
	    NULL, &upgrade->errors_limit, upgrade->check.pid) == -1) {
		LOG(ERROR, UPGRADE_STDERR, F_ERRNO(errno));
		close(pipes->errors[0]);
	}
	upgrade->check_until_ms = clock_ms() + CHECK_MS;
	upgrade->overdue = false;
}

/* Whether the program has said that it would take over from this master. */
static bool
upgrade_has_answered(const struct master *master)
{
	char text[256], expected[64];
	ssize_t n;

	n = read(master->upgrade.answer, text, sizeof(text) - 1);
	if (n <= 0)
		return (false);
	text[n] = '\0';
	snprintf(expected, sizeof(expected), ANSWER "%" PRIu64 " ",
	    master->numbered);
	return (strncmp(text, expected, strlen(expected)) == 0 &&
	    text[n - 1] == '\n');
}

/* Judge an ended check run.  Returns -1 and says why if it has failed. */
static int
upgrade_judge_check(const struct master *master, int status, struct why *why)
{
	const struct upgrade *upgrade = &master->upgrade;
	char how[PAUSE_HOW_MAX];

	if (upgrade->overdue)
		return (why_set(why, "%s was not done with the check within "
		    "%d s", upgrade->path, CHECK_MS / 1000));
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return (why_set(why, "the check run of %s failed: %s%s%.140s",
		    upgrade->path, describe_death(status, how),
		    *upgrade->errors.last != '\0' ? ": " : "",
		    upgrade->errors.last));
	return (upgrade_has_answered(master) ? 0 : why_set(why,
	    "%s is no penstock that can take over", upgrade->path));
}

/* Whether a check run has failed as that of the previous release does. */
static bool
upgrade_may_be_previous(const struct upgrade *upgrade, int status)
{
	return (upgrade->format != STATE_PREVIOUS && !upgrade->overdue &&
	    WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILED);
}

static void
upgrade_on_check_death(void *owner, int status)
{
	struct master *master = owner;
	struct upgrade *upgrade = &master->upgrade;
	struct why why;
	bool is_fine;

	process_end(&upgrade->check);
	stderr_line_close(&upgrade->errors);
	is_fine = upgrade_judge_check(master, status, &why) == 0;
	close(upgrade->answer);
	upgrade->answer = -1;
	master_changed(master);
	/* Given up meanwhile. */
	if (upgrade->program == -1)
		return;
	if (is_fine) {
		upgrade->passed = true;
		if (upgrade->format == STATE_PREVIOUS)
			upgrade->newborn_speaks = CTL_PREVIOUS;
		upgrade->check_until_ms = clock_ms() + CHECK_MS;
	} else if (upgrade_may_be_previous(upgrade, status))
		/* Another run begins when this turn's dead are buried. */
		upgrade->format = STATE_PREVIOUS;
	else
		upgrade_refuse(master, why.text);
}

static int
upgrade_start_check(struct master *master)
{
	static const struct process_kind kind = {
		.on_death = upgrade_on_check_death,
		.leads_group = true,
	};
	struct upgrade *upgrade = &master->upgrade;
	struct pipes pipes;
	int state_fd;
	pid_t pid;

	if ((state_fd = upgrade_save(master, -1)) == -1)
		return (-1);
	if (upgrade_open_pipes(&pipes) == -1)
		goto fail;
	process_init(&upgrade->check, master, &kind, master);
	pid = process_fork(&upgrade->check, 0, NULL, 0);
	if (pid == 0)
		upgrade_run_check(master, state_fd, &pipes);
	upgrade_close_pipes(&pipes, 1);
	if (pid == -1) {
		upgrade_close_pipes(&pipes, 0);
		goto fail;
	}
	upgrade_attend_check(master, &pipes);
	close(state_fd);
	return (0);
fail:
	close(state_fd);
	return (-1);
}

/*
 * Orders.
 */

bool
upgrade_is_under_way(const struct upgrade *upgrade)
{
	return (upgrade->program != -1);
}

bool
upgrade_may_begin(const struct upgrade *upgrade)
{
	return (upgrade->check.pid == 0);
}

void
upgrade_forget(struct upgrade *upgrade)
{
	process_kill(&upgrade->check, SIGKILL);
	upgrade_forget_task(upgrade);
}

void
upgrade_abort(struct master *master, const char *why)
{
	struct upgrade *upgrade = &master->upgrade;
	bool lost = master->pending.upgrade || upgrade->program != -1;

	process_kill(&upgrade->check, SIGKILL);
	if (lost && master->running != NULL)
		upgrade_refuse(master, why);
	else
		upgrade_forget_task(upgrade);
}

void
upgrade_begin(struct master *master)
{
	struct upgrade *upgrade = &master->upgrade;

	upgrade->task = STATE_TASK_UPGRADE;
	upgrade->refused = false;
	*upgrade->reason.text = '\0';
	upgrade->program = open(upgrade->path, O_PATH | O_CLOEXEC);
	if (upgrade->program == -1)
		upgrade_refuse_errno(master, upgrade->path);
}

void
upgrade_back(struct master *master)
{
	struct probation *probation = &master->probation;
	struct upgrade *upgrade = &master->upgrade;

	upgrade_forget_task(upgrade);
	upgrade->task = STATE_TASK_ROLLBACK;
	upgrade->refused = probation->refused;
	upgrade->back = generation_hold(probation->before);
	upgrade->program = probation->program;
	probation->program = -1;
	upgrade->reason = probation->why;
	if (upgrade->program == -1)
		upgrade_refuse(master, "the previous program is not available "
		    "any more");
}

/*
 * The exec.
 */

/* Have all processes speak the previous version.  Returns whether they do. */
static bool
upgrade_speak_previous(struct master *master)
{
	struct process *process;
	bool all = true;

	TAILQ_FOREACH(process, &master->processes, link) {
		if (process->channel == NULL || process->kind->is_new ||
		    channel_speaks(process->channel) == CTL_PREVIOUS)
			continue;
		channel_speak(process->channel, CTL_PREVIOUS,
		    process->generation);
		all = false;
	}
	return (all);
}

/* Orders that the previous program is to carry out: it finds them pending, as
 * the signals are blocked until it has a descriptor to read them from. */
static void
upgrade_pass_orders_on(const struct master *master)
{
	if (master->pending.upgrade)
		kill(getpid(), SIGUSR2);
	if (master->pending.reload)
		kill(getpid(), SIGHUP);
}

/* Fork a keeper that would execute the program with the state.  The kernel ends
 * all processes of a container together with the first one, so that one without
 * an init gets none. */
static int
upgrade_start_keeper(struct master *master, int program, int state_fd)
{
	const char *why;
	int result;

	if (getpid() == 1)
		return (0);
	if ((result = keeper_start(master, &why)) != 0)
		return (result);
	upgrade_execute(master, program, state_fd, -1, why);
	fprintf(stderr, "penstock %s: the previous program cannot take over: "
	    "%s\n", PENSTOCK_VERSION, strerror(errno));
	_exit(EXIT_FAILED);
}

/* Execute the program that was checked. */
static void
upgrade_change_program(struct master *master, int state_fd)
{
	const struct upgrade *upgrade = &master->upgrade;

	keeper_pass_on(master, true);
	upgrade_execute(master, upgrade->program, state_fd, upgrade->previous,
	    upgrade->refused ? upgrade->reason.text : NULL);
	upgrade_refuse_errno(master, "exec");
	keeper_pass_on(master, false);
	keeper_end(master);
	(void)state_pass_on(master, STATE_VERSION, false);
	unsetenv(ENV_STATE);
	unsetenv(ENV_PREVIOUS);
	unsetenv(ENV_REFUSED);
}

static void
upgrade_take_leave(struct master *master)
{
	struct upgrade *upgrade = &master->upgrade;
	int previous, state_fd;

	if (upgrade->refused) {
		/* The check run was one of a roll-back, which does not read the
		 * configuration. */
		upgrade->task = STATE_TASK_UPGRADE;
		succession_report_end(master);
		upgrade_pass_orders_on(master);
	}
	if (upgrade->format == STATE_PREVIOUS)
		crews_suit_previous(master);
	/* The file that runs; its name may be another file's now. */
	previous = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	if ((state_fd = upgrade_save(master, previous)) == -1)
		upgrade_refuse_errno(master, "state");
	/* The previous release has no keeper. */
	else if (upgrade->format != STATE_PREVIOUS && previous != -1 &&
	    upgrade_start_keeper(master, previous, state_fd) == -1)
		upgrade_refuse_errno(master, "keeper");
	else
		upgrade_change_program(master, state_fd);
	if (state_fd != -1)
		close(state_fd);
	if (previous != -1)
		close(previous);
}

void
upgrade_forgive(struct upgrade *upgrade, uint64_t stall_ms)
{
	upgrade->check_until_ms += stall_ms;
}

void
upgrade_advance(struct master *master)
{
	struct upgrade *upgrade = &master->upgrade;
	int state_fd;

	if (master->keeper == NULL || upgrade->before == -1)
		return;
	/* Without another keeper, the first one knows what was before. */
	if ((state_fd = upgrade_save(master, upgrade->before)) != -1) {
		(void)upgrade_start_keeper(master, upgrade->before, state_fd);
		close(state_fd);
	}
}

void
upgrade_done(struct master *master)
{
	keeper_end(master);
	if (master->upgrade.before != -1)
		close(master->upgrade.before);
	master->upgrade.before = -1;
}

void
upgrade_run(struct master *master)
{
	struct upgrade *upgrade = &master->upgrade;

	if (upgrade->check.pid != 0) {
		if (!upgrade->overdue &&
		    clock_ms() >= upgrade->check_until_ms) {
			upgrade->overdue = true;
			process_kill(&upgrade->check, SIGKILL);
		}
	} else if (workers_are_rescued(master)) {
		/* Soon they will have been. */
		return;
	} else if (upgrade->passed) {
		if (upgrade->format != STATE_PREVIOUS ||
		    upgrade_speak_previous(master))
			upgrade_take_leave(master);
		else if (upgrade->task == STATE_TASK_UPGRADE &&
		    clock_ms() >= upgrade->check_until_ms)
			upgrade_refuse(master, "a process does not go back to "
			    "the previous version of the control protocol");
	} else if (upgrade->program != -1 && upgrade_start_check(master) == -1)
		upgrade_refuse_errno(master, "check run");
}

/*
 * The new program.
 */

static int
upgrade_get_number(const char *name)
{
	const char *text = getenv(name);
	int number;

	if (text == NULL || sscanf(text, "%d", &number) != 1 ||
	    number <= STDERR_FILENO)
		number = -1;
	unsetenv(name);
	return (number);
}

void
upgrade_inherit(struct upgrade_legacy *legacy)
{
	static struct why refused;
	const char *text = getenv(ENV_REFUSED);

	legacy->state = upgrade_get_number(ENV_STATE);
	legacy->previous = upgrade_get_number(ENV_PREVIOUS);
	legacy->refused = NULL;
	if (text == NULL)
		return;
	why_set(&refused, "%s", text);
	legacy->refused = refused.text;
	unsetenv(ENV_REFUSED);
}

int
upgrade_check(struct master *master, const struct upgrade_legacy *legacy)
{
	struct why why;
	struct conf *conf;

	if (adopt_prepare(master, legacy->state, &why) == -1) {
		fprintf(stderr, "penstock %s: %s\n", PENSTOCK_VERSION,
		    why.text);
		return (EXIT_FAILED);
	}
	/* At a roll-back, the file may be the cause. */
	if (master->upgrade.task != STATE_TASK_ROLLBACK) {
		conf = reload_load_or_tell(master->conf_path, false);
		if (conf == NULL)
			return (EXIT_CONF);
		conf_free(conf);
	}
	printf(ANSWER "%" PRIu64 " %s\n", master->numbered, PENSTOCK_VERSION);
	return (EXIT_FINE);
}

/* Let the previous program go on.  Returns if that cannot be. */
static void
upgrade_give_back(struct master *master, const struct upgrade_legacy *legacy,
    const char *why)
{
	fprintf(stderr, "penstock %s: cannot take over: %s\n",
	    PENSTOCK_VERSION, why);
	if (legacy->refused != NULL || legacy->previous == -1)
		return;
	keeper_pass_on(master, true);
	upgrade_execute(master, legacy->previous, legacy->state, -1, why);
	fprintf(stderr, "penstock %s: cannot return to the previous program: "
	    "%s\n", PENSTOCK_VERSION, strerror(errno));
}

static void
upgrade_order_reload(struct master *master, enum status_kind kind)
{
	master->pending.reload = true;
	master->pending.kind = kind;
}

/* Another program has refused to take over, or died before it was done. */
static void
upgrade_go_on_as_before(struct master *master, enum state_task task,
    const char *refused)
{
	upgrade_tell_refusal(master, upgrade_kind_of(task), refused);
	upgrade_done(master);
	if (processes_have_foster(master)) {
		succession_return(master);
		/* Those that are not our children have to be replaced. */
		LOG(INFO, RELOAD, F_STR("file", master->conf_path));
		upgrade_order_reload(master, STATUS_RELOAD);
	}
}

/* The program is another one now: do what it was exchanged for. */
static void
upgrade_go_on(struct master *master, const char *refused)
{
	struct upgrade *upgrade = &master->upgrade;
	struct generation *back = upgrade->back;
	enum state_task task = upgrade->task;
	int previous = upgrade->previous;

	upgrade->back = NULL;
	upgrade_forget_task(upgrade);
	if (refused == NULL) {
		if (previous != -1)
			upgrade->before = fcntl(previous, F_DUPFD_CLOEXEC, 0);
		LOG(INFO, UPGRADED, F_STR("from", upgrade->version),
		    F_STR("to", PENSTOCK_VERSION),
		    F_STR("program", upgrade->path));
	}
	if (refused == NULL && task == STATE_TASK_UPGRADE) {
		master->probation.program = previous;
		upgrade_order_reload(master, STATUS_UPGRADE);
		return;
	}
	if (previous != -1)
		close(previous);
	if (refused != NULL)
		upgrade_go_on_as_before(master, task, refused);
	else
		reload_back(master, back, upgrade->reason.text);
	generation_release(back);
}

int
upgrade_take_over(struct master *master, const struct upgrade_legacy *legacy)
{
	struct why why;

	if (adopt_prepare(master, legacy->state, &why) == -1 ||
	    adopt_finish(master, &why) == -1) {
		upgrade_give_back(master, legacy, why.text);
		return (-1);
	}
	close(legacy->state);
	(void)pidfile_renew(&master->pidfiles.now);
	loggers_adopt(master);
	upgrade_go_on(master, legacy->refused);
	/* Some may have died meanwhile. */
	processes_reap(master);
	return (0);
}
