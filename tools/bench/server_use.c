/* SPDX-License-Identifier: ISC */
#include "tools/bench/server_use.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct process {
	pid_t pid, parent;
	uint64_t ticks;			/* of it and its ended children */
	uint64_t late_ticks;		/* only of those children */
	bool is_ours;
};

struct process_list {
	struct process *all;
	size_t n, size;
};

/* A file below /proc/PID, as a string. */
static int
read_file(char *text, size_t size, pid_t pid, const char *name)
{
	char path[96];
	size_t n;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	if ((file = fopen(path, "re")) == NULL)
		return (-1);
	n = fread(text, 1, size - 1, file);
	text[n] = '\0';
	fclose(file);
	return (n > 0 ? 0 : -1);
}

/* The fields after the program's name, which may be anything. */
static int
read_stat(struct process *process)
{
	uint64_t user, system, late_user, late_system;
	char text[1024], *fields;

	if (read_file(text, sizeof(text), process->pid, "stat") == -1 ||
	    (fields = strrchr(text, ')')) == NULL)
		return (-1);
	if (sscanf(fields + 1, " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u"
	    " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
	    &process->parent, &user, &system, &late_user, &late_system) != 5)
		return (-1);
	process->late_ticks = late_user + late_system;
	process->ticks = user + system + process->late_ticks;
	return (0);
}

static int
server_use_add(struct process_list *list, const struct process *process)
{
	struct process *more;

	if (list->n == list->size) {
		list->size = list->size * 2 + 64;
		more = realloc(list->all, list->size * sizeof(*more));
		if (more == NULL)
			return (-1);
		list->all = more;
	}
	list->all[list->n++] = *process;
	return (0);
}

static int
list_all(struct process_list *list)
{
	struct process process = { .pid = 0 };
	struct dirent *entry;
	int status = 0;
	DIR *dir;

	if ((dir = opendir("/proc")) == NULL)
		return (-1);
	while (status == 0 && (entry = readdir(dir)) != NULL) {
		process.pid = (pid_t)atoi(entry->d_name);
		if (process.pid > 0 && read_stat(&process) == 0)
			status = server_use_add(list, &process);
	}
	closedir(dir);
	return (status);
}

static bool
is_ours(const struct process_list *list, pid_t pid)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->all[i].pid == pid)
			return (list->all[i].is_ours);
	return (false);
}

/* Mark a process and all below it.  Returns how many those are. */
static unsigned
mark_tree(struct process_list *list, pid_t top)
{
	unsigned n = 0, before;

	do {
		before = n;
		for (size_t i = 0; i < list->n; i++) {
			struct process *process = &list->all[i];

			if (process->is_ours || (process->pid != top &&
			    !is_ours(list, process->parent)))
				continue;
			process->is_ours = true;
			n++;
		}
	} while (n != before);
	return (n);
}

/* The time of all threads to the nanosecond.  Returns -1 if this kernel does
 * not report it. */
static int
read_exact_us(pid_t pid, uint64_t *cpu_us)
{
	char text[128], path[64], name[64];
	struct dirent *entry;
	uint64_t ns, sum_ns = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	if ((dir = opendir(path)) == NULL)
		return (-1);
	while ((entry = readdir(dir)) != NULL) {
		snprintf(name, sizeof(name), "task/%d/schedstat",
		    atoi(entry->d_name));
		if (read_file(text, sizeof(text), pid, name) == 0 &&
		    sscanf(text, "%" SCNu64, &ns) == 1)
			sum_ns += ns;
	}
	closedir(dir);
	*cpu_us = sum_ns / 1000;
	return (sum_ns > 0 ? 0 : -1);
}

static uint64_t
us_of_ticks(uint64_t ticks)
{
	return (ticks * 1000000 / (uint64_t)sysconf(_SC_CLK_TCK));
}

static uint64_t
read_pss_kib(pid_t pid)
{
	uint64_t kib = 0;
	char text[4096];
	const char *line;

	if (read_file(text, sizeof(text), pid, "smaps_rollup") == 0 &&
	    (line = strstr(text, "\nPss:")) != NULL)
		kib = strtoull(line + 5, NULL, 10);
	return (kib);
}

int
server_use_read(pid_t pid, struct server_use *use)
{
	struct process_list list = { .all = NULL };
	uint64_t exact_us;

	*use = (struct server_use){ .processes = 0 };
	if (list_all(&list) == 0)
		use->processes = mark_tree(&list, pid);
	for (size_t i = 0; i < list.n; i++) {
		const struct process *process = &list.all[i];

		if (!process->is_ours)
			continue;
		use->pss_kib += read_pss_kib(process->pid);
		if (read_exact_us(process->pid, &exact_us) == 0)
			use->cpu_us += exact_us +
			    us_of_ticks(process->late_ticks);
		else
			use->cpu_us += us_of_ticks(process->ticks);
	}
	free(list.all);
	errno = ESRCH;
	return (use->processes > 0 ? 0 : -1);
}
