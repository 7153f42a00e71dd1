/* SPDX-License-Identifier: ISC */
#include "master/privileges.h"

#include <sys/prctl.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fd.h"
#include "common/log.h"
#include "common/why.h"
#include "master/signals.h"

enum {
	/* How long the name service may take, while the server runs. */
	ANSWER_MS = 2000,
};

/* Whose children's user is not configured. */
#define DEFAULT_USER "nobody"

int
privileges_find(const struct conf *conf, struct identity *identity,
    struct why *why)
{
	const char *name = *conf->user != '\0' ? conf->user : DEFAULT_USER;
	const struct passwd *user;
	const struct group *group;

	*identity = (struct identity){ .change = geteuid() == 0 };
	if (!identity->change) {
		if (*conf->user != '\0' || *conf->group != '\0')
			LOG(WARN, LIMIT, F_STR("error",
			    "user and group are ignored: not started as root"));
		return (0);
	}
	if ((user = getpwnam(name)) == NULL)
		return (why_set(why, "user \"%s\" does not exist", name));
	identity->uid = user->pw_uid;
	identity->gid = user->pw_gid;
	if (*conf->group == '\0')
		return (0);
	if ((group = getgrnam(conf->group)) == NULL)
		return (why_set(why, "group \"%s\" does not exist",
		    conf->group));
	identity->gid = group->gr_gid;
	return (0);
}

/*
 * In another process.
 */

struct answer {
	int result;
	struct identity identity;
	struct why why;
};

static void __attribute__((noreturn))
find_and_tell(const struct conf *conf, int to)
{
	int keep[] = { to, log_fd() };
	struct answer answer;

	memset(&answer, 0, sizeof(answer));
	signals_reset_in_child();
	fd_close_all_but(keep, sizeof(keep) / sizeof(*keep));
	answer.result = privileges_find(conf, &answer.identity, &answer.why);
	_exit(write(to, &answer, sizeof(answer)) == sizeof(answer) ?
	    EXIT_SUCCESS : EXIT_FAILURE);
}

/* Who has started it need not wait for its end. */
static int
read_answer(int from, struct answer *answer)
{
	struct pollfd ready = { .fd = from, .events = POLLIN };
	int n;

	do {
		n = poll(&ready, 1, ANSWER_MS);
	} while (n == -1 && errno == EINTR);
	/* What is shorter than PIPE_BUF comes whole. */
	return (n == 1 && read(from, answer, sizeof(*answer)) ==
	    sizeof(*answer) ? 0 : -1);
}

int
privileges_ask(const struct conf *conf, struct identity *identity,
    struct why *why)
{
	struct answer answer = { .result = -1 };
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) == -1)
		return (why_set(why, "user: %s", strerror(errno)));
	fflush(NULL);
	if ((pid = fork()) == 0)
		find_and_tell(conf, ends[1]);
	close(ends[1]);
	if (pid == -1)
		why_set(&answer.why, "user: %s", strerror(errno));
	else if (read_answer(ends[0], &answer) == -1) {
		kill(pid, SIGKILL);
		answer.result = -1;
		why_set(&answer.why, "the user and group could not be looked "
		    "up within %d s", ANSWER_MS / 1000);
	}
	close(ends[0]);
	*identity = answer.identity;
	*why = answer.why;
	return (answer.result);
}

int
privileges_drop(const struct identity *identity)
{
	/* Groups first: afterwards we may not. */
	if (identity->change && (
	    setgroups(1, &identity->gid) == -1 ||
	    setresgid(identity->gid, identity->gid, identity->gid) == -1 ||
	    setresuid(identity->uid, identity->uid, identity->uid) == -1))
		return (-1);
	/* A change of user forbids core dumps; an abort is worth one. */
	if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == -1)
		return (-1);
	return (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}
