/* SPDX-License-Identifier: ISC */
/*
 * What one master tells the next at an upgrade in place: a text of one record a
 * line, in a memfd.
 *
 * Here is the form alone: what is in it comes from the master and goes to it by
 * adopt.c.  The reader decides whether the server lives, so it takes nothing
 * that it does not know or that does not fit together, and says what that is.
 */
#ifndef MASTER_STATE_H
#define MASTER_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * The version of the last release, and that of this program, which reads and
 * writes both: it writes the previous one for a program that knows no other.
 * To extend a record, append a field with FIELD_SINCE: in the previous version
 * it is not there, and has the value of a zeroed struct, -1 or "".  A record can
 * be new in the same way.  Tests build a program that only knows the previous
 * version.
 */
#define STATE_PREVIOUS 3
#ifndef STATE_VERSION
#define STATE_VERSION 4
#endif

enum {
	STATE_WHY_MAX = 256,
	/* Far beyond what any server has to say. */
	STATE_SIZE_MAX = 64 << 20,
};

/* What the new master does when it has taken over. */
enum state_task {
	STATE_TASK_UPGRADE,	/* a reload, by which all workers become new */
	STATE_TASK_ROLLBACK,	/* the same, to the configuration of before */
};

/* Descriptors are -1 where there is none.  Strings are owned, and NULL is
 * "". */
struct state_server {
	unsigned task;			/* enum state_task */
	unsigned speaks;		/* CTL_VERSION, on all channels, in the
					   previous version of the state */
	uint64_t running;		/* a generation */
	uint64_t back;			/* a generation; 0: none */
	uint64_t numbered;
	uint64_t executors;
	uint64_t started;		/* seconds since 1970 */
	int log;
	int pid_file;
	int status;
	int spans;
	int previous;			/* the program that wrote this */
	char *version;			/* of that program */
	char *program;			/* its path, where the next one will
					   be looked for too */
	char *pid_path;
	char *why;			/* a roll-back came to be */
};

struct state_name {
	char *name;
};

struct state_generation {
	uint64_t number;
	uint64_t loaded;		/* seconds since 1970 */
	unsigned slots;
	bool change;			/* see struct identity */
	unsigned uid;
	unsigned gid;
	char *path;			/* of its configuration, */
	char *text;			/* and that, as conf_print() has it */
};

struct state_slot {
	int counters;
	unsigned young_deaths;
	uint64_t again_ms;
};

struct state_group {
	bool monitor;			/* it is the monitor's */
	unsigned listening;
	uint64_t inode;
	char *address;
};

struct state_socket {
	unsigned group;			/* the n-th of these */
	int fd;
};

struct state_child {
	unsigned pid;
	unsigned slot;
	unsigned block;
	uint64_t generation;
	unsigned state;			/* enum worker_state */
	bool serving;			/* in its slot */
	int channel;
	unsigned awaited;		/* of its crew */
	uint64_t born_ms;
	uint64_t patience_ms;
	char *why;
	unsigned speaks;		/* CTL_VERSION, on its channel */
};

struct state_shortage {
	unsigned worker;		/* its pid */
	unsigned handler;
	unsigned missing;
	unsigned young_deaths;
	uint64_t again_ms;
};

struct state_executor {
	unsigned pid;
	unsigned worker;		/* its pid; 0: it has none any more */
	uint64_t id;
	uint64_t generation;
	unsigned handler;
	unsigned state;			/* enum executor_state */
	bool asked;
	int work;
	int channel;
	int errors;
	uint64_t born_ms;
	uint64_t patience_ms;
	char *why;
	char *last;			/* of what it wrote to stderr */
	char *partial;
	unsigned speaks;		/* CTL_VERSION, on its channel */
	unsigned work_speaks;		/* and on the one to its worker */
	int requests;			/* as in struct executor */
};

/* What is known by now of workers that were replaced together: see struct
 * status_report. */
struct state_report {
	unsigned kind;			/* enum status_kind */
	uint64_t generation;
	uint64_t begun;			/* seconds since 1970 */
	uint64_t begun_ms;
	uint64_t held;
	uint64_t carried;
	uint64_t finished;
	uint64_t cut;
	uint64_t lost;
	uint64_t longest_us;
};

/* A worker that has gone. */
struct state_departure {
	unsigned report;		/* the n-th of these */
	unsigned slot;
	unsigned ms;			/* until then */
};

/* A worker whose end a report awaits. */
struct state_awaited {
	unsigned worker;		/* its pid */
	unsigned report;
	uint64_t carried;		/* what became of those it had, so far */
	uint64_t finished;
	uint64_t cut;
	uint64_t longest_us;
	uint64_t closed;
};

struct state_monitor {
	unsigned pid;
	uint64_t generation;		/* that it was born in */
	int channel;
	bool due;			/* another is to follow */
	bool leaving;
	unsigned young_deaths;
	uint64_t born_ms;
	uint64_t again_ms;
	uint64_t patience_ms;
	unsigned speaks;		/* CTL_VERSION, on its channel */
};

struct state {
	struct state_server *server;	/* exactly one */
	struct state_name *listeners;	/* the registries, in order */
	struct state_name *handlers;
	struct state_generation *generations;
	struct state_slot *slots;	/* the n-th is that of slot n */
	struct state_group *groups;
	struct state_socket *sockets;	/* of a group in the order of slots */
	struct state_child *children;
	struct state_shortage *shortages;
	struct state_executor *executors;
	struct state_report *reports;
	struct state_departure *departures;
	struct state_awaited *awaited;
	struct state_monitor *monitor;	/* one, or none */
	size_t nserver;
	size_t nlisteners;
	size_t nhandlers;
	size_t ngenerations;
	size_t nslots;
	size_t ngroups;
	size_t nsockets;
	size_t nchildren;
	size_t nshortages;
	size_t nexecutors;
	size_t nreports;
	size_t ndepartures;
	size_t nawaited;
	size_t nmonitor;
};

/* Make room for one more, zeroed, with its descriptors at -1.  Returns NULL
 * with errno set. */
struct state_server *state_add_server(struct state *);
struct state_name *state_add_listener(struct state *);
struct state_name *state_add_handler(struct state *);
struct state_generation *state_add_generation(struct state *);
struct state_slot *state_add_slot(struct state *);
struct state_group *state_add_group(struct state *);
struct state_socket *state_add_socket(struct state *);
struct state_child *state_add_child(struct state *);
struct state_shortage *state_add_shortage(struct state *);
struct state_executor *state_add_executor(struct state *);
struct state_report *state_add_report(struct state *);
struct state_departure *state_add_departure(struct state *);
struct state_awaited *state_add_awaited(struct state *);
struct state_monitor *state_add_monitor(struct state *);

/* Free what it owns, which are no descriptors. */
void state_free(struct state *);

/* Print a state in a version that this program knows.  Returns -1 if the stream
 * has failed. */
int state_print(FILE *, const struct state *, unsigned version);

/* Read a text into a state, which the caller has zeroed and always frees.
 * Returns -1 and says why it cannot be taken. */
int state_parse(struct state *, const char *text, size_t len,
    char why[STATE_WHY_MAX]);

/* The same from a descriptor, which stays open. */
int state_read(struct state *, int fd, char why[STATE_WHY_MAX]);

const struct state_generation *state_find_generation(const struct state *,
    uint64_t number);

/* Let a new program inherit every descriptor of a state, or no longer.  Returns
 * -1 with errno set if one is not open; the others are seen to. */
int state_pass_on(const struct state *, bool pass);

#endif
