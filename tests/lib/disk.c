/* SPDX-License-Identifier: ISC */
/*
 * A library to preload: tests/lib/disk.h tells what for.
 */
#include "tests/lib/disk.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static struct disk *disk;		/* NULL: it is as it is */
static ssize_t (*real_write)(int, const void *, size_t);
static int (*real_open)(const char *, int, ...);

static void __attribute__((constructor))
set_up(void)
{
	const char *path = getenv(DISK_ENV);
	void *map;
	int fd;

	*(void **)&real_write = dlsym(RTLD_NEXT, "write");
	*(void **)&real_open = dlsym(RTLD_NEXT, "open64");
	if (path == NULL || (fd = real_open(path, O_RDWR | O_CLOEXEC)) == -1)
		return;
	map = mmap(NULL, sizeof(*disk), PROT_READ | PROT_WRITE, MAP_SHARED,
	    fd, 0);
	if (map != MAP_FAILED)
		disk = map;
	close(fd);
}

static void
wait_while_frozen(void)
{
	const struct timespec pause = { .tv_nsec = 5000000 };

	if (disk == NULL || __atomic_load_n(&disk->frozen,
	    __ATOMIC_SEQ_CST) == 0)
		return;
	__atomic_fetch_add(&disk->waiting, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&disk->frozen, __ATOMIC_SEQ_CST) != 0)
		nanosleep(&pause, NULL);
	__atomic_fetch_sub(&disk->waiting, 1, __ATOMIC_SEQ_CST);
}

static bool
is_on_disk(int fd)
{
	struct stat st;

	return (disk != NULL && fstat(fd, &st) == 0 && S_ISREG(st.st_mode));
}

ssize_t
write(int fd, const void *bytes, size_t len)
{
	uint32_t first = 1;

	if (!is_on_disk(fd))
		return (real_write(fd, bytes, len));
	wait_while_frozen();
	if (__atomic_load_n(&disk->full, __ATOMIC_SEQ_CST) == 0)
		return (real_write(fd, bytes, len));
	if (len > 1 && __atomic_compare_exchange_n(&disk->full, &first, 2,
	    false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return (real_write(fd, bytes, len / 2));
	__atomic_fetch_add(&disk->refused, 1, __ATOMIC_SEQ_CST);
	errno = ENOSPC;
	return (-1);
}

/* Either name, by which the file was opened. */
#define OPEN(name)							\
	int								\
	name(const char *path, int flags, ...)				\
	{								\
		mode_t mode = 0;					\
		va_list args;						\
									\
		if ((flags & O_CREAT) != 0) {				\
			va_start(args, flags);				\
			mode = va_arg(args, mode_t);			\
			va_end(args);					\
			wait_while_frozen();				\
		}							\
		return (real_open(path, flags, mode));			\
	}
OPEN(open64)
OPEN(open)
