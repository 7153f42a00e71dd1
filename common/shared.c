/* SPDX-License-Identifier: ISC */
#include "common/shared.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static void *
map_it(int fd, size_t size, int protection)
{
	void *map = mmap(NULL, size, protection, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		return (NULL);
	return (map);
}

void *
shared_new(const char *name, size_t size, uint32_t version, int *fd)
{
	uint32_t *map;
	int saved;

	*fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd == -1)
		return (NULL);
	if (ftruncate(*fd, (off_t)size) == -1 ||
	    fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == -1 ||
	    (map = map_it(*fd, size, PROT_READ | PROT_WRITE)) == NULL) {
		saved = errno;
		close(*fd);
		*fd = -1;
		errno = saved;
		return (NULL);
	}
	*map = version;
	return (map);
}

void *
shared_open(int fd, size_t size, uint32_t version, bool writable)
{
	struct stat st;
	uint32_t *map;
	int seals;

	if (fstat(fd, &st) == -1 || (seals = fcntl(fd, F_GET_SEALS)) == -1)
		return (NULL);
	if ((size_t)st.st_size == size && (seals & F_SEAL_SHRINK) != 0) {
		map = map_it(fd, size,
		    writable ? PROT_READ | PROT_WRITE : PROT_READ);
		if (map == NULL || *map == version)
			return (map);
		munmap(map, size);
	}
	errno = EINVAL;
	return (NULL);
}

int
shared_seal(int fd, void *map, size_t size)
{
	char path[32];
	int readable, status = -1;

	/* Anybody may open a memfd again, as its mode is 0777: once the process
	 * has dropped its privileges, it must not. */
	if (fchmod(fd, S_IRUSR | S_IWUSR) == -1)
		return (-1);
	/* A mapping made with a descriptor that is open for reading only can
	 * never be made writable again. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if ((readable = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return (-1);
	map = mmap(map, size, PROT_READ, MAP_SHARED | MAP_FIXED, readable, 0);
	if (map != MAP_FAILED && dup3(readable, fd, O_CLOEXEC) != -1)
		status = 0;
	close(readable);
	return (status);
}

void
shared_free(int fd, void *map, size_t size)
{
	if (map == NULL)
		return;
	munmap(map, size);
	if (fd != -1)
		close(fd);
}
