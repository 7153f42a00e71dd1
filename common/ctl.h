/* SPDX-License-Identifier: ISC */
/*
 * The control messages between the master and its children: their types,
 * senders and lengths.
 *
 * A message is a header, the struct of its type, and possibly descriptors.  One
 * message is one packet of a SOCK_SEQPACKET socket.
 */
#ifndef COMMON_CTL_H
#define COMMON_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/reasons.h"

/*
 * The versions of the previous release and of this program.  A release raises
 * the version by one if it changes anything here, in common/exec.h or in
 * worker/handover.h.  It still understands and speaks the previous version,
 * because an upgrade, a downgrade or a roll-back mixes processes of two
 * programs.  Tests build a program that only speaks the previous version.
 */
#define CTL_PREVIOUS 2
#ifndef CTL_VERSION
#define CTL_VERSION 3
#endif

enum {
	CTL_FDS_MAX = 2,	/* descriptors of one message; 1 in the previous
				   version */
};

enum ctl_sender {
	CTL_FROM_MASTER,
	CTL_FROM_CHILD,
};

/* Why a worker has to drain. */
enum ctl_drain_mode {
	CTL_DRAIN_STOP,		/* the server stops: close between messages */
	CTL_DRAIN_REPLACED,	/* by another worker: serve until they close */
};

struct ctl_failed {
	char why[240];		/* the receiver appends a NUL */
};

struct ctl_drain {
	uint32_t mode;		/* enum ctl_drain_mode */
	uint32_t timeout_ms;	/* then connections that are left are cut */
	uint32_t spread_ms;	/* spread the closes of idle connections */
};

struct ctl_drained {
	/* A master that reads the counters itself needs only longest_us. */
	uint64_t finished;	/* connections that were closed */
	uint64_t cut;		/* and those that drain_timeout cut, */
	uint64_t carried;	/* and those that were handed over */
	uint64_t longest_us;	/* as in struct ctl_given, of its last link */
};

struct ctl_give {
	uint64_t quota;		/* of connections; CTL_GIVE_ALL: no limit */
};

#define CTL_GIVE_ALL UINT64_MAX

struct ctl_take {
	uint32_t giver;		/* the CTL_VERSION of the giver */
	uint32_t pad;
	uint64_t generation;	/* the giver's */
};

struct ctl_given {
	uint64_t carried;	/* since the order, or since the last GIVEN */
	uint64_t left;		/* connections that the giver still has */
	uint64_t longest_us;	/* that a connection was without an owner */
	uint32_t duration_ms;	/* since the order */
	uint32_t ended;		/* 1: the link has ended */
};

struct ctl_log {
	uint32_t level;		/* enum log_level */
	uint32_t format;	/* enum log_format */
};

struct ctl_executor {
	uint64_t id;		/* the master's number for it */
	uint32_t handler;	/* index in conf->handlers */
	uint32_t speaks;	/* CTL_VERSION of common/exec.h; 0: the
				   previous one */
};

struct ctl_speak {
	uint32_t version;	/* CTL_PREVIOUS to CTL_VERSION */
	uint32_t pad;
};

struct ctl_disown {
	uint64_t id;
	char why[120];		/* as in struct ctl_failed */
	uint32_t ended;		/* 1: its channel has ended; the master waits
				   for its exit status */
	uint32_t pad;
};

struct ctl_died {
	uint64_t id;		/* as in struct ctl_executor */
};

struct ctl_conn {
	uint64_t id;		/* as in struct conn_record */
};

/* A process that a child has cloned, as a child of the master. */
struct ctl_cloned {
	int32_t pid;		/* 0: there is none, and */
	int32_t error;		/* why, as errno */
};

struct ctl_rescued {
	uint64_t kept;		/* connections that are served again */
	uint64_t answered;	/* requests of these that were with handlers,
				   and were answered as failed */
	uint64_t dropped[RESCUE_REASON_COUNT];
};

/*
 * A line's place is its number on the channel, so append and never reorder.  A
 * line gives the length of the payload in CTL_PREVIOUS, CTL_ABSENT if that
 * version does not have the message, and the length in CTL_VERSION.  To extend
 * a payload, append a field for which 0 is a good default: the receiver finds 0
 * there if the sender speaks the previous version.  A message that the other end
 * does not know is not sent: channel_send() leaves it out.
 *
 *  READY    the child is ready; it accepts nothing before START
 *  FAILED   the child cannot become ready, and exits
 *  START    begin to accept
 *  DRAIN    stop accepting, serve the connections to their end, exit
 *  DRAINED  the drain is done; the worker exits
 *  STOP     exit now
 *  EXECUTOR send a handler's requests through the descriptor, a socket; or
 *           through two pipes: replies come from the first, and requests go to
 *           the second
 *  DISOWN   kill and replace that executor
 *  RETIRE   that executor gets no more requests: start another one; DISOWN
 *           follows when its requests are done
 *  DIED     that executor has died, even if another process holds its end of
 *           the channel: read its replies, and DISOWN it; a worker that has
 *           already done so sends nothing
 *  ANCHOR   the worker has cloned its anchor
 *  RESCUE   to an anchor, whose worker is dead: clone a rescuer, which has the
 *           descriptor as its channel
 *  RESCUER  the answer to RESCUE
 *  RESCUED  the rescuer has adopted what it could
 *  LOG      write the log to the descriptor of the message
 *  GIVE     hand connections over through the descriptor
 *  TAKE     adopt the connections that come through the descriptor
 *  GIVEN    all connections that could be handed over were, or the taker takes
 *           no more; sent once for each GIVE, and again if its link ends later
 *  ACCESS_LOG  write the access log to the descriptor of the message
 *  ASK_CLOSE, ASK_REBALANCE
 *           the monitor passes on an administrator's order
 *  CLOSE    close that connection, if you have it
 *  BEAT     the monitor's loop turns; the monitor cannot write shared memory
 *  SPEAK    send that version from now on; the channel itself obeys
 *  SPEAKING the answer to SPEAK: the last message in the old version
 */
#define CTL_ABSENT UINT32_MAX
#define CTL_MESSAGES(MSG)						\
	MSG(READY,	FROM_CHILD,	0, 0)				\
	MSG(FAILED,	FROM_CHILD,					\
	    sizeof(struct ctl_failed), sizeof(struct ctl_failed))	\
	MSG(START,	FROM_MASTER,	0, 0)				\
	MSG(DRAIN,	FROM_MASTER,					\
	    sizeof(struct ctl_drain), sizeof(struct ctl_drain))		\
	MSG(DRAINED,	FROM_CHILD,					\
	    sizeof(struct ctl_drained), sizeof(struct ctl_drained))	\
	MSG(STOP,	FROM_MASTER,	0, 0)				\
	MSG(LOG,	FROM_MASTER,					\
	    sizeof(struct ctl_log), sizeof(struct ctl_log))		\
	MSG(EXECUTOR,	FROM_MASTER,					\
	    sizeof(struct ctl_executor), sizeof(struct ctl_executor))	\
	MSG(DISOWN,	FROM_CHILD,					\
	    offsetof(struct ctl_disown, ended), sizeof(struct ctl_disown)) \
	MSG(GIVE,	FROM_MASTER,					\
	    sizeof(struct ctl_give), sizeof(struct ctl_give))		\
	MSG(TAKE,	FROM_MASTER,	0, sizeof(struct ctl_take))	\
	MSG(GIVEN,	FROM_CHILD,					\
	    sizeof(struct ctl_given), sizeof(struct ctl_given))		\
	MSG(ACCESS_LOG,	FROM_MASTER,	0, 0)				\
	MSG(ASK_CLOSE,	FROM_CHILD,					\
	    sizeof(struct ctl_conn), sizeof(struct ctl_conn))		\
	MSG(ASK_REBALANCE, FROM_CHILD,	0, 0)				\
	MSG(CLOSE,	FROM_MASTER,					\
	    sizeof(struct ctl_conn), sizeof(struct ctl_conn))		\
	MSG(BEAT,	FROM_CHILD,	0, 0)				\
	MSG(SPEAK,	FROM_MASTER,	CTL_ABSENT, sizeof(struct ctl_speak)) \
	MSG(SPEAKING,	FROM_CHILD,	CTL_ABSENT, 0)			\
	MSG(RETIRE,	FROM_CHILD,	CTL_ABSENT, sizeof(struct ctl_disown)) \
	MSG(DIED,	FROM_MASTER,	CTL_ABSENT, sizeof(struct ctl_died)) \
	MSG(ANCHOR,	FROM_CHILD,	CTL_ABSENT, sizeof(struct ctl_cloned)) \
	MSG(RESCUE,	FROM_MASTER,	CTL_ABSENT, 0)			\
	MSG(RESCUER,	FROM_CHILD,	CTL_ABSENT, sizeof(struct ctl_cloned)) \
	MSG(RESCUED,	FROM_CHILD,	CTL_ABSENT, sizeof(struct ctl_rescued))

enum ctl_type {
	CTL_NONE,		/* no message has number 0 */
#define CTL_TYPE_ENUM(name, sender, before, length) CTL_##name,
	CTL_MESSAGES(CTL_TYPE_ENUM)
#undef CTL_TYPE_ENUM
	CTL_TYPE_COUNT
};

struct ctl_header {
	uint16_t version;
	uint16_t type;		/* enum ctl_type */
	uint32_t length;	/* of the payload, in bytes */
	uint64_t generation;	/* the sender's */
};

struct ctl {
	struct ctl_header header;
	union {
		struct ctl_failed failed;
		struct ctl_drain drain;
		struct ctl_drained drained;
		struct ctl_log log;
		struct ctl_executor executor;
		struct ctl_disown disown;
		struct ctl_died died;
		struct ctl_give give;
		struct ctl_take take;
		struct ctl_given given;
		struct ctl_conn conn;
		struct ctl_speak speak;
		struct ctl_cloned cloned;
		struct ctl_rescued rescued;
	};
	/* Not on the wire: the descriptors of the message, or -1.  Code that
	 * takes one sets it to -1; the channel closes the rest. */
	int fd[CTL_FDS_MAX];
};

/* Whether this program speaks a version. */
static inline bool
ctl_is_spoken(unsigned version)
{
	return (version >= CTL_PREVIOUS && version <= CTL_VERSION);
}

/* The payload length of a type in a version that this program speaks;
 * CTL_ABSENT if that version lacks the type.  The name of a type, or
 * "unknown". */
uint32_t ctl_length(enum ctl_type, unsigned version);
const char *ctl_name(unsigned type);

/* Obey a LOG, and take its descriptor.  Returns false if the descriptor did not
 * arrive: then the log is still written to the previous one. */
bool ctl_use_log(struct ctl *);

/*
 * Check the first n bytes of a received message from sender.  Returns NULL, or
 * what is wrong with it.
 */
const char *ctl_check(const struct ctl *, size_t n, enum ctl_sender);

#endif
