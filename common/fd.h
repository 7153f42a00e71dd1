/* SPDX-License-Identifier: ISC */
/*
 * File descriptors: what a process starts with, and what it keeps.
 */
#ifndef COMMON_FD_H
#define COMMON_FD_H

#include <sys/socket.h>

#include <stdbool.h>
#include <stddef.h>

/*
 * Open /dev/null on those of the descriptors 0 to 2 that are closed, so that no
 * socket gets such a number and with it output for standard error.
 */
void fd_open_standard(void);

/* Make a descriptor a copy of one for /dev/null. */
void fd_redirect_to_null(int fd);

/*
 * Let a number above 2 stand for the file of fd from now on: who shares our table
 * of descriptors knows a file by its number.  Returns the number of that file:
 * fd itself if the number is not above 2, or if it cannot be done.
 */
int fd_replace(int number, int fd);

/* Close every descriptor above 2 that is not in keep[].  keep[] is sorted in
 * place; entries below 0 are ignored. */
void fd_close_all_but(int *keep, size_t nkeep);

/* Close all close-on-exec descriptors above 2 except one. */
void fd_close_on_exec_but(int keep);

/* Take the descriptors of a message, at most max, and return how many they are.
 * The kernel closes those for which msg_controllen has no room. */
size_t fd_take_rights(struct msghdr *, int *fds, size_t max);

/*
 * Unwanted descriptors.
 *
 * A process that may write to a unix socket may also send descriptors.  The
 * kernel closes those that are not received, in the process that reads or
 * closes the socket.  Such a close can block, for example for a TCP socket that
 * lingers, for as long as the sender has chosen.  So if the kernel cannot
 * refuse descriptors (before Linux 6.16), a process has to check for them
 * before it reads.
 */

/* Whether fd is a unix socket. */
bool fd_is_local(int fd);

/* Make the kernel refuse descriptors that are sent to a unix socket or to
 * sockets accepted from it, if it can. */
void fd_refuse_rights(int fd);

/* Whether the kernel refuses descriptors for this socket. */
bool fd_refuses_rights(int fd);

/* Receive bytes as recv(2) does with MSG_DONTWAIT, from a stream or
 * SOCK_SEQPACKET socket, but no descriptors.  If the next bytes come with some,
 * returns -1 with errno EBADMSG and leaves them there; the socket has to be
 * closed. */
ssize_t fd_receive(int fd, void *bytes, size_t len);

/* Whether the next message of a SOCK_SEQPACKET socket has descriptors. */
bool fd_brings_rights(int fd);

/* Close a socket that may hold descriptors which were not received.  Never
 * blocks. */
void fd_close_unread(int fd);

/* From now on, no close() in this process blocks for long. */
void fd_break_waits(void);

#endif
