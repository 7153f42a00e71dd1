/* SPDX-License-Identifier: ISC */
/*
 * Clients of HTTP that others wrote: what they have to say of the server, also
 * while it is reloaded.
 *
 * Exits with 77, which automake counts as skipped, where one of them is not
 * installed; the others have been tested then.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/handlers.h"

/* Begin to run a shell command, with an address of the server's in $URL. */
static FILE *
begin(const char *command, unsigned port)
{
	char url[64];
	FILE *from;

	snprintf(url, sizeof(url), "http://%s:%u", own_address(), port);
	setenv("URL", url, 1);
	ck_assert_ptr_nonnull(from = popen(command, "re"));
	return (from);
}

/* Check takes no message that is longer than this. */
static const char *
end_of(const char *output)
{
	size_t len = strlen(output);

	return (output + (len > 2000 ? len - 2000 : 0));
}

/* Wait for its end; all has to be well.  Returns what it wrote. */
static const char *
finish(const char *command, FILE *from)
{
	static char output[65536];
	size_t len;

	len = fread(output, 1, sizeof(output) - 1, from);
	output[len] = '\0';
	ck_assert_msg(pclose(from) == 0, "%s: %s", command,
	    end_of(output));
	return (output);
}

static const char *
run(const char *command)
{
	return (finish(command, begin(command, WEB_PORT)));
}

/* The same while the server is reloaded again and again. */
static const char *
run_amid_reloads(struct server *srv, const char *command)
{
	FILE *from = begin(command, WEB_PORT);

	for (int i = 0; i < 5; i++)
		server_reload(srv);
	return (finish(command, from));
}

static void
expect_words(const char *output, const char *words)
{
	ck_assert_msg(strstr(output, words) != NULL, "no \"%s\" in %s", words,
	    end_of(output));
}

static void
expect_no_words(const char *output, const char *words)
{
	ck_assert_msg(strstr(output, words) == NULL, "\"%s\" in %s", words,
	    end_of(output));
}

START_TEST(curl_is_served)
{
	struct server *srv;

	if (!has_program("curl"))
		return;
	srv = server_start("workers = 2;",
	    WEB("echo", "max_message_size = 16777216;"));
	run("exec 2>&1; set -e; f=$(mktemp); trap 'rm -f $f' EXIT; "
	    "head -c 10000000 /dev/urandom >$f; "
	    "test \"$(curl -sS $URL -d hello)\" = hello; "
	    "curl -sSI $URL | grep -q '^HTTP/1.1 200'; "
	    "curl -sS0 $URL -d hi | grep -qx hi; "
	    "curl -sS --data-binary @$f $URL | cmp - $f; "
	    "curl -sS -H 'Expect: 100-continue' --data-binary @$f $URL | "
	    "cmp - $f; "
	    "curl -sS -H 'Transfer-Encoding: chunked' --data-binary @$f $URL | "
	    "cmp - $f");
	server_end(srv);
}
END_TEST

/* The example of penstock-handler(7). */
static struct server *
start_example(void)
{
	return (handlers_start("workers = 2;\nhandlers = ( { name = \"web\"; "
	    "type = \"command\"; metadata = true; reply_metadata = true; "
	    "command = [ \"python3\", \"src/examples/web.py\" ]; } );",
	    WEB("web", "fields = [ \"Authorization\" ]; routes = ( "
	    "{ path = \"/\"; match = \"prefix\"; handler = \"web\"; } );")));
}

START_TEST(curl_follows_what_a_handler_says)
{
	struct server *srv;

	if (!has_program("curl"))
		return;
	srv = start_example();
	run("exec 2>&1; set -ex; j=$(mktemp); trap 'rm -f $j' EXIT; "
	    "test \"$(curl -sSL -o /dev/null -w '%{url_effective}' "
	    "$URL/old)\" = $URL/new; "
	    "curl -sS -c $j $URL/login | grep -qx welcome; "
	    "grep -q 'user.*ada' $j; grep -q 'theme.*dark' $j; "
	    "test $(curl -sS -o /dev/null -w '%{http_code}' $URL/private) = "
	    "401; "
	    "curl -sS --anyauth -u ada:x $URL/private | grep -qx hello; "
	    "curl -sSI $URL/login | grep -qi '^cache-control: no-store'; "
	    "curl -sSi -X DELETE $URL | grep -q '^Allow: GET, HEAD'; "
	    "curl -sSi -X OPTIONS -H 'Origin: https://app.example' "
	    "-H 'Access-Control-Request-Method: POST' $URL | "
	    "grep -q '^Access-Control-Allow-Methods: GET, POST'");
	server_end(srv);
}
END_TEST

START_TEST(python_has_the_fields_that_a_handler_gives)
{
	static const char script[] =
	    "python3 - 2>&1 <<'END'\n"
	    "import http.client, http.cookiejar, os, urllib.request\n"
	    "url = os.environ['URL']\n"
	    "jar = http.cookiejar.CookieJar()\n"
	    "opener = urllib.request.build_opener(\n"
	    "    urllib.request.HTTPCookieProcessor(jar))\n"
	    "with opener.open(url + '/old') as r:\n"
	    "    assert r.url == url + '/new' and r.read() == b'hello\\n'\n"
	    "with opener.open(url + '/login') as r:\n"
	    "    assert r.read() == b'welcome\\n'\n"
	    "assert sorted(c.name for c in jar) == ['theme', 'user'], jar\n"
	    "c = http.client.HTTPConnection(url[7:])\n"
	    "c.request('OPTIONS', '/x')\n"
	    "r = c.getresponse()\n"
	    "assert r.status == 204 and r.read() == b''\n"
	    "s = c.sock\n"
	    "c.request('HEAD', '/login')\n"
	    "r = c.getresponse()\n"
	    "assert r.read() == b'' and r.headers['Content-Length'] == '8'\n"
	    "assert len(r.headers.get_all('Set-Cookie')) == 2\n"
	    "assert c.sock is s\n"
	    "END\n";
	struct server *srv;

	if (!has_program("python3"))
		return;
	srv = start_example();
	run(script);
	server_end(srv);
}
END_TEST

START_TEST(python_keeps_a_connection_alive)
{
	static const char script[] =
	    "python3 - 2>&1 <<'END'\n"
	    "import http.client, os\n"
	    "c = http.client.HTTPConnection(os.environ['URL'][7:])\n"
	    "c.connect()\n"
	    "s = c.sock\n"
	    "for i in range(1000):\n"
	    "    body = b'x' * (i * 7)\n"
	    "    c.request('POST', '/a/%d' % i, body)\n"
	    "    r = c.getresponse()\n"
	    "    assert r.status == 200 and r.read() == body\n"
	    "    assert c.sock is s\n"
	    "    c.request('PUT', '/', iter([body, b'y']),\n"
	    "        encode_chunked=True,\n"
	    "        headers={'Transfer-Encoding': 'chunked'})\n"
	    "    assert c.getresponse().read() == body + b'y'\n"
	    "END\n";
	struct server *srv;

	if (!has_program("python3"))
		return;
	srv = server_start("workers = 2;", WEB("echo", ""));
	run(script);
	server_end(srv);
}
END_TEST

START_TEST(an_agent_of_node_keeps_its_connections_over_reloads)
{
	static const char script[] =
	    "exec 2>&1; node - <<'END'\n"
	    "const http = require('http'), assert = require('assert');\n"
	    "const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });\n"
	    "const sockets = new Set();\n"
	    "let left = 2000, next = 0;\n"
	    "function ask() {\n"
	    "  if (next >= 2000) return;\n"
	    "  const body = 'message ' + next++ + ' '.repeat(next % 500);\n"
	    "  const req = http.request(process.env.URL + '/a?b',\n"
	    "      { agent, method: 'POST' }, (res) => {\n"
	    "    let got = '';\n"
	    "    assert.strictEqual(res.statusCode, 200);\n"
	    "    assert.notStrictEqual(res.headers.connection, 'close');\n"
	    "    res.on('data', (d) => { got += d; });\n"
	    "    res.on('end', () => {\n"
	    "      assert.strictEqual(got, body);\n"
	    "      if (--left === 0) {\n"
	    "        console.log('sockets ' + sockets.size);\n"
	    "        agent.destroy();\n"
	    "      }\n"
	    "      setTimeout(ask, 1);\n"
	    "    });\n"
	    "  });\n"
	    "  req.on('socket', (s) => sockets.add(s));\n"
	    "  req.end(body);\n"
	    "}\n"
	    "for (let i = 0; i < 4; i++) ask();\n"
	    "END\n";
	struct server *srv;

	if (!has_program("node"))
		return;
	srv = server_start("workers = 2;", WEB("echo", ""));
	expect_words(run_amid_reloads(srv, script), "sockets 4\n");
	server_end(srv);
}
END_TEST

START_TEST(ab_finds_no_failure_over_reloads)
{
	struct server *srv;
	const char *output;

	if (!has_program("ab"))
		return;
	srv = server_start("workers = 2;", WEB("echo", ""));
	output = run_amid_reloads(srv, "exec 2>&1; f=$(mktemp); "
	    "trap 'rm -f $f' EXIT; head -c 200 /dev/zero >$f; "
	    "ab -q -k -n 50000 -c 50 -p $f $URL/x");
	expect_words(output, "Complete requests:      50000\n");
	expect_words(output, "Failed requests:        0\n");
	expect_words(output, "Keep-Alive requests:    50000\n");
	expect_no_words(output, "Non-2xx");
	/* And with a connection for each. */
	output = run("ab -q -n 2000 -c 50 $URL/x 2>&1");
	expect_words(output, "Complete requests:      2000\n");
	expect_words(output, "Failed requests:        0\n");
	server_end(srv);
}
END_TEST

START_TEST(wrk_finds_no_error_over_reloads)
{
	struct server *srv;
	const char *output;

	if (!has_program("wrk"))
		return;
	srv = server_start("workers = 2;", WEB("echo", ""));
	output = run_amid_reloads(srv, "wrk -t 2 -c 100 -d 2 "
	    "--timeout 20s $URL/ 2>&1");
	expect_words(output, "requests in ");
	expect_no_words(output, "Socket errors");
	expect_no_words(output, "Non-2xx");
	server_end(srv);
}
END_TEST

START_TEST(siege_finds_the_server_available_over_reloads)
{
	struct server *srv;
	const char *output;

	if (!has_program("siege"))
		return;
	srv = server_start("workers = 2;", WEB("echo", ""));
	/* It keeps its settings at home. */
	output = run_amid_reloads(srv, "exec 2>&1; HOME=$(mktemp -d); "
	    "export HOME; trap 'rm -rf $HOME' EXIT; "
	    "siege -b -c 20 -r 100 \"$URL/ POST a=b\" | grep -v '^HTTP'");
	expect_words(output, "\"availability\":\t\t\t      100.00");
	expect_words(output, "\"failed_transactions\":\t\t           0,");
	server_end(srv);
}
END_TEST

/* Run one attack of slowhttptest(1), with 500 good clients beside it. */
static void
attack(const char *kind, unsigned port)
{
	struct server *srv;
	struct hold_options options = load_on(WEB_PORT);
	struct hold_process *good;
	const char *output;
	char command[256];

	if (!has_program("slowhttptest"))
		return;
	srv = handlers_start("workers = 2;\nmax_connections = 5000;\n"
	    "max_buffered = 1073741824;\nhandlers = ( " MODULE("big", "reply_bytes = 100000;", "") " );",
	    WEB("echo", "") ",\n"
	    LISTENER("bad", "9003", "http", "echo", "idle_timeout = 1.0; "
	    "read_timeout = 1.0; write_timeout = 1.0; min_body_rate = 1000;")
	    ",\n" LISTENER("big", "9002", "http", "big", "idle_timeout = 1.0; "
	    "read_timeout = 1.0; write_timeout = 1.0;"));
	options.connections = 500;
	options.rate = 500;
	good = hold_start(&options);
	await(hold_peek(good)->open == 500);
	snprintf(command, sizeof(command), "exec 2>&1; slowhttptest %s "
	    "-c 1000 -r 500 -i 1 -l 8 -p 6 -u $URL/ | "
	    "sed 's/\033\\[[0-9;]*[mHJ]//g'", kind);
	output = finish(command, begin(command, port));
	expect_words(output, "service available:   YES");
	expect_no_words(output, "service available:   NO");
	/* It may have much left to read of those that have been reset. */
	await(server_counters(srv).active == 500);
	expect_unharmed(hold_verify(good));
	expect_unharmed(hold_stop(good));
	hold_drop(good);
	server_end(srv);
}

START_TEST(slowhttptest_finds_it_available_with_slow_headers)
{
	attack("-H", EXTRA_PORT);
}
END_TEST

START_TEST(slowhttptest_finds_it_available_with_slow_bodies)
{
	attack("-B -s 8192", EXTRA_PORT);
}
END_TEST

START_TEST(slowhttptest_finds_it_available_with_slow_readers)
{
	attack("-X -w 512 -y 1024 -n 1 -z 32 -k 3", SINK_PORT);
}
END_TEST

START_TEST(slowhttptest_finds_it_available_with_odd_ranges)
{
	attack("-R -a 10 -b 3000", EXTRA_PORT);
}
END_TEST

static int
run_all(void)
{
	const TTest *const tests[] = {
		curl_is_served,
		curl_follows_what_a_handler_says,
		python_has_the_fields_that_a_handler_gives,
		python_keeps_a_connection_alive,
		an_agent_of_node_keeps_its_connections_over_reloads,
		ab_finds_no_failure_over_reloads,
		wrk_finds_no_error_over_reloads,
		siege_finds_the_server_available_over_reloads,
		slowhttptest_finds_it_available_with_slow_headers,
		slowhttptest_finds_it_available_with_slow_bodies,
		slowhttptest_finds_it_available_with_slow_readers,
		slowhttptest_finds_it_available_with_odd_ranges,
	};

	return (run_tests("server_http_tools", tests,
	    sizeof(tests) / sizeof(tests[0])));
}

int
main(void)
{
	static const char *const programs[] = {
		"curl", "python3", "node", "ab", "wrk", "siege",
		"slowhttptest",
	};
	bool has_all = true;
	int status = run_all();

	for (size_t i = 0; i < sizeof(programs) / sizeof(*programs); i++)
		has_all &= has_program(programs[i]);
	return (status != 0 || has_all ? status : 77);
}
