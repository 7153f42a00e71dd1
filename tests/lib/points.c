/* SPDX-License-Identifier: ISC */
#include "tests/lib/points.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/harness.h"

struct point *
points_map(struct server *srv)
{
	struct point *points;
	int fd;

	fd = open(server_path(srv, "points"), O_RDWR | O_CREAT | O_CLOEXEC,
	    0666);
	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(ftruncate(fd, POINTS * sizeof(*points)), 0);
	points = mmap(NULL, POINTS * sizeof(*points), PROT_READ | PROT_WRITE,
	    MAP_SHARED, fd, 0);
	ck_assert(points != MAP_FAILED);
	close(fd);
	return (points);
}

void
points_arm(struct point *point, const char *name, int how, unsigned nth,
    unsigned kills)
{
	/* Nobody is between two of these. */
	point->name[0] = '\0';
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	point->how = (uint32_t)how;
	point->nth = nth;
	point->kills = kills;
	point->passes = 0;
	point->killed = 0;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	strncpy(point->name, name, POINT_NAME_MAX - 1);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

unsigned
points_killed(const struct point *point)
{
	return (__atomic_load_n(&point->killed, __ATOMIC_SEQ_CST));
}
