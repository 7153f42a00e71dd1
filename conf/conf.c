/* SPDX-License-Identifier: ISC */
/*
 * The configuration: read in a process of its own, and what is asked of it then.
 *
 * Runs in the master and its children.  The result is made in a region that is
 * shared with the reader and mapped before that is forked, so that its pointers
 * hold in both.  Processes that are forked later have copies of their own.
 */
#include "conf/conf.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fd.h"
#include "common/title.h"
#include "conf/conf_alloc.h"
#include "conf/conf_keys.h"
#include "conf/conf_parse.h"

enum {
	/* Address space: pages that nobody writes to take no memory. */
	ROOM = 32 << 20,
	/* How long a reader that was killed may take to end.  A reader that hangs
	 * in the kernel, on a file server that is gone for example, does not. */
	KILL_MS = 500,
};

/* What the region begins with. */
struct region {
	size_t size;			/* of the mapping */
	size_t used;
	enum conf_outcome outcome;
	struct conf conf;
	struct conf_report report;
};

/* ---- the reader ---- */

#ifdef WITH_COVERAGE
void __gcov_dump(void);
#endif

static struct region *result;		/* of the reader that this is */

static void __attribute__((noreturn))
end(enum conf_outcome outcome)
{
	result->used = conf_alloc_used();
	result->outcome = outcome;
#ifdef WITH_COVERAGE
	__gcov_dump();		/* which _exit() leaves out */
#endif
	_exit(EXIT_SUCCESS);
}

/* libconfig calls exit() if it has no memory.  What was registered with atexit()
 * before the fork must not run in this process. */
static void
on_exit_of_libconfig(void)
{
	end(CONF_NO_MEMORY);
}

static void __attribute__((noreturn))
run_reader(struct region *region, const struct conf_request *request,
    pid_t parent, int fd)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	/* Neither sockets nor locks are held by a reader that hangs. */
	fd_close_on_exec_but(fd);
	title_set("conf reader");
	result = region;
	conf_alloc_begin(region, region->size, end);
	conf_alloc(1, sizeof(*region));
	if (atexit(on_exit_of_libconfig) != 0)
		conf_lacks_memory();
	conf_parse(request->path, request->text, &region->conf,
	    &region->report);
	end(CONF_READ);
}

/* ---- the process that asks ---- */

static struct conf *
say_unread(struct conf_report *report, const struct conf_request *request,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Needs no memory, as that may be what is lacking.  Returns NULL. */
static struct conf *
say_unread(struct conf_report *report, const struct conf_request *request,
    const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(report->why, sizeof(report->why), fmt, ap);
	va_end(ap);
	report->is_unread = true;
	report->unread.file = request->path;
	report->unread.text = report->why;
	report->errors = &report->unread;
	report->nerrors = 1;
	return NULL;
}

/* Wait for the end of the reader, which has the other end of the pipe; returns
 * false if it does not end in time. */
static bool
await_end(int pipe, unsigned timeout_ms)
{
	uint64_t until_ms = clock_ms() + timeout_ms;
	struct pollfd ended = { .fd = pipe };

	for (;;) {
		uint64_t now_ms = clock_ms();
		int wait_ms = timeout_ms == 0 ? -1 :
		    now_ms < until_ms ? (int)(until_ms - now_ms) : 0;
		int n = poll(&ended, 1, wait_ms);

		if (n == 1)
			return true;
		if (n == 0 && wait_ms == 0)
			return false;
		if (n == -1 && errno != EINTR && errno != EAGAIN)
			return false;
	}
}

/* Kill a reader that takes too long.  If it does not end at once, it is reaped when
 * the master waits for any child, or by init. */
static void
kill_reader(pid_t pid, int pipe)
{
	kill(pid, SIGKILL);
	if (await_end(pipe, KILL_MS))
		(void)waitpid(pid, NULL, 0);
}

/* There is no status if SIGCHLD is ignored. */
static int
reap(pid_t pid)
{
	int status;
	pid_t reaped;

	do {
		reaped = waitpid(pid, &status, 0);
	} while (reaped == -1 && errno == EINTR);
	return reaped == pid ? status : 0;
}

/* The reader keeps every signal blocked: a signal to the process group is meant
 * for the process that asks, and its handlers must not run in the reader. */
static pid_t
fork_reader(struct region *region, const struct conf_request *request,
    const int ends[2])
{
	pid_t parent = getpid(), pid;
	sigset_t all, before;
	int error;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	if ((pid = fork()) == 0)
		run_reader(region, request, parent, ends[1]);
	error = errno;
	sigprocmask(SIG_SETMASK, &before, NULL);
	errno = error;
	return pid;
}

/* Whether the region has a result; says why not. */
static bool
read_apart(struct region *region, const struct conf_request *request,
    struct conf_report *report)
{
	int ends[2], status;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) == -1) {
		say_unread(report, request, "could not be read: pipe: %s",
		    strerror(errno));
		return false;
	}
	pid = fork_reader(region, request, ends);
	if (pid == -1)
		say_unread(report, request, "could not be read: fork: %s",
		    strerror(errno));
	close(ends[1]);
	if (pid != -1 && !await_end(ends[0], request->timeout_ms)) {
		kill_reader(pid, ends[0]);
		say_unread(report, request, "could not be read within %g s",
		    request->timeout_ms / 1000.0);
		pid = -1;
	}
	close(ends[0]);
	if (pid == -1)
		return false;
	status = reap(pid);
	if (WIFSIGNALED(status))
		say_unread(report, request, "could not be read: the reader "
		    "died of signal %d (%s)", WTERMSIG(status),
		    strsignal(WTERMSIG(status)));
	else if (status != 0 || region->outcome == CONF_DIED)
		say_unread(report, request, "could not be read: the reader "
		    "ended with status %d", WEXITSTATUS(status));
	else if (region->outcome == CONF_NO_MEMORY)
		say_unread(report, request, "could not be read: no memory");
	else if (region->outcome == CONF_NO_ROOM)
		say_unread(report, request, "could not be read: it takes more "
		    "than %zu bytes", region->size);
	return !report->is_unread;
}

static struct region *
map(size_t size)
{
	struct region *region;

	region = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (region == MAP_FAILED)
		return NULL;
	region->size = size;
	return region;
}

static size_t
to_pages(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (size + page - 1) / page * page;
}

/*
 * Keep what is used of it, as memory that is not shared, in the same place: a
 * worker could make a shared mapping writable, and change what its master does.
 */
static bool
settle(struct region *region)
{
	size_t size = region->size, kept = to_pages(region->used);
	struct region *copy;

	copy = mmap(NULL, kept, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (copy == MAP_FAILED)
		return false;
	memcpy(copy, region, kept);
	copy->size = kept;
	(void)mprotect(copy, kept, PROT_READ);
	if (mremap(copy, kept, kept, MREMAP_MAYMOVE | MREMAP_FIXED, region) ==
	    MAP_FAILED) {
		munmap(copy, kept);
		return false;
	}
	if (kept < size)
		munmap((char *)region + kept, size - kept);
	return true;
}

struct conf *
conf_read(const struct conf_request *request, struct conf_report *report)
{
	size_t size = to_pages(request->room != 0 ? request->room : ROOM);
	struct region *region = map(size);

	if (region == NULL)
		return say_unread(report, request, "could not be read: no "
		    "memory");
	if (!read_apart(region, request, report)) {
		munmap(region, size);
		return NULL;
	}
	if (!settle(region)) {
		munmap(region, size);
		return say_unread(report, request, "could not be read: no "
		    "memory");
	}
	*report = region->report;
	if (report->nerrors == 0)
		return &region->conf;
	report->region = region;
	return NULL;
}

struct conf *
conf_load(const char *path, struct conf_report *report)
{
	const struct conf_request request = { .path = path };

	return conf_read(&request, report);
}

void
conf_report_free(struct conf_report *report)
{
	struct region *region = report->region;

	if (region != NULL)
		munmap(region, region->size);
	*report = (struct conf_report){ 0 };
}

void
conf_free(struct conf *conf)
{
	struct region *region;

	if (conf == NULL)
		return;
	region = (void *)((char *)conf - offsetof(struct region, conf));
	munmap(region, region->size);
}

/* ---- questions ---- */

/* How many CPUs the process may use; 0 if the kernel does not say. */
static unsigned
count_cpus(void)
{
	/* The kernel refuses a set with fewer bits than it has itself; none has
	 * nearly so many. */
	static cpu_set_t sets[64];

	CPU_ZERO_S(sizeof(sets), sets);
	if (sched_getaffinity(0, sizeof(sets), sets) == -1)
		return 0;
	return (unsigned)CPU_COUNT_S(sizeof(sets), sets);
}

unsigned
conf_worker_count(const struct conf *conf)
{
	unsigned count = conf->workers;

	if (count == 0)
		count = count_cpus();
	if (count == 0)
		return 1;
	return count < CONF_WORKERS_MAX ? count : CONF_WORKERS_MAX;
}

const char *
conf_protocol_name(enum conf_protocol protocol)
{
	return conf_protocol_names[protocol];
}
