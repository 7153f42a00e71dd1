/* SPDX-License-Identifier: ISC */
/*
 * Holds the configuration (conf/conf*.c) to its word, and penstock.conf(5) to
 * the keys that there are.
 *
 * Most of what is checked stands in tests/data/malformed.txt and in
 * wellformed.txt; here is what does not fit into a text file.  Each test has a
 * directory of its own, which it is in.
 */
#include "conf/conf.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <check.h>
#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/conf_alloc.h"
#include "conf/conf_complain.h"
#include "conf/conf_keys.h"
#include "conf/conf_parse.h"
#include "conf/conf_source.h"
#include "tests/lib/conf_files.h"

#define LISTENER "{ name = \"a\"; address = \"*:1\"; handler = \"echo\"; }"
#define LISTENERS "listeners = ( " LISTENER " );\n"

/* ---- keys and fields ---- */

START_TEST(a_file_with_nothing_but_a_listener_has_every_default)
{
	struct conf *conf = load_text(LISTENERS);
	const struct conf_listener *a = conf->listeners;

	ck_assert_str_eq(conf->path, "main.conf");
	ck_assert_uint_eq(conf->workers, 0);
	ck_assert_str_eq(conf->user, "");
	ck_assert_str_eq(conf->group, "");
	ck_assert_str_eq(conf->pid_file, "");
	ck_assert_uint_eq(conf->drain_timeout_ms, 30000);
	ck_assert_uint_eq(conf->drain_spread_ms, 1000);
	ck_assert_uint_eq(conf->watchdog_timeout_ms, 10000);
	ck_assert_uint_eq(conf->rebalance, 1000);
	ck_assert_uint_eq(conf->probation_ms, 10000);
	ck_assert(!conf->cpu_affinity);
	ck_assert(conf->custody);
	ck_assert_str_eq(conf->log.file, "");
	ck_assert_int_eq(conf->log.level, LOG_LEVEL_INFO);
	ck_assert_int_eq(conf->log.format, LOG_FORMAT_TEXT);
	ck_assert_uint_eq(conf->max_connections, 10000);
	ck_assert_uint_eq(conf->max_buffered, 64 << 20);
	ck_assert(conf->monitor.enabled);
	ck_assert_uint_eq(conf->monitor.naddresses, 1);
	ck_assert_str_eq(conf->monitor.addresses[0].text, "127.0.0.1:9180");
	ck_assert(conf->monitor.addresses[0].from_default);
	ck_assert_str_eq(conf->tracing.endpoint, "");
	ck_assert_uint_eq(conf->tracing.sample_ratio, CONF_RATIO_ONE / 100);
	ck_assert_str_eq(conf->tracing.service_name, "penstock");
	ck_assert_uint_eq(conf->nlisteners, 1);
	ck_assert_int_eq(a->protocol, CONF_PROTOCOL_FRAME);
	ck_assert_uint_eq(a->backlog, 1024);
	ck_assert_uint_eq(a->max_connections, 10000);
	ck_assert_uint_eq(a->max_message_size, 1 << 20);
	ck_assert_uint_eq(a->idle_timeout_ms, 60000);
	ck_assert_uint_eq(a->read_timeout_ms, 10000);
	ck_assert_uint_eq(a->write_timeout_ms, 10000);
	ck_assert_int_eq(a->on_limit, CONF_ON_LIMIT_REJECT);
	ck_assert(a->nodelay);
	ck_assert_uint_eq(a->keepalive.idle_s, 0);
	ck_assert_uint_eq(a->keepalive.interval_s, 10);
	ck_assert_uint_eq(a->keepalive.count, 3);
	ck_assert_uint_eq(a->defer_accept_s, 0);
	ck_assert(!a->proxy_protocol);
	ck_assert_uint_eq(a->nproxy_from, 0);
	conf_free(conf);
}
END_TEST

#define OK_LISTENER	"@include \"ok.inc\"\n"
#define TCP(more)	"listeners = ( { name = \"a\"; address = "	\
			"\"127.0.0.1:9000\"; handler = \"echo\";\n" more	\
			" } );\n"
#define HTTP_ONLY(more)	"listeners = ( { name = \"a\"; address = "	\
			"\"127.0.0.1:9000\"; protocol = \"http\";\n" more	\
			" } );\n"

START_TEST(a_drain_spread_that_is_not_less_than_drain_timeout_is_warned_of)
{
	assert_warnings_in("drain_timeout = 5.0;\ndrain_spread = 5.0;\n"
	    OK_LISTENER, "2: drain_spread: found 5.0; no connection is closed "
	    "later than after drain_timeout (5), so this should be less\n");
	assert_warnings_in("drain_timeout = 0.5;\n" OK_LISTENER,
	    "1: drain_timeout: found 0.5; should be more than drain_spread (1, "
	    "its default)\n");
	assert_warnings_in("drain_timeout = 5.0;\ndrain_spread = 4.9;\n"
	    OK_LISTENER, "");
	assert_warnings_in("drain_timeout = 0.0;\n" OK_LISTENER, "");
	assert_warnings_in("drain_timeout = 0.0;\ndrain_spread = 0.0;\n"
	    OK_LISTENER, "");
	assert_warnings_in(OK_LISTENER, "");
}
END_TEST

START_TEST(keys_of_a_listener_without_effect_are_warned_of)
{
	assert_warnings_in(TCP("keepalive = { idle = 60; };"),
	    "2: listeners[\"a\"].keepalive.idle: found 60; idle connections are "
	    "closed before they are probed, as idle_timeout is 60\n");
	assert_warnings_in(TCP("keepalive = { idle = 59; };"), "");
	assert_warnings_in(TCP("keepalive = { idle = 60; }; idle_timeout = 0;"),
	    "");
	assert_warnings_in(TCP("max_connections = 20000;"),
	    "2: listeners[\"a\"].max_connections: found 20000; is never "
	    "reached, as the global max_connections is 10000\n");
	assert_warnings_in(HTTP_ONLY("handler = \"echo\"; routes = ( { "
	    "path = \"/\"; handler = \"echo\"; } );\nmax_header_size = 512; "
	    "max_target_size = 600;\nmin_body_rate = 10; read_timeout = 0;"),
	    "2: listeners[\"a\"].handler: found \"echo\"; has no effect, as "
	    "there are routes\n"
	    "3: listeners[\"a\"].max_target_size: found 600; is never reached, "
	    "as max_header_size is 512\n"
	    "4: listeners[\"a\"].min_body_rate: found 10; has no effect, as "
	    "read_timeout is 0\n");
}
END_TEST

START_TEST(addresses_that_no_proxy_can_connect_to_are_warned_of)
{
	assert_warnings_in(TCP("proxy_protocol = true;\n"
	    "proxy_from = [ \"::1\", \"unix\" ];"),
	    "3: listeners[\"a\"].proxy_from: found an array of 2; no proxy can "
	    "connect to 127.0.0.1:9000, as no address of its kind is here\n");
	assert_warnings_in(TCP("proxy_protocol = true;\n"
	    "proxy_from = [ \"10.0.0.1\" ];"), "");
}
END_TEST

/* Whether the networks have a client of that address. */
static bool
has_client(const struct conf_listener *listener, int family,
    const char *address)
{
	struct sockaddr_storage client = { .ss_family = (sa_family_t)family };
	struct sockaddr_in *in = (void *)&client;
	struct sockaddr_in6 *in6 = (void *)&client;

	if (family != AF_UNIX)
		ck_assert_int_eq(inet_pton(family, address,
		    family == AF_INET ? (void *)&in->sin_addr :
		    (void *)&in6->sin6_addr), 1);
	return (conf_networks_have(listener->proxy_from, listener->nproxy_from,
	    (struct sockaddr *)&client));
}

START_TEST(a_network_has_the_clients_with_its_first_bits)
{
	struct conf *conf = load_text(TCP("proxy_protocol = true; proxy_from = "
	    "[ \"10.0.0.0/8\", \"192.0.2.1\", \"172.16.0.0/12\", "
	    "\"2001:db8::/33\", \"::1\" ];"));
	const struct conf_listener *a = conf->listeners;

	ck_assert(has_client(a, AF_INET, "10.0.0.0"));
	ck_assert(has_client(a, AF_INET, "10.255.255.255"));
	ck_assert(!has_client(a, AF_INET, "11.0.0.0"));
	ck_assert(!has_client(a, AF_INET, "9.255.255.255"));
	ck_assert(has_client(a, AF_INET, "192.0.2.1"));
	ck_assert(!has_client(a, AF_INET, "192.0.2.0"));
	ck_assert(has_client(a, AF_INET, "172.16.0.1"));
	ck_assert(has_client(a, AF_INET, "172.31.255.255"));
	ck_assert(!has_client(a, AF_INET, "172.32.0.0"));
	ck_assert(has_client(a, AF_INET6, "2001:db8:7fff::1"));
	ck_assert(!has_client(a, AF_INET6, "2001:db8:8000::1"));
	ck_assert(has_client(a, AF_INET6, "::1"));
	ck_assert(!has_client(a, AF_INET6, "::"));
	ck_assert(!has_client(a, AF_UNIX, NULL));
	conf_free(conf);
	conf = load_text(TCP("proxy_protocol = true; proxy_from = "
	    "[ \"0.0.0.0/0\", \"unix\" ];"));
	a = conf->listeners;
	ck_assert(has_client(a, AF_INET, "255.255.255.255"));
	ck_assert(!has_client(a, AF_INET6, "::1"));
	ck_assert(has_client(a, AF_UNIX, NULL));
	conf_free(conf);
}
END_TEST

START_TEST(requests_longer_than_drain_timeout_are_warned_of)
{
#define SLOW(more) "handlers = ( { name = \"slow\"; type = \"command\"; "	\
	"command = [ \"x\" ];\n" more " } );\n"
	assert_warnings_in(SLOW("request_timeout = 31.0;") OK_LISTENER,
	    "2: handlers[\"slow\"].request_timeout: found 31.0; a request that "
	    "takes longer than drain_timeout (30) has no reply when the server "
	    "stops\n");
	assert_warnings_in("drain_timeout = 5.0;\n" SLOW("") OK_LISTENER,
	    "1: drain_timeout: found 5.0; a request that takes longer has no "
	    "reply when the server stops, and the request_timeout of handler "
	    "\"slow\" is 10\n");
	assert_warnings_in(SLOW("request_timeout = 30.0;") OK_LISTENER, "");
}
END_TEST

START_TEST(global_keys_without_effect_are_warned_of)
{
	assert_warnings_in("access_log = { file = \"x\"; };\n"
	    "monitor = { enabled = false; };\n"
	    "tracing = { endpoint = \"http://127.0.0.1:4318/\"; };\n"
	    OK_LISTENER, "1: access_log.file: found \"x\"; it stays empty, as "
	    "no listener has the protocol \"http\"\n"
	    "3: tracing.endpoint: found \"http://127.0.0.1:4318/\"; no spans "
	    "are sent, as monitor.enabled is false\n");
}
END_TEST

START_TEST(every_global_key_reaches_its_field)
{
	struct conf *conf = load_source("tests/data/every_key.conf");

	ck_assert_uint_eq(conf->workers, 3);
	ck_assert_str_eq(conf->user, "www-data");
	ck_assert_str_eq(conf->group, "adm");
	ck_assert_str_eq(conf->pid_file, "run/penstock.pid");
	ck_assert_uint_eq(conf->drain_timeout_ms, 2500);
	ck_assert_uint_eq(conf->drain_spread_ms, 0);
	ck_assert_uint_eq(conf->watchdog_timeout_ms, 3600000);
	ck_assert_uint_eq(conf->rebalance, 250);
	ck_assert_uint_eq(conf->probation_ms, 500);
	ck_assert(conf->cpu_affinity);
	ck_assert(!conf->custody);
	ck_assert_str_eq(conf->log.file, "/var/log/penstock.log");
	ck_assert_int_eq(conf->log.level, LOG_LEVEL_WARN);
	ck_assert_int_eq(conf->log.format, LOG_FORMAT_JSON);
	ck_assert_uint_eq(conf->max_connections, 10000000);
	ck_assert_uint_eq(conf->max_buffered, (uint64_t)1 << 40);
	ck_assert(!conf->monitor.enabled);
	ck_assert_uint_eq(conf->monitor.naddresses, 2);
	ck_assert_str_eq(conf->monitor.addresses[0].text, "[::1]:9180");
	ck_assert(!conf->monitor.addresses[0].from_default);
	ck_assert_str_eq(conf->tracing.endpoint,
	    "http://[::1]:4318/v1/traces?a=b");
	ck_assert_uint_eq(conf->tracing.sample_ratio, 125000);
	ck_assert_str_eq(conf->tracing.service_name, "devices");
	ck_assert_uint_eq(conf->nlisteners, 2);
	conf_free(conf);
}
END_TEST

START_TEST(every_key_of_a_listener_reaches_its_field)
{
	struct conf *conf = load_source("tests/data/every_key.conf");
	const struct conf_listener *a = &conf->listeners[0];

	ck_assert_str_eq(a->name, "Devices_1.a-b");
	ck_assert_uint_eq(a->naddresses, 5);
	ck_assert_int_eq(a->protocol, CONF_PROTOCOL_LINE);
	ck_assert_str_eq(a->handler, "discard");
	ck_assert_uint_eq(a->handler_index, 1);
	ck_assert_uint_eq(a->backlog, 65535);
	ck_assert_uint_eq(a->max_connections, 1);
	ck_assert_uint_eq(a->max_message_size, 1 << 30);
	ck_assert_uint_eq(a->idle_timeout_ms, 86400000);
	ck_assert_uint_eq(a->read_timeout_ms, 250);
	ck_assert_uint_eq(a->write_timeout_ms, 0);
	ck_assert_int_eq(a->on_limit, CONF_ON_LIMIT_WAIT);
	ck_assert(!a->nodelay);
	ck_assert_uint_eq(a->keepalive.idle_s, 31);
	ck_assert_uint_eq(a->keepalive.interval_s, 32767);
	ck_assert_uint_eq(a->keepalive.count, 127);
	ck_assert_uint_eq(a->defer_accept_s, 3600);
	ck_assert(a->proxy_protocol);
	ck_assert_uint_eq(a->nproxy_from, 6);
	ck_assert_int_eq(a->proxy_from[0].family, AF_INET);
	ck_assert_uint_eq(a->proxy_from[0].bits, 8);
	ck_assert_uint_eq(a->proxy_from[0].address[0], 10);
	ck_assert_uint_eq(a->proxy_from[1].bits, 32);
	ck_assert_int_eq(a->proxy_from[4].family, AF_INET6);
	ck_assert_uint_eq(a->proxy_from[4].bits, 128);
	ck_assert_int_eq(a->proxy_from[5].family, AF_UNIX);
	ck_assert_str_eq(conf->listeners[1].name, "b");
	ck_assert_uint_eq(conf->listeners[1].handler_index, 0);
	conf_free(conf);
}
END_TEST

START_TEST(every_key_of_http_reaches_its_field_and_reads_back)
{
	struct conf *conf = load_source("tests/data/http_every_key.conf");
	const struct conf_http *http = &conf->listeners[0].http;

	ck_assert_str_eq(conf->listeners[0].handler, "");
	ck_assert_int_eq(conf->listeners[0].protocol, CONF_PROTOCOL_HTTP);
	ck_assert_uint_eq(http->max_header_size, 256);
	ck_assert_uint_eq(http->max_headers, 10000);
	ck_assert_uint_eq(http->max_target_size, 1);
	ck_assert_uint_eq(http->max_requests, 1000000000);
	ck_assert_uint_eq(http->min_body_rate, 0);
	ck_assert_str_eq(http->server, "Penstock \"1\"");
	ck_assert(!http->request_id);
	ck_assert_str_eq(http->fields[0], "X-Device");
	ck_assert_str_eq(http->fields[1], "traceparent");
	ck_assert_ptr_null(http->fields[2]);
	ck_assert_uint_eq(http->nroutes, 2);
	ck_assert_str_eq(http->routes[0].path, "/a");
	ck_assert_int_eq(http->routes[0].match, CONF_MATCH_EXACT);
	ck_assert_ptr_null(http->routes[0].methods);
	ck_assert_uint_eq(http->routes[0].handler_index, 1);
	ck_assert_str_eq(http->routes[1].path, "/b/");
	ck_assert_int_eq(http->routes[1].match, CONF_MATCH_PREFIX);
	ck_assert_str_eq(http->routes[1].methods[1], "M-SEARCH");
	ck_assert_uint_eq(http->routes[1].handler_index, 0);
	assert_reads_back(conf);
	conf_free(conf);
}
END_TEST

/* Without this a round trip could lose a key and not show it. */
START_TEST(every_key_conf_sets_every_key_to_something_unusual)
{
	struct conf *every = load_source("tests/data/every_key.conf");
	struct conf *none = load_text(LISTENERS);
	char *a = print_conf(every), *b = print_conf(none);
	char *ra = a, *rb = b, *la, *lb;

	while ((la = strsep(&ra, "\n")) != NULL &&
	    (lb = strsep(&rb, "\n")) != NULL) {
		size_t len = strlen(la);

		if (strcmp(la, "\t},") == 0)
			break;		/* the second listener is ordinary */
		if (len > 0 && la[len - 1] == ';' && la[len - 2] != '}')
			ck_assert_str_ne(la, lb);
	}
	free(a);
	free(b);
	conf_free(every);
	conf_free(none);
}
END_TEST

START_TEST(every_key_reads_back_when_printed)
{
	struct conf *conf = load_source("tests/data/every_key.conf");

	assert_reads_back(conf);
	conf_free(conf);
}
END_TEST

/* A release that does not know a key would refuse to take over. */
START_TEST(keys_that_are_new_are_not_told_to_the_previous_release)
{
	static const char *const new[] = { "hosts = ", "ready_timeout = ",
	    "proxy_protocol = ", "proxy_from = " };
	struct conf *conf = load_text("handlers = ( { name = \"cat\"; "
	    "type = \"command\"; command = [ \"/bin/cat\" ]; } );\n"
	    "listeners = ( { name = \"lines\"; protocol = \"line\"; "
	    "address = \"127.0.0.1:9001\"; handler = \"cat\"; } );\n");
	char *all = print_conf(conf), *known;
	size_t size;
	FILE *out = open_memstream(&known, &size);

	ck_assert_int_eq(conf_print_previous(out, conf), 0);
	fclose(out);
	for (size_t i = 0; i < sizeof(new) / sizeof(*new); i++) {
		ck_assert_msg(strstr(all, new[i]) != NULL, "%s", new[i]);
		ck_assert_msg(strstr(known, new[i]) == NULL, "%s", new[i]);
	}
	free(all);
	free(known);
	conf_free(conf);
}
END_TEST

START_TEST(every_protocol_has_its_name)
{
	ck_assert_str_eq(conf_protocol_name(CONF_PROTOCOL_FRAME), "frame");
	ck_assert_str_eq(conf_protocol_name(CONF_PROTOCOL_LINE), "line");
	ck_assert_str_eq(conf_protocol_name(CONF_PROTOCOL_HTTP), "http");
}
END_TEST

START_TEST(nothing_can_be_freed)
{
	conf_free(NULL);
}
END_TEST

/* ---- addresses ---- */

static struct conf *
load_address(const char *address)
{
	char *text;
	struct conf *conf;

	if (asprintf(&text, "listeners = ( { name = \"a\"; handler = \"echo\"; "
	    "address = \"%s\"; } );\n", address) == -1)
		abort();
	conf = load_text(text);
	free(text);
	return conf;
}

START_TEST(an_ipv4_address_becomes_a_sockaddr_in)
{
	struct conf *conf = load_address("192.0.2.1:9000");
	const struct conf_address *address = conf->listeners[0].addresses;
	struct sockaddr_in sin;

	ck_assert_uint_eq(conf->listeners[0].naddresses, 1);
	ck_assert_uint_eq(address->len, sizeof(sin));
	memcpy(&sin, &address->addr, sizeof(sin));
	ck_assert_int_eq(sin.sin_family, AF_INET);
	ck_assert_uint_eq(ntohs(sin.sin_port), 9000);
	ck_assert_uint_eq(ntohl(sin.sin_addr.s_addr), 0xc0000201);
	ck_assert_str_eq(address->text, "192.0.2.1:9000");
	ck_assert(!address->from_wildcard);
	conf_free(conf);
}
END_TEST

START_TEST(an_ipv6_address_becomes_a_sockaddr_in6)
{
	struct conf *conf = load_address("[0::1]:9000");
	const struct conf_address *address = conf->listeners[0].addresses;
	struct sockaddr_in6 sin6;

	ck_assert_uint_eq(conf->listeners[0].naddresses, 1);
	ck_assert_uint_eq(address->len, sizeof(sin6));
	memcpy(&sin6, &address->addr, sizeof(sin6));
	ck_assert_int_eq(sin6.sin6_family, AF_INET6);
	ck_assert_uint_eq(ntohs(sin6.sin6_port), 9000);
	ck_assert_uint_eq(sin6.sin6_scope_id, 0);
	ck_assert(IN6_IS_ADDR_LOOPBACK(&sin6.sin6_addr));
	ck_assert_str_eq(address->text, "[::1]:9000");
	ck_assert(!address->from_wildcard);
	conf_free(conf);
}
END_TEST

START_TEST(a_scope_becomes_the_index_of_its_interface)
{
	struct conf *conf = load_address("[fe80::1%lo]:9000");
	const struct conf_address *address = conf->listeners[0].addresses;
	struct sockaddr_in6 sin6;

	memcpy(&sin6, &address->addr, sizeof(sin6));
	ck_assert_uint_eq(sin6.sin6_scope_id, 1);
	ck_assert_str_eq(address->text, "[fe80::1%lo]:9000");
	conf_free(conf);
}
END_TEST

START_TEST(a_star_becomes_one_address_of_each_family)
{
	struct conf *conf = load_address("*:9000");
	const struct conf_address *addresses = conf->listeners[0].addresses;

	ck_assert_uint_eq(conf->listeners[0].naddresses, 2);
	ck_assert_int_eq(addresses[0].addr.ss_family, AF_INET);
	ck_assert_str_eq(addresses[0].text, "0.0.0.0:9000");
	ck_assert_int_eq(addresses[1].addr.ss_family, AF_INET6);
	ck_assert_str_eq(addresses[1].text, "[::]:9000");
	ck_assert(addresses[0].from_wildcard);
	ck_assert(addresses[1].from_wildcard);
	conf_free(conf);
}
END_TEST

START_TEST(a_path_becomes_a_sockaddr_un_that_ends_with_it)
{
	struct conf *conf = load_address("unix:run/penstock.sock");
	const struct conf_address *address = conf->listeners[0].addresses;
	struct sockaddr_un sun;

	memcpy(&sun, &address->addr, sizeof(sun));
	ck_assert_int_eq(sun.sun_family, AF_UNIX);
	ck_assert_str_eq(sun.sun_path, "run/penstock.sock");
	ck_assert_uint_eq(address->len, offsetof(struct sockaddr_un, sun_path) +
	    sizeof("run/penstock.sock"));
	ck_assert_str_eq(address->text, "unix:run/penstock.sock");
	ck_assert(!address->from_wildcard);
	conf_free(conf);
}
END_TEST

/* ---- limits ---- */

/* So many listeners, of which the first is given; the caller frees the text. */
static char *
make_listeners(int count, const char *first)
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	fprintf(out, "listeners = (\n%s", first);
	for (int i = 1; i < count; i++)
		fprintf(out, ",\n{ name = \"l%d\"; handler = \"echo\"; "
		    "address = \"127.0.0.1:%d\"; }", i, 1000 + i);
	fputs("\n);\n", out);
	fclose(out);
	return text;
}

START_TEST(as_many_listeners_as_may_be_are_accepted)
{
	char *text = make_listeners(CONF_LISTENERS_MAX, LISTENER);
	struct conf *conf = load_text(text);

	ck_assert_uint_eq(conf->nlisteners, CONF_LISTENERS_MAX);
	ck_assert_str_eq(conf->listeners[0].name, "a");
	ck_assert_str_eq(conf->listeners[63].name, "l63");
	conf_free(conf);
	free(text);
}
END_TEST

START_TEST(one_listener_too_many_is_refused)
{
	char *text = make_listeners(CONF_LISTENERS_MAX + 1, LISTENER);

	assert_mistakes_in(text, "1: listeners: found a list of 65; must be a "
	    "list of 1 to 64 groups: ( { ... }, ... )\n");
	free(text);
}
END_TEST

START_TEST(too_many_listeners_do_not_hide_other_mistakes)
{
	char *text = make_listeners(CONF_LISTENERS_MAX + 1, "7");

	assert_mistakes_in(text, "1: listeners: found a list of 65; must be a "
	    "list of 1 to 64 groups: ( { ... }, ... )\n"
	    "2: listeners[0]: found 7; must be a group: { ... }\n");
	free(text);
}
END_TEST

/* A listener with so many addresses; the caller frees the text. */
static char *
make_addresses(int count)
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	fputs("listeners = ( { name = \"a\"; handler = \"echo\"; address = [\n",
	    out);
	for (int i = 0; i < count; i++)
		fprintf(out, "%s\"*:%d\"", i > 0 ? ",\n" : "", 1000 + i);
	fputs("\n]; } );\n", out);
	fclose(out);
	return text;
}

START_TEST(as_many_addresses_as_may_be_are_accepted)
{
	char *text = make_addresses(64);
	struct conf *conf = load_text(text);

	ck_assert_uint_eq(conf->listeners[0].naddresses, 128);
	assert_reads_back(conf);
	conf_free(conf);
	free(text);
}
END_TEST

START_TEST(one_address_too_many_is_refused)
{
	char *text = make_addresses(65);

	assert_mistakes_in(text, "1: listeners[\"a\"].address: found an array "
	    "of 65; must be an address or a list of 1 to 64 addresses, as "
	    "\"127.0.0.1:9000\", \"[::1]:9000\", \"*:9000\" or "
	    "\"unix:/path\"\n");
	free(text);
}
END_TEST

/* ---- files that are not what they should be ---- */

START_TEST(a_missing_file_is_told_by_name)
{
	assert_mistakes("none.conf",
	    "none.conf:0: cannot be read: No such file or directory\n");
}
END_TEST

START_TEST(a_directory_is_told)
{
	assert_mistakes(".", ".:0: cannot be read: Is a directory\n");
}
END_TEST

START_TEST(a_file_that_may_not_be_read_is_told)
{
	uid_t uid = geteuid();

	write_file("main.conf", LISTENERS);
	ck_assert_int_eq(chmod("main.conf", 0), 0);
	if (uid == 0)
		ck_assert_int_eq(seteuid(65534), 0);
	assert_mistakes("main.conf", "0: cannot be read: Permission denied\n");
	ck_assert_int_eq(seteuid(uid), 0);
}
END_TEST

START_TEST(an_error_while_reading_is_told)
{
	assert_mistakes("/proc/self/mem",
	    "/proc/self/mem:0: cannot be read: Input/output error\n");
}
END_TEST

START_TEST(an_empty_file_lacks_listeners)
{
	assert_mistakes_in("", "0: listeners: missing; must be a list of 1 to "
	    "64 groups: ( { ... }, ... )\n");
}
END_TEST

START_TEST(a_pipe_without_a_writer_is_an_empty_file)
{
	ck_assert_int_eq(mkfifo("main.conf", 0600), 0);
	assert_mistakes("main.conf", "0: listeners: missing; must be a list of "
	    "1 to 64 groups: ( { ... }, ... )\n");
}
END_TEST

START_TEST(a_pipe_is_read_to_its_end)
{
	FILE *writer;
	int fds[2];
	char path[32];

	ck_assert_int_eq(pipe(fds), 0);
	writer = fdopen(fds[1], "w");
	fputs(LISTENERS, writer);
	fclose(writer);
	snprintf(path, sizeof(path), "/dev/fd/%d", fds[0]);
	conf_free(load_file(path));
	close(fds[0]);
}
END_TEST

START_TEST(a_nul_byte_is_told_with_its_line)
{
	static const char text[] = LISTENERS "user = \"a\0b\";\n";

	write_bytes("main.conf", text, sizeof(text) - 1);
	assert_mistakes("main.conf",
	    "2: this is not text: it holds a NUL byte\n");
}
END_TEST

START_TEST(a_file_of_nul_bytes_is_told_once)
{
	static const char zeros[4096];

	write_bytes("main.conf", zeros, sizeof(zeros));
	assert_mistakes("main.conf",
	    "1: this is not text: it holds a NUL byte\n");
}
END_TEST

START_TEST(a_nul_byte_in_an_include_is_told_with_its_line)
{
	write_bytes("a.inc", "\n\n\0\n", 4);
	assert_mistakes_in("@include \"a.inc\"\n" LISTENERS,
	    "a.inc:3: this is not text: it holds a NUL byte\n");
}
END_TEST

START_TEST(bytes_that_are_no_text_are_refused)
{
	char bytes[255];
	char *found;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i + 1);
	write_bytes("main.conf", bytes, sizeof(bytes));
	found = conf_mistakes("main.conf", NULL);
	ck_assert_str_ne(found, "");
	free(found);
}
END_TEST

START_TEST(a_last_line_without_a_newline_counts)
{
	struct conf *conf = load_text(LISTENERS "workers = 7");

	ck_assert_uint_eq(conf->workers, 7);
	conf_free(conf);
}
END_TEST

START_TEST(a_comment_may_end_with_the_file)
{
	conf_free(load_text(LISTENERS "// the end"));
	conf_free(load_text(LISTENERS "# the end"));
	conf_free(load_text(LISTENERS "/* the end */"));
}
END_TEST

START_TEST(an_include_may_end_without_a_newline)
{
	struct conf *conf;

	write_file("a.inc", "workers = 7");
	write_file("b.inc", "user = \"www\" # the end");
	write_file("c.inc", "@include \"a.inc\"");
	conf = load_text("@include \"c.inc\"\n@include \"b.inc\"\n" LISTENERS);
	ck_assert_uint_eq(conf->workers, 7);
	ck_assert_str_eq(conf->user, "www");
	conf_free(conf);
}
END_TEST

/* A text of so many bytes with one listener; the caller frees it. */
static char *
make_text(size_t size)
{
	char *text = malloc(size + 1);

	memset(text, '#', size);
	memcpy(text, LISTENERS, strlen(LISTENERS));
	text[size] = '\0';
	return text;
}

START_TEST(a_file_as_large_as_may_be_is_read)
{
	char *text = make_text(CONF_SOURCE_MAX);

	conf_free(load_text(text));
	free(text);
}
END_TEST

START_TEST(a_file_that_is_too_large_is_told)
{
	char *text = make_text(CONF_SOURCE_MAX + 1);

	assert_mistakes_in(text, "0: this is too large: the limit is 1048576 "
	    "bytes with all that is included\n");
	free(text);
}
END_TEST

START_TEST(a_device_without_an_end_is_too_large)
{
	assert_mistakes("/dev/zero", "/dev/zero:0: this is too large: the "
	    "limit is 1048576 bytes with all that is included\n");
}
END_TEST

START_TEST(includes_that_are_too_large_together_are_told_once)
{
	char *text = make_text(CONF_SOURCE_MAX / 2);

	text[0] = '#';
	write_file("half.inc", text);
	free(text);
	assert_mistakes_in("@include \"half.inc\"\n@include \"half.inc\"\n"
	    "@include \"half.inc\"\n" LISTENERS, "half.inc:0: this is too "
	    "large: the limit is 1048576 bytes with all that is included\n");
}
END_TEST

START_TEST(an_include_beyond_an_exactly_full_measure_is_told)
{
	static const char directive[] = "@include \"ok.inc\"\n";
	char *text = make_text(CONF_SOURCE_MAX);

	memcpy(text, directive, strlen(directive));
	assert_mistakes_in(text, "ok.inc:0: this is too large: the limit is "
	    "1048576 bytes with all that is included\n");
	free(text);
}
END_TEST

/* A list in a list, and so on; the caller frees the text. */
static char *
make_nested(size_t depth)
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	fputs("user = ", out);
	for (size_t i = 0; i < depth; i++)
		putc('(', out);
	for (size_t i = 0; i < depth; i++)
		putc(')', out);
	fputs(";\n" LISTENERS, out);
	fclose(out);
	return text;
}

START_TEST(deep_nesting_is_only_a_mistake)
{
	char *text = make_nested(1000);

	assert_mistakes_in(text, "1: user: found a list of 1; must be a string "
	    "of at most 255 bytes\n");
	free(text);
}
END_TEST

START_TEST(very_deep_nesting_is_told)
{
	char *text = make_nested(400000);

	assert_mistakes_in(text, "1: values are nested too deep near \"user = "
	    "(((((((((((((((((((((((((((((((((((((((((((((((((((((\"...\n");
	free(text);
}
END_TEST

START_TEST(thousands_of_mistakes_are_all_told)
{
	char *text, *found;
	size_t size, lines = 0;
	FILE *out = open_memstream(&text, &size);

	fputs(LISTENERS, out);
	for (int i = 0; i < 3000; i++)
		fprintf(out, "key%d = 1;\n", i);
	fclose(out);
	write_file("main.conf", text);
	found = conf_mistakes("main.conf", NULL);
	for (const char *p = found; *p != '\0'; p++)
		lines += *p == '\n';
	ck_assert_uint_eq(lines, 3000);
	free(found);
	free(text);
}
END_TEST

/* A report is for people: of more mistakes than fit into it, it has the first
 * ones and the number of the others. */
START_TEST(mistakes_beyond_all_measure_are_counted)
{
	enum { LISTS = 64, EACH = 300 };
	struct conf_report report = { 0 };
	unsigned others = 0;
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	fputs("listeners = (", out);
	for (int i = 0; i < LISTS; i++) {
		fprintf(out, "%s{ name = \"l%d\"; address = \"*:%d\"; "
		    "handler = \"echo\";\n", i > 0 ? "," : "", i, i + 1);
		for (int k = 0; k < EACH; k++)
			fprintf(out, "no%d = 1;\n", k);
		fputs("}", out);
	}
	fputs(");\n", out);
	fclose(out);
	write_file("main.conf", text);
	free(text);
	ck_assert_ptr_null(conf_load("main.conf", &report));
	ck_assert_uint_gt(report.nerrors, 3000);
	ck_assert_ptr_nonnull(strstr(report.errors[0].text,
	    "listeners[\"l0\"]: unknown key \"no0\""));
	sscanf(report.errors[report.nerrors - 1].text, "%u more are not listed",
	    &others);
	ck_assert_uint_eq(report.nerrors - 1 + others, LISTS * EACH);
	conf_report_free(&report);
}
END_TEST

/* ---- the reader ---- */

/* Why there is no result; nothing is left of the reader. */
static void
assert_unread(const struct conf_request *request, const char *expected)
{
	struct conf_report report = { 0 };
	int before = dup(STDOUT_FILENO), after;

	close(before);
	ck_assert_ptr_null(conf_read(request, &report));
	after = dup(STDOUT_FILENO);
	close(after);
	ck_assert_int_eq(after, before);
	ck_assert(report.is_unread);
	ck_assert_uint_eq(report.nerrors, 1);
	ck_assert_str_eq(report.errors[0].file, request->path);
	ck_assert_uint_eq(report.errors[0].line, 0);
	ck_assert_str_eq(report.errors[0].text, expected);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
	conf_report_free(&report);
}

START_TEST(a_file_that_does_not_end_in_time_is_given_up)
{
	const struct conf_request request = {
		.path = "main.conf", .timeout_ms = 100,
	};
	int writer;

	ck_assert_int_eq(mkfifo("main.conf", 0600), 0);
	ck_assert_int_ne(writer = open("main.conf", O_RDWR), -1);
	assert_unread(&request, "could not be read within 0.1 s");
	close(writer);
}
END_TEST

START_TEST(a_result_that_does_not_fit_into_its_room_is_refused)
{
	const struct conf_request request = {
		.path = "main.conf",
		.text = "listeners = ( { name = \"a\"; handler = \"echo\"; "
		    "address = [ \"*:1\", \"*:2\", \"*:3\", \"*:4\", "
		    "\"*:5\", \"*:6\", \"*:7\", \"*:8\" ]; } );",
		.room = 4096,
	};

	assert_unread(&request, "could not be read: it takes more than 4096 "
	    "bytes");
}
END_TEST

START_TEST(nobody_has_memory_for_an_endless_result)
{
	const struct conf_request request = {
		.path = "main.conf", .text = LISTENERS, .room = SIZE_MAX / 4,
	};

	assert_unread(&request, "could not be read: no memory");
}
END_TEST

START_TEST(without_descriptors_no_configuration_is_read)
{
	const struct conf_request request = {
		.path = "main.conf", .text = LISTENERS,
	};
	struct rlimit none, before;
	struct conf_report report = { 0 };

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	ck_assert_ptr_null(conf_read(&request, &report));
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	ck_assert_str_eq(report.errors[0].text,
	    "could not be read: pipe: Too many open files");
	conf_report_free(&report);
}
END_TEST

/* Whoever started the program may have left it so, and then a process cannot
 * know how its children end. */
START_TEST(a_configuration_is_read_without_news_of_children)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN }, before;
	struct conf_report report = { 0 };

	ck_assert_int_eq(sigaction(SIGCHLD, &ignore, &before), 0);
	conf_free(load_text(LISTENERS));
	write_file("main.conf", "wokers = 1;\n" LISTENERS);
	ck_assert_ptr_null(conf_load("main.conf", &report));
	ck_assert_uint_eq(report.nerrors, 1);
	ck_assert_str_eq(report.errors[0].file, "main.conf");
	ck_assert_uint_eq(report.errors[0].line, 1);
	ck_assert_str_eq(report.errors[0].text, "unknown key \"wokers\"; did "
	    "you mean \"workers\"?");
	conf_report_free(&report);
	ck_assert_ptr_null(report.errors);
	ck_assert_int_eq(sigaction(SIGCHLD, &before, NULL), 0);
}
END_TEST

START_TEST(signals_are_blocked_after_a_reading_as_before)
{
	sigset_t before, after;

	ck_assert_int_eq(sigprocmask(SIG_SETMASK, NULL, &before), 0);
	conf_free(load_text(LISTENERS));
	ck_assert_int_eq(sigprocmask(SIG_SETMASK, NULL, &after), 0);
	for (int number = 1; number < NSIG; number++)
		ck_assert_int_eq(sigismember(&after, number),
		    sigismember(&before, number));
}
END_TEST

/* All processes of the server share it. */
START_TEST(a_configuration_cannot_be_written_to)
{
	struct conf *conf = load_text(LISTENERS);
	int zero = open("/dev/zero", O_RDONLY);

	ck_assert_int_eq(read(zero, conf, sizeof(*conf)), -1);
	ck_assert_int_eq(errno, EFAULT);
	ck_assert_int_eq(read(zero, conf->listeners, 1), -1);
	close(zero);
	conf_free(conf);
}
END_TEST

/* A worker that is taken over by an attacker has no privileges; the master acts
 * on its configuration as root. */
START_TEST(no_process_can_change_the_configuration_of_its_parent)
{
	struct conf *conf = load_text(LISTENERS "workers = 3;\n");
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	int status;
	pid_t pid;

	ck_assert_int_ne(pid = fork(), -1);
	if (pid == 0) {
		if (mprotect((void *)((uintptr_t)conf / page * page),
		    sizeof(*conf), PROT_READ | PROT_WRITE) == 0)
			conf->workers = 4;
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_uint_eq(conf->workers, 3);
	conf_free(conf);
}
END_TEST

START_TEST(equal_configurations_have_an_equal_hash)
{
	struct conf *a = load_text(LISTENERS);
	struct conf *b = load_text("# the same\n" LISTENERS "workers = 0;\n");
	struct conf *c = load_text(LISTENERS "workers = 1;\n");

	ck_assert_uint_eq(a->hash, b->hash);
	ck_assert_uint_ne(a->hash, c->hash);
	conf_free(a);
	conf_free(b);
	conf_free(c);
}
END_TEST

/* ---- includes in other places ---- */

/* chain0.inc includes chain1.inc, and so on; the last one holds a listener. */
static void
write_chain(int length)
{
	for (int i = 0; i < length; i++) {
		char name[32], text[64];

		snprintf(name, sizeof(name), "chain%d.inc", i);
		snprintf(text, sizeof(text), "@include \"chain%d.inc\"\n",
		    i + 1);
		write_file(name, i == length - 1 ? LISTENERS : text);
	}
}

START_TEST(includes_can_be_nested_ten_deep)
{
	write_chain(CONF_INCLUDE_DEPTH_MAX);
	conf_free(load_text("@include \"chain0.inc\"\n"));
}
END_TEST

START_TEST(includes_cannot_be_nested_deeper)
{
	write_chain(CONF_INCLUDE_DEPTH_MAX + 1);
	assert_mistakes_in("@include \"chain0.inc\"\n", "chain9.inc:1: "
	    "includes are nested too deep; does a file include itself?\n");
}
END_TEST

START_TEST(an_include_is_relative_to_the_configuration_file)
{
	ck_assert_int_eq(mkdir("etc", 0700), 0);
	ck_assert_int_eq(mkdir("etc/sub", 0700), 0);
	write_file("etc/main.conf", "@include \"sub/a.inc\"\n" LISTENERS);
	write_file("etc/sub/a.inc", "\n@include \"b.inc\"\n");
	write_file("etc/b.inc", "wokers = 1;\n@include \"sub/c.inc\"\n");
	write_file("etc/sub/c.inc", "\n\nusre = 1;\n");
	assert_mistakes("etc/main.conf",
	    "etc/b.inc:1: unknown key \"wokers\"; did you mean \"workers\"?\n"
	    "etc/sub/c.inc:3: unknown key \"usre\"; did you mean \"user\"?\n");
}
END_TEST

START_TEST(an_include_that_is_missing_is_named_with_its_directory)
{
	ck_assert_int_eq(mkdir("etc", 0700), 0);
	write_file("etc/main.conf", "@include \"lost.inc\"\n");
	assert_mistakes("etc/main.conf", "etc/main.conf:1: cannot include "
	    "\"etc/lost.inc\": No such file or directory\n");
}
END_TEST

START_TEST(an_include_may_be_absolute)
{
	char *text;
	struct conf *conf;

	ck_assert_int_eq(mkdir("etc", 0700), 0);
	write_file("a.inc", "workers = 7;\n");
	if (asprintf(&text, "@include \"%s/a.inc\"\n" LISTENERS,
	    scratch_dir()) == -1)
		abort();
	write_file("etc/main.conf", text);
	free(text);
	conf = load_file("etc/main.conf");
	ck_assert_uint_eq(conf->workers, 7);
	conf_free(conf);
}
END_TEST

/* ---- files that are damaged ---- */

START_TEST(no_beginning_of_a_file_does_harm)
{
	expect_no_harm_of_beginnings("tests/data/every_key.conf");
}
END_TEST

START_TEST(no_wrong_byte_does_harm)
{
	expect_no_harm_of_wrong_bytes("tests/data/every_key.conf",
	    "\"({[/=0-@\\\x80");
}
END_TEST

/* ---- printing ---- */

START_TEST(every_byte_of_a_string_reads_back)
{
	struct conf *conf = load_text(LISTENERS), *again, own = *conf;
	char bytes[256], *text;

	for (int i = 0; i < 255; i++)
		bytes[i] = (char)(i + 1);
	bytes[255] = '\0';
	own.pid_file = bytes;
	text = print_conf(&own);
	again = load_text(text);
	ck_assert_str_eq(again->pid_file, bytes);
	free(text);
	conf_free(conf);
	conf_free(again);
}
END_TEST

START_TEST(the_head_names_the_file_and_stays_a_comment)
{
	static const char head[] = "# The configuration in effect, read from "
	    "\"a\\nworkers = 7;\".\nworkers = 0;\n";
	struct conf *conf;
	char *text;

	write_file("a\nworkers = 7;", LISTENERS);
	conf = load_file("a\nworkers = 7;");
	text = print_conf(conf);
	ck_assert_int_eq(strncmp(text, head, strlen(head)), 0);
	free(text);
	conf_free(conf);
}
END_TEST

START_TEST(a_full_disk_is_told)
{
	struct conf *conf = load_text(LISTENERS);
	FILE *full = fopen("/dev/full", "w");

	ck_assert_ptr_nonnull(full);
	ck_assert_int_eq(conf_print(full, conf), -1);
	fclose(full);
	conf_free(conf);
}
END_TEST

/* ---- workers ---- */

START_TEST(a_number_of_workers_is_taken_as_it_is)
{
	struct conf conf = { .workers = CONF_WORKERS_MAX };

	ck_assert_uint_eq(conf_worker_count(&conf), CONF_WORKERS_MAX);
	conf.workers = 1;
	ck_assert_uint_eq(conf_worker_count(&conf), 1);
}
END_TEST

START_TEST(no_number_of_workers_is_one_for_each_cpu_in_use)
{
	struct conf *conf = load_text(LISTENERS);
	cpu_set_t all, one;
	int first = 0, cpus;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(all), &all), 0);
	cpus = CPU_COUNT(&all);
	ck_assert_uint_eq(conf_worker_count(conf),
	    cpus < CONF_WORKERS_MAX ? (unsigned)cpus : CONF_WORKERS_MAX);
	while (!CPU_ISSET(first, &all))
		first++;
	CPU_ZERO(&one);
	CPU_SET(first, &one);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(one), &one), 0);
	ck_assert_uint_eq(conf_worker_count(conf), 1);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(all), &all), 0);
	conf_free(conf);
}
END_TEST

/* ---- the manual and the example ---- */

/* Print one line per key, "name" or "group.name", in the order of the manual. */
static void
print_keys(FILE *out, const struct conf_key *keys, const char *prefix)
{
	for (; keys->name != NULL; keys++) {
		char name[128];

		snprintf(name, sizeof(name), "%s%s%s", prefix, keys->name,
		    keys->keys != NULL ? "." : "\n");
		if (keys->keys != NULL)
			print_keys(out, keys->keys, name);
		else
			fputs(name, out);
	}
}

/* All of them; the caller frees the text. */
static char *
print_key_names(void)
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	print_keys(out, conf_keys, "");
	fclose(out);
	return text;
}

/* The items of the manual's lists of keys, one a line; the caller frees it. */
static char *
read_manual_items(void)
{
	static const char macro[] = ".It Ic ";
	char *manual = read_source("man/penstock.conf.5");
	char *rest = manual, *line, *items = strdup("");

	while ((line = strsep(&rest, "\n")) != NULL)
		if (strncmp(line, macro, strlen(macro)) == 0)
			add_line(&items, line + strlen(macro));
	free(manual);
	return items;
}

START_TEST(the_manual_has_an_item_for_each_key_and_no_other)
{
	char *keys = print_key_names(), *items = read_manual_items();

	ck_assert_str_eq(items, keys);
	ck_assert_ptr_nonnull(strstr(keys, "workers\n"));
	ck_assert_ptr_nonnull(strstr(keys, "log.file\n"));
	ck_assert_ptr_nonnull(strstr(keys, "listeners.keepalive.idle\n"));
	free(keys);
	free(items);
}
END_TEST

/* The first sentence of an item, from the key's row: "True or false; default
 * true; changed by a reload." */
static char *
describe(const struct conf_key *key)
{
	enum { REGION = 65536 };
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	conf_key_print_allowed(out, key, NULL);
	if (key->required) {
		fputs("; required", out);
	} else {
		struct conf_key only[2] = { *key, { .name = NULL } };
		char *region = calloc(1, REGION);
		void *fields;

		conf_alloc_begin(region, REGION, NULL);
		/* Room for whichever struct the key is of. */
		fields = conf_alloc(1, sizeof(struct conf) +
		    sizeof(struct conf_listener));
		conf_group_init(only, fields);
		fputs("; default ", out);
		key->type->print(out, key, conf_key_field(key, fields),
		    (struct conf_layout){ 0 });
		free(region);
	}
	fputs("; changed by a reload.", out);
	fclose(out);
	text[0] = (char)toupper((unsigned char)text[0]);
	return text;
}

/* The first sentence of the item for a key; the caller frees it. */
static char *
read_first_sentence(const char *manual, const char *name)
{
	char *head, *text, *end;
	const char *item;

	if (asprintf(&head, "\n.It Ic %s\n", name) == -1)
		abort();
	item = strstr(manual, head);
	ck_assert_msg(item != NULL, "no item for %s", name);
	text = strdup(item + strlen(head));
	end = strstr(text, ".\n");
	ck_assert_ptr_nonnull(end);
	end[1] = '\0';
	for (char *p = text; *p != '\0'; p++)
		if (*p == '\n')
			*p = ' ';
	free(head);
	return text;
}

static void
check_item(const char *manual, const struct conf_key *key, const char *name)
{
	char *described = describe(key);
	char *told = read_first_sentence(manual, name);

	ck_assert_msg(strcmp(told, described) == 0,
	    "%s: the manual says:\n%s\ninstead of:\n%s", name, told,
	    described);
	free(described);
	free(told);
}

static void
check_items(const char *manual, const struct conf_key *keys, const char *prefix)
{
	for (; keys->name != NULL; keys++) {
		char name[128];

		snprintf(name, sizeof(name), "%s%s%s", prefix, keys->name,
		    keys->keys != NULL ? "." : "");
		if (keys->keys != NULL)
			check_items(manual, keys->keys, name);
		else
			check_item(manual, keys, name);
	}
}

START_TEST(the_manual_tells_values_default_and_effect_of_each_key)
{
	char *manual = read_source("man/penstock.conf.5");

	check_items(manual, conf_keys, "");
	free(manual);
}
END_TEST

START_TEST(the_example_in_the_manual_is_accepted)
{
	static const char display[] = ".Bd -literal -offset indent\n";
	char *manual = read_source("man/penstock.conf.5"), *example;
	struct conf *conf;

	example = strstr(manual, display);
	ck_assert_ptr_nonnull(example);
	example += strlen(display);
	*strstr(example, ".Ed\n") = '\0';
	conf = load_text(example);
	ck_assert_uint_eq(conf->nlisteners, 2);
	conf_free(conf);
	free(manual);
}
END_TEST

START_TEST(the_configuration_that_comes_along_is_what_the_readme_says)
{
	struct conf *conf = load_source("etc/penstock.conf");
	const struct conf_listener *frames = &conf->listeners[0];
	const struct conf_listener *lines = &conf->listeners[1];
	const struct conf_listener *web = &conf->listeners[2];

	ck_assert_str_eq(conf->log.file, "");
	ck_assert_str_eq(conf->pid_file, "");
	ck_assert_uint_eq(conf->nlisteners, 3);
	ck_assert_str_eq(frames->name, "frames");
	ck_assert_str_eq(frames->addresses[0].text, "127.0.0.1:9000");
	ck_assert_int_eq(frames->protocol, CONF_PROTOCOL_FRAME);
	ck_assert_uint_eq(frames->handler_index, 0);
	ck_assert_str_eq(lines->name, "lines");
	ck_assert_str_eq(lines->addresses[0].text, "127.0.0.1:9001");
	ck_assert_int_eq(lines->protocol, CONF_PROTOCOL_LINE);
	ck_assert_uint_eq(lines->handler_index, 0);
	ck_assert_str_eq(web->name, "web");
	ck_assert_str_eq(web->addresses[0].text, "127.0.0.1:9002");
	ck_assert_int_eq(web->protocol, CONF_PROTOCOL_HTTP);
	ck_assert_uint_eq(web->handler_index, 0);
	assert_reads_back(conf);
	conf_free(conf);
}
END_TEST

/* ---- all together ---- */

static void
add_keys(Suite *suite)
{
	TCase *tests = add_case(suite, "keys");

	tcase_add_test(tests,
	    a_file_with_nothing_but_a_listener_has_every_default);
	tcase_add_test(tests,
	    a_drain_spread_that_is_not_less_than_drain_timeout_is_warned_of);
	tcase_add_test(tests,
	    keys_of_a_listener_without_effect_are_warned_of);
	tcase_add_test(tests,
	    addresses_that_no_proxy_can_connect_to_are_warned_of);
	tcase_add_test(tests, a_network_has_the_clients_with_its_first_bits);
	tcase_add_test(tests,
	    requests_longer_than_drain_timeout_are_warned_of);
	tcase_add_test(tests, global_keys_without_effect_are_warned_of);
	tcase_add_test(tests, every_global_key_reaches_its_field);
	tcase_add_test(tests, every_key_of_a_listener_reaches_its_field);
	tcase_add_test(tests,
	    every_key_of_http_reaches_its_field_and_reads_back);
	tcase_add_test(tests,
	    every_key_conf_sets_every_key_to_something_unusual);
	tcase_add_test(tests, every_key_reads_back_when_printed);
	tcase_add_test(tests,
	    keys_that_are_new_are_not_told_to_the_previous_release);
	tcase_add_test(tests, every_protocol_has_its_name);
	tcase_add_test(tests, nothing_can_be_freed);
	tcase_add_test(tests, an_ipv4_address_becomes_a_sockaddr_in);
	tcase_add_test(tests, an_ipv6_address_becomes_a_sockaddr_in6);
	tcase_add_test(tests, a_scope_becomes_the_index_of_its_interface);
	tcase_add_test(tests, a_star_becomes_one_address_of_each_family);
	tcase_add_test(tests, a_path_becomes_a_sockaddr_un_that_ends_with_it);
	tcase_add_test(tests, as_many_listeners_as_may_be_are_accepted);
	tcase_add_test(tests, one_listener_too_many_is_refused);
	tcase_add_test(tests, too_many_listeners_do_not_hide_other_mistakes);
	tcase_add_test(tests, as_many_addresses_as_may_be_are_accepted);
	tcase_add_test(tests, one_address_too_many_is_refused);
	tcase_add_test(tests, a_number_of_workers_is_taken_as_it_is);
	tcase_add_test(tests,
	    no_number_of_workers_is_one_for_each_cpu_in_use);
}

static void
add_files(Suite *suite)
{
	TCase *tests = add_case(suite, "files");

	tcase_add_test(tests, a_missing_file_is_told_by_name);
	tcase_add_test(tests, a_directory_is_told);
	tcase_add_test(tests, a_file_that_may_not_be_read_is_told);
	tcase_add_test(tests, an_error_while_reading_is_told);
	tcase_add_test(tests, an_empty_file_lacks_listeners);
	tcase_add_test(tests, a_pipe_without_a_writer_is_an_empty_file);
	tcase_add_test(tests, a_pipe_is_read_to_its_end);
	tcase_add_test(tests, a_nul_byte_is_told_with_its_line);
	tcase_add_test(tests, a_file_of_nul_bytes_is_told_once);
	tcase_add_test(tests, a_nul_byte_in_an_include_is_told_with_its_line);
	tcase_add_test(tests, bytes_that_are_no_text_are_refused);
	tcase_add_test(tests, a_last_line_without_a_newline_counts);
	tcase_add_test(tests, a_comment_may_end_with_the_file);
	tcase_add_test(tests, an_include_may_end_without_a_newline);
	tcase_add_test(tests, a_file_as_large_as_may_be_is_read);
	tcase_add_test(tests, a_file_that_is_too_large_is_told);
	tcase_add_test(tests, a_device_without_an_end_is_too_large);
	tcase_add_test(tests,
	    includes_that_are_too_large_together_are_told_once);
	tcase_add_test(tests,
	    an_include_beyond_an_exactly_full_measure_is_told);
	tcase_add_test(tests, deep_nesting_is_only_a_mistake);
	tcase_add_test(tests, very_deep_nesting_is_told);
	tcase_add_test(tests, thousands_of_mistakes_are_all_told);
	tcase_add_test(tests, mistakes_beyond_all_measure_are_counted);
	tcase_add_test(tests, includes_can_be_nested_ten_deep);
	tcase_add_test(tests, includes_cannot_be_nested_deeper);
	tcase_add_test(tests,
	    an_include_is_relative_to_the_configuration_file);
	tcase_add_test(tests,
	    an_include_that_is_missing_is_named_with_its_directory);
	tcase_add_test(tests, an_include_may_be_absolute);
	tcase_add_test(tests, no_beginning_of_a_file_does_harm);
	tcase_add_test(tests, no_wrong_byte_does_harm);
}

static void
add_reader(Suite *suite)
{
	TCase *tests = add_case(suite, "reader");

	tcase_add_test(tests, a_file_that_does_not_end_in_time_is_given_up);
	tcase_add_test(tests,
	    a_result_that_does_not_fit_into_its_room_is_refused);
	tcase_add_test(tests, nobody_has_memory_for_an_endless_result);
	tcase_add_test(tests, without_descriptors_no_configuration_is_read);
	tcase_add_test(tests,
	    a_configuration_is_read_without_news_of_children);
	tcase_add_test(tests, signals_are_blocked_after_a_reading_as_before);
	tcase_add_test(tests, a_configuration_cannot_be_written_to);
	tcase_add_test(tests,
	    no_process_can_change_the_configuration_of_its_parent);
	tcase_add_test(tests, equal_configurations_have_an_equal_hash);
}

static void
add_words(Suite *suite)
{
	TCase *tests = add_case(suite, "printing and manual");

	tcase_add_test(tests, every_byte_of_a_string_reads_back);
	tcase_add_test(tests, the_head_names_the_file_and_stays_a_comment);
	tcase_add_test(tests, a_full_disk_is_told);
	tcase_add_test(tests,
	    the_manual_has_an_item_for_each_key_and_no_other);
	tcase_add_test(tests,
	    the_manual_tells_values_default_and_effect_of_each_key);
	tcase_add_test(tests, the_example_in_the_manual_is_accepted);
	tcase_add_test(tests,
	    the_configuration_that_comes_along_is_what_the_readme_says);
}

static void
add_all(Suite *suite)
{
	add_keys(suite);
	add_files(suite);
	add_reader(suite);
	add_words(suite);
}

int
main(void)
{
	return (run_conf_tests(&(struct conf_tests){
	    .theme = "conf", .malformed = "tests/data/malformed.txt",
	    .wellformed = "tests/data/wellformed.txt", .nmalformed = 200,
	    .reads_back = assert_reads_back, .add = add_all }));
}
