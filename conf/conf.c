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
#include "conf/conf_text.h"

enum {
	/* Address space: pages that nobody writes to take no memory. */
	ROOM = 64 << 20,
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
reader_end(enum conf_outcome outcome)
{
	result->used = conf_alloc_used();
	result->outcome = outcome;
#ifdef WITH_COVERAGE
	__gcov_dump();		/* which _exit() leaves out */
#endif
	_exit(EXIT_SUCCESS);
}

static void __attribute__((noreturn))
reader_main(struct region *region, const struct conf_request *request,
    pid_t parent, int fd)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	/* Neither sockets nor locks are held by a reader that hangs. */
	fd_close_on_exec_but(fd);
	title_set("conf reader");
	result = region;
	conf_alloc_begin(region, region->size, reader_end);
	conf_alloc(1, sizeof(*region));
	conf_parse(request->path, request->text, &region->conf,
	    &region->report);
	reader_end(CONF_READ);
}

/* ---- the process that asks ---- */

/* Wait for the end of the reader, which has the other end of the pipe; returns
 * false if it does not end in time. */
static bool
reader_await_end(int pipe, unsigned timeout_ms)
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

/* There is no status if SIGCHLD is ignored. */
static int
reader_reap(pid_t pid)
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
reader_fork(struct region *region, const struct conf_request *request,
    const int ends[2])
{
	pid_t parent = getpid(), pid;
	sigset_t all, before;
	int error;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	if ((pid = fork()) == 0)
		reader_main(region, request, parent, ends[1]);
	error = errno;
	sigprocmask(SIG_SETMASK, &before, NULL);
	errno = error;
	return pid;
}

/* Returns -1 and says why if the region has no result. */
static int
reader_run(struct region *region, const struct conf_request *request,
    struct why *why)
{
	int ends[2], status;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) == -1)
		return why_set(why, "could not be read: pipe: %s",
		    strerror(errno));
	pid = reader_fork(region, request, ends);
	if (pid == -1)
		why_set(why, "could not be read: fork: %s", strerror(errno));
	close(ends[1]);
	if (pid != -1 && !reader_await_end(ends[0], request->timeout_ms)) {
		why_set(why, "could not be read within %g s",
		    request->timeout_ms / 1000.0);
		kill(pid, SIGKILL);
		/* If it does not end at once, it is reaped when the master waits
		 * for any child, or by init. */
		if (!reader_await_end(ends[0], KILL_MS))
			pid = -1;
	}
	close(ends[0]);
	status = pid != -1 ? reader_reap(pid) : 0;
	if (*why->text != '\0')
		return -1;
	if (WIFSIGNALED(status))
		return why_set(why, "could not be read: the reader died of "
		    "signal %d (%s)", WTERMSIG(status),
		    strsignal(WTERMSIG(status)));
	if (region->outcome == CONF_NO_MEMORY)
		return why_set(why, "could not be read: no memory");
	if (region->outcome == CONF_NO_ROOM)
		return why_set(why, "could not be read: it takes more than "
		    "%zu bytes", region->size);
	return 0;
}

static struct region *
region_map(size_t size)
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
region_to_pages(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (size + page - 1) / page * page;
}

/*
 * Keep what is used of it, as memory that is not shared, in the same place: a
 * worker could make a shared mapping writable, and change what its master does.
 */
static bool
region_settle(struct region *region)
{
	size_t size = region->size, kept = region_to_pages(region->used);
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
	size_t size = region_to_pages(request->room != 0 ? request->room :
	    ROOM);
	struct region *region = region_map(size);

	*report->why.text = '\0';
	if (region == NULL ||
	    reader_run(region, request, &report->why) == -1 ||
	    !region_settle(region)) {
		if (region != NULL)
			munmap(region, size);
		if (*report->why.text == '\0')
			why_set(&report->why, "could not be read: no memory");
		report->is_unread = true;
		report->unread = (struct conf_error){
			.file = request->path, .text = report->why.text,
		};
		report->errors = &report->unread;
		report->nerrors = 1;
		return NULL;
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

const char *
conf_error_place(const struct conf_error *error, char place[CONF_PLACE_MAX])
{
	if (error->line > 0)
		snprintf(place, CONF_PLACE_MAX, "%s:%u", error->file,
		    error->line);
	else
		snprintf(place, CONF_PLACE_MAX, "%s", error->file);
	return (place);
}

static int
conf_print_as(FILE *out, const struct conf *conf, struct conf_layout layout)
{
	fputs("# The configuration in effect, read from ", out);
	conf_print_string(out, conf->path, SIZE_MAX);
	fputs(".\n", out);
	conf_group_print(out, conf_keys, conf, layout);
	return fflush(out) == EOF || ferror(out) ? -1 : 0;
}

int
conf_print(FILE *out, const struct conf *conf)
{
	return conf_print_as(out, conf, (struct conf_layout){ 0 });
}

int
conf_print_previous(FILE *out, const struct conf *conf)
{
	return conf_print_as(out, conf,
	    (struct conf_layout){ .is_previous = true });
}

/* How many CPUs the process may use; 0 if the kernel does not say. */
static unsigned
conf_count_cpus(void)
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
		count = conf_count_cpus();
	if (count == 0)
		return 1;
	return count < CONF_WORKERS_MAX ? count : CONF_WORKERS_MAX;
}

const char *
conf_protocol_name(enum conf_protocol protocol)
{
	return conf_protocol_names[protocol];
}
