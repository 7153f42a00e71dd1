/* SPDX-License-Identifier: ISC */
#include "tests/lib/proc.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The beginning of a file below /proc/PID as a string; "" if it can't be
 * read. */
static size_t
read_text(pid_t pid, const char *name, char *text, size_t size)
{
	char path[64];
	FILE *file;
	size_t len;

	text[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	if ((file = fopen(path, "re")) == NULL)
		return (0);
	len = fread(text, 1, size - 1, file);
	text[len] = '\0';
	fclose(file);
	return (len);
}

/*
 * Fields of /proc/PID/stat from the third on, which is the state; the second
 * is a name that may hold anything.  Returns false if the process is gone.
 */
static bool
read_stat(pid_t pid, char *state, int *parent, unsigned long *ticks)
{
	char text[1024];
	const char *rest;
	unsigned long user, kernel;

	read_text(pid, "stat", text, sizeof(text));
	if ((rest = strrchr(text, ')')) == NULL)
		return (false);
	if (sscanf(rest, ") %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
	    state, parent, &user, &kernel) != 4)
		return (false);
	*ticks = user + kernel;
	return (true);
}

bool
proc_is_dead(pid_t pid)
{
	unsigned long ticks;
	char state;
	int parent;

	return (!read_stat(pid, &state, &parent, &ticks) || state == 'Z' ||
	    state == 'X');
}

uint64_t
proc_cpu_ms(pid_t pid)
{
	unsigned long ticks;
	char state;
	int parent;

	if (!read_stat(pid, &state, &parent, &ticks))
		return (0);
	return ((uint64_t)ticks * 1000 / (uint64_t)sysconf(_SC_CLK_TCK));
}

static bool
is_titled(pid_t pid, const char *begin)
{
	char title[64];

	read_text(pid, "cmdline", title, sizeof(title));
	return (strncmp(title, begin, strlen(begin)) == 0);
}

static bool
is_logger(pid_t pid)
{
	return (is_titled(pid, "penstock: logger"));
}

static bool
is_child_of(pid_t pid, const void *arg)
{
	const pid_t *parent = arg;
	unsigned long ticks;
	char state, title[64];
	int ppid;

	if (!read_stat(pid, &state, &ppid, &ticks) || state == 'Z' ||
	    ppid != *parent)
		return (false);
	/* One that is ending has no title any more. */
	read_text(pid, "cmdline", title, sizeof(title));
	return (*title != '\0' &&
	    strncmp(title, "penstock: logger", 16) != 0 &&
	    strncmp(title, "penstock: anchor", 16) != 0);
}

static bool
is_logger_of(pid_t pid, const void *arg)
{
	const pid_t *parent = arg;
	unsigned long ticks;
	char state;
	int ppid;

	return (read_stat(pid, &state, &ppid, &ticks) && state != 'Z' &&
	    ppid == *parent && is_logger(pid));
}

static bool
works_in(pid_t pid, const void *arg)
{
	char path[64], dir[PATH_MAX];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/%d/cwd", (int)pid);
	if ((len = readlink(path, dir, sizeof(dir) - 1)) == -1)
		return (false);
	dir[len] = '\0';
	return (strcmp(dir, arg) == 0 && !is_titled(pid, "penstock: anchor"));
}

static size_t
select_processes(bool (*wanted)(pid_t, const void *), const void *arg,
    pid_t *pids, size_t max)
{
	struct dirent *entry;
	size_t n = 0;
	pid_t pid;
	DIR *proc;

	if ((proc = opendir("/proc")) == NULL)
		return (0);
	while ((entry = readdir(proc)) != NULL) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		pid = (pid_t)atoi(entry->d_name);
		if (!wanted(pid, arg))
			continue;
		if (n < max)
			pids[n] = pid;
		n++;
	}
	closedir(proc);
	return (n);
}

size_t
proc_children(pid_t parent, pid_t *pids, size_t max)
{
	return (select_processes(is_child_of, &parent, pids, max));
}

size_t
proc_loggers(pid_t parent, pid_t *pids, size_t max)
{
	return (select_processes(is_logger_of, &parent, pids, max));
}

struct wanted {
	pid_t parent;
	const char *title;
};

static bool
is_wanted(pid_t pid, const void *arg)
{
	const struct wanted *wanted = arg;
	unsigned long ticks;
	char state;
	int ppid;

	return (is_titled(pid, wanted->title) &&
	    read_stat(pid, &state, &ppid, &ticks) && state != 'Z' &&
	    ppid == wanted->parent);
}

pid_t
proc_find_child(pid_t parent, const char *title)
{
	const struct wanted wanted = { parent, title };
	pid_t pid = 0;

	(void)select_processes(is_wanted, &wanted, &pid, 1);
	return (pid);
}

size_t
proc_titled(pid_t parent, const char *title, pid_t *pids, size_t max)
{
	const struct wanted wanted = { parent, title };

	return (select_processes(is_wanted, &wanted, pids, max));
}

static FILE *
open_children(pid_t parent)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)parent,
	    (int)parent);
	return (fopen(path, "re"));
}

size_t
proc_glimpse_children(pid_t parent, pid_t *pids, size_t max)
{
	FILE *children = open_children(parent);
	size_t n = 0;
	int pid;

	if (children == NULL)
		return (proc_children(parent, pids, max));
	while (fscanf(children, "%d", &pid) == 1) {
		if (!is_child_of(pid, &parent))
			continue;
		if (n < max)
			pids[n] = pid;
		n++;
	}
	fclose(children);
	return (n);
}

size_t
proc_in_directory(const char *dir, pid_t *pids, size_t max)
{
	return (select_processes(works_in, dir, pids, max));
}

static int
compare_fds(const void *a, const void *b)
{
	const struct proc_fd *one = a, *other = b;

	return (one->number - other->number);
}

size_t
proc_fds(pid_t pid, struct proc_fd *fds, size_t max)
{
	char path[64], link[512];
	struct dirent *entry;
	size_t n = 0;
	ssize_t len;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	if ((dir = opendir(path)) == NULL)
		return (0);
	while ((entry = readdir(dir)) != NULL) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		if (n++ >= max)
			continue;
		snprintf(link, sizeof(link), "%s/%s", path, entry->d_name);
		fds[n - 1].number = atoi(entry->d_name);
		len = readlink(link, fds[n - 1].target,
		    sizeof(fds[n - 1].target) - 1);
		fds[n - 1].target[len > 0 ? len : 0] = '\0';
	}
	closedir(dir);
	if (max > 0)
		qsort(fds, n < max ? n : max, sizeof(*fds), compare_fds);
	return (n);
}

void
proc_title(pid_t pid, char *title, size_t size)
{
	size_t len = read_text(pid, "cmdline", title, size);

	while (len > 0 && title[len - 1] == '\0')
		len--;
	for (size_t i = 0; i < len; i++)
		if (title[i] == '\0')
			title[i] = ' ';
}

bool
proc_title_is(pid_t pid, const char *wanted)
{
	char title[256];

	proc_title(pid, title, sizeof(title));
	return (strcmp(title, wanted) == 0);
}

static uint64_t
rollup(pid_t pid, const char *key)
{
	char text[4096];
	const char *found;

	read_text(pid, "smaps_rollup", text, sizeof(text));
	if ((found = strstr(text, key)) == NULL)
		return (0);
	return (strtoull(found + strlen(key), NULL, 10) * 1024);
}

uint64_t
proc_pss(pid_t pid)
{
	return (rollup(pid, "\nPss:"));
}

uint64_t
proc_pss_anon(pid_t pid)
{
	return (rollup(pid, "\nPss_Anon:"));
}

uint64_t
proc_pss_shared(pid_t pid)
{
	return (rollup(pid, "\nPss_Shmem:"));
}

unsigned
proc_tcp_sockets(uint32_t address, unsigned port, unsigned state)
{
	unsigned found_address, found_port, found_state, n = 0;
	char line[512];
	FILE *table;

	if ((table = fopen("/proc/net/tcp", "re")) == NULL)
		return (0);
	while (fgets(line, sizeof(line), table) != NULL) {
		if (sscanf(line, " %*d: %x:%x %*x:%*x %x", &found_address,
		    &found_port, &found_state) != 3)
			continue;
		if (found_state == state &&
		    (address == 0 || ntohl(found_address) == address) &&
		    (port == 0 || found_port == port))
			n++;
	}
	fclose(table);
	return (n);
}

size_t
proc_tcp_timers(uint32_t address, unsigned port, unsigned kind,
    unsigned *due_s, size_t max)
{
	unsigned found_address, found_port, state, found_kind, ticks;
	unsigned ticks_per_s = (unsigned)sysconf(_SC_CLK_TCK);
	char line[512];
	size_t n = 0;
	FILE *table;

	if ((table = fopen("/proc/net/tcp", "re")) == NULL)
		return (0);
	while (fgets(line, sizeof(line), table) != NULL) {
		if (sscanf(line, " %*d: %x:%x %*x:%*x %x %*x:%*x %x:%x",
		    &found_address, &found_port, &state, &found_kind,
		    &ticks) != 5)
			continue;
		if (state != PROC_TCP_ESTABLISHED || found_kind != kind ||
		    ntohl(found_address) != address || found_port != port)
			continue;
		if (n++ < max)
			due_s[n - 1] = ticks / ticks_per_s;
	}
	fclose(table);
	return (n);
}
