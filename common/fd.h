/* SPDX-License-Identifier: ISC */
/*
 * Descriptors: what a process starts with, what it keeps.
 */
#ifndef COMMON_FD_H
#define COMMON_FD_H

#include <sys/socket.h>

#include <stdbool.h>
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

/* Close the descriptors above 2 that an exec would close, all but one. */
void fd_close_on_exec_but(int keep);

/* The descriptors that came with a message, at most max of them.  More than
 * msg_controllen has room for are cut off by the kernel, which closes them.
 * Returns how many they are. */
size_t fd_take_rights(struct msghdr *, int *fds, size_t max);

/*
 * Descriptors that nobody wants.
 *
 * Whoever may write to a unix socket may send descriptors along.  The kernel
 * closes those that are not received, in the context of the process that reads
 * or closes the socket; and to close, for instance, a TCP socket that lingers
 * can take as long as its last owner likes.  So where the kernel cannot keep
 * descriptors out (before Linux 6.16), a process has to look before it reads.
 */

/* Whether it is a unix socket. */
bool fd_is_local(int fd);

/* Let nobody send descriptors to a unix socket, nor to those that are accepted
 * from it, where the kernel can see to that. */
void fd_refuse_rights(int fd);

/* Whether the kernel sees to that. */
bool fd_refuses_rights(int fd);

/* Receive bytes as recv(2) with MSG_DONTWAIT, from a stream or SOCK_SEQPACKET,
 * but no descriptors.  Returns -1 with errno EBADMSG if the next bytes bring
 * some: these stay where they are, and the socket is to be closed. */
ssize_t fd_receive(int fd, void *bytes, size_t len);

/* Whether the next message of a SOCK_SEQPACKET socket brings descriptors. */
bool fd_brings_rights(int fd);

/* Close a socket to which descriptors may have been sent that nobody has
 * received.  Never waits. */
void fd_close_unread(int fd);

/* Let no close in this process wait for long, from now on. */
void fd_break_waits(void);

#endif
