/* SPDX-License-Identifier: ISC */
/*
 * Descriptors: what a process starts with, what it keeps.
 */
#ifndef COMMON_FD_H
#define COMMON_FD_H

#include <sys/socket.h>

#include <stddef.h>

/*
 * Open /dev/null on whichever of the descriptors 0 to 2 are closed, so that no
 * socket ever gets such a number and with it somebody's stray output.
 */
void fd_open_standard(void);

/* Let a descriptor lead to /dev/null from now on. */
void fd_redirect_to_null(int fd);

/* Close every descriptor above 2 that is not in keep[].  keep[] is sorted in
 * place; entries below 0 are passed over. */
void fd_close_all_but(int *keep, size_t nkeep);

/* The descriptors that came with a message, at most max of them.  More than
 * msg_controllen has room for are cut off by the kernel, which closes them.
 * Returns how many they are. */
size_t fd_take_rights(struct msghdr *, int *fds, size_t max);

#endif
