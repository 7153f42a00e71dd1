/* SPDX-License-Identifier: ISC */
#include "tests/lib/rights.h"

#include <sys/socket.h>

#include <netinet/in.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fd.h"

enum { LINGER_S = 300 };

static void
must(bool holds, const char *what)
{
	if (holds)
		return;
	perror(what);
	exit(1);
}

/* The peer stays open for as long as we live, and is never read. */
static int
make_lingering(void)
{
	const char *text = getenv("PENSTOCK_TEST_LINGER");
	const struct linger linger = {
		.l_onoff = 1,
		.l_linger = text != NULL ? atoi(text) : LINGER_S,
	};
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(addr);
	static const char much[65536];
	int listening, fd;

	listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(listening != -1 && bind(listening, (struct sockaddr *)&addr,
	    len) == 0 && listen(listening, 1) == 0 && getsockname(listening,
	    (struct sockaddr *)&addr, &len) == 0, "listen");
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(fd != -1 && connect(fd, (struct sockaddr *)&addr, len) == 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger,
	    sizeof(linger)) == 0, "connect");
	while (send(fd, much, sizeof(much), MSG_DONTWAIT) > 0)
		;
	return (fd);
}

bool
rights_pass(int fd, const void *bytes, size_t len, int passed)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .space = { 0 } };
	struct iovec iov = { (void *)(uintptr_t)bytes, len };
	struct msghdr hdr = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&hdr);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &passed, sizeof(int));
	return (sendmsg(fd, &hdr, MSG_NOSIGNAL) == (ssize_t)len);
}

bool
rights_send(int fd, const void *bytes, size_t len)
{
	int passed = make_lingering();
	bool sent = rights_pass(fd, bytes, len, passed);

	/* If the receiver is done with it already, it is we who would wait. */
	fd_close_unread(passed);
	return (sent);
}
