/* SPDX-License-Identifier: ISC */
#include "tests/lib/lone_worker.h"

#include <sys/socket.h>

#include <netinet/in.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/loop.h"
#include "worker/custody.h"
#include "worker/orders.h"

enum { RECORDS = 1024 };

static const char conf_text[] =
    "workers = 1;\n"
    "handlers = ( { name = \"cat\"; type = \"command\"; "
    "command = [ \"/bin/cat\" ]; } );\n"
    "listeners = (\n"
    "{ name = \"frames\"; address = \"127.0.0.1:9000\"; "
    "protocol = \"frame\"; handler = \"echo\"; },\n"
    "{ name = \"lines\"; address = \"127.0.0.1:9001\"; "
    "protocol = \"line\"; handler = \"cat\"; pipeline = 64; } );\n";

static void
must(bool done, const char *what)
{
	if (done)
		return;
	perror(what);
	abort();
}

static struct conf *
load_conf(const char *text)
{
	const struct conf_request request = { .path = "conf", .text = text };
	struct conf_report report = { .errors = NULL };
	struct conf *conf;

	conf = conf_read(&request, &report);
	if (conf == NULL && report.nerrors > 0)
		fprintf(stderr, "%s\n", report.errors[0].text);
	must(conf != NULL, "configuration");
	conf_report_free(&report);
	return (conf);
}

static void
on_message(struct ctl *msg, void *arg)
{
	orders_obey(arg, msg);
}

static void
on_end(const char *why, void *arg)
{
	(void)why;
	(void)arg;
}

static void
open_channel(struct lone_worker *lone)
{
	static const struct channel_callbacks callbacks = {
		.on_message = on_message,
		.on_end = on_end,
	};
	struct worker *worker = &lone->worker;
	int fds[2];

	must(channel_pair(fds) == 0, "channel");
	lone->master = fds[0];
	lone->heritage.channel = fds[1];
	worker->channel = channel_new(worker->base, fds[1], CTL_FROM_MASTER,
	    CTL_VERSION, &callbacks, worker);
	must(worker->channel != NULL, "channel");
}

void
lone_worker_init(struct lone_worker *lone)
{
	lone_worker_init_with(lone, conf_text);
}

static void
begin_heritage(struct lone_worker *lone)
{
	lone->heritage = (struct heritage){
		.generation = 1,
		.conf = lone->conf,
		.slots = 1,
		.counters = &lone->counters,
		.ncounters = 1,
		.access_log = -1,
		.anchor = -1,
	};
	for (unsigned i = 0; i < lone->conf->nlisteners; i++)
		lone->heritage.listener_number[i] = i;
	for (unsigned i = 0; i < lone->conf->nhandlers; i++)
		lone->heritage.handler_number[i] = i;
}

static void
begin_worker(struct lone_worker *lone)
{
	struct worker *worker = &lone->worker;

	worker->heritage = &lone->heritage;
	worker->counters = &lone->counters.map->block[0].worker;
	must((worker->base = loop_new()) != NULL, "loop");
	worker_init_turn(worker);
	open_channel(lone);
	buffer_pool_init(&worker->buffers, lone->conf->max_buffered,
	    worker->counters);
	worker->scratch = malloc(WORKER_SCRATCH);
	worker->exec_scratch = malloc(WORKER_SCRATCH);
	must(worker->scratch != NULL && worker->exec_scratch != NULL &&
	    output_init(&worker->output) == 0 &&
	    conn_table_init(&worker->conns, &lone->counters, 0) == 0 &&
	    giver_init(worker) == 0 && handlers_init(worker) == 0 &&
	    listeners_init(worker) == 0, "worker");
	worker_turn(worker);
	/* What it has to say of its clients is of no interest. */
	log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
}

void
lone_worker_init_with(struct lone_worker *lone, const char *text)
{
	memset(lone, 0, sizeof(*lone));
	lone->conf = load_conf(text);
	must(counters_new(&lone->counters, 0, RECORDS) == 0, "counters");
	begin_heritage(lone);
	begin_worker(lone);
}

void
lone_worker_have_custody(struct lone_worker *lone)
{
	lone->worker.custody = custody_new(lone->counters.records);
	must(lone->worker.custody != NULL, "custody");
}

/* Free what connections have, which are mapped memory that LeakSanitizer does
 * not look into; what others see of them stays. */
static void
forget_conns(struct lone_worker *lone)
{
	void *shared = malloc(lone->counters.size);
	struct conn_waiting_list *waiting;
	struct conn *conn;

	must(shared != NULL, "counters");
	memcpy(shared, lone->counters.map, lone->counters.size);
	for (size_t i = 0; i < lone->worker.nlisteners; i++)
		for (int kind = 0; kind < DEADLINE_KINDS; kind++) {
			waiting = &lone->worker.listeners[i]
			    .deadlines[kind].waiting;
			while ((conn = TAILQ_FIRST(waiting)) != NULL) {
				deadline_clear(conn);
				conn_withdraw(conn);
			}
		}
	memcpy(lone->counters.map, shared, lone->counters.size);
	free(shared);
}

void
lone_worker_die(struct lone_worker *lone)
{
	static struct remains {
		struct remains *before;
		struct lone_worker of;
	} *all;
	struct custody_map *custody = lone->worker.custody;
	struct remains *remains = malloc(sizeof(*remains));

	forget_conns(lone);
	/* So that valgrind finds what it was. */
	must(remains != NULL, "remains");
	remains->of = *lone;
	remains->before = all;
	all = remains;
	close(lone->master);
	memset(&lone->worker, 0, sizeof(lone->worker));
	begin_heritage(lone);
	begin_worker(lone);
	lone->worker.custody = custody;
	lone->worker.is_rescuer = true;
}

void
lone_worker_clear(struct lone_worker *lone)
{
	conn_end_all(&lone->worker);
	worker_end_turn(&lone->worker);
}

void
lone_worker_free(struct lone_worker *lone)
{
	struct worker *worker = &lone->worker;

	takers_free(worker);
	giver_free(worker);
	lone_worker_clear(lone);
	listeners_free(worker);
	handlers_free(worker);
	conn_table_free(&worker->conns);
	custody_free(worker->custody, lone->counters.records);
	buffer_pool_free(&worker->buffers);
	output_free(&worker->output);
	free(worker->scratch);
	free(worker->exec_scratch);
	channel_free(worker->channel);
	close(lone->master);
	event_base_free(worker->base);
	counters_free(&lone->counters);
	conf_free(lone->conf);
}

int
lone_worker_tcp(int *peer, struct sockaddr_in *from)
{
	struct sockaddr_in at = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;
	socklen_t len = sizeof(at);

	must(bind(listening, (struct sockaddr *)&at, len) == 0 &&
	    listen(listening, 1) == 0 &&
	    getsockname(listening, (struct sockaddr *)&at, &len) == 0 &&
	    (*peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) != -1 &&
	    connect(*peer, (struct sockaddr *)&at, len) == 0 &&
	    fcntl(*peer, F_SETFL, O_NONBLOCK) == 0, "connection");
	len = sizeof(*from);
	fd = accept4(listening, (struct sockaddr *)from, &len,
	    SOCK_CLOEXEC | SOCK_NONBLOCK);
	must(fd != -1, "accept");
	close(listening);
	return (fd);
}

struct conn *
lone_worker_accept(struct lone_worker *lone, unsigned listener, int *peer)
{
	struct sockaddr_in from;
	int fd = lone_worker_tcp(peer, &from);
	struct conn *conn = conn_new(&lone->worker.listeners[listener], fd,
	    (struct sockaddr *)&from);

	must(conn != NULL, "connection");
	return (conn);
}

struct conn *
lone_worker_connect(struct lone_worker *lone, unsigned listener, int *peer)
{
	struct sockaddr_in from = {
		.sin_family = AF_INET,
		.sin_port = htons(1234),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct conn *conn;
	int fds[2];

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
	    fds) == 0, "socketpair");
	*peer = fds[1];
	conn = conn_new(&lone->worker.listeners[listener], fds[0],
	    (struct sockaddr *)&from);
	must(conn != NULL, "connection");
	return (conn);
}

void
lone_worker_turn(struct lone_worker *lone)
{
	event_base_loop(lone->worker.base, EVLOOP_NONBLOCK);
}
