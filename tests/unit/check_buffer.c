/* SPDX-License-Identifier: ISC */
/*
 * Holds worker/buffer.c to worker/buffer.h.
 */
#include "worker/buffer.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/harness.h"

enum { LIMIT = 1024 * 1024 };

static struct counters_worker counters;
static struct buffer_pool pool;

static void
start(size_t limit)
{
	memset(&counters, 0, sizeof(counters));
	buffer_pool_init(&pool, limit, &counters);
}

/* Every test ends with nothing lent. */
static void
finish(void)
{
	ck_assert_uint_eq(pool.lent, 0);
	ck_assert_uint_eq(counter_get(&counters.buffered), 0);
	buffer_pool_free(&pool);
}

static struct buffer *
take(size_t room)
{
	struct buffer *buffer = NULL;

	ck_assert_int_eq(buffer_reserve(&pool, &buffer, room), 0);
	ck_assert_ptr_nonnull(buffer);
	return (buffer);
}

static uint8_t
byte_at(size_t i)
{
	return ((uint8_t)(i * 7 + i / 256));
}

/* Append bytes that go on where those in the buffer end. */
static void
fill(struct buffer *buffer, size_t n)
{
	uint8_t byte;

	for (size_t end = buffer->len + n; buffer->len < end;) {
		byte = byte_at(buffer->len);
		buffer_append(buffer, &byte, 1);
	}
}

/* Whether the buffer holds the bytes of fill() from the given one on. */
static bool
holds_from(const struct buffer *buffer, size_t first)
{
	for (size_t i = 0; i < buffer->len; i++)
		if (buffer->bytes[i] != byte_at(first + i))
			return (false);
	return (true);
}

static void
expect_refused(struct buffer **buffer, size_t room, int why)
{
	struct buffer *before = *buffer;
	size_t lent = pool.lent;

	errno = 0;
	ck_assert_int_eq(buffer_reserve(&pool, buffer, room), -1);
	ck_assert_int_eq(errno, why);
	ck_assert_ptr_eq(*buffer, before);
	ck_assert_uint_eq(pool.lent, lent);
}

/*
 * Capacities.
 */

START_TEST(a_buffer_has_the_smallest_capacity_with_the_room)
{
	static const size_t pairs[][2] = {
		{ 1, 256 }, { 255, 256 }, { 256, 256 }, { 257, 512 },
		{ 512, 512 }, { 513, 1024 }, { 65535, 65536 },
		{ 65536, 65536 }, { 65537, 131072 }, { 300000, 524288 },
	};
	struct buffer *buffer;

	start(LIMIT);
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		buffer = take(pairs[i][0]);
		ck_assert_uint_eq(buffer->cap, pairs[i][1]);
		ck_assert_uint_eq(buffer->len, 0);
		buffer_release(&pool, &buffer);
		ck_assert_ptr_null(buffer);
	}
	finish();
}
END_TEST

START_TEST(a_buffer_grows_with_the_bytes_that_are_appended)
{
	struct buffer *buffer = NULL;

	start(LIMIT);
	for (size_t n = 0; n < 200000; n += 100) {
		ck_assert_int_eq(buffer_reserve(&pool, &buffer, 100), 0);
		ck_assert_uint_ge(buffer->cap - buffer->len, 100);
		/* Never more than twice what is needed. */
		ck_assert(buffer->cap == BUFFER_MIN ||
		    buffer->cap < 2 * (n + 100));
		fill(buffer, 100);
	}
	ck_assert_uint_eq(buffer->len, 200000);
	ck_assert(holds_from(buffer, 0));
	buffer_release(&pool, &buffer);
	finish();
}
END_TEST

START_TEST(a_buffer_with_room_stays_where_it_is)
{
	struct buffer *buffer, *before;

	start(LIMIT);
	before = buffer = take(256);
	fill(buffer, 200);
	ck_assert_int_eq(buffer_reserve(&pool, &buffer, 56), 0);
	ck_assert_ptr_eq(buffer, before);
	ck_assert_int_eq(buffer_reserve(&pool, &buffer, 57), 0);
	ck_assert_uint_eq(buffer->cap, 512);
	ck_assert_uint_eq(buffer->len, 200);
	ck_assert(holds_from(buffer, 0));
	buffer_release(&pool, &buffer);
	finish();
}
END_TEST

/*
 * The limit.
 */

START_TEST(what_is_lent_is_counted_with_its_peak)
{
	struct buffer *a, *b;

	start(LIMIT);
	a = take(256);
	b = take(1000);
	ck_assert_uint_eq(pool.lent, 256 + 1024);
	ck_assert_uint_eq(counter_get(&counters.buffered), 256 + 1024);
	buffer_release(&pool, &a);
	ck_assert_uint_eq(counter_get(&counters.buffered), 1024);
	a = take(1);
	buffer_release(&pool, &b);
	ck_assert_uint_eq(counter_get(&counters.buffered), 256);
	ck_assert_uint_eq(counter_get(&counters.buffered_peak), 256 + 1024);
	buffer_release(&pool, &a);
	finish();
}
END_TEST

START_TEST(what_is_lent_is_known_by_who_gives_it_back)
{
	struct buffer *buffer = NULL, *other;

	start(LIMIT);
	other = take(1000);
	ck_assert_uint_eq(pool.used[BUFFER_PEER], 1024);
	buffer_use(&pool, other, BUFFER_HELD);
	ck_assert_uint_eq(pool.used[BUFFER_PEER], 0);
	ck_assert_uint_eq(pool.used[BUFFER_HELD], 1024);
	buffer_use(&pool, buffer, BUFFER_WORK);
	ck_assert_int_eq(buffer_reserve(&pool, &buffer, 100), 0);
	buffer_use(&pool, buffer, BUFFER_WORK);
	/* It moves, and what it is for does not change. */
	ck_assert_int_eq(buffer_reserve(&pool, &buffer, 300), 0);
	ck_assert_uint_eq(pool.used[BUFFER_WORK], 512);
	buffer_release(&pool, &buffer);
	ck_assert_uint_eq(pool.used[BUFFER_WORK], 0);
	/* The next borrower knows nothing of that. */
	buffer = take(300);
	ck_assert_uint_eq(pool.used[BUFFER_PEER], 512);
	buffer_release(&pool, &buffer);
	buffer_release(&pool, &other);
	for (int use = 0; use < BUFFER_USES; use++)
		ck_assert_uint_eq(pool.used[use], 0);
	finish();
}
END_TEST

START_TEST(the_sum_of_what_is_lent_never_exceeds_the_limit)
{
	struct buffer *a, *b, *c = NULL;

	start(1024);
	a = take(512);
	b = take(256);
	expect_refused(&c, 257, ENOBUFS);
	c = take(256);
	ck_assert_uint_eq(pool.lent, 1024);
	fill(c, 256);
	expect_refused(&c, 1, ENOBUFS);
	ck_assert(holds_from(c, 0));
	buffer_release(&pool, &a);
	ck_assert_int_eq(buffer_reserve(&pool, &c, 1), 0);
	ck_assert(holds_from(c, 0));
	buffer_release(&pool, &b);
	buffer_release(&pool, &c);
	finish();
}
END_TEST

START_TEST(a_buffer_above_the_limit_is_refused_by_an_empty_pool)
{
	struct buffer *buffer = NULL;

	start(1000);
	expect_refused(&buffer, 513, ENOBUFS);
	expect_refused(&buffer, LIMIT, ENOBUFS);
	buffer = take(512);
	buffer_release(&pool, &buffer);
	finish();
}
END_TEST

START_TEST(a_buffer_that_moves_counts_twice_while_it_moves)
{
	struct buffer *buffer;

	start(1024 + 512);
	buffer = take(512);
	fill(buffer, 512);
	ck_assert_int_eq(buffer_reserve(&pool, &buffer, 1), 0);
	ck_assert_uint_eq(pool.lent, 1024);
	ck_assert_uint_eq(counter_get(&counters.buffered_peak), 1024 + 512);
	fill(buffer, 512);
	expect_refused(&buffer, 1, ENOBUFS);
	buffer_release(&pool, &buffer);
	finish();
}
END_TEST

START_TEST(memory_that_the_system_does_not_have_is_an_error)
{
	struct buffer *buffer;

	start(SIZE_MAX / 2);
	buffer = take(100);
	fill(buffer, 100);
	/* More than there are addresses. */
	expect_refused(&buffer, (size_t)1 << 60, ENOMEM);
	ck_assert(holds_from(buffer, 0));
	buffer_release(&pool, &buffer);
	finish();
}
END_TEST

START_TEST(fits_says_whether_an_empty_pool_would_do)
{
	struct buffer *other, *buffer;

	start(1024);
	other = take(1024);
	ck_assert(buffer_fits(&pool, NULL, 1));
	ck_assert(buffer_fits(&pool, NULL, 1024));
	ck_assert(!buffer_fits(&pool, NULL, 1025));
	buffer_release(&pool, &other);

	buffer = take(256);
	fill(buffer, 256);
	ck_assert(buffer_fits(&pool, buffer, 1));
	ck_assert(buffer_fits(&pool, buffer, 256));
	/* 256 and 1024 at a time. */
	ck_assert(!buffer_fits(&pool, buffer, 257));
	expect_refused(&buffer, 257, ENOBUFS);
	ck_assert_int_eq(buffer_reserve(&pool, &buffer, 256), 0);
	buffer_release(&pool, &buffer);
	finish();
}
END_TEST

START_TEST(a_buffer_with_room_fits_whatever_the_limit)
{
	struct buffer *buffer;

	start(256);
	buffer = take(256);
	fill(buffer, 100);
	ck_assert_int_eq(buffer_reserve(&pool, &buffer, 156), 0);
	ck_assert(buffer_fits(&pool, buffer, 156));
	buffer_release(&pool, &buffer);
	finish();
}
END_TEST

/*
 * Consuming.
 */

START_TEST(what_is_consumed_goes_from_the_head)
{
	struct buffer *buffer, *before;

	start(LIMIT);
	before = buffer = take(1000);
	fill(buffer, 1000);
	buffer_consume(&pool, &buffer, 0);
	ck_assert_uint_eq(buffer->len, 1000);
	buffer_consume(&pool, &buffer, 1);
	ck_assert_uint_eq(buffer->len, 999);
	ck_assert(holds_from(buffer, 1));
	buffer_consume(&pool, &buffer, 998);
	ck_assert_uint_eq(buffer->len, 1);
	ck_assert(holds_from(buffer, 999));
	ck_assert_ptr_eq(buffer, before);
	buffer_consume(&pool, &buffer, 1);
	ck_assert_ptr_null(buffer);
	finish();
}
END_TEST

START_TEST(a_buffer_that_has_become_far_too_large_is_exchanged)
{
	enum { CAP = 2 * BUFFER_POOLED_MAX };
	struct buffer *buffer;

	start(LIMIT);
	buffer = take(CAP);
	fill(buffer, CAP);
	buffer_consume(&pool, &buffer, CAP - CAP / 8);
	ck_assert_uint_eq(buffer->cap, CAP);
	buffer_consume(&pool, &buffer, 1);
	ck_assert_uint_eq(buffer->len, CAP / 8 - 1);
	ck_assert_uint_eq(buffer->cap, CAP / 8);
	ck_assert(holds_from(buffer, CAP - CAP / 8 + 1));
	ck_assert_uint_eq(pool.lent, CAP / 8);
	buffer_release(&pool, &buffer);
	finish();
}
END_TEST

START_TEST(a_buffer_that_cannot_be_exchanged_serves_on)
{
	enum { CAP = 2 * BUFFER_POOLED_MAX };
	struct buffer *buffer;

	start(CAP);
	buffer = take(CAP);
	fill(buffer, CAP);
	buffer_consume(&pool, &buffer, CAP - 10);
	ck_assert_uint_eq(buffer->cap, CAP);
	ck_assert_uint_eq(buffer->len, 10);
	ck_assert(holds_from(buffer, CAP - 10));
	buffer_consume(&pool, &buffer, 10);
	ck_assert_ptr_null(buffer);
	finish();
}
END_TEST

/*
 * The pool.
 */

START_TEST(releasing_nothing_does_nothing)
{
	struct buffer *none = NULL;

	start(LIMIT);
	buffer_release(&pool, &none);
	ck_assert_ptr_null(none);
	finish();
}
END_TEST

/* The bytes that the pool keeps for later. */
static size_t
kept(void)
{
	size_t sum = 0, listed = 0;

	for (unsigned i = 0; i < BUFFER_CLASSES; i++) {
		for (struct buffer *b = pool.free[i]; b != NULL; b = b->next) {
			ck_assert_uint_eq(b->cap, (size_t)BUFFER_MIN << i);
			listed += b->cap;
		}
		sum += pool.kept[i];
	}
	ck_assert_uint_eq(sum, listed);
	return (sum);
}

START_TEST(a_buffer_that_came_back_is_lent_again)
{
	struct buffer *buffer, *before;

	start(LIMIT);
	for (size_t cap = BUFFER_MIN; cap <= BUFFER_POOLED_MAX; cap *= 2) {
		before = buffer = take(cap);
		fill(buffer, cap);
		buffer_release(&pool, &buffer);
		ck_assert_uint_eq(kept(), cap);
		buffer = take(cap);
		ck_assert_ptr_eq(buffer, before);
		ck_assert_uint_eq(buffer->len, 0);
		ck_assert_uint_eq(buffer->cap, cap);
		ck_assert_uint_eq(kept(), 0);
		buffer_release(&pool, &buffer);
		buffer_pool_free(&pool);
	}
	finish();
}
END_TEST

START_TEST(a_large_buffer_goes_back_to_the_system)
{
	struct buffer *buffer;

	start(LIMIT);
	buffer = take(BUFFER_POOLED_MAX + 1);
	buffer_release(&pool, &buffer);
	ck_assert_uint_eq(kept(), 0);
	finish();
}
END_TEST

START_TEST(the_pool_keeps_only_so_much_of_each_capacity)
{
	enum { N = BUFFER_KEEP / BUFFER_POOLED_MAX + 2 };
	struct buffer *large[N], *small = NULL;

	start(LIMIT);
	for (int i = 0; i < N; i++)
		large[i] = take(BUFFER_POOLED_MAX);
	small = take(1);
	for (int i = 0; i < N; i++)
		buffer_release(&pool, &large[i]);
	ck_assert_uint_eq(kept(), BUFFER_KEEP);
	buffer_release(&pool, &small);
	ck_assert_uint_eq(kept(), BUFFER_KEEP + BUFFER_MIN);
	finish();
	ck_assert_uint_eq(kept(), 0);
}
END_TEST

START_TEST(what_the_pool_keeps_does_not_count_as_lent)
{
	struct buffer *buffer;

	start(1024);
	for (size_t cap = 256; cap <= 1024; cap *= 2) {
		buffer = take(cap);
		buffer_release(&pool, &buffer);
	}
	ck_assert_uint_eq(kept(), 256 + 512 + 1024);
	buffer = take(1024);
	buffer_release(&pool, &buffer);
	finish();
}
END_TEST

/*
 * All together, against a model: the sum of the capacities that are out.
 */

enum { MANY = 40 };

static size_t
sum_of(struct buffer *const buffers[MANY])
{
	size_t sum = 0;

	for (int i = 0; i < MANY; i++)
		if (buffers[i] != NULL)
			sum += buffers[i]->cap;
	return (sum);
}

static void
do_anything(struct buffer **buffer)
{
	size_t room = (size_t)random() % 3000, len;

	if (random() % 50 == 0)
		room *= 60;
	switch (random() % 4) {
	case 0:
		buffer_release(&pool, buffer);
		break;
	case 1:
		if (*buffer == NULL || (len = (*buffer)->len) == 0)
			break;
		buffer_consume(&pool, buffer, (size_t)random() % (len + 1));
		break;
	default:
		if (buffer_reserve(&pool, buffer, room) == 0)
			fill(*buffer, room);
		break;
	}
}

START_TEST(whatever_is_done_what_is_lent_is_known_and_within_the_limit)
{
	struct buffer *buffers[MANY] = { NULL };
	size_t peak = 0;

	start(300000);
	srandom(1);
	for (int i = 0; i < 5000; i++) {
		do_anything(&buffers[random() % MANY]);
		ck_assert_uint_eq(pool.lent, sum_of(buffers));
		ck_assert_uint_eq(counter_get(&counters.buffered), pool.lent);
		ck_assert_uint_le(pool.lent, pool.limit);
		if (pool.lent > peak)
			peak = pool.lent;
	}
	/* Or this test is not about the limit. */
	ck_assert_uint_gt(peak, pool.limit / 2);
	ck_assert_uint_le(counter_get(&counters.buffered_peak), pool.limit);
	for (int i = 0; i < MANY; i++)
		buffer_release(&pool, &buffers[i]);
	finish();
}
END_TEST

/* AddressSanitizer ends the process by default where malloc(3) returns NULL. */
const char *__asan_default_options(void);

const char *
__asan_default_options(void)
{
	return ("allocator_may_return_null=1");
}

RUN_TESTS("buffer",
    a_buffer_has_the_smallest_capacity_with_the_room,
    a_buffer_grows_with_the_bytes_that_are_appended,
    a_buffer_with_room_stays_where_it_is,
    what_is_lent_is_counted_with_its_peak,
    what_is_lent_is_known_by_who_gives_it_back,
    the_sum_of_what_is_lent_never_exceeds_the_limit,
    a_buffer_above_the_limit_is_refused_by_an_empty_pool,
    a_buffer_that_moves_counts_twice_while_it_moves,
    memory_that_the_system_does_not_have_is_an_error,
    fits_says_whether_an_empty_pool_would_do,
    a_buffer_with_room_fits_whatever_the_limit,
    what_is_consumed_goes_from_the_head,
    a_buffer_that_has_become_far_too_large_is_exchanged,
    a_buffer_that_cannot_be_exchanged_serves_on,
    releasing_nothing_does_nothing,
    a_buffer_that_came_back_is_lent_again,
    a_large_buffer_goes_back_to_the_system,
    the_pool_keeps_only_so_much_of_each_capacity,
    what_the_pool_keeps_does_not_count_as_lent,
    whatever_is_done_what_is_lent_is_known_and_within_the_limit)
