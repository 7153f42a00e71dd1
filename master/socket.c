/* SPDX-License-Identifier: ISC */
#include "master/socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fd.h"
#include "common/log.h"
#include "common/why.h"
#include "master/address_lock.h"

enum {
	/* Bytes that the kernel holds unsent for a connection. */
	NOTSENT_MAX = 131072,
	/* The mode of the directory says who may connect.  A private path
	 * takes orders: its own mode says from whom. */
	PATH_MODE = 0666,
	PATH_MODE_PRIVATE = 0660,
};

static bool
is_path(const struct socket_group *group)
{
	return (group->addr.ss_family == AF_UNIX);
}

static const char *
path_of(const struct socket_group *group)
{
	return (((const struct sockaddr_un *)&group->addr)->sun_path);
}

static struct socket_group *
sockets_find(const struct sockets *sockets, const struct conf_address *address)
{
	for (size_t i = 0; i < sockets->n; i++)
		if (strcmp(sockets->groups[i]->text, address->text) == 0)
			return (sockets->groups[i]);
	return (NULL);
}

/*
 * Opening.
 */

static int
open_tcp(const struct socket_group *group, bool share)
{
	int fd, on = 1, saved;

	fd = socket(group->addr.ss_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return (-1);
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
	    (share && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on,
		sizeof(on)) == -1) ||
	    (group->addr.ss_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6,
		IPV6_V6ONLY, &on, sizeof(on)) == -1) ||
	    bind(fd, (const struct sockaddr *)&group->addr, group->len) == -1) {
		saved = errno;
		close(fd);
		errno = saved;
		return (-1);
	}
	return (fd);
}

/*
 * Among sockets that share a port the kernel sees no conflict, so that a second
 * server on our port would take half of our clients.  One that does not share
 * finds out.
 */
static int
check_unused(const struct socket_group *group)
{
	int fd;

	if ((fd = open_tcp(group, false)) == -1)
		return (-1);
	close(fd);
	return (0);
}

/* Whether the path is a socket that nobody listens on any more. */
static bool
is_stale(const struct socket_group *group)
{
	struct stat st;
	bool stale;
	int fd;

	if (lstat(path_of(group), &st) == -1 || !S_ISSOCK(st.st_mode))
		return (false);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return (false);
	stale = connect(fd, (const struct sockaddr *)&group->addr,
	    group->len) == -1 && errno == ECONNREFUSED;
	close(fd);
	return (stale);
}

/* The file has its mode from the beginning, and nobody can put another one in
 * its place before it is set. */
static int
bind_with_mode(const struct socket_group *group, int fd, mode_t mode)
{
	mode_t before = umask(0777 & ~mode);
	int bound;

	bound = bind(fd, (const struct sockaddr *)&group->addr, group->len);
	umask(before);
	return (bound);
}

static int
bind_path(const struct socket_group *group, int fd, mode_t mode)
{
	if (bind_with_mode(group, fd, mode) == 0)
		return (0);
	if (errno != EADDRINUSE)
		return (-1);
	if (!is_stale(group)) {
		errno = EADDRINUSE;
		return (-1);
	}
	unlink(path_of(group));
	return (bind_with_mode(group, fd, mode));
}

/* What has become of the file of a socket that listens: NULL if it is there.
 * Its inode is not used again while the socket is open. */
static const char *
what_is_wrong(const struct socket_group *group)
{
	struct stat st;

	if (lstat(path_of(group), &st) == -1)
		return (errno == ENOENT || errno == ENOTDIR ?
		    "the socket file was removed" : NULL);
	return (st.st_ino == group->inode ? NULL :
	    "another file has taken the place of the socket file");
}

static bool
is_lost(const struct socket_group *group)
{
	return (is_path(group) && group->nlistening == 1 &&
	    what_is_wrong(group) != NULL);
}

static int
open_path(struct socket_group *group, mode_t mode)
{
	struct stat st;
	int fd, saved;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return (-1);
	if (bind_path(group, fd, mode) == -1 ||
	    lstat(path_of(group), &st) == -1) {
		saved = errno;
		close(fd);
		errno = saved;
		return (-1);
	}
	if (group->nfds == 0)
		group->inode = st.st_ino;
	else
		group->fresh_inode = st.st_ino;
	return (fd);
}

static void
remove_path(const struct socket_group *group, ino_t inode)
{
	struct stat st;

	if (lstat(path_of(group), &st) == 0 && st.st_ino == inode)
		unlink(path_of(group));
}

static bool
is_wildcard(const struct sockaddr_storage *addr)
{
	const struct sockaddr_in *in = (const void *)addr;
	const struct sockaddr_in6 *in6 = (const void *)addr;

	if (addr->ss_family == AF_INET6)
		return (IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr));
	return (in->sin_addr.s_addr == htonl(INADDR_ANY));
}

static bool
is_wildcard_of(const struct sockaddr_storage *wild,
    const struct sockaddr_storage *addr)
{
	return (is_wildcard(wild) && conf_addr_covers(wild, addr));
}

/* Whether we listen on the port at another address of the family, and one of
 * the two is the wildcard: then only our own sockets would be found. */
static bool
have_port(const struct sockets *sockets, const struct socket_group *group)
{
	const struct socket_group *other;

	for (size_t i = 0; i < sockets->n; i++) {
		other = sockets->groups[i];
		if (other != group && other->nlistening > 0 &&
		    (is_wildcard_of(&other->addr, &group->addr) ||
		    is_wildcard_of(&group->addr, &other->addr)))
			return (true);
	}
	return (false);
}

static void
group_unlock(struct socket_group *group)
{
	if (group->lock != -1)
		close(group->lock);
	group->lock = -1;
}

static int
open_more(const struct sockets *sockets, struct socket_group *group,
    unsigned slots)
{
	mode_t mode = sockets->is_private ? PATH_MODE_PRIVATE : PATH_MODE;
	bool lost = is_lost(group);
	unsigned wanted = is_path(group) ? 1 : slots;
	int fd;

	/* A socket beside the lost one, at which clients may still wait. */
	if (lost)
		wanted++;
	if ((group->nfds == 0 || lost) && group->lock == -1 &&
	    (group->lock = address_lock(&group->addr, &group->rival)) == -1)
		return (-1);
	if (group->nfds == 0 && !is_path(group) &&
	    !have_port(sockets, group) && check_unused(group) == -1)
		return (-1);
	while (group->nfds < wanted) {
		fd = is_path(group) ? open_path(group, mode) :
		    open_tcp(group, true);
		if (fd == -1)
			return (-1);
		group->fds[group->nfds++] = fd;
	}
	return (0);
}

static struct socket_group *
add_group(struct sockets *sockets, const struct conf_address *address)
{
	struct socket_group *group, **groups;

	groups = reallocarray(sockets->groups, sockets->n + 1, sizeof(*groups));
	if (groups == NULL)
		return (NULL);
	sockets->groups = groups;
	if ((group = calloc(1, sizeof(*group))) == NULL ||
	    (group->text = strdup(address->text)) == NULL) {
		free(group);
		return (NULL);
	}
	group->addr = address->addr;
	group->len = address->len;
	group->lock = -1;
	groups[sockets->n++] = group;
	return (group);
}

/* Close the sockets from the given one on. */
static void
close_from(struct socket_group *group, unsigned first)
{
	if (is_path(group) && group->nfds > first) {
		if (first == 0)
			remove_path(group, group->inode);
		if (group->nfds == 2)
			remove_path(group, group->fresh_inode);
	}
	/* Clients that were not accepted may have sent descriptors. */
	while (group->nfds > first)
		fd_close_unread(group->fds[--group->nfds]);
}

static void
drop_group(struct sockets *sockets, size_t i)
{
	struct socket_group *group = sockets->groups[i];

	close_from(group, 0);
	group_unlock(group);
	free(group->text);
	free(group);
	sockets->groups[i] = sockets->groups[--sockets->n];
}

void
sockets_undo(struct sockets *sockets)
{
	for (size_t i = sockets->n; i-- > 0;) {
		if (sockets->groups[i]->nlistening == 0)
			drop_group(sockets, i);
		else {
			close_from(sockets->groups[i],
			    sockets->groups[i]->nlistening);
			group_unlock(sockets->groups[i]);
		}
	}
}

/* A host without IPv6 still serves the other half of "*:port". */
static bool
is_dispensable(const struct conf_address *address, int why)
{
	return (address->from_wildcard &&
	    address->addr.ss_family == AF_INET6 &&
	    (why == EAFNOSUPPORT || why == EADDRNOTAVAIL));
}

static void
sockets_explain(const struct sockets *sockets,
    const struct conf_listener *listener, const struct conf_address *address,
    struct why *why)
{
	const struct socket_group *group = sockets_find(sockets, address);
	char rival[64] = "";

	if (group != NULL && group->rival > 0)
		snprintf(rival, sizeof(rival), ": process %ld is about to use "
		    "it", (long)group->rival);
	why_set(why, "listener %s cannot have address %s: %s%s", listener->name,
	    address->text, strerror(errno), rival);
}

/* The listener that has a group's address, and else the one that has the wildcard
 * of its port. */
static const struct conf_listener *
find_listener(const struct conf *conf, const struct socket_group *group)
{
	const struct conf_listener *wild = NULL;

	for (size_t i = 0; i < conf->nlisteners; i++)
		for (size_t k = 0; k < conf->listeners[i].naddresses; k++) {
			const struct conf_address *address =
			    &conf->listeners[i].addresses[k];

			if (strcmp(address->text, group->text) == 0)
				return (&conf->listeners[i]);
			if (is_wildcard_of(&address->addr, &group->addr))
				wild = &conf->listeners[i];
		}
	return (wild);
}

/* A socket that listens at one address goes on to take that address's clients
 * when the wildcard has replaced it.  To close it would reset connections whose
 * handshake is not complete. */
static int
prepare_covered(struct sockets *sockets, const struct conf *conf,
    unsigned slots)
{
	for (size_t i = 0; i < sockets->n; i++)
		if (sockets->groups[i]->nlistening > 0 &&
		    find_listener(conf, sockets->groups[i]) != NULL &&
		    open_more(sockets, sockets->groups[i], slots) == -1)
			return (-1);
	return (0);
}

static int
prepare_address(struct sockets *sockets, const struct conf_address *address,
    unsigned slots)
{
	struct socket_group *group;

	if ((group = sockets_find(sockets, address)) == NULL &&
	    (group = add_group(sockets, address)) == NULL)
		return (-1);
	if (open_more(sockets, group, slots) == 0)
		return (0);
	return (is_dispensable(address, errno) ? 0 : -1);
}

int
sockets_prepare(struct sockets *sockets, const struct conf *conf,
    unsigned slots, struct why *why)
{
	for (size_t i = 0; i < conf->nlisteners; i++) {
		const struct conf_listener *listener = &conf->listeners[i];

		for (size_t k = 0; k < listener->naddresses; k++) {
			const struct conf_address *address =
			    &listener->addresses[k];
			int saved;

			if (prepare_address(sockets, address, slots) == 0)
				continue;
			saved = errno;
			sockets_explain(sockets, listener, address, why);
			sockets_undo(sockets);
			errno = saved;
			return (-1);
		}
	}
	if (prepare_covered(sockets, conf, slots) == 0)
		return (0);
	why_set(why, "sockets: %s", strerror(errno));
	sockets_undo(sockets);
	return (-1);
}

/*
 * Committing.
 */

static void
group_tune(const struct socket_group *group, int fd, int level, int option,
    unsigned value)
{
	int v = (int)value;

	if (setsockopt(fd, level, option, &v, sizeof(v)) == -1)
		LOG(WARN, LISTEN, F_STR("address", group->text),
		    F_I64("option", option), F_ERRNO(errno));
}

/* What an accepted socket inherits from the one that listens: tcp(7). */
static void
set_options(const struct socket_group *group, int fd,
    const struct conf_listener *conf)
{
	if (is_path(group)) {
		fd_refuse_rights(fd);
		return;
	}
	group_tune(group, fd, IPPROTO_TCP, TCP_NODELAY, conf->nodelay);
	/* What a peer does not take is ours to count, and not the kernel's to
	 * hold by the megabyte. */
	group_tune(group, fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOTSENT_MAX);
	group_tune(group, fd, IPPROTO_TCP, TCP_DEFER_ACCEPT,
	    conf->defer_accept_s);
	group_tune(group, fd, SOL_SOCKET, SO_KEEPALIVE,
	    conf->keepalive.idle_s > 0);
	if (conf->keepalive.idle_s == 0)
		return;
	group_tune(group, fd, IPPROTO_TCP, TCP_KEEPIDLE,
	    conf->keepalive.idle_s);
	group_tune(group, fd, IPPROTO_TCP, TCP_KEEPINTVL,
	    conf->keepalive.interval_s);
	group_tune(group, fd, IPPROTO_TCP, TCP_KEEPCNT, conf->keepalive.count);
}

/* In the order of the slots, which numbers them for steer_group(). */
static int
listen_group(struct socket_group *group, const struct conf_listener *conf)
{
	for (unsigned i = group->nlistening; i < group->nfds; i++) {
		set_options(group, group->fds[i], conf);
		if (listen(group->fds[i], (int)conf->backlog) == -1)
			return (-1);
	}
	return (0);
}

/* The old workers accept what the lost socket has in its queue. */
static void
replace_lost(struct socket_group *group)
{
	fd_close_unread(group->fds[0]);
	group->fds[0] = group->fds[1];
	group->inode = group->fresh_inode;
	group->nfds = 1;
	group->nlistening = 0;
	group->said = NULL;
}

static void
commit_group(struct socket_group *group, const struct conf_listener *conf)
{
	if (is_path(group) && group->nfds == 2)
		replace_lost(group);
	if (group->nlistening == 0 && group->nfds > 0)
		LOG(INFO, LISTEN, F_STR("address", group->text),
		    F_STR("listener", conf->name));
	/* From here on the kernel finds that it is in use. */
	group_unlock(group);
	/* Those that listened before get the options and backlog of now. */
	for (unsigned i = 0; i < group->nlistening; i++) {
		set_options(group, group->fds[i], conf);
		(void)listen(group->fds[i], (int)conf->backlog);
	}
	group->nlistening = group->nfds;
}

int
sockets_listen(struct sockets *sockets, const struct conf *conf,
    struct why *why)
{
	const struct conf_listener *listener;
	struct socket_group *group;

	for (size_t i = 0; i < sockets->n; i++) {
		group = sockets->groups[i];
		listener = find_listener(conf, group);
		if (listener == NULL || listen_group(group, listener) == 0)
			continue;
		return (why_set(why, "listen on %s: %s", group->text,
		    strerror(errno)));
	}
	return (0);
}

void
sockets_commit(struct sockets *sockets, const struct conf *conf,
    unsigned slots)
{
	bool live[CONF_WORKERS_MAX];
	const struct conf_listener *listener;

	for (unsigned i = 0; i < slots; i++)
		live[i] = true;
	for (size_t i = sockets->n; i-- > 0;) {
		listener = find_listener(conf, sockets->groups[i]);
		if (listener != NULL) {
			commit_group(sockets->groups[i], listener);
			continue;
		}
		LOG(INFO, UNLISTEN,
		    F_STR("address", sockets->groups[i]->text));
		drop_group(sockets, i);
	}
	sockets_steer(sockets, live, slots);
}

void
sockets_watch(struct sockets *sockets)
{
	struct socket_group *group;
	const char *wrong;

	for (size_t i = 0; i < sockets->n; i++) {
		group = sockets->groups[i];
		/* A reload may be about to mend it. */
		if (!is_path(group) || group->nlistening == 0 ||
		    group->nfds > group->nlistening)
			continue;
		wrong = what_is_wrong(group);
		if (wrong != NULL && wrong != group->said)
			LOG(ERROR, LISTEN, F_STR("address", group->text),
			    F_STR("error", wrong), F_STR("advice",
			    "no client can connect; a reload binds it again"));
		group->said = wrong;
	}
}

/*
 * Steering.
 */

/*
 * The program that picks the socket of a group for a newcomer: one of the live
 * ones, at random.  A result without a socket lets the kernel choose by itself.
 */
static unsigned
make_program(struct sock_filter *program, const unsigned live[], unsigned n)
{
	unsigned len = 0;

	program[len++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
	    (uint32_t)(SKF_AD_OFF + SKF_AD_RANDOM));
	program[len++] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_MOD | BPF_K,
	    n);
	for (unsigned i = 0; i < n; i++) {
		program[len++] = (struct sock_filter)BPF_JUMP(
		    BPF_JMP | BPF_JEQ | BPF_K, i, 0, 1);
		program[len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
		    live[i]);
	}
	program[len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, live[0]);
	return (len);
}

static void
steer_group(struct socket_group *group, const unsigned live[], unsigned n)
{
	struct sock_filter filter[2 * CONF_WORKERS_MAX + 3];
	struct sock_fprog program = { .filter = filter };

	if (is_path(group) || group->nlistening == 0 || group->nfds < 2)
		return;
	program.len = (unsigned short)make_program(filter, live, n);
	if (setsockopt(group->fds[0], SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF,
	    &program, sizeof(program)) == -1)
		LOG(WARN, LISTEN, F_STR("address", group->text),
		    F_STR("option", "SO_ATTACH_REUSEPORT_CBPF"),
		    F_ERRNO(errno));
}

void
sockets_steer(struct sockets *sockets, const bool live[], unsigned slots)
{
	unsigned numbers[CONF_WORKERS_MAX];
	unsigned n = 0;

	for (unsigned i = 0; i < slots; i++)
		if (live[i])
			numbers[n++] = i;
	if (n == 0)
		for (; n < slots; n++)
			numbers[n] = n;
	for (size_t i = 0; i < sockets->n; i++)
		steer_group(sockets->groups[i], numbers, n);
}

/*
 * Handing out.
 */

static size_t
take_sockets(struct heritage_socket *taken, const struct socket_group *group,
    unsigned listener, unsigned slot, unsigned slots, bool prepared)
{
	unsigned most = prepared ? group->nfds : group->nlistening;
	size_t n = 0;

	/* That of a path is the last one: see open_more(). */
	for (unsigned i = 0; i < most; i++)
		if (is_path(group) ? i == most - 1 : i % slots == slot)
			taken[n++] = (struct heritage_socket){
			    .fd = group->fds[i], .listener = listener };
	return (n);
}

struct heritage_socket *
sockets_for(const struct sockets *sockets, const struct conf *conf,
    unsigned slot, unsigned slots, bool prepared, size_t *n)
{
	const struct conf_listener *listener;
	struct heritage_socket *taken;
	size_t most = 0;

	for (size_t i = 0; i < sockets->n; i++)
		most += sockets->groups[i]->nfds;
	if ((taken = calloc(most + 1, sizeof(*taken))) == NULL)
		return (NULL);
	*n = 0;
	for (size_t i = 0; i < sockets->n; i++) {
		listener = find_listener(conf, sockets->groups[i]);
		if (listener != NULL)
			*n += take_sockets(taken + *n, sockets->groups[i],
			    (unsigned)(listener - conf->listeners), slot,
			    slots, prepared);
	}
	return (taken);
}

struct socket_group *
sockets_restore(struct sockets *sockets, const char *address)
{
	struct conf_address parsed[2];
	const char *must;

	if (conf_addr_parse(address, parsed, &must) == 1)
		return (add_group(sockets, &parsed[0]));
	errno = EINVAL;
	return (NULL);
}

void
sockets_close(struct sockets *sockets)
{
	while (sockets->n > 0)
		drop_group(sockets, sockets->n - 1);
	free(sockets->groups);
	sockets->groups = NULL;
}
