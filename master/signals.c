/* SPDX-License-Identifier: ISC */
#include "master/signals.h"

#include <sys/signalfd.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static const struct {
	int number;
	const char *name;		/* of -s; NULL: it has none */
	enum order order;
} table[] = {
	{ SIGTERM,	"stop",		ORDER_STOP },
	{ SIGQUIT,	"quit",		ORDER_STOP },
	{ SIGHUP,	"reload",	ORDER_RELOAD },
	{ SIGUSR1,	"reopen",	ORDER_REOPEN },
	{ SIGUSR2,	"upgrade",	ORDER_UPGRADE },
	{ SIGWINCH,	"rebalance",	ORDER_REBALANCE },
	{ SIGINT,	NULL,		ORDER_STOP_NOW },
	{ SIGCHLD,	NULL,		ORDER_REAP },
};

#define NSIGNALS (sizeof(table) / sizeof(*table))

static void
signals_fill(sigset_t *set)
{
	sigemptyset(set);
	for (size_t i = 0; i < NSIGNALS; i++)
		sigaddset(set, table[i].number);
}

void
signals_block(void)
{
	sigset_t set;

	signals_fill(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	/* A peer or log that is gone is seen where it is written to. */
	signal(SIGPIPE, SIG_IGN);
	/* Whoever started us may have left signals ignored, and then no child
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
		signal(table[i].number, table[i].number == SIGCHLD ?
		    SIG_DFL : SIG_IGN);
	signals_fill(&set);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void
signals_on_readable(evutil_socket_t fd, short what, void *arg)
{
	const struct signals *signals = arg;
	struct signalfd_siginfo info;

	(void)what;
	while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		for (size_t i = 0; i < NSIGNALS; i++)
			if ((uint32_t)table[i].number == info.ssi_signo)
				signals->on_order(table[i].order, signals->arg);
}

int
signals_start(struct signals *signals, struct event_base *base)
{
	sigset_t set;
	int fd;

	signals_fill(&set);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd == -1)
		return (-1);
	signals->event = event_new(base, fd, EV_READ | EV_PERSIST,
	    signals_on_readable, signals);
	if (signals->event != NULL && event_add(signals->event, NULL) == 0)
		return (0);
	close(fd);
	errno = ENOMEM;
	return (-1);
}

void
signals_stop(struct signals *signals)
{
	if (signals->event == NULL)
		return;
	event_del(signals->event);
	close(event_get_fd(signals->event));
	event_free(signals->event);
}

int
signals_find(const char *name)
{
	for (size_t i = 0; i < NSIGNALS; i++)
		if (table[i].name != NULL &&
		    strcmp(table[i].name, name) == 0)
			return (table[i].number);
	return (0);
}

void
signals_print_names(FILE *stream)
{
	const char *separator = "";

	for (size_t i = 0; i < NSIGNALS; i++) {
		if (table[i].name == NULL)
			continue;
		fprintf(stream, "%s%s", separator, table[i].name);
		separator = ", ";
	}
}
