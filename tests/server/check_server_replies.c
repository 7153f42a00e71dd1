/* SPDX-License-Identifier: ISC */
/*
 * Each reply reaches the client that asked, in its place, while memory is always
 * short.
 *
 * Clients of all protocols and of both kinds of executors send messages that name
 * them, in pieces and many at a time, and take their replies when they like.  A
 * connection may be shed and a message answered by an error; but what comes is
 * the reply to the next message of this very connection.
 *
 * Environment:
 *	PENSTOCK_TEST_SEED	the seed, which is printed
 */
#include <sys/socket.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/handlers.h"
#include "tests/lib/harness.h"

enum {
	CLIENTS = 40,
	/* Messages of a client without a reply. */
	WINDOW = 64,
	LEN_MAX = 20000,
	HEAD_MAX = 256,
	OUT_MAX = HEAD_MAX + LEN_MAX,
	IN_MAX = 2 * OUT_MAX,
	KINDS = 6,
};

enum { FRAMES, LINES, WEB, PROTOCOLS };

struct message {
	unsigned serial;
	size_t len;
};

struct client {
	int fd;
	unsigned name;			/* only this connection has it */
	unsigned kind;			/* protocol, and handler */
	unsigned sent;			/* messages begun, */
	unsigned got;			/* and answered */
	struct message window[WINDOW];	/* of these, by number */
	char out[OUT_MAX];		/* the message that is being sent */
	size_t out_len, out_at;
	char in[IN_MAX];
	size_t in_len;
	bool is_mute;			/* takes no replies for now */
};

static struct client clients[CLIENTS];
static struct {
	unsigned names, replies, errors, ends;
} seen;

static size_t
below(size_t n)
{
	return ((size_t)random() % n);
}

static unsigned
protocol_of(const struct client *client)
{
	return (client->kind % PROTOCOLS);
}

/*
 * Messages: a name that no other message has, and then what belongs to it.
 */

static size_t
make_payload(const struct client *client, const struct message *message,
    char *to)
{
	int n = sprintf(to, "<%u-%u>", client->name, message->serial);

	memset(to + n, 'a' + (int)((client->name + message->serial) % 26),
	    message->len);
	return ((size_t)n + message->len);
}

static void
begin_message(struct client *client)
{
	static char payload[OUT_MAX];
	struct message *message = &client->window[client->sent % WINDOW];
	size_t len, head = 0;

	message->serial = client->sent++;
	message->len = below(4) == 0 ? below(LEN_MAX - HEAD_MAX) : below(200);
	len = make_payload(client, message, payload);
	if (protocol_of(client) == FRAMES)
		client->out_len = frame_put((uint8_t *)client->out, payload,
		    len);
	else {
		if (protocol_of(client) == WEB)
			head = (size_t)sprintf(client->out, "POST /%s HTTP/1.1"
			    "\r\nHost: a\r\nContent-Length: %zu\r\n\r\n",
			    client->kind < PROTOCOLS ? "tagged" : "module",
			    len);
		memcpy(client->out + head, payload, len);
		client->out_len = head + len;
		if (protocol_of(client) == LINES)
			client->out[client->out_len++] = '\n';
	}
	client->out_at = 0;
}

/* One reply at the head of what came. */
struct reply {
	const char *body;
	size_t len;
	size_t whole;		/* with all that is around it */
	bool is_error;
};

static bool
find_frame(const struct client *client, struct reply *reply)
{
	const uint8_t *in = (const uint8_t *)client->in;

	if (client->in_len < 4)
		return (false);
	reply->len = (size_t)in[0] << 24 | (size_t)in[1] << 16 |
	    (size_t)in[2] << 8 | in[3];
	ck_assert_msg(reply->len < OUT_MAX, "a frame of %zu bytes", reply->len);
	reply->body = client->in + 4;
	reply->whole = 4 + reply->len;
	return (reply->whole <= client->in_len);
}

static bool
find_line(const struct client *client, struct reply *reply)
{
	const char *end = memchr(client->in, '\n', client->in_len);

	if (end == NULL)
		return (false);
	reply->body = client->in;
	reply->len = (size_t)(end - client->in);
	reply->whole = reply->len + 1;
	return (true);
}

static bool
find_response(const struct client *client, struct reply *reply)
{
	static const char field[] = "\r\nContent-Length: ";
	const char *end, *length;

	end = memmem(client->in, client->in_len, "\r\n\r\n", 4);
	if (end == NULL)
		return (false);
	length = memmem(client->in, (size_t)(end - client->in), field,
	    sizeof(field) - 1);
	ck_assert_msg(strncmp(client->in, "HTTP/1.1 ", 9) == 0 &&
	    length != NULL, "%.*s", (int)(end - client->in), client->in);
	reply->is_error = strncmp(client->in + 9, "200", 3) != 0;
	reply->body = end + 4;
	reply->len = (size_t)atoi(length + sizeof(field) - 1);
	reply->whole = (size_t)(reply->body - client->in) + reply->len;
	return (reply->whole <= client->in_len);
}

static bool
find_reply(const struct client *client, struct reply *reply)
{
	*reply = (struct reply){ .len = 0 };
	if (protocol_of(client) == WEB)
		return (find_response(client, reply));
	if (!(protocol_of(client) == FRAMES ? find_frame(client, reply) :
	    find_line(client, reply)))
		return (false);
	reply->is_error = reply->len >= 4 &&
	    memcmp(reply->body, "ERR ", 4) == 0;
	return (true);
}

/* It answers the next message of this client, and nothing else. */
static void
check_reply(struct client *client, const struct reply *reply)
{
	static char payload[OUT_MAX];
	size_t len;

	ck_assert_msg(client->got < client->sent, "%u got a reply to nothing: "
	    "%.*s", client->name, (int)(reply->len < 60 ? reply->len : 60),
	    reply->body);
	if (reply->is_error)
		seen.errors++;
	else {
		len = make_payload(client, &client->window[client->got %
		    WINDOW], payload);
		ck_assert_msg(reply->len == len && memcmp(reply->body, payload,
		    len) == 0, "%u waited for its reply %u, and got %.*s",
		    client->name, client->got,
		    (int)(reply->len < 60 ? reply->len : 60), reply->body);
		seen.replies++;
	}
	client->got++;
}

/*
 * Clients.
 */

static void
begin_client(struct client *client)
{
	client->kind = (unsigned)below(KINDS);
	client->name = seen.names++;
	client->sent = client->got = 0;
	client->out_len = client->out_at = client->in_len = 0;
	client->is_mute = false;
	client->fd = client_connect(FRAME_PORT + client->kind);
}

static void
end_client(struct client *client)
{
	close(client->fd);
	seen.ends++;
	begin_client(client);
}

static void
send_some(struct client *client, size_t most)
{
	ssize_t n;

	if (client->out_at == client->out_len) {
		if (client->sent - client->got == WINDOW)
			return;
		begin_message(client);
	}
	if (most > client->out_len - client->out_at)
		most = client->out_len - client->out_at;
	n = send(client->fd, client->out + client->out_at, most,
	    MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0)
		client->out_at += (size_t)n;
}

/* Returns false if there was nothing. */
static bool
receive_some(struct client *client)
{
	struct reply reply;
	ssize_t n;

	n = recv(client->fd, client->in + client->in_len,
	    IN_MAX - client->in_len, MSG_DONTWAIT);
	if (n == -1 && errno == EAGAIN)
		return (false);
	if (n <= 0) {
		end_client(client);
		return (true);
	}
	client->in_len += (size_t)n;
	while (find_reply(client, &reply)) {
		check_reply(client, &reply);
		client->in_len -= reply.whole;
		memmove(client->in, client->in + reply.whole, client->in_len);
	}
	return (true);
}

static void
do_something(struct client *client)
{
	switch (below(8)) {
	case 0:
		/* It leaves a message in the middle, or begins one. */
		send_some(client, 1 + below(OUT_MAX));
		break;
	case 1:
		client->is_mute = below(4) == 0;
		break;
	case 2:
		if (below(100) == 0)
			end_client(client);
		break;
	case 3:
	case 4:
		if (!client->is_mute)
			while (receive_some(client))
				;
		break;
	default:
		/* Many at a time. */
		for (size_t n = 1 + below(16); n > 0; n--)
			send_some(client, OUT_MAX);
		break;
	}
}

/* Send the rest, and take all that is owed. */
static void
settle(struct client *client)
{
	unsigned name = client->name;
	uint64_t until_ms = clock_ms() + patience_ms();

	while (client->name == name && (client->got < client->sent ||
	    client->out_at < client->out_len)) {
		ck_assert_msg(clock_ms() < until_ms, "%u waits for its reply "
		    "%u", name, client->got);
		if (client->out_at < client->out_len)
			send_some(client, OUT_MAX);
		if (!receive_some(client))
			await_pause();
	}
}

#define ON(name, port, protocol, handler)				\
	LISTENER(name, port, protocol, handler, "max_message_size = 65536;")
#define ROUTED(name, port, handler)					\
	"{ name = \"" name "\"; address = \"$A:" port "\"; "		\
	"protocol = \"http\"; handler = \"" handler "\"; "		\
	"max_message_size = 65536; }"

START_TEST(replies_reach_their_own_client_while_memory_is_always_short)
{
	struct server *srv = handlers_start("max_buffered = 262144;\n" HANDLERS(
	    COMMAND("tagged", "\"--tagged\"",
		"tagged = true; pipeline = 16; queue = 64;") ",\n"
	    MODULE("module", "sleep_ms = 1; sleep_most_ms = 4;",
		"threads = 8; queue = 64;")),
	    ON("tagged_frames", "9000", "frame", "tagged") ",\n"
	    ON("tagged_lines", "9001", "line", "tagged") ",\n"
	    ROUTED("tagged_web", "9002", "tagged") ",\n"
	    ON("module_frames", "9003", "frame", "module") ",\n"
	    ON("module_lines", "9004", "line", "module") ",\n"
	    ROUTED("module_web", "9005", "module"));

	srandom(test_seed((unsigned)clock_us()));
	for (unsigned i = 0; i < CLIENTS; i++)
		begin_client(&clients[i]);
	for (unsigned n = rounds(20000, 4000000); n > 0; n--)
		do_something(&clients[below(CLIENTS)]);
	for (unsigned i = 0; i < CLIENTS; i++)
		settle(&clients[i]);
	printf("%u clients: %u replies, %u errors, %u ends, %llu shed\n",
	    seen.names, seen.replies, seen.errors, seen.ends,
	    (unsigned long long)server_closed(srv, CLOSE_MEMORY));
	ck_assert_uint_gt(seen.replies, 0);
	ck_assert_uint_gt(server_closed(srv, CLOSE_MEMORY), 0);
	for (unsigned i = 0; i < CLIENTS; i++)
		close(clients[i].fd);
	server_end(srv);
}
END_TEST

RUN_TESTS("server_replies",
    replies_reach_their_own_client_while_memory_is_always_short)
