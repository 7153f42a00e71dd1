/* SPDX-License-Identifier: ISC */
#include "tools/top.h"

#include <sys/ioctl.h>

#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "tools/show.h"

enum {
	PAST = 24,		/* rates that are kept for each slot */
	SLOTS_MAX = CONF_WORKERS_MAX,
	/* The screen that all columns fit on.  On a wider one, names and bars
	 * get the rest. */
	COLUMNS = 80,
	ROWS = 24,
	BARS_AT = 64,		/* columns of a slot in front of its bars */
	NUMBERS = 61,		/* columns of a listener or handler behind its
				   name */
	NAME_LEAST = 8,
	NAME_MOST = 40,
	SLOTS_LEAST = 4,	/* lines of slots when rows are few */
};

/* The rates of one slot, the oldest first. */
struct past {
	double rate[PAST];
};

struct top {
	struct json_value *now;
	struct json_value *before;	/* NULL in the first view */
	double seconds;			/* between the two */
	struct past past[SLOTS_MAX];
	bool utf8;
	bool terminal;
	int columns, rows;
	int bars;			/* columns of them */
	int name_width;
	int row;
};

static struct termios cooked;
static volatile sig_atomic_t interrupted;

/*
 * The terminal.
 */

static void
top_on_signal(int number)
{
	(void)number;
	interrupted = 1;
}

/* Use the alternate screen without line wrap and cursor, and read keys at
 * once. */
static void
enter_screen(void)
{
	struct sigaction action = { .sa_handler = top_on_signal };
	struct termios raw;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	if (tcgetattr(STDIN_FILENO, &cooked) == 0) {
		raw = cooked;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	fputs("\033[?1049h\033[?25l\033[?7l", stdout);
}

static void
leave_screen(void)
{
	fputs("\033[?7h\033[?25h\033[?1049l", stdout);
	fflush(stdout);
	tcsetattr(STDIN_FILENO, TCSANOW, &cooked);
}

static void
measure_screen(struct top *top)
{
	struct winsize size;

	top->columns = COLUMNS;
	top->rows = ROWS;
	if (top->terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 &&
	    size.ws_row > 0) {
		top->columns = size.ws_col;
		top->rows = size.ws_row;
	}
	top->bars = top->columns - BARS_AT;
	if (top->bars < 0)
		top->bars = 0;
	if (top->bars > PAST)
		top->bars = PAST;
	top->name_width = top->columns - NUMBERS;
	if (top->name_width < NAME_LEAST)
		top->name_width = NAME_LEAST;
	if (top->name_width > NAME_MOST)
		top->name_width = NAME_MOST;
}

/* Begin a line.  Returns whether it fits on the screen. */
static bool
next_line(struct top *top)
{
	if (top->terminal && ++top->row > top->rows)
		return (false);
	if (top->terminal && top->row > 1)
		fputs("\r\n", stdout);
	else if (!top->terminal)
		putchar('\n');
	fputs(top->terminal ? "\033[K" : "", stdout);
	return (true);
}

static void
emphasize(const struct top *top, const char *how)
{
	if (top->terminal)
		printf("\033[%sm", how);
}

/*
 * Rates.
 */

/* The object of an array that has the same name or number. */
static const struct json_value *
counterpart(const struct json_value *array, const struct json_value *of,
    const char *key)
{
	const char *name = json_text(json_get(of, key));

	JSON_EACH(one, array)
		if (strcmp(json_text(json_get(one, key)), name) == 0)
			return (one);
	return (NULL);
}

static double
rate(const struct top *top, const struct json_value *now,
    const struct json_value *before, const char *name)
{
	double change = json_double(json_get(now, name)) -
	    json_double(json_get(before, name));
	double a_second = change / top->seconds;

	/* A JSON number can be too large for a double. */
	if (before == NULL || top->seconds <= 0 || change < 0 ||
	    !isfinite(a_second))
		return (0);
	return (a_second);
}

static const struct json_value *
slot_before(const struct top *top, const struct json_value *slot)
{
	return (counterpart(json_get(top->before, "slots"), slot, "slot"));
}

static double
slot_rate(const struct top *top, const struct json_value *slot,
    const char *name)
{
	return (rate(top, json_get(slot, "listeners"),
	    json_get(slot_before(top, slot), "listeners"), name));
}

static void
remember(struct top *top)
{
	struct past *past;
	uint64_t number;

	JSON_EACH(slot, json_get(top->now, "slots")) {
		number = json_u64(json_get(slot, "slot"));
		if (number >= SLOTS_MAX)
			continue;
		past = &top->past[number];
		memmove(past->rate, past->rate + 1,
		    (PAST - 1) * sizeof(past->rate[0]));
		past->rate[PAST - 1] = slot_rate(top, slot, "messages_in");
	}
}

/*
 * Lines.
 */

static void
put_sparkline(const struct top *top, const struct past *past, double most)
{
	static const char *const blocks[] = {
		" ", "\u2581", "\u2582", "\u2583", "\u2584", "\u2585",
		"\u2586", "\u2587", "\u2588"
	};
	static const char *const ascii[] = {
		" ", ".", ".", ":", "-", "=", "+", "*", "#"
	};

	for (int i = PAST - top->bars; i < PAST; i++) {
		int level = most <= 0 ? 0 : (int)(past->rate[i] / most * 8 +
		    0.5);

		if (level == 0 && past->rate[i] > 0)
			level = 1;
		fputs(top->utf8 ? blocks[level] : ascii[level], stdout);
	}
}

static double
highest(const struct top *top)
{
	double most = 0;

	for (int i = 0; i < SLOTS_MAX; i++)
		for (int k = 0; k < PAST; k++)
			if (top->past[i].rate[k] > most)
				most = top->past[i].rate[k];
	return (most);
}

static void
top_put_head(struct top *top)
{
	const struct json_value *server = json_get(top->now, "server");
	bool ready = json_is_true(json_get(server, "ready"));
	double in = 0, out = 0, conns = 0, messages = 0;
	char text[SHOW_MAX];

	JSON_EACH(slot, json_get(top->now, "slots")) {
		messages += slot_rate(top, slot, "messages_in");
		in += slot_rate(top, slot, "bytes_in");
		out += slot_rate(top, slot, "bytes_out");
		conns += json_double(json_get(json_get(slot, "worker"),
		    "active"));
	}
	next_line(top);
	emphasize(top, "1");
	printf("penstock %s", json_text(json_get(server, "version")));
	emphasize(top, "0");
	printf("  pid %s  generation %s  %s  ",
	    json_text(json_get(server, "pid")),
	    json_text(json_get(server, "generation")),
	    json_text(json_get(server, "state")));
	emphasize(top, ready ? "32" : "31;1");
	printf("%s%s", ready ? "ready" : "NOT READY: ",
	    json_text(json_get(server, "not_ready_for")));
	emphasize(top, "0");
	next_line(top);
	printf("%s connections", show_count(text, conns));
	printf("  %s messages/s", show_count(text, messages));
	printf("  %sB/s in", show_count(text, in));
	printf("  %sB/s out", show_count(text, out));
}

static void
top_put_slot(struct top *top, const struct json_value *slot, double most)
{
	const struct json_value *worker = json_get(slot, "worker");
	const struct json_value *before = json_get(slot_before(top, slot),
	    "worker");
	uint64_t number = json_u64(json_get(slot, "slot")), restarts = 0;
	char age[SHOW_MAX], messages[SHOW_MAX], lag[SHOW_MAX];
	bool dead = json_u64(json_get(slot, "pid")) == 0;

	JSON_EACH(cause, json_get(slot, "restarts"))
		restarts += json_u64(cause);
	emphasize(top, dead ? "31;1" : "0");
	printf("%4s %7s %5s %11s %6s %6s %8s %8lu  ",
	    json_text(json_get(slot, "slot")),
	    dead ? "dead" : json_text(json_get(slot, "pid")),
	    json_text(json_get(slot, "generation")),
	    show_time(age, json_double(json_get(slot, "age_seconds"))),
	    json_text(json_get(worker, "active")),
	    show_count(messages, slot_rate(top, slot, "messages_in")),
	    show_duration(lag, show_quantile(json_get(worker, "lag"),
	    json_get(before, "lag"), 0.99)), (unsigned long)restarts);
	emphasize(top, "36");
	if (number < SLOTS_MAX)
		put_sparkline(top, &top->past[number], most);
	emphasize(top, "0");
}

static void
put_title(struct top *top, const char *name, int width, const char *numbers)
{
	if (!next_line(top) || !next_line(top))
		return;
	emphasize(top, "7");
	printf("%-*s%s", width, name, numbers);
	emphasize(top, "0");
}

static void
put_name(const struct top *top, const struct json_value *one)
{
	printf("%-*.*s", top->name_width, top->name_width,
	    json_text(json_get(one, "name")));
}

/* How many objects of an array have a member that is true. */
static int
count_true(const struct json_value *array, const char *name)
{
	int n = 0;

	JSON_EACH(one, array)
		if (json_is_true(json_get(one, name)))
			n++;
	return (n);
}

/* How many lines the slots may have, so that the listeners and handlers below
 * fit on the screen too. */
static int
lines_for_slots(const struct top *top)
{
	int handlers = (int)json_count(json_get(top->now, "handlers"));
	int lines = top->rows - top->row - 2 -
	    count_true(json_get(top->now, "listeners"), "configured") -
	    (handlers > 0 ? handlers + 2 : 0);

	if (!top->terminal)
		return (SLOTS_MAX);
	return (lines > SLOTS_LEAST ? lines : SLOTS_LEAST);
}

static void
top_put_slots(struct top *top)
{
	const struct json_value *slots = json_get(top->now, "slots");
	int wanted = count_true(slots, "wanted"), shown = 0, lines;
	double most = highest(top);

	put_title(top, "SLOT", 4, "     PID   GEN         AGE  CONNS MSGS/S  "
	    "LAG P99 RESTARTS  MSGS/S LATELY   ");
	lines = lines_for_slots(top);
	JSON_EACH(slot, slots) {
		if (!json_is_true(json_get(slot, "wanted")))
			continue;
		if (shown == lines - 1 && wanted > lines)
			break;
		if (next_line(top))
			top_put_slot(top, slot, most);
		shown++;
	}
	if (shown < wanted && next_line(top))
		printf("     and %d more", wanted - shown);
}

static void
top_put_listener(const struct top *top, const struct json_value *one)
{
	const struct json_value *before = counterpart(json_get(top->before,
	    "listeners"), one, "name");
	char accepted[SHOW_MAX], messages[SHOW_MAX], in[SHOW_MAX];
	char out[SHOW_MAX];

	put_name(top, one);
	printf(" %7s %6s %9s %9s %9s %9s",
	    json_text(json_get(one, "active")),
	    json_text(json_get(one, "accept_queue")),
	    show_count(accepted, rate(top, one, before, "accepted")),
	    show_count(messages, rate(top, one, before, "messages_in")),
	    show_count(in, rate(top, one, before, "bytes_in")),
	    show_count(out, rate(top, one, before, "bytes_out")));
}

static void
top_put_listeners(struct top *top)
{
	put_title(top, "LISTENER", top->name_width,
	    "   CONNS  QUEUE ACCEPTS/S    MSGS/S    B/S IN   B/S OUT");
	JSON_EACH(one, json_get(top->now, "listeners"))
		if (json_is_true(json_get(one, "configured")) &&
		    next_line(top))
			top_put_listener(top, one);
}

static void
put_handler(const struct top *top, const struct json_value *one)
{
	const struct json_value *before = counterpart(json_get(top->before,
	    "handlers"), one, "name");
	const struct json_value *now = json_get(one, "handling");
	const struct json_value *then = json_get(before, "handling");
	char busy[SHOW_MAX], waits[SHOW_MAX], shed[SHOW_MAX];
	char median[SHOW_MAX], high[SHOW_MAX], wait[SHOW_MAX];

	snprintf(busy, sizeof(busy), "%s/%s",
	    json_text(json_get(one, "executors_busy")),
	    json_text(json_get(one, "executors")));
	put_name(top, one);
	printf(" %7s %6s %7s %7s %9s %9s %9s", busy,
	    json_text(json_get(one, "waiting")),
	    show_count(waits, rate(top, one, before, "waits")),
	    show_count(shed, rate(top, one, before, "shed") +
	    rate(top, one, before, "expired")),
	    show_duration(wait, show_quantile(json_get(one, "wait"),
	    json_get(before, "wait"), 0.99)),
	    show_duration(median, show_quantile(now, then, 0.5)),
	    show_duration(high, show_quantile(now, then, 0.99)));
}

static void
top_put_handlers(struct top *top)
{
	const struct json_value *handlers = json_get(top->now, "handlers");

	if (json_count(handlers) == 0)
		return;
	put_title(top, "HANDLER", top->name_width,
	    "    BUSY  QUEUE WAITS/S  SHED/S  WAIT P99  TIME P50  TIME P99");
	JSON_EACH(one, handlers)
		if (next_line(top))
			put_handler(top, one);
}

static void
top_put_all(struct top *top)
{
	top->row = 0;
	measure_screen(top);
	if (top->terminal)
		fputs("\033[H", stdout);
	top_put_head(top);
	top_put_slots(top);
	top_put_listeners(top);
	top_put_handlers(top);
	fputs(top->terminal ? "\033[J" : "\n", stdout);
	fflush(stdout);
}

/*
 * The loop.
 */

static void
top_take(struct top *top, struct json_value *fresh)
{
	json_free(top->before);
	top->before = top->now;
	top->now = fresh;
	top->seconds = json_double(json_get(top->now, "clock_seconds")) -
	    json_double(json_get(top->before, "clock_seconds"));
	remember(top);
}

static void
say_absence(struct top *top)
{
	if (!top->terminal)
		return;
	fputs("\033[H\033[31;1mno server answers\033[0m\033[K", stdout);
	fflush(stdout);
}

/* Wait for the next view.  Returns false to end. */
static bool
pause_or_quit(const struct top *top, unsigned ms)
{
	struct pollfd wait = { .fd = STDIN_FILENO, .events = POLLIN };
	char key;

	if (!top->terminal) {
		poll(NULL, 0, (int)ms);
		return (!interrupted);
	}
	if (poll(&wait, 1, (int)ms) > 0 &&
	    (read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 'Q'))
		return (false);
	return (!interrupted);
}

static void
top_watch(struct top *top, const struct contact *contact, unsigned every_ms,
    unsigned times)
{
	struct json_value *fresh;

	for (unsigned i = 0; times == 0 || i < times; i++) {
		/* The first view has no rates yet, so the next one comes
		 * soon. */
		if (!pause_or_quit(top, i == 0 && every_ms > 300 ? 300 :
		    every_ms))
			return;
		if (contact_get_json(contact, "/status", &fresh, true) !=
		    CONTACT_FINE) {
			say_absence(top);
			continue;
		}
		top_take(top, fresh);
		top_put_all(top);
	}
}

int
top_run(const struct contact *contact, unsigned every_ms, unsigned times)
{
	static struct top top;
	int status;

	setlocale(LC_CTYPE, "");
	top.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	top.terminal = isatty(STDOUT_FILENO) && isatty(STDIN_FILENO);
	status = contact_get_json(contact, "/status", &top.now, false);
	if (status != CONTACT_FINE)
		return (status);
	if (top.terminal)
		enter_screen();
	top_watch(&top, contact, every_ms, times);
	if (top.terminal)
		leave_screen();
	json_free(top.now);
	json_free(top.before);
	return (CONTACT_FINE);
}
