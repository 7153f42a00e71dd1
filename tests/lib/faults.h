/* SPDX-License-Identifier: ISC */
/*
 * Faults that the kernel or the C library have once in a blue moon, whenever a
 * test wants them: tests/lib/faults.so is preloaded to a server, and has calls
 * of its workers fail.
 *
 * What fails, and how often, stands in a file that the test and all processes
 * of the server map; the file that FAULTS_ENV names.  A worker's faults begin
 * when it is READY, and those of a link between two workers spare every other
 * socket.
 */
#ifndef TESTS_LIB_FAULTS_H
#define TESTS_LIB_FAULTS_H

#include <stdint.h>

#define FAULTS_ENV	"PENSTOCK_TEST_FAULTS"

/* Set: the kernel is one that cannot keep descriptors from a unix socket; this
 * needs no such file. */
#define FAULTS_OLD_ENV	"PENSTOCK_TEST_OLD_KERNEL"

/* The number is the bit in struct faults. */
enum fault {
	FAULT_SEND_AGAIN,	/* sendmsg(link): EAGAIN */
	FAULT_SEND_NOBUFS,	/* sendmsg(link): ENOBUFS */
	FAULT_SEND_REFS,	/* sendmsg(link): ETOOMANYREFS */
	FAULT_RECEIVE_AGAIN,	/* recvmsg(link): EAGAIN */
	FAULT_RECEIVE_NOMEM,	/* recvmsg(link): ENOMEM */
	FAULT_RECEIVE_CUT,	/* recvmsg(link): MSG_CTRUNC, as at a limit of
				   descriptors */
	FAULT_MEMFD,		/* memfd_create(): EMFILE */
	FAULT_SHORT,		/* pread(), pwrite(): a part; EINTR */
	FAULT_NO_SPACE,		/* pwrite(): ENOSPC */
	FAULT_MALLOC,		/* malloc() and its like: ENOMEM */
	FAULT_ACCEPT,		/* accept4(): EMFILE */
	FAULT_DUP,		/* fcntl(F_DUPFD): EMFILE */
	FAULT_DIE_SENT,		/* sendmsg(link): done, and killed */
	FAULT_DIE_RECEIVED,	/* recvmsg(link): done, and killed */
	/* Of the master: */
	FAULT_TELL,		/* sendmsg(channel): EAGAIN, ENOBUFS, ENOMEM and
				   ETOOMANYREFS in turn */
	FAULT_MASTER_MALLOC,	/* malloc() and its like: ENOMEM */
	FAULT_MASTER_FDS,	/* socketpair(), pipe2(), memfd_create(): EMFILE */
	FAULT_FORK,		/* fork(): EAGAIN */
	FAULT_NAMES,		/* getpwnam() does not return, anywhere */
	/* Of the process that reads a configuration: */
	FAULT_READER_MALLOC,	/* malloc() and its like: ENOMEM */
	FAULT_READER_DIES,	/* killed when it allocates */
	FAULT_EXEC,		/* execvp() takes its time, in a child */
	FAULTS
};

struct faults {
	uint32_t on;			/* a bit for each */
	uint32_t one_in;		/* calls of which one fails; 1: all */
	uint32_t seed;
	uint32_t spared;		/* calls that do not fail before that */
	uint32_t left;			/* faults to come, at most */
	uint32_t injected[FAULTS];	/* how often each was had */
	uint32_t signals;		/* of the master, by kill(2); */
	uint32_t strays;		/* and of these, to what was no child of
					   its that is still to be reaped */
};

#endif
