/* SPDX-License-Identifier: ISC */
/*
 * The points of common/fault.h: whoever passes the one that the file "points"
 * names, as tests/lib/points.h describes it, dies there.  Without that file, all
 * is well.
 */
#include "common/fault.h"

#include <sys/mman.h>

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/points.h"

static struct points *points;

static void __attribute__((constructor))
map_points(void)
{
	int fd = open("points", O_RDWR | O_CLOEXEC);
	void *map;

	if (fd == -1)
		return;
	map = mmap(NULL, sizeof(*points), PROT_READ | PROT_WRITE, MAP_SHARED,
	    fd, 0);
	close(fd);
	if (map != MAP_FAILED)
		points = map;
}

static void
die(uint32_t how)
{
	switch (how) {
	case POINT_EXIT:
		_exit(1);
	case POINT_HANG:
		for (;;)
			pause();
	default:
		signal((int)how, SIG_DFL);
		kill(getpid(), (int)how);
	}
}

static void
pass(void)
{
	uint32_t n = __atomic_add_fetch(&points->passes, 1, __ATOMIC_SEQ_CST);
	uint32_t k;

	if (n < points->nth || n >= points->nth + points->kills)
		return;
	k = __atomic_fetch_add(&points->killed, 1, __ATOMIC_SEQ_CST);
	if (k < POINT_PIDS)
		__atomic_store_n(&points->pid[k], (int32_t)getpid(),
		    __ATOMIC_SEQ_CST);
	die(points->how);
}

void
fault_pass(const char *point)
{
	if (points != NULL && strcmp(points->name, point) == 0)
		pass();
}

void
fault_pass_with(const char *point, const void *text, size_t len)
{
	if (points != NULL && strcmp(points->name, point) == 0 &&
	    len == strlen(points->text) && memcmp(points->text, text,
	    len) == 0)
		pass();
}
