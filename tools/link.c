/* SPDX-License-Identifier: ISC */
#include "tools/link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/conf_addr.h"

static int
complain(int status, const char *what, const char *why)
{
	fprintf(stderr, "penstockctl: %s: %s\n", what, why);
	return (status);
}

/*
 * Addresses.
 */

static int
use_address(struct link *link, const char *text)
{
	const char *must;

	link->source = text;
	link->n = conf_addr_parse(text, link->parsed, &must);
	link->addresses = link->parsed;
	if (link->n > 0)
		return (LINK_FINE);
	fprintf(stderr, "penstockctl: -a %s: must %s\n", text, must);
	return (LINK_USAGE);
}

static void
tell_mistakes(const struct conf_report *report)
{
	for (size_t i = 0; i < report->nerrors; i++)
		fprintf(stderr, "%s:%u: %s\n", report->errors[i].file,
		    report->errors[i].line, report->errors[i].text);
}

static int
use_conf(struct link *link, const char *path)
{
	struct conf_report report = { .errors = NULL };

	link->source = path;
	link->conf = conf_load(path, &report);
	tell_mistakes(&report);
	conf_report_free(&report);
	if (link->conf == NULL)
		return (LINK_CONF);
	if (!link->conf->monitor.enabled)
		return (complain(LINK_CONF, path, "monitor.enabled is false"));
	link->addresses = link->conf->monitor.addresses;
	link->n = link->conf->monitor.naddresses;
	return (LINK_FINE);
}

int
link_open(struct link *link, const char *address, const char *conf_path)
{
	*link = (struct link){ .n = 0 };
	return (address != NULL ? use_address(link, address) :
	    use_conf(link, conf_path));
}

void
link_close(struct link *link)
{
	conf_free(link->conf);
	for (size_t i = 0; link->conf == NULL && i < link->n; i++)
		conf_addr_free(&link->parsed[i]);
}

/*
 * Questions.
 */

/* Ask at the first address that answers. */
static int
ask(const struct link *link, const char *path, struct http_reply *reply,
    bool quiet)
{
	char why[HTTP_CLIENT_WHY_MAX] = "";

	for (size_t i = 0; i < link->n; i++)
		if (http_client_ask(&link->addresses[i], "GET", path, reply,
		    why) == 0)
			return (LINK_FINE);
	if (quiet)
		return (LINK_NOT_RUNNING);
	fprintf(stderr, "penstockctl: no server answers: %s (from %s)\n", why,
	    link->source);
	return (LINK_NOT_RUNNING);
}

/* What the monitor says against it, without its newline. */
static int
tell_refusal(const char *path, const struct http_reply *reply)
{
	size_t len = strcspn(reply->body, "\r\n");

	fprintf(stderr, "penstockctl: %s: %.*s\n", path, (int)len,
	    reply->body);
	return (LINK_FAILED);
}

int
link_get(const struct link *link, const char *path, struct http_reply *reply,
    bool quiet)
{
	int status = ask(link, path, reply, quiet);

	if (status != LINK_FINE || reply->code == 200)
		return (status);
	if (!quiet)
		tell_refusal(path, reply);
	http_reply_free(reply);
	return (LINK_FAILED);
}

int
link_get_json(const struct link *link, const char *path,
    struct json_value **value, bool quiet)
{
	struct http_reply reply;
	int status = link_get(link, path, &reply, quiet);

	*value = NULL;
	if (status != LINK_FINE)
		return (status);
	*value = json_read(reply.body, reply.len);
	http_reply_free(&reply);
	if (*value != NULL)
		return (LINK_FINE);
	return (quiet ? LINK_FAILED :
	    complain(LINK_FAILED, path, "the answer is no JSON"));
}

/*
 * Orders.
 */

static const struct conf_address *
find_path(const struct link *link)
{
	for (size_t i = 0; i < link->n; i++)
		if (link->addresses[i].addr.ss_family == AF_UNIX)
			return (&link->addresses[i]);
	return (NULL);
}

int
link_order(const struct link *link, const char *path)
{
	const struct conf_address *address = find_path(link);
	char why[HTTP_CLIENT_WHY_MAX];
	struct http_reply reply;
	int status = LINK_FINE;

	if (address == NULL)
		return (complain(LINK_FAILED, link->source, "this order is "
		    "taken on a unix socket alone, and monitor.address has "
		    "none"));
	if (http_client_ask(address, "POST", path, &reply, why) == -1)
		return (complain(LINK_NOT_RUNNING, "no server answers", why));
	if (reply.code != 202)
		status = tell_refusal(path, &reply);
	http_reply_free(&reply);
	return (status);
}

/* Whoever answers in the monitor's place could name any process; a signal is
 * for one that calls itself a master of ours alone. */
pid_t
link_master(const struct json_value *status)
{
	static const char title[] = "penstock: master";
	pid_t pid = (pid_t)json_u64(json_get(json_get(status, "server"),
	    "pid"));
	char path[64], text[sizeof(title)] = "";
	ssize_t n = -1;
	int fd;

	if (pid <= 1)
		return (0);
	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) != -1) {
		n = read(fd, text, sizeof(title) - 1);
		close(fd);
	}
	return (n == (ssize_t)sizeof(title) - 1 &&
	    memcmp(text, title, sizeof(title) - 1) == 0 ? pid : 0);
}
