/* SPDX-License-Identifier: ISC */
#include "master/keeper.h"

#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/title.h"
#include "master/master.h"

/* The pid, and the descriptor of the pipe. */
#define ENV_KEEPER	"PENSTOCK_KEEPER"

enum {
	STEP_MS = 10,
	/* A master that has closed the pipe is dying. */
	DYING_MS = 2000,
};

/*
 * The keeper.
 */

/* The signals that wait for the master, as bits.  Its parent may have reaped it
 * already; then they are gone. */
static uint64_t
keeper_find_pending(pid_t master)
{
	uint64_t found = 0, bits;
	char path[32], line[128];
	FILE *status;

	snprintf(path, sizeof(path), "/proc/%ld/status", (long)master);
	if ((status = fopen(path, "re")) == NULL)
		return (0);
	while (fgets(line, sizeof(line), status) != NULL)
		if (sscanf(line, "SigPnd: %" SCNx64, &bits) == 1 ||
		    sscanf(line, "ShdPnd: %" SCNx64, &bits) == 1)
			found |= bits;
	fclose(status);
	return (found);
}

/* Take over the orders that the master did not read: they are pending for us
 * from now on, as the same signals are blocked here, and for the program that we
 * execute. */
static void
keeper_inherit_orders(uint64_t pending)
{
	sigset_t blocked;

	if (sigprocmask(SIG_BLOCK, NULL, &blocked) == -1)
		return;
	for (int number = 1; number <= 64; number++)
		if ((pending >> (number - 1) & 1) != 0 && number != SIGCHLD &&
		    sigismember(&blocked, number) == 1)
			kill(getpid(), number);
}

/* Wait until a master that is dying, or is to die, is gone. */
static void
keeper_await_death(pid_t master, unsigned patience_ms)
{
	const struct timespec step = { .tv_nsec = STEP_MS * 1000000L };
	uint64_t pending = keeper_find_pending(master);

	for (unsigned waited = 0; getppid() == master; waited += STEP_MS) {
		pending |= keeper_find_pending(master);
		if (waited >= patience_ms)
			kill(master, SIGKILL);
		nanosleep(&step, NULL);
	}
	keeper_inherit_orders(pending);
}

/* Wait until the master is gone.  A second in which the whole machine stood
 * still is one second, however long it was.  Returns what has happened. */
static const char *
keeper_watch(int pipe, pid_t master)
{
	struct pollfd word = { .fd = pipe, .events = POLLIN };
	unsigned silent_s = 0;
	char bytes[64];
	ssize_t n;

	while (silent_s < KEEPER_SILENCE_S) {
		if (poll(&word, 1, 1000) == 0) {
			silent_s++;
			continue;
		}
		n = read(pipe, bytes, sizeof(bytes));
		if (n == 0) {
			keeper_await_death(master, DYING_MS);
			return ("the new program died before it was done");
		}
		silent_s = 0;
	}
	keeper_await_death(master, 0);
	return ("the new program hung before it was done, and was killed");
}

/*
 * The master.
 */

static void
keeper_free(struct keeper *keeper)
{
	keeper->process.master->keeper = NULL;
	process_end(&keeper->process);
	close(keeper->word);
	free(keeper);
}

static void
keeper_on_death(void *owner, int status)
{
	(void)status;
	keeper_free(owner);
}

static struct keeper *
keeper_new(struct master *master, int word)
{
	static const struct process_kind kind = { .on_death = keeper_on_death };
	struct keeper *keeper;

	if ((keeper = calloc(1, sizeof(*keeper))) == NULL)
		return (NULL);
	process_init(&keeper->process, master, &kind, keeper);
	keeper->process.fd = -1;
	keeper->word = word;
	return (keeper);
}

int
keeper_start(struct master *master, const char **why)
{
	struct keeper *keeper;
	pid_t self = getpid();
	int ends[2], saved;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) == -1)
		return (-1);
	if ((keeper = keeper_new(master, ends[1])) == NULL)
		goto fail;
	switch (process_fork(&keeper->process, 0, NULL, 0)) {
	case 0:
		close(ends[1]);
		if (master->keeper != NULL)
			close(master->keeper->word);
		title_set("keeper");
		*why = keeper_watch(ends[0], self);
		return (0);
	case -1:
		goto fail;
	}
	close(ends[0]);
	keeper_end(master);
	master->keeper = keeper;
	return (1);
fail:
	saved = errno;
	free(keeper);
	close(ends[0]);
	close(ends[1]);
	errno = saved;
	return (-1);
}

void
keeper_end(struct master *master)
{
	struct keeper *keeper = master->keeper;

	if (keeper == NULL)
		return;
	process_kill(&keeper->process, SIGKILL);
	while (waitpid(keeper->process.pid, NULL, 0) == -1 && errno == EINTR)
		;
	keeper_free(keeper);
}

void
keeper_pass_on(const struct master *master, bool pass)
{
	const struct keeper *keeper = master->keeper;
	char text[48];

	if (keeper == NULL)
		return;
	snprintf(text, sizeof(text), "%ld %d", (long)keeper->process.pid,
	    keeper->word);
	if (!pass)
		unsetenv(ENV_KEEPER);
	else
		(void)setenv(ENV_KEEPER, text, 1);
	(void)fcntl(keeper->word, F_SETFD, pass ? 0 : FD_CLOEXEC);
}

void
keeper_inherit(struct master *master)
{
	const char *text = getenv(ENV_KEEPER);
	long pid;
	int word;

	if (text == NULL)
		return;
	if (sscanf(text, "%ld %d", &pid, &word) == 2 && pid > 1 &&
	    word > STDERR_FILENO && fcntl(word, F_SETFD, FD_CLOEXEC) == 0) {
		if (waitpid((pid_t)pid, NULL, WNOHANG) != 0 ||
		    (master->keeper = keeper_new(master, word)) == NULL)
			close(word);
		else {
			master->keeper->process.pid = (pid_t)pid;
			(void)process_adopt(&master->keeper->process, 0);
		}
	}
	unsetenv(ENV_KEEPER);
}

void
keeper_run(const struct master *master)
{
	if (master->keeper != NULL)
		(void)!write(master->keeper->word, "", 1);
}
