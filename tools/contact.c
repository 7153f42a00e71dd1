/* SPDX-License-Identifier: ISC */
#include "tools/contact.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/escape.h"

int
contact_complain(int status, const char *what, const char *why)
{
	fprintf(stderr, "penstockctl: %s: %s\n", what, why);
	return (status);
}

/*
 * Addresses.
 */

static int
use_address(struct contact *contact, const char *text)
{
	const char *must;

	contact->source = text;
	contact->n = conf_addr_parse(text, contact->parsed, &must);
	contact->addresses = contact->parsed;
	if (contact->n > 0)
		return (CONTACT_FINE);
	fprintf(stderr, "penstockctl: -a %s: must %s\n", text, must);
	return (CONTACT_USAGE);
}

static void
tell_mistakes(const struct conf_report *report)
{
	char place[CONF_PLACE_MAX];

	for (size_t i = 0; i < report->nerrors; i++)
		fprintf(stderr, "%s: %s\n",
		    conf_error_place(&report->errors[i], place),
		    report->errors[i].text);
}

static int
use_conf(struct contact *contact, const char *path)
{
	struct conf_report report = { .errors = NULL };

	contact->source = path;
	contact->conf = conf_load(path, &report);
	tell_mistakes(&report);
	conf_report_free(&report);
	if (contact->conf == NULL)
		return (CONTACT_CONF);
	if (!contact->conf->monitor.enabled)
		return (contact_complain(CONTACT_CONF, path,
		    "monitor.enabled is false"));
	contact->addresses = contact->conf->monitor.addresses;
	contact->n = contact->conf->monitor.naddresses;
	return (CONTACT_FINE);
}

int
contact_open(struct contact *contact, const char *address,
    const char *conf_path)
{
	*contact = (struct contact){ .n = 0 };
	return (address != NULL ? use_address(contact, address) :
	    use_conf(contact, conf_path));
}

void
contact_close(struct contact *contact)
{
	conf_free(contact->conf);
}

/*
 * Pages.
 */

/* Ask the first address that answers. */
static int
ask(const struct contact *contact, const char *path, struct http_reply *reply,
    bool quiet)
{
	char why[HTTP_CLIENT_WHY_MAX] = "";

	for (size_t i = 0; i < contact->n; i++)
		if (http_client_ask(&contact->addresses[i], "GET", path, reply,
		    why) == 0)
			return (CONTACT_FINE);
	if (quiet)
		return (CONTACT_NOT_RUNNING);
	fprintf(stderr, "penstockctl: no server answers: %s (from %s)\n", why,
	    contact->source);
	return (CONTACT_NOT_RUNNING);
}

/* Replace what a terminal could take for a command by question marks: control
 * characters, and bytes that are not UTF-8.  Returns text. */
static char *
make_printable(char *text)
{
	const char *end = text + strlen(text);
	size_t len;

	for (char *at = text; at < end; at += len > 0 ? len : 1)
		if ((len = escape_printable(at, (size_t)(end - at))) == 0)
			*at = '?';
	return (text);
}

/* Print the monitor's reason for a refusal, without its newline. */
static int
contact_tell_refusal(const char *path, const struct http_reply *reply)
{
	reply->body[strcspn(reply->body, "\r\n")] = '\0';
	return (contact_complain(CONTACT_FAILED, path,
	    make_printable(reply->body)));
}

int
contact_get(const struct contact *contact, const char *path,
    struct http_reply *reply, bool quiet)
{
	int status = ask(contact, path, reply, quiet);

	if (status != CONTACT_FINE || reply->code == 200)
		return (status);
	if (!quiet)
		contact_tell_refusal(path, reply);
	http_reply_free(reply);
	return (CONTACT_FAILED);
}

static void
make_all_printable(struct json_value *value)
{
	for (; value != NULL; value = value->next) {
		if (value->text != NULL)
			make_printable(value->text);
		make_all_printable(value->first);
	}
}

int
contact_get_json(const struct contact *contact, const char *path,
    struct json_value **value, bool quiet)
{
	struct http_reply reply;
	int status = contact_get(contact, path, &reply, quiet);

	*value = NULL;
	if (status != CONTACT_FINE)
		return (status);
	*value = json_read(reply.body, reply.len);
	http_reply_free(&reply);
	if (*value != NULL && !contact->verbatim)
		make_all_printable(*value);
	if (*value != NULL)
		return (CONTACT_FINE);
	return (quiet ? CONTACT_FAILED :
	    contact_complain(CONTACT_FAILED, path, "the answer is not JSON"));
}

/*
 * Orders.
 */

static const struct conf_address *
find_path(const struct contact *contact)
{
	for (size_t i = 0; i < contact->n; i++)
		if (contact->addresses[i].addr.ss_family == AF_UNIX)
			return (&contact->addresses[i]);
	return (NULL);
}

int
contact_order(const struct contact *contact, const char *path)
{
	const struct conf_address *address = find_path(contact);
	char why[HTTP_CLIENT_WHY_MAX];
	struct http_reply reply;
	int status = CONTACT_FINE;

	if (address == NULL)
		return (contact_complain(CONTACT_FAILED, contact->source,
		    "this order needs a unix socket, and "
		    "monitor.address has none"));
	if (http_client_ask(address, "POST", path, &reply, why) == -1)
		return (contact_complain(CONTACT_NOT_RUNNING,
		    "no server answers", why));
	if (reply.code != 202)
		status = contact_tell_refusal(path, &reply);
	http_reply_free(&reply);
	return (status);
}

/* Another program at the monitor's address could name any process, so the
 * process has to have the title of a master. */
pid_t
contact_master(const struct json_value *status)
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
