/* SPDX-License-Identifier: ISC */
#include "common/fd.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void
fd_open_standard(void)
{
	int fd;

	/* open() returns the lowest number that is free. */
	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

void
fd_redirect_to_null(int fd)
{
	int null;

	if ((null = open("/dev/null", O_RDWR | O_CLOEXEC)) == -1)
		return;
	dup2(null, fd);
	close(null);
}

static int
compare(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return ((*x > *y) - (*x < *y));
}

void
fd_close_all_but(int *keep, size_t nkeep)
{
	unsigned next = STDERR_FILENO + 1;	/* the lowest not yet seen to */

	if (nkeep > 0)
		qsort(keep, nkeep, sizeof(*keep), compare);
	for (size_t i = 0; i < nkeep; i++) {
		if (keep[i] < (int)next)
			continue;
		if (keep[i] > (int)next)
			close_range(next, (unsigned)keep[i] - 1, 0);
		next = (unsigned)keep[i] + 1;
	}
	close_range(next, UINT_MAX, 0);
}

size_t
fd_take_rights(struct msghdr *hdr, int *fds, size_t max)
{
	struct cmsghdr *cmsg;
	size_t taken = 0, n;

	for (cmsg = CMSG_FIRSTHDR(hdr); cmsg != NULL;
	    cmsg = CMSG_NXTHDR(hdr, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET ||
		    cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		if (n > max - taken)
			n = max - taken;
		memcpy(fds + taken, CMSG_DATA(cmsg), n * sizeof(int));
		taken += n;
	}
	return (taken);
}
