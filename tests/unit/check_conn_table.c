/* SPDX-License-Identifier: ISC */
/*
 * Holds worker/conn_table.c to worker/conn_table.h.
 */
#include "worker/conn_table.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/harness.h"
#include "worker/conn.h"

enum {
	SLABS = 4,
	RECORDS = SLABS * CONN_SLAB,
	BLOCK = 1,
};

static struct counters counters;
static struct conn_table table;
static struct conn *held[RECORDS];	/* by index */

static void
start(uint32_t records)
{
	memset(held, 0, sizeof(held));
	ck_assert_int_eq(counters_new(&counters, 0, records), 0);
	ck_assert_int_eq(conn_table_init(&table, &counters, BLOCK), 0);
}

static struct conn *
take(void)
{
	struct conn *conn = conn_table_take(&table);

	ck_assert_ptr_nonnull(conn);
	ck_assert_uint_lt(conn->index, counters.records);
	ck_assert_ptr_null(held[conn->index]);
	held[conn->index] = conn;
	return (conn);
}

/* Take so many, which have to be the ones from the given index on, in whatever
 * order. */
static void
take_range(uint32_t first, uint32_t n)
{
	uint32_t index;

	for (uint32_t i = 0; i < n; i++) {
		index = take()->index;
		ck_assert_uint_ge(index, first);
		ck_assert_uint_lt(index, first + n);
	}
}

static void
give(uint32_t index)
{
	struct conn *conn = held[index];

	ck_assert_ptr_nonnull(conn);
	held[index] = NULL;
	conn_table_give(&table, conn);
}

static void
give_range(uint32_t first, uint32_t n)
{
	for (uint32_t i = first; i < first + n; i++)
		give(i);
}

static void
finish(void)
{
	for (uint32_t i = 0; i < counters.records; i++)
		if (held[i] != NULL)
			give(i);
	ck_assert_uint_eq(table.count, 0);
	conn_table_free(&table);
	counters_free(&counters);
}

/* Bit i: slab i is mapped. */
static unsigned
mapped(void)
{
	unsigned set = 0;

	for (size_t i = 0; i < table.nslabs; i++)
		if (table.slabs[i] != NULL)
			set |= 1U << i;
	return (set);
}

static void
expect_full(int why)
{
	size_t count = table.count;

	errno = 0;
	ck_assert_ptr_null(conn_table_take(&table));
	ck_assert_int_eq(errno, why);
	ck_assert_uint_eq(table.count, count);
}

/*
 * Places.
 */

START_TEST(a_place_is_zeroed_but_for_its_index)
{
	struct conn zero, *conn;

	start(RECORDS);
	take_range(0, 2);
	for (int i = 0; i < 2; i++) {
		memset((void *)held[1], 0xff, sizeof(*held[1]));
		held[1]->index = 1;
		give(1);
		conn = take();
		memset((void *)&zero, 0, sizeof(zero));
		zero.index = 1;
		ck_assert_uint_eq(conn->index, 1);
		ck_assert_mem_eq((void *)conn, (void *)&zero, sizeof(zero));
	}
	finish();
}
END_TEST

START_TEST(a_free_place_in_the_lowest_slab_is_taken_first)
{
	start(RECORDS);
	take_range(0, 3 * CONN_SLAB);
	give(2 * CONN_SLAB + 7);
	give(CONN_SLAB);
	ck_assert_uint_eq(take()->index, CONN_SLAB);
	ck_assert_uint_eq(take()->index, 2 * CONN_SLAB + 7);
	ck_assert_uint_eq(take()->index, 3 * CONN_SLAB);
	finish();
}
END_TEST

START_TEST(no_two_places_overlap)
{
	struct conn filled;

	start(RECORDS);
	take_range(0, RECORDS);
	for (uint32_t i = 0; i < RECORDS; i++)
		memset((void *)held[i], (int)(i % 251),
		    offsetof(struct conn, index));
	for (uint32_t i = 0; i < RECORDS; i++) {
		memset((void *)&filled, (int)(i % 251), sizeof(filled));
		ck_assert_mem_eq((void *)held[i], (void *)&filled,
		    offsetof(struct conn, index));
		ck_assert_uint_eq(held[i]->index, i);
	}
	finish();
}
END_TEST

START_TEST(connections_are_counted)
{
	start(RECORDS);
	take_range(0, 300);
	ck_assert_uint_eq(table.count, 300);
	give_range(10, 250);
	ck_assert_uint_eq(table.count, 50);
	finish();
}
END_TEST

START_TEST(a_full_table_has_no_place_until_one_is_given_back)
{
	start(RECORDS);
	take_range(0, RECORDS);
	expect_full(ENFILE);
	expect_full(ENFILE);
	give(123);
	ck_assert_uint_eq(take()->index, 123);
	expect_full(ENFILE);
	finish();
}
END_TEST

START_TEST(a_table_need_not_be_of_whole_slabs)
{
	static const uint32_t sizes[] = {
		1, CONN_SLAB - 1, CONN_SLAB + 1, 2 * CONN_SLAB - 1
	};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		start(sizes[i]);
		take_range(0, sizes[i]);
		expect_full(ENFILE);
		give_range(0, sizes[i]);
		take_range(0, sizes[i]);
		expect_full(ENFILE);
		finish();
	}
}
END_TEST

START_TEST(a_table_without_places_is_full)
{
	start(0);
	expect_full(ENFILE);
	finish();
}
END_TEST

START_TEST(without_memory_there_is_no_place)
{
	struct rlimit before, none;

	start(RECORDS);
	ck_assert_int_eq(getrlimit(RLIMIT_AS, &before), 0);
	none = (struct rlimit){ .rlim_max = before.rlim_max };
	ck_assert_int_eq(setrlimit(RLIMIT_AS, &none), 0);
	errno = 0;
	held[0] = conn_table_take(&table);
	none.rlim_cur = (rlim_t)errno;
	ck_assert_int_eq(setrlimit(RLIMIT_AS, &before), 0);
	ck_assert_ptr_null(held[0]);
	ck_assert_uint_eq(none.rlim_cur, ENOMEM);
	take_range(0, 1);
	finish();
}
END_TEST

/*
 * Places that are taken again.
 */

static void
take_again(uint32_t index)
{
	struct conn *conn = conn_table_take_again(&table, index);

	ck_assert_ptr_nonnull(conn);
	ck_assert_uint_eq(conn->index, index);
	ck_assert_ptr_null(held[index]);
	held[index] = conn;
}

START_TEST(places_are_taken_again_and_those_between_are_free)
{
	static const uint32_t places[] = {
		0, 3, 4, CONN_SLAB - 1, 3 * CONN_SLAB, RECORDS - 1
	};
	enum { N = sizeof(places) / sizeof(*places) };

	start(RECORDS);
	for (int i = 0; i < N; i++)
		take_again(places[i]);
	ck_assert_uint_eq(table.count, N);
	ck_assert_uint_eq(mapped(), 0x9);
	/* All the others can be had, and each once. */
	for (uint32_t i = 0; i < RECORDS - N; i++)
		take();
	expect_full(ENFILE);
	finish();
}
END_TEST

START_TEST(a_slab_whose_places_were_taken_again_is_unmapped_like_others)
{
	start(RECORDS);
	for (unsigned i = 0; i < SLABS; i++)
		take_again(i * CONN_SLAB + 5);
	ck_assert_uint_eq(mapped(), 0xf);
	for (unsigned i = 0; i < SLABS; i++)
		give(i * CONN_SLAB + 5);
	ck_assert_uint_eq(mapped(), 0x1);
	finish();
}
END_TEST

START_TEST(no_other_place_is_taken_again)
{
	static const uint32_t places[] = { 7, 6, 0, RECORDS, UINT32_MAX };

	start(RECORDS);
	take_again(7);
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		errno = 0;
		ck_assert_ptr_null(conn_table_take_again(&table, places[i]));
		ck_assert_int_eq(errno, EINVAL);
	}
	ck_assert_uint_eq(table.count, 1);
	finish();
	/* Nor one behind the last of a short slab. */
	start(CONN_SLAB + 1);
	take_again(CONN_SLAB);
	ck_assert_ptr_null(conn_table_take_again(&table, CONN_SLAB + 1));
	finish();
}
END_TEST

/*
 * Slabs.
 */

START_TEST(slabs_are_mapped_as_connections_come)
{
	start(RECORDS);
	ck_assert_uint_eq(mapped(), 0);
	for (unsigned i = 0; i < SLABS; i++) {
		for (unsigned k = 0; k < CONN_SLAB; k++) {
			ck_assert_uint_eq(take()->index / CONN_SLAB, i);
			ck_assert_uint_eq(mapped(), (2U << i) - 1);
		}
	}
	finish();
}
END_TEST

START_TEST(slabs_are_unmapped_when_their_last_connection_goes_but_one)
{
	start(RECORDS);
	take_range(0, RECORDS);
	give_range(2 * CONN_SLAB, CONN_SLAB);
	ck_assert_uint_eq(mapped(), 0xf);	/* 2 is kept */
	give_range(3 * CONN_SLAB, CONN_SLAB);
	ck_assert_uint_eq(mapped(), 0x7);	/* still 2, the lower one */
	give_range(CONN_SLAB, CONN_SLAB);
	ck_assert_uint_eq(mapped(), 0x3);	/* now 1 */
	give_range(0, CONN_SLAB);
	ck_assert_uint_eq(mapped(), 0x1);	/* now 0 */
	take_range(0, 2 * CONN_SLAB);
	ck_assert_uint_eq(mapped(), 0x3);
	finish();
}
END_TEST

START_TEST(one_that_comes_and_goes_does_not_map_and_unmap_each_time)
{
	struct conn_slab *slab;

	start(RECORDS);
	take_range(0, CONN_SLAB + 1);
	slab = table.slabs[1];
	for (int i = 0; i < 100; i++) {
		give(CONN_SLAB);
		ck_assert_ptr_eq(table.slabs[1], slab);
		take_range(CONN_SLAB, 1);
		ck_assert_ptr_eq(table.slabs[1], slab);
	}
	ck_assert_uint_eq(mapped(), 0x3);
	finish();
}
END_TEST

/*
 * Records.
 */

START_TEST(the_records_of_a_slab_are_whole_pages)
{
	ck_assert_uint_eq(CONN_SLAB * sizeof(struct conn_record) %
	    (size_t)sysconf(_SC_PAGESIZE), 0);
}
END_TEST

START_TEST(a_connection_has_the_record_of_its_index_in_its_block)
{
	start(RECORDS);
	ck_assert_ptr_eq(table.records, counters_records(&counters, BLOCK));
	finish();
}
END_TEST

static blkcnt_t
blocks_used(void)
{
	struct stat st;

	ck_assert_int_eq(fstat(counters.fd, &st), 0);
	return (st.st_blocks);
}

START_TEST(the_records_of_an_unmapped_slab_are_given_back)
{
	struct conn_record *other;
	blkcnt_t before;

	start(RECORDS);
	other = counters_records(&counters, 0);
	take_range(0, RECORDS);
	before = blocks_used();
	for (uint32_t i = 0; i < RECORDS; i++)
		table.records[i].id = other[i].id = i + 1;
	ck_assert_int_gt(blocks_used(), before);
	before = blocks_used();
	give_range(CONN_SLAB, 3 * CONN_SLAB);
	ck_assert_uint_eq(mapped(), 0x3);
	ck_assert_int_lt(blocks_used(), before);
	for (uint32_t i = 0; i < RECORDS; i++) {
		ck_assert_uint_eq(table.records[i].id,
		    i < 2 * CONN_SLAB ? i + 1 : 0);
		ck_assert_uint_eq(other[i].id, i + 1);
	}
	finish();
}
END_TEST

START_TEST(the_records_of_a_short_last_slab_are_given_back_alone)
{
	enum { N = CONN_SLAB + 10 };
	struct conn_record *next;

	start(N);
	next = counters_records(&counters, BLOCK + 1);
	take_range(0, N);
	for (uint32_t i = 0; i < N; i++)
		table.records[i].id = next[i].id = i + 1;
	give_range(0, N);
	for (uint32_t i = 0; i < N; i++) {
		ck_assert_uint_eq(table.records[i].id,
		    i < CONN_SLAB ? i + 1 : 0);
		ck_assert_uint_eq(next[i].id, i + 1);
	}
	finish();
}
END_TEST

/*
 * All together, against a model: the lowest free place is the next one.
 */

static uint32_t
lowest_free(void)
{
	uint32_t i = 0;

	while (held[i] != NULL)
		i++;
	return (i);
}

/* Those in use are mapped, and at most one that is not. */
static void
expect_no_waste(void)
{
	unsigned used = 0, spare;

	for (uint32_t i = 0; i < RECORDS; i++)
		if (held[i] != NULL)
			used |= 1U << (i / CONN_SLAB);
	spare = mapped() & ~used;
	ck_assert_uint_eq(mapped() & used, used);
	ck_assert_uint_eq(spare & (spare - 1), 0);
}

/* Now more come, now more go. */
static void
do_anything(bool growing)
{
	uint32_t i = (uint32_t)random() % RECORDS;

	if (random() % 8 < (growing ? 7 : 1)) {
		if (table.count == RECORDS)
			return;
		i = lowest_free() / CONN_SLAB;
		ck_assert_uint_eq(take()->index / CONN_SLAB, i);
	} else if (held[i] != NULL)
		give(i);
}

START_TEST(whatever_comes_and_goes_the_lowest_free_slab_is_used)
{
	size_t most = 0, least = RECORDS;

	start(RECORDS);
	srandom(1);
	for (int i = 0; i < 30000; i++) {
		do_anything(i / 5000 % 2 == 0);
		if (i % 50 == 0)
			expect_no_waste();
		if (table.count > most)
			most = table.count;
		if (i > 5000 && table.count < least)
			least = table.count;
	}
	/* Or this test is not about much. */
	ck_assert_uint_gt(most, 3 * CONN_SLAB);
	ck_assert_uint_lt(least, CONN_SLAB);
	finish();
}
END_TEST

RUN_TESTS("conn_table",
    a_place_is_zeroed_but_for_its_index,
    a_free_place_in_the_lowest_slab_is_taken_first,
    no_two_places_overlap,
    connections_are_counted,
    a_full_table_has_no_place_until_one_is_given_back,
    a_table_need_not_be_of_whole_slabs,
    a_table_without_places_is_full,
    without_memory_there_is_no_place,
    places_are_taken_again_and_those_between_are_free,
    a_slab_whose_places_were_taken_again_is_unmapped_like_others,
    no_other_place_is_taken_again,
    slabs_are_mapped_as_connections_come,
    slabs_are_unmapped_when_their_last_connection_goes_but_one,
    one_that_comes_and_goes_does_not_map_and_unmap_each_time,
    the_records_of_a_slab_are_whole_pages,
    a_connection_has_the_record_of_its_index_in_its_block,
    the_records_of_an_unmapped_slab_are_given_back,
    the_records_of_a_short_last_slab_are_given_back_alone,
    whatever_comes_and_goes_the_lowest_free_slab_is_used)
