/* SPDX-License-Identifier: ISC */
/*
 * The control messages between the master and its children: what there is, who
 * may send it, and how long it is.
 *
 * A message is a header, the plain struct that its type names, and perhaps
 * descriptors.  One message is one packet of a SOCK_SEQPACKET socket.
 */
#ifndef COMMON_CTL_H
#define COMMON_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The version of the last release, and that of this program.  A release raises
 * the version by one if it changes anything here, in common/exec.h or in
 * worker/handover.h, and still understands and speaks the previous one: during
 * an upgrade in place, a downgrade or a roll-back the processes come from two
 * programs.  Tests build a program that only speaks the previous version.
 */
#define CTL_PREVIOUS 2
#ifndef CTL_VERSION
#define CTL_VERSION 3
#endif

enum {
	CTL_FDS_MAX = 2,	/* descriptors that go with one message; 1 in
				   the previous version */
};

enum ctl_sender {
	CTL_FROM_MASTER,
	CTL_FROM_CHILD,
};

/* Why a worker is to leave. */
enum ctl_drain_mode {
	CTL_DRAIN_STOP,		/* the server stops: close at message ends */
	CTL_DRAIN_REPLACED,	/* another took over: serve until they leave */
};

struct ctl_failed {
	char why[240];		/* NUL-terminated; the receiver sees to it */
};

struct ctl_drain {
	uint32_t mode;		/* enum ctl_drain_mode */
	uint32_t timeout_ms;	/* after it what is left is cut */
	uint32_t spread_ms;	/* closes of idle connections take so long */
};

struct ctl_drained {
	/* A master that reads the counters itself needs only the last of
	 * these. */
	uint64_t finished;	/* connections that were closed, */
	uint64_t cut;		/* but for those that drain_timeout cut, */
	uint64_t carried;	/* and those that went to another worker */
	uint64_t longest_us;	/* as in struct ctl_given, of its last link */
};

struct ctl_give {
	uint64_t quota;		/* connections; CTL_GIVE_ALL: all that can */
};

#define CTL_GIVE_ALL UINT64_MAX

struct ctl_take {
	uint32_t giver;		/* the CTL_VERSION that the giver speaks */
	uint32_t pad;
	uint64_t generation;	/* the giver's */
};

struct ctl_given {
	uint64_t carried;	/* since the order, or since it was last said */
	uint64_t left;		/* connections that it still has */
	uint64_t longest_us;	/* that one was without an owner */
	uint32_t duration_ms;	/* since the order */
	uint32_t ended;		/* the link is no more: 1 */
};

struct ctl_log {
	uint32_t level;		/* enum log_level */
	uint32_t format;	/* enum log_format */
};

struct ctl_executor {
	uint64_t id;		/* the master's name for it */
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
	uint32_t ended;		/* 1: its channel has ended, and how it ends
				   itself is for the master to see */
	uint32_t pad;
};

struct ctl_died {
	uint64_t id;		/* as in struct ctl_executor */
};

struct ctl_conn {
	uint64_t id;		/* as in struct conn_record */
};

/*
 * A line's place is its number on the channel, so append and never reorder.  A
 * line gives the length of the payload in CTL_PREVIOUS, CTL_ABSENT if that
 * version does not have the message, and the length in CTL_VERSION.  To extend
 * a payload, append a field for which 0 is a good default: the receiver finds 0
 * there if the sender speaks the previous version.  A message that the other end
 * does not know is not sent: channel_send() leaves it out.
 *
 *  READY    everything is in place; nothing is accepted before START
 *  FAILED   it will not be; the sender exits
 *  START    begin to accept
 *  DRAIN    stop accepting, let the connections come to their end, exit
 *  DRAINED  that is done; the sender exits
 *  STOP     exit now
 *  EXECUTOR serve a handler's requests through the descriptor, a socket; or
 *           through two, pipes: replies come from the first, and requests go to
 *           the second
 *  DISOWN   that executor is of no more use: end and replace it
 *  RETIRE   that executor gets no more requests: start another one; DISOWN
 *           follows when what it has is done
 *  DIED     that executor has died, whoever has its end of the channel: take
 *           what it has answered, and DISOWN it; a worker that has done so says
 *           nothing
 *  LOG      write the log to the descriptor that comes along
 *  GIVE     hand connections over through the descriptor
 *  TAKE     take those that come through the descriptor
 *  GIVEN    all that could be given has been, or nobody takes any more; said
 *           once for each GIVE, and again if its link ends later
 *  ACCESS_LOG  write the access log to the descriptor that comes along
 *  ASK_CLOSE, ASK_REBALANCE
 *           the monitor passes on an administrator's order
 *  CLOSE    end that connection, if you have it
 *  BEAT     the monitor's loop turns; what others write to is not its to write
 *  SPEAK    send in that version from now on; the channel itself obeys
 *  SPEAKING the answer: the last message in the version from before
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
	MSG(DIED,	FROM_MASTER,	CTL_ABSENT, sizeof(struct ctl_died))

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
	};
	/* Not on the wire: descriptors that came along, -1 where there is none.
	 * Who takes one sets it to -1; the channel closes the rest. */
	int fd[CTL_FDS_MAX];
};

/* Whether a version is one that this program speaks. */
static inline bool
ctl_is_spoken(unsigned version)
{
	return (version >= CTL_PREVIOUS && version <= CTL_VERSION);
}

/* The payload length of a type in a version that is spoken; CTL_ABSENT if there
 * is no such type in it.  Its name, "unknown" for what is none. */
uint32_t ctl_length(enum ctl_type, unsigned version);
const char *ctl_name(unsigned type);

/* Obey a LOG, and take its descriptor.  Returns false if that did not arrive:
 * then the log goes on to be written to the one of before. */
bool ctl_use_log(struct ctl *);

/*
 * Check the first n bytes of a received message, which is to come from sender.
 * Returns NULL, or what is wrong with it.
 */
const char *ctl_check(const struct ctl *, size_t n, enum ctl_sender);

#endif
