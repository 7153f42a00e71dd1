/* SPDX-License-Identifier: ISC */
/*
 * Descriptors that are sent along, and one that takes long to close: a TCP socket that lingers, with bytes
 * that its peer does not take.
 *
 *	PENSTOCK_TEST_LINGER	how many seconds, instead of 300: valgrind lets
 *				no signal end a close(2)
 */
#ifndef TESTS_LIB_RIGHTS_H
#define TESTS_LIB_RIGHTS_H

#include <stdbool.h>
#include <stddef.h>

/* Send bytes over a unix socket, and a copy of a descriptor with them. */
bool rights_pass(int fd, const void *bytes, size_t len, int passed);

/* Send bytes over a unix socket, and such a descriptor with them, of which no
 * copy is kept.  Returns false if the kernel forbids that; then nothing was
 * sent.  Exits where the socket cannot be made: it serves programs too that are
 * no tests. */
bool rights_send(int fd, const void *bytes, size_t len);

#endif
