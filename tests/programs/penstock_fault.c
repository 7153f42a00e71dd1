/* SPDX-License-Identifier: ISC */
/*
 * Faults for a new program.  The file "fault" in the directory of the server
 * says which: a step and what happens there.  Without that file, and in the
 * check run, nothing does.
 *
 * The steps: "start" (before anything), "adopt" (the state has been read),
 * "channel" (the second process is taken over), "adopted" (all are), "ready" (the
 * workers of the first reload are), "canary" (they accept), "proof" (they serve what
 * the canary gave them), "commit" (they have taken the place of the old ones).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/adopt.h"
#include "master/master.h"

enum { CHANNELS = 2 };

int __real_adopt_finish(struct master *, struct why *);
int __wrap_adopt_finish(struct master *, struct why *);
void __real_phase_resume(struct master *);
void __wrap_phase_resume(struct master *);
int __real_reload_listen(struct master *, struct why *);
int __wrap_reload_listen(struct master *, struct why *);
void __real_reload_commit(struct master *);
void __wrap_reload_commit(struct master *);
void __real_upgrade_advance(struct master *);
void __wrap_upgrade_advance(struct master *);
struct channel *__real_channel_new(struct event_base *, int, enum ctl_sender,
    unsigned, const struct channel_callbacks *, void *);
struct channel *__wrap_channel_new(struct event_base *, int, enum ctl_sender,
    unsigned, const struct channel_callbacks *, void *);

static bool taking_over;		/* this program has been executed so */

/* What is to happen at a step, "" if nothing. */
static const char *
fault_at(const char *step)
{
	static char how[16];
	char text[32] = "", at[16] = "";
	int fd;

	*how = '\0';
	if ((fd = open("fault", O_RDONLY | O_CLOEXEC)) == -1)
		return (how);
	(void)!read(fd, text, sizeof(text) - 1);
	close(fd);
	if (sscanf(text, "%15s %15s", at, how) != 2 || strcmp(at, step) != 0)
		*how = '\0';
	return (how);
}

/* Do it, as far as that ends or halts this process. */
static const char *
meet(const char *step)
{
	const char *how = taking_over ? fault_at(step) : "";

	if (strcmp(how, "abort") == 0)
		abort();
	if (strcmp(how, "kill") == 0)
		kill(getpid(), SIGKILL);
	if (strcmp(how, "exit0") == 0)
		exit(0);
	if (strcmp(how, "exit1") == 0)
		exit(1);
	while (strcmp(how, "hang") == 0)
		pause();
	return (how);
}

static void __attribute__((constructor))
begin(void)
{
	/* The check run is given no program to go back to. */
	taking_over = getenv("PENSTOCK_STATE") != NULL &&
	    getenv("PENSTOCK_PREVIOUS") != NULL;
	meet("start");
}

int
__wrap_adopt_finish(struct master *master, struct why *why)
{
	if (strcmp(meet("adopt"), "fail") == 0)
		return (why_set(why, "torn in two"));
	return (__real_adopt_finish(master, why));
}

struct channel *
__wrap_channel_new(struct event_base *base, int fd, enum ctl_sender peer,
    unsigned speaks, const struct channel_callbacks *callbacks, void *arg)
{
	static int calls;

	if (++calls == CHANNELS && strcmp(meet("channel"), "fail") == 0) {
		errno = ENOMEM;
		return (NULL);
	}
	return (__real_channel_new(base, fd, peer, speaks, callbacks, arg));
}

void
__wrap_phase_resume(struct master *master)
{
	meet("adopted");
	__real_phase_resume(master);
}

int
__wrap_reload_listen(struct master *master, struct why *why)
{
	meet("ready");
	return (__real_reload_listen(master, why));
}

void
__wrap_reload_commit(struct master *master)
{
	meet("proof");
	__real_reload_commit(master);
}

void
__wrap_upgrade_advance(struct master *master)
{
	static int calls;

	__real_upgrade_advance(master);
	meet(calls++ == 0 ? "canary" : "commit");
}
