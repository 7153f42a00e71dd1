/* SPDX-License-Identifier: ISC */
#include "monitor/process_stat.h"

#include <sys/stat.h>

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Since Linux 6.2 the size of the directory is their number; before, they are
 * counted one by one. */
static bool
count_fds(pid_t pid, uint64_t *count)
{
	char path[64];
	struct stat st;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	if (stat(path, &st) == 0 && st.st_size > 0) {
		*count = (uint64_t)st.st_size;
		return (true);
	}
	if ((dir = opendir(path)) == NULL)
		return (false);
	for (*count = 0; readdir(dir) != NULL; ++*count)
		;
	closedir(dir);
	*count -= *count > 2 ? 2 : 0;	/* "." and ".." */
	return (true);
}

/* Parse the fields after the name, which may have any content: proc(5). */
static bool
process_stat_parse(struct process_stat *stat, const char *line)
{
	uint64_t user, system, threads;
	int64_t pages;
	const char *rest = strrchr(line, ')');
	long hz = sysconf(_SC_CLK_TCK);

	if (rest == NULL || hz <= 0 || sscanf(rest + 1,
	    " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
	    " %*d %*d %*d %*d %" SCNu64 " %*d %*u %*u %" SCNd64, &user,
	    &system, &threads, &pages) != 4)
		return (false);
	stat->cpu_us = (user + system) * 1000000 / (uint64_t)hz;
	stat->threads = threads;
	stat->resident_bytes = (uint64_t)pages * (uint64_t)sysconf(
	    _SC_PAGESIZE);
	return (true);
}

bool
process_stat_read(struct process_stat *stat, pid_t pid)
{
	char path[64], line[1024];
	ssize_t n;
	int fd;

	*stat = (struct process_stat){ .cpu_us = 0 };
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return (false);
	n = read(fd, line, sizeof(line) - 1);
	close(fd);
	if (n <= 0)
		return (false);
	line[n] = '\0';
	stat->fds_known = count_fds(pid, &stat->fds);
	return (process_stat_parse(stat, line));
}
