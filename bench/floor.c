/* SPDX-License-Identifier: ISC */
/*
 * The floor: how little an echo server can do.  Pre-fork, bare epoll, one read
 * and one write for each readiness, Penstock's framing, and nothing else: no
 * timeouts, limits, counters or logs, no handler.  What Penstock needs beyond
 * this is what it costs.
 *
 *	floor [-n processes] frame|line|http address port
 *
 * What can be sent back from where it was read is not copied.
 */
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	SCRATCH = 65536,
	EVENTS = 512,
	FRAME_HEAD = 4,
	HTTP_HEAD_MAX = 128,	/* of a reply */
	MESSAGE_MAX = 1 << 24,
};

struct conn {
	int fd;
	uint8_t *in;		/* owned; a message whose rest has not come */
	size_t in_len, in_size;
	uint8_t *out;		/* owned; what the peer has not taken */
	size_t out_len;
};

/* The replies to one read: bytes of the input as they are, or built here. */
struct replies {
	const uint8_t *bytes;
	size_t len;
};

/*
 * Looks for whole messages in bytes, and leaves the replies to them.  Returns
 * how many bytes they take, or -1 if they are nonsense.
 */
typedef ssize_t wire_fn(const uint8_t *bytes, size_t len, struct replies *);

static uint8_t *scratch, *built;
static size_t built_size;

/*
 * Wires.
 */

static ssize_t
frames(const uint8_t *bytes, size_t len, struct replies *replies)
{
	uint32_t header;
	size_t used = 0, n;

	while (len - used >= FRAME_HEAD) {
		memcpy(&header, bytes + used, sizeof(header));
		n = ntohl(header);
		if (n == 0 || n > MESSAGE_MAX)
			return (-1);
		if (len - used - FRAME_HEAD < n)
			break;
		used += FRAME_HEAD + n;
	}
	*replies = (struct replies){ bytes, used };
	return ((ssize_t)used);
}

/* Room for so many bytes in what is built. */
static void
make_room(size_t len)
{
	uint8_t *more;

	if (len <= built_size)
		return;
	built_size = len + SCRATCH;
	if ((more = realloc(built, built_size)) == NULL)
		err(1, "memory");
	built = more;
}

static void
put(struct replies *replies, const void *bytes, size_t len)
{
	memcpy(built + replies->len, bytes, len);
	replies->len += len;
}

/* What lines become once one had a CR, from there on. */
static ssize_t
lines_with_cr(const uint8_t *bytes, size_t len, size_t used,
    struct replies *replies)
{
	const uint8_t *lf;
	size_t n;

	make_room(len);
	memcpy(built, bytes, used);
	*replies = (struct replies){ built, used };
	while ((lf = memchr(bytes + used, '\n', len - used)) != NULL) {
		n = (size_t)(lf - (bytes + used));
		put(replies, bytes + used,
		    n > 0 && lf[-1] == '\r' ? n - 1 : n);
		put(replies, "\n", 1);
		used += n + 1;
	}
	return ((ssize_t)used);
}

static ssize_t
lines(const uint8_t *bytes, size_t len, struct replies *replies)
{
	const uint8_t *lf;
	size_t used = 0;

	while ((lf = memchr(bytes + used, '\n', len - used)) != NULL) {
		if (lf > bytes + used && lf[-1] == '\r')
			return (lines_with_cr(bytes, len, used, replies));
		used = (size_t)(lf - bytes) + 1;
	}
	*replies = (struct replies){ bytes, used };
	return ((ssize_t)used);
}

/* The length of the body, by the one header that counts. */
static size_t
content_length(const uint8_t *head, size_t len)
{
	static const char name[] = "content-length:";
	const uint8_t *line = head, *end = head + len;
	size_t n = 0;

	while ((line = memchr(line, '\n', (size_t)(end - line))) != NULL) {
		line++;
		if ((size_t)(end - line) < sizeof(name) ||
		    strncasecmp((const char *)line, name,
		    sizeof(name) - 1) != 0)
			continue;
		line += sizeof(name) - 1;
		while (*line == ' ')
			line++;
		while (*line >= '0' && *line <= '9' && n <= MESSAGE_MAX)
			n = n * 10 + (size_t)(*line++ - '0');
		return (n);
	}
	return (0);
}

static ssize_t
http(const uint8_t *bytes, size_t len, struct replies *replies)
{
	const uint8_t *end;
	char head[HTTP_HEAD_MAX];
	size_t used = 0, body, head_len;

	*replies = (struct replies){ .len = 0 };
	while ((end = memmem(bytes + used, len - used, "\r\n\r\n", 4)) !=
	    NULL) {
		head_len = (size_t)(end + 4 - (bytes + used));
		body = content_length(bytes + used, head_len);
		if (body > MESSAGE_MAX)
			return (-1);
		if (len - used - head_len < body)
			break;
		used += head_len + body;
		head_len = (size_t)snprintf(head, sizeof(head),
		    "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", body);
		make_room(replies->len + head_len + body);
		put(replies, head, head_len);
		put(replies, bytes + used - body, body);
	}
	replies->bytes = built;
	return ((ssize_t)used);
}

/*
 * Connections.
 */

static void
conn_free(struct conn *conn)
{
	close(conn->fd);
	free(conn->in);
	free(conn->out);
	free(conn);
}

static void
watch(int epoll, struct conn *conn, uint32_t events, int how)
{
	struct epoll_event event = { events, { .ptr = conn } };

	if (epoll_ctl(epoll, how, conn->fd, &event) == -1)
		err(1, "epoll_ctl");
}

static void
forget_in(struct conn *conn)
{
	free(conn->in);
	conn->in = NULL;
	conn->in_len = conn->in_size = 0;
}

/* Room for one more read behind what is kept. */
static void
grow_in(struct conn *conn)
{
	uint8_t *more;

	conn->in_size = conn->in_len + SCRATCH;
	if ((more = realloc(conn->in, conn->in_size)) == NULL)
		err(1, "memory");
	conn->in = more;
}

/* Keep the rest of a message, which may stand where it is kept. */
static void
keep_in(struct conn *conn, const uint8_t *rest, size_t len)
{
	if (len == 0) {
		forget_in(conn);
		return;
	}
	conn->in_len = len;
	if (conn->in == NULL)
		grow_in(conn);
	if (rest != conn->in)
		memmove(conn->in, rest, len);
}

/* Write, and keep what the kernel does not take; nothing is read until it
 * has. */
static int
answer(int epoll, struct conn *conn, const struct replies *replies)
{
	ssize_t n = send(conn->fd, replies->bytes, replies->len,
	    MSG_NOSIGNAL);

	if (n == -1 && errno != EAGAIN)
		return (-1);
	if (n == (ssize_t)replies->len)
		return (0);
	if (n == -1)
		n = 0;
	conn->out_len = replies->len - (size_t)n;
	if ((conn->out = malloc(conn->out_len)) == NULL)
		err(1, "memory");
	memcpy(conn->out, replies->bytes + n, conn->out_len);
	watch(epoll, conn, EPOLLOUT, EPOLL_CTL_MOD);
	return (0);
}

static int
on_writable(int epoll, struct conn *conn)
{
	ssize_t n = send(conn->fd, conn->out, conn->out_len, MSG_NOSIGNAL);

	if (n == -1)
		return (errno == EAGAIN ? 0 : -1);
	conn->out_len -= (size_t)n;
	memmove(conn->out, conn->out + n, conn->out_len);
	if (conn->out_len > 0)
		return (0);
	free(conn->out);
	conn->out = NULL;
	watch(epoll, conn, EPOLLIN, EPOLL_CTL_MOD);
	return (0);
}

static int
on_readable(int epoll, struct conn *conn, wire_fn *wire)
{
	uint8_t *bytes = scratch;
	size_t had = 0, room = SCRATCH;
	struct replies replies;
	ssize_t n, used;

	if (conn->in != NULL && conn->in_len <= SCRATCH / 4) {
		memcpy(scratch, conn->in, conn->in_len);
		had = conn->in_len;
		room -= had;
		forget_in(conn);
	} else if (conn->in != NULL) {
		if (conn->in_size == conn->in_len)
			grow_in(conn);
		bytes = conn->in;
		had = conn->in_len;
		room = conn->in_size - had;
	}
	n = recv(conn->fd, bytes + had, room, 0);
	if (n == -1 && errno == EAGAIN)
		n = 0;
	else if (n <= 0)
		return (-1);
	used = wire(bytes, had + (size_t)n, &replies);
	if (used == -1 ||
	    (replies.len > 0 && answer(epoll, conn, &replies) == -1))
		return (-1);
	keep_in(conn, bytes + used, had + (size_t)n - (size_t)used);
	return (0);
}

static void
accept_some(int epoll, int listener)
{
	struct conn *conn;
	int fd;

	for (int i = 0; i < 64; i++) {
		/* cppcheck-suppress nullPointer; it may be NULL: accept(2) */
		fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
		if (fd == -1)
			return;
		if ((conn = calloc(1, sizeof(*conn))) == NULL)
			err(1, "memory");
		conn->fd = fd;
		watch(epoll, conn, EPOLLIN, EPOLL_CTL_ADD);
	}
}

/*
 * Processes.
 */

static int
listen_on(const char *address, const char *port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	int fd, on = 1;

	sin.sin_port = htons((uint16_t)atoi(port));
	if (inet_pton(AF_INET, address, &sin.sin_addr) != 1)
		errx(2, "%s is not an IPv4 address", address);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	/* What is accepted inherits it. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == -1 ||
	    listen(fd, 4096) == -1)
		err(1, "port %s", port);
	return (fd);
}

static void
serve(int listener, wire_fn *wire)
{
	struct epoll_event events[EVENTS], event = { .events = EPOLLIN };
	int epoll = epoll_create1(0), n, status;
	struct conn *conn;

	if ((scratch = malloc(SCRATCH)) == NULL)
		err(1, "memory");
	epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
	for (;;) {
		n = epoll_wait(epoll, events, EVENTS, -1);
		for (int i = 0; i < n; i++) {
			if ((conn = events[i].data.ptr) == NULL) {
				accept_some(epoll, listener);
				continue;
			}
			if (conn->out != NULL)
				status = on_writable(epoll, conn);
			else
				status = on_readable(epoll, conn, wire);
			if (status == -1)
				conn_free(conn);
		}
	}
}

int
main(int argc, char **argv)
{
	struct rlimit limit;
	int option, processes = 1, signal;
	wire_fn *wire;
	sigset_t set;
	pid_t *pids;

	while ((option = getopt(argc, argv, "n:")) != -1)
		if (option != 'n' || (processes = atoi(optarg)) < 1)
			argc = 0;
	if (argc - optind != 3)
		errx(2, "usage: floor [-n processes] frame|line|http "
		    "address port");
	wire = *argv[optind] == 'f' ? frames :
	    *argv[optind] == 'l' ? lines : http;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	if ((pids = calloc((size_t)processes, sizeof(*pids))) == NULL)
		err(1, "memory");
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < processes; i++)
		if ((pids[i] = fork()) == 0) {
			sigprocmask(SIG_UNBLOCK, &set, NULL);
			prctl(PR_SET_PDEATHSIG, SIGTERM);
			serve(listen_on(argv[optind + 1], argv[optind + 2]),
			    wire);
		}
	/* Last of all, so that whoever waits for us knows that all have gone. */
	sigwait(&set, &signal);
	for (int i = 0; i < processes; i++)
		kill(pids[i], SIGTERM);
	while (wait(NULL) > 0)
		;
	free(pids);
	return (0);
}
