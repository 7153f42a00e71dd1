/* SPDX-License-Identifier: ISC */
/*
 * What /proc tells of running processes and their sockets.
 *
 * Runs in whoever looks: tests, tools.  Owns nothing, changes nothing; a
 * process that has gone meanwhile reads as empty.
 */
#ifndef TESTS_LIB_PROC_H
#define TESTS_LIB_PROC_H

#include <sys/types.h>

#include <netinet/in.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* TCP states as /proc/net/tcp numbers them. */
enum {
	PROC_TCP_ESTABLISHED = 1,
	PROC_TCP_CLOSE_WAIT = 8,
	PROC_TCP_LISTEN = 10,
};

/* And timers of a socket. */
enum {
	PROC_TIMER_UNACKED = 1,
	PROC_TIMER_KEEPALIVE = 2,
};

struct proc_fd {
	int number;
	char target[128];	/* as ls -l shows it: "socket:[123]" */
};

/* Gone, or a zombie that only waits for its parent. */
bool proc_is_dead(pid_t);

/* The children of a process, its loggers and anchors apart, or those that work
 * in a directory.  Stores at most max; returns how many there are in all. */
size_t proc_children(pid_t parent, pid_t *pids, size_t max);
size_t proc_loggers(pid_t parent, pid_t *pids, size_t max);
size_t proc_in_directory(const char *dir, pid_t *pids, size_t max);

/* The same by the kernel's own list, if it has one, which takes no time to
 * read, so that those who live but a moment are met; but some can be missing
 * while others end.  Of a process with one thread. */
size_t proc_glimpse_children(pid_t parent, pid_t *pids, size_t max);

/* A child whose title begins so; 0 if there is none.  Or all of them, stored and
 * counted as above; NULL is fine for none. */
pid_t proc_find_child(pid_t parent, const char *title);
size_t proc_titled(pid_t parent, const char *title, pid_t *pids, size_t max);

/* Open descriptors in ascending order; stores at most max, but counts all. */
size_t proc_fds(pid_t, struct proc_fd *, size_t max);

/* What ps shows as the command, arguments separated by spaces. */
void proc_title(pid_t, char *title, size_t size);
bool proc_title_is(pid_t, const char *wanted);

/* Memory in bytes: PSS, which shares out what several processes use. */
uint64_t proc_pss(pid_t);
/* The part of it that malloc(3) and stacks take; and shared memory's. */
uint64_t proc_pss_anon(pid_t);
uint64_t proc_pss_shared(pid_t);

/* CPU time used so far, in user and kernel mode. */
uint64_t proc_cpu_ms(pid_t);

/* IPv4 sockets in one state with this local address (0.0.0.0: any) and port
 * (0: any), both in host order. */
unsigned proc_tcp_sockets(uint32_t address, unsigned port, unsigned state);

/* Established ones that have a timer of one kind: in how many seconds it is
 * due.  Stores at most max; returns how many there are in all. */
size_t proc_tcp_timers(uint32_t address, unsigned port, unsigned kind,
    unsigned *due_s, size_t max);

#endif
