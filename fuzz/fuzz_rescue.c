/* SPDX-License-Identifier: ISC */
/*
 * A rescuer that begins with whatever a dead worker has left: its custody memory
 * and the records of its connections hold the bytes of the input, and its
 * descriptors are real ones.
 *
 * The memory is first filled as a worker would leave it that had all these
 * descriptors.  An input is
 *
 *	one byte	bits of enum how
 *	three bytes	a place, an offset in it, and the byte to put there
 *	and so on
 */
#include <sys/socket.h>
#include <sys/stat.h>

#include <netinet/in.h>

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "tests/lib/lone_worker.h"
#include "worker/conn_record.h"
#include "worker/custody.h"
#include "worker/rescue.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

enum how {
	HOW_CLIENTS_LEFT = 1,
	HOW_HALF_CLOSED = 2,
	HOW_CLIENTS_SPOKE = 4,
	HOW_LINKS_ENDED = 8,
	HOW_ADOPTED_ALL = 16,	/* the taker says of the first batch */
	HOW_ADOPTED_NONE = 32,	/* and of the second */
	HOW_TOLD = 64,
	HOW_RAW = 128,		/* and says the input */
};

enum kind {
	KIND_TCP,
	KIND_UNIX,
	KIND_LINK,		/* between two workers */
	KIND_LISTENING,
	KIND_PIPE,
	KIND_FILE,
};

/* The descriptors that the dead worker had: FIRST_FD and the next ones. */
static const enum kind kinds[] = {
	KIND_TCP, KIND_TCP, KIND_UNIX, KIND_UNIX, KIND_UNIX,
	KIND_TCP, KIND_UNIX, KIND_UNIX, KIND_TCP,
	KIND_LINK, KIND_LINK, KIND_LINK,
	KIND_LISTENING, KIND_PIPE, KIND_FILE,
};

enum {
	KINDS = sizeof(kinds) / sizeof(*kinds),
	FIRST_FD = 64,
	FIRST_PEER = FIRST_FD + KINDS,
	END_FD = FIRST_PEER + KINDS,
	DESCRIPTORS_MAX = 400,	/* more than are ever open at a time */
	GIVER_LINK = FIRST_FD + 9,
	TAKER_LINK = FIRST_FD + 10,
	/* Of an input. */
	PLACE_HEAD = 255,	/* of the custody memory */
	LISTENERS = 3,
};

/* What the worker had: each a descriptor, from the first one on. */
static const struct {
	uint32_t index;
	unsigned listener;
	enum custody_hold hold;
	unsigned group, place;
} places[] = {
	{ 0, 0, CUSTODY_OWN, 0, 0 },
	{ 1, 1, CUSTODY_OWN, 0, 0 },
	{ 2, 2, CUSTODY_OWN, 0, 0 },
	{ 3, 0, CUSTODY_OFFERED, 0, 0 },
	{ 4, 1, CUSTODY_OFFERED, 0, 3 },
	{ 7, 2, CUSTODY_OFFERED, 1, 63 },
	{ 511, 0, CUSTODY_TAKEN, 0, 0 },
	{ 512, 1, CUSTODY_TAKEN, 1, 2 },
	{ 1023, 2, CUSTODY_TAKEN, 1, 5 },
	/* And some that were free. */
	{ 5, 0, 0, 0, 0 }, { 513, 0, 0, 0, 0 }, { 1022, 0, 0, 0, 0 },
};

enum {
	PLACES = sizeof(places) / sizeof(*places),
	TAKEN_PLACES = 9,
};

static const char conf_text[] =
    "workers = 1;\n"
    "handlers = ( { name = \"cat\"; type = \"command\"; "
    "command = [ \"/bin/cat\" ]; } );\n"
    "listeners = (\n"
    "{ name = \"frames\"; address = \"127.0.0.1:9000\"; "
    "protocol = \"frame\"; handler = \"echo\"; },\n"
    "{ name = \"lines\"; address = \"127.0.0.1:9001\"; "
    "protocol = \"line\"; handler = \"cat\"; pipeline = 64; },\n"
    "{ name = \"web\"; address = \"127.0.0.1:9002\"; "
    "protocol = \"http\"; handler = \"cat\"; } );\n";

static struct lone_worker lone;
static int listening;		/* for connections over TCP */
static dev_t device[DESCRIPTORS_MAX];
static ino_t inode[DESCRIPTORS_MAX];	/* of what is not the dead worker's;
					   0: nothing */

/*
 * Descriptors.
 */

static void
move_fd(int fd, int to)
{
	assert(dup3(fd, to, O_CLOEXEC) == to);
	close(fd);
}

static void
open_tcp(int fd, int peer)
{
	const struct linger hard = { .l_onoff = 1, .l_linger = 0 };
	struct sockaddr_in at;
	socklen_t len = sizeof(at);
	int client;

	assert(getsockname(listening, (struct sockaddr *)&at, &len) == 0);
	assert((client = socket(AF_INET, SOCK_STREAM, 0)) != -1);
	assert(connect(client, (struct sockaddr *)&at, len) == 0);
	/* So that its port is free again. */
	assert(setsockopt(client, SOL_SOCKET, SO_LINGER, &hard,
	    sizeof(hard)) == 0);
	move_fd(accept4(listening, NULL, NULL, SOCK_NONBLOCK), fd);
	move_fd(client, peer);
}

static void
open_pair(int type, int fd, int peer)
{
	int ends[2];

	assert(socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, ends) == 0);
	move_fd(ends[0], fd);
	move_fd(ends[1], peer);
}

static int
open_listening(void)
{
	const struct sockaddr_in any = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert(bind(fd, (const struct sockaddr *)&any, sizeof(any)) == 0);
	assert(listen(fd, 16) == 0);
	return (fd);
}

static void
open_kind(enum kind kind, int fd, int peer)
{
	int ends[2];

	switch (kind) {
	case KIND_TCP:
		open_tcp(fd, peer);
		return;
	case KIND_UNIX:
		open_pair(SOCK_STREAM, fd, peer);
		return;
	case KIND_LINK:
		open_pair(SOCK_SEQPACKET, fd, peer);
		return;
	case KIND_LISTENING:
		move_fd(open_listening(), fd);
		return;
	case KIND_PIPE:
		assert(pipe(ends) == 0);
		move_fd(ends[0], fd);
		move_fd(ends[1], peer);
		return;
	case KIND_FILE:
		move_fd(open("/dev/null", O_RDWR), fd);
		return;
	}
}

static void
open_all(void)
{
	for (int i = 0; i < KINDS; i++)
		open_kind(kinds[i], FIRST_FD + i, FIRST_PEER + i);
}

static void
close_all(void)
{
	for (int fd = FIRST_FD; fd < END_FD; fd++)
		close(fd);
}

/* What is open before the dead worker's are. */
static void
note_others(void)
{
	struct stat st;

	for (int fd = 0; fd < DESCRIPTORS_MAX; fd++) {
		inode[fd] = 0;
		if (fstat(fd, &st) == -1)
			continue;
		device[fd] = st.st_dev;
		inode[fd] = st.st_ino;
	}
}

/* Nothing else is open, and nothing less. */
static void
check_others(void)
{
	struct stat st;

	for (int fd = 0; fd < DESCRIPTORS_MAX; fd++) {
		if (fd >= FIRST_FD && fd < END_FD)
			continue;
		if (fstat(fd, &st) == -1)
			assert(inode[fd] == 0);
		else
			assert(inode[fd] == st.st_ino &&
			    device[fd] == st.st_dev);
	}
}

static bool
is_socket(int fd)
{
	struct stat st;

	return (fd >= FIRST_FD && fd < END_FD && fstat(fd, &st) == 0 &&
	    S_ISSOCK(st.st_mode));
}

/*
 * What the dead worker has left.
 */

static void
leave_record(uint32_t index, unsigned listener, int fd)
{
	struct conn_record *record = &lone.worker.conns.records[index];
	struct sockaddr_in peer = { .sin_family = AF_UNIX };
	socklen_t len = sizeof(peer);

	(void)getpeername(fd, (struct sockaddr *)&peer, &len);
	*record = (struct conn_record){
		.listener = (uint16_t)listener,
		.state = CONN_READING,
		.family = (uint8_t)peer.sin_family,
		.id = index + 1,
		.opened_ms = lone.worker.now_ms,
		.since_ms = lone.worker.now_ms,
	};
	if (peer.sin_family != AF_INET)
		return;
	memcpy(record->peer, &peer.sin_addr, sizeof(peer.sin_addr));
	record->peer_port = ntohs(peer.sin_port);
}

static void
leave_counts(unsigned listener, enum custody_hold hold)
{
	struct counters_listener *counters =
	    lone.worker.listeners[listener].counters;

	if (hold != CUSTODY_TAKEN)
		counter_add(&counters->accepted, 1);
	if (hold == CUSTODY_OFFERED)
		counter_add(&counters->carried_out, 1);
	counter_add(&counters->active, 1);
	counter_add(&lone.worker.counters->active, 1);
}

static void
leave_links(struct custody_map *map)
{
	map->end = 1024;
	map->giver = (struct custody_link){
		.fd = GIVER_LINK, .version = HANDOVER_VERSION, .number = 8,
	};
	map->batch[0] = 7;
	map->batch[1] = 8;
	map->taken[2] = 5;
	for (int i = 0; i < 2; i++)
		map->taker[i] = (struct custody_link){
			.fd = TAKER_LINK + i, .version = HANDOVER_VERSION,
			.number = 3,
		};
}

static void
leave_all(struct custody_map *map)
{
	leave_links(map);
	for (int i = 0; i < PLACES; i++) {
		struct custody_conn *held = &map->conns[places[i].index];

		*held = (struct custody_conn){ .rest_in = 0 };
		lone.worker.conns.records[places[i].index].family = 0;
		if (i >= TAKEN_PLACES)
			continue;
		held->fd = FIRST_FD + i;
		held->hold = places[i].hold & 3;
		held->group = places[i].group & 7;
		held->place = (uint8_t)places[i].place;
		held->from = (uint8_t)places[i].listener;
		leave_record(places[i].index, places[i].listener, held->fd);
		leave_counts(places[i].listener, places[i].hold);
	}
}

static void
patch(struct custody_map *map, uint8_t place, size_t offset, uint8_t byte)
{
	struct conn_record *records = lone.worker.conns.records;
	uint32_t index;

	if (place == PLACE_HEAD) {
		if (offset < offsetof(struct custody_map, conns))
			((uint8_t *)map)[offset] = byte;
		return;
	}
	index = places[place % PLACES].index;
	if (offset < sizeof(map->conns[0]))
		((uint8_t *)&map->conns[index])[offset] = byte;
	else if (offset - sizeof(map->conns[0]) < sizeof(records[0]))
		((uint8_t *)&records[index])[offset -
		    sizeof(map->conns[0])] = byte;
}

/* As rescue_close_rest() does, which would also close the fuzzer's. */
static void
forget_closed(int32_t *fd)
{
	if (*fd != 0 && *fd != lone.heritage.channel && !is_socket(*fd))
		*fd = -1;
}

static void
patch_all(struct custody_map *map, const uint8_t *bytes, size_t len)
{
	for (; len >= 3; bytes += 3, len -= 3)
		patch(map, bytes[0], bytes[1], bytes[2]);
	for (int i = 0; i < PLACES; i++)
		forget_closed(&map->conns[places[i].index].fd);
	forget_closed(&map->giver.fd);
	for (int i = 0; i < CUSTODY_TAKERS; i++)
		forget_closed(&map->taker[i].fd);
}

/* The sockets that the memory names, by their numbers. */
static void
note_named(const struct custody_map *map, bool named[END_FD])
{
	int fds[PLACES + 1 + CUSTODY_TAKERS], n = 0;

	fds[n++] = map->giver.fd;
	for (int i = 0; i < CUSTODY_TAKERS; i++)
		fds[n++] = map->taker[i].fd;
	for (int i = 0; i < PLACES; i++)
		if (places[i].index < map->end)
			fds[n++] = map->conns[places[i].index].fd;
	memset(named, 0, END_FD * sizeof(*named));
	for (int i = 0; i < n; i++)
		if (is_socket(fds[i]))
			named[fds[i]] = true;
}

/*
 * The others.
 */

static void
clients_act(uint8_t how)
{
	static const char words[] = "\0\0\0\1x\nGET / HTTP/1.1\r\n\r\n";
	int fd;

	for (int i = 0; i < TAKEN_PLACES; i++) {
		fd = FIRST_PEER + i;
		if ((how & HOW_CLIENTS_SPOKE) != 0)
			(void)send(fd, words, sizeof(words) - 1,
			    MSG_NOSIGNAL | MSG_DONTWAIT);
		if ((how & HOW_HALF_CLOSED) != 0)
			shutdown(fd, SHUT_WR);
		if ((how & HOW_CLIENTS_LEFT) != 0)
			close(fd);
	}
}

static void
say(enum handover_type type, uint64_t number, uint64_t taken)
{
	struct handover_message msg = {
		.adopted = { .number = number, .taken = taken },
	};

	(void)handover_send(GIVER_LINK + KINDS, HANDOVER_VERSION, &msg, type,
	    NULL, 0);
}

static void
workers_act(uint8_t how, const uint8_t *bytes, size_t len)
{
	if ((how & HOW_ADOPTED_ALL) != 0)
		say(HANDOVER_ADOPTED, 7, UINT64_MAX);
	if ((how & HOW_ADOPTED_NONE) != 0)
		say(HANDOVER_ADOPTED, 8, 0);
	if ((how & HOW_TOLD) != 0)
		say(HANDOVER_TOLD, 8, 0);
	if ((how & HOW_RAW) != 0)
		(void)send(GIVER_LINK + KINDS, bytes, len,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void
end_links(void)
{
	for (int fd = FIRST_FD; fd < FIRST_FD + KINDS; fd++)
		if (kinds[fd - FIRST_FD] == KIND_LINK) {
			shutdown(fd, SHUT_RDWR);
			shutdown(fd + KINDS, SHUT_RDWR);
		}
}

/*
 * What has to hold.
 */

static void
turn(void)
{
	for (int i = 0; i < 4; i++)
		lone_worker_turn(&lone);
}

/* Each has a socket, and no two have the same. */
static void
check_sockets(const struct custody_map *map)
{
	bool has[END_FD] = { false };
	size_t n = 0;

	for (uint32_t i = 0; i < 1024; i++) {
		int fd = map->conns[i].fd;

		if (fd == 0 || i >= map->end)
			continue;
		assert(is_socket(fd) && !has[fd]);
		assert(lone.worker.conns.records[i].family != 0);
		has[fd] = true;
		n++;
	}
	assert(n == lone.worker.conns.count);
}

static uint64_t
count_queued(const struct listener *listener)
{
	const struct conn *conn;
	uint64_t n = 0;

	for (int kind = 0; kind < DEADLINE_KINDS; kind++)
		TAILQ_FOREACH(conn, &listener->deadlines[kind].waiting,
		    waiting) {
			assert(conn->listener == listener);
			assert(conn_record(conn)->since_ms <=
			    lone.worker.now_ms + WORKER_TICK_MS);
			assert(custody_of(conn)->fd == conn_fd(conn));
			n++;
		}
	return (n);
}

/* While nothing is on its way. */
static void
check_counters(void)
{
	const struct counters_listener *counters;
	uint64_t all = 0, active;

	for (size_t i = 0; i < lone.worker.nlisteners; i++) {
		counters = lone.worker.listeners[i].counters;
		active = counter_get(&counters->active);
		assert(active == count_queued(&lone.worker.listeners[i]));
		assert(counter_get(&counters->accepted) +
		    counter_get(&counters->carried_in) ==
		    counters_closed(counters) +
		    counter_get(&counters->carried_out) + active);
		all += active;
	}
	assert(all == counter_get(&lone.worker.counters->active));
	assert(all == lone.worker.conns.count);
}

static void
take_in_what_was_said(void)
{
	struct ctl said;

	while (recv(lone.master, &said, sizeof(said), MSG_DONTWAIT) > 0)
		;
}

static void
init(void)
{
	log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	lone_worker_init_with(&lone, conf_text);
	lone_worker_have_custody(&lone);
	lone.worker.is_rescuer = true;
	listening = open_listening();
}

static void
rescue(uint8_t how, const uint8_t *bytes, size_t len)
{
	struct custody_map *map = lone.worker.custody;
	bool named[END_FD];

	leave_all(map);
	patch_all(map, bytes, len);
	note_named(map, named);
	clients_act(how);
	workers_act(how, bytes, len);
	if ((how & HOW_LINKS_ENDED) != 0)
		end_links();
	worker_turn(&lone.worker);
	assert(rescue_run(&lone.worker) == 0);
	check_sockets(map);
	turn();
	check_sockets(map);
	end_links();
	turn();
	takers_tick(&lone.worker);
	assert(!lone.worker.giver.on && lone.worker.giver.unanswered == 0);
	assert(TAILQ_EMPTY(&lone.worker.takers));
	check_sockets(map);
	check_counters();
	clients_act(HOW_CLIENTS_SPOKE);
	turn();
	check_sockets(map);
	check_counters();
	lone_worker_clear(&lone);
	check_counters();
	assert(lone.worker.conns.count == 0);
	assert(lone.worker.buffers.lent == 0);
	/* It closes what it drops. */
	for (int fd = 0; fd < END_FD; fd++)
		assert(!named[fd] || !is_socket(fd));
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static bool is_made;

	if (!is_made) {
		init();
		is_made = true;
	}
	if (len < 1)
		return (0);
	note_others();
	open_all();
	rescue(bytes[0], bytes + 1, len - 1);
	close_all();
	check_others();
	take_in_what_was_said();
	return (0);
}
