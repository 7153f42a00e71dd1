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

static struct point *points;

static void __attribute__((constructor))
map_points(void)
{
	int fd = open("points", O_RDWR | O_CLOEXEC);
	void *map;

	if (fd == -1)
		return;
	map = mmap(NULL, POINTS * sizeof(*points), PROT_READ | PROT_WRITE, MAP_SHARED,
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
pass(struct point *point)
{
	uint32_t n = __atomic_add_fetch(&point->passes, 1, __ATOMIC_SEQ_CST);
	uint32_t k;

	if (n < point->nth || n >= point->nth + point->kills)
		return;
	k = __atomic_fetch_add(&point->killed, 1, __ATOMIC_SEQ_CST);
	if (k < POINT_PIDS)
		__atomic_store_n(&point->pid[k], (int32_t)getpid(),
		    __ATOMIC_SEQ_CST);
	die(point->how);
}

void
fault_pass(const char *name)
{
	for (int i = 0; points != NULL && i < POINTS; i++)
		if (strcmp(points[i].name, name) == 0)
			pass(&points[i]);
}

void
fault_pass_with(const char *name, const void *text, size_t len)
{
	for (int i = 0; points != NULL && i < POINTS; i++)
		if (strcmp(points[i].name, name) == 0 &&
		    len == strlen(points[i].text) &&
		    memcmp(points[i].text, text, len) == 0)
			pass(&points[i]);
}
