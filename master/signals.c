/* SPDX-License-Identifier: ISC */
#include "master/signals.h"

#include <sys/signalfd.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "master/master.h"
#include "master/reload.h"
#include "master/worker_proc.h"

static const struct {
	int number;
	const char *name;		/* of -s; NULL: it has none */
	void (*order)(struct master *);
} signals[] = {
	{ SIGTERM,	"stop",		master_stop },
	{ SIGQUIT,	"quit",		master_stop },
	{ SIGHUP,	"reload",	reload_order },
	{ SIGUSR1,	"reopen",	master_reopen },
	{ SIGUSR2,	"upgrade",	upgrade_order },
	{ SIGWINCH,	"rebalance",	balance_demand },
	{ SIGINT,	NULL,		master_stop_now },
	{ SIGCHLD,	NULL,		processes_reap },
};

#define NSIGNALS (sizeof(signals) / sizeof(*signals))

static void
fill(sigset_t *set)
{
	sigemptyset(set);
	for (size_t i = 0; i < NSIGNALS; i++)
		sigaddset(set, signals[i].number);
}

void
signals_block(void)
{
	sigset_t set;

	fill(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	/* A peer or log that is gone is seen where it is written to. */
	signal(SIGPIPE, SIG_IGN);
	/* Whoever started us may have left this ignored, and then no child
	 * could be waited for. */
	signal(SIGCHLD, SIG_DFL);
}

void
signals_default_in_child(void)
{
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		(void)signal(number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

void
signals_reset_in_child(void)
{
	sigset_t set;

	for (size_t i = 0; i < NSIGNALS; i++)
		signal(signals[i].number, signals[i].number == SIGCHLD ?
		    SIG_DFL : SIG_IGN);
	fill(&set);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct signalfd_siginfo info;

	(void)what;
	while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		for (size_t i = 0; i < NSIGNALS; i++)
			if ((uint32_t)signals[i].number == info.ssi_signo)
				signals[i].order(arg);
}

int
signals_start(struct master *master)
{
	sigset_t set;
	int fd;

	fill(&set);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd == -1)
		return (-1);
	master->signals = event_new(master->base, fd, EV_READ | EV_PERSIST,
	    on_readable, master);
	if (master->signals != NULL && event_add(master->signals, NULL) == 0)
		return (0);
	close(fd);
	errno = ENOMEM;
	return (-1);
}

void
signals_stop(struct master *master)
{
	if (master->signals == NULL)
		return;
	event_del(master->signals);
	close(event_get_fd(master->signals));
	event_free(master->signals);
}

int
signals_find(const char *name)
{
	for (size_t i = 0; i < NSIGNALS; i++)
		if (signals[i].name != NULL &&
		    strcmp(signals[i].name, name) == 0)
			return (signals[i].number);
	return (0);
}

void
signals_print_names(FILE *stream)
{
	const char *separator = "";

	for (size_t i = 0; i < NSIGNALS; i++) {
		if (signals[i].name == NULL)
			continue;
		fprintf(stream, "%s%s", separator, signals[i].name);
		separator = ", ";
	}
}
