/* SPDX-License-Identifier: ISC */
/*
 * Holds common/counters.c to common/counters.h.
 */
#include "common/counters.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/record.h"
#include "tests/lib/harness.h"

enum { RECORDS = 1000, BLOCK = 2 };

static struct counters counters;

static void
start(uint32_t records)
{
	ck_assert_int_eq(counters_new(&counters, 3, records), 0);
}

static size_t
page_size(void)
{
	return ((size_t)sysconf(_SC_PAGESIZE));
}

/* The mapping's permissions as the kernel has them: "rw-s". */
static const char *
permissions(const struct counters *of)
{
	static char perms[8];
	unsigned long from, to;
	char line[512];
	FILE *maps = fopen("/proc/self/maps", "re");

	ck_assert_ptr_nonnull(maps);
	strcpy(perms, "none");
	while (fgets(line, sizeof(line), maps) != NULL) {
		char found[8];

		if (sscanf(line, "%lx-%lx %7s", &from, &to, found) == 3 &&
		    from <= (unsigned long)of->map &&
		    (unsigned long)of->map < to)
			strcpy(perms, found);
	}
	fclose(maps);
	return (perms);
}

/*
 * Names.
 */

static bool
is_name(const char *name)
{
	return (name != NULL && *name != '\0' &&
	    name[strspn(name, "abcdefghijklmnopqrstuvwxyz_")] == '\0');
}

START_TEST(every_reason_has_a_name_of_its_own)
{
	for (int i = 0; i < CLOSE_REASON_COUNT; i++) {
		ck_assert(is_name(close_reason_name((enum close_reason)i)));
		for (int k = 0; k < i; k++)
			ck_assert_str_ne(
			    close_reason_name((enum close_reason)i),
			    close_reason_name((enum close_reason)k));
	}
	for (int i = 0; i < REJECT_REASON_COUNT; i++) {
		ck_assert(is_name(reject_reason_name((enum reject_reason)i)));
		for (int k = 0; k < i; k++)
			ck_assert_str_ne(
			    reject_reason_name((enum reject_reason)i),
			    reject_reason_name((enum reject_reason)k));
	}
	ck_assert_str_eq(close_reason_name(CLOSE_WRITE_TIMEOUT),
	    "write_timeout");
	ck_assert_str_eq(reject_reason_name(REJECT_NO_ROOM), "no_room");
}
END_TEST

/*
 * Making a mapping.
 */

static bool
is_zero(const void *bytes, size_t len)
{
	const uint8_t *b = bytes;

	for (size_t i = 0; i < len; i++)
		if (b[i] != 0)
			return (false);
	return (true);
}

START_TEST(a_new_mapping_is_zero_but_for_its_head)
{
	start(RECORDS);
	ck_assert_uint_eq(counters.records, RECORDS);
	ck_assert_uint_eq(counters.map->version, COUNTERS_VERSION);
	ck_assert_uint_eq(counters.map->records, RECORDS);
	ck_assert(is_zero((const uint8_t *)counters.map +
	    offsetof(struct counters_map, conns_begun),
	    counters.size - offsetof(struct counters_map, conns_begun)));
	counters_free(&counters);
}
END_TEST

START_TEST(a_mapping_is_named_for_its_slot_and_closed_on_exec)
{
	char path[64], target[128] = "";

	start(RECORDS);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", counters.fd);
	ck_assert_int_gt(readlink(path, target, sizeof(target) - 1), 0);
	ck_assert_ptr_nonnull(strstr(target, "penstock-slot-3"));
	ck_assert_int_eq(fcntl(counters.fd, F_GETFD), FD_CLOEXEC);
	counters_free(&counters);
}
END_TEST

START_TEST(nobody_can_take_the_memory_away_from_its_readers)
{
	start(RECORDS);
	ck_assert_int_eq(ftruncate(counters.fd, 0), -1);
	ck_assert_int_eq(errno, EPERM);
	ck_assert_int_eq(ftruncate(counters.fd, (off_t)counters.size * 2), -1);
	ck_assert_int_eq(errno, EPERM);
	counters_free(&counters);
}
END_TEST

START_TEST(a_mapping_that_is_freed_is_closed)
{
	int fd;

	start(RECORDS);
	fd = counters.fd;
	counters_free(&counters);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	ck_assert_int_eq(counters.fd, -1);
	ck_assert_ptr_null(counters.map);
}
END_TEST

START_TEST(every_block_begins_on_a_cache_line_of_its_own)
{
	ck_assert_uint_eq(offsetof(struct counters_map, block) % 64, 0);
	ck_assert_uint_eq(sizeof(struct counters_block) % 64, 0);
	ck_assert_uint_eq(sizeof(struct counters_listener) % 64, 0);
	ck_assert_uint_eq(offsetof(struct counters_block, listener) % 64, 0);
}
END_TEST

/* The tables lie behind the counters and each other, on pages of their own. */
static void
expect_tables_apart(void)
{
	const uint8_t *end = (const uint8_t *)(counters.map + 1);

	for (unsigned i = 0; i < COUNTERS_BLOCKS; i++) {
		const struct conn_record *table = counters_records(&counters,
		    i);

		ck_assert((const uint8_t *)table >= end);
		ck_assert_uint_eq((uintptr_t)table % page_size(), 0);
		end = (const uint8_t *)(table + counters.records);
	}
	ck_assert(end <= (const uint8_t *)counters.map + counters.size);
}

START_TEST(every_block_has_a_table_of_its_own_on_pages_of_its_own)
{
	static const uint32_t sizes[] = { 0, 1, 51, 52, 256, 1000, 20000 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		start(sizes[i]);
		expect_tables_apart();
		counters_free(&counters);
	}
}
END_TEST

/*
 * Opening one that is there.
 */

START_TEST(an_opened_mapping_shows_what_is_written)
{
	struct counters seen;

	start(RECORDS);
	counter_set(&counters.map->block[BLOCK].listener[5].accepted, 17);
	ck_assert_int_eq(counters_open(&seen, dup(counters.fd), false), 0);
	ck_assert_uint_eq(seen.records, RECORDS);
	ck_assert_uint_eq(seen.size, counters.size);
	ck_assert_uint_eq(counter_get(
	    &seen.map->block[BLOCK].listener[5].accepted), 17);
	counters_records(&counters, BLOCK)[RECORDS - 1].id = 4711;
	ck_assert_uint_eq(counters_records(&seen, BLOCK)[RECORDS - 1].id,
	    4711);
	counters_free(&seen);
	counters_free(&counters);
}
END_TEST

START_TEST(an_opened_mapping_is_read_only)
{
	struct counters seen;

	start(RECORDS);
	ck_assert_int_eq(counters_open(&seen, dup(counters.fd), false), 0);
	ck_assert_str_eq(permissions(&counters), "rw-s");
	ck_assert_str_eq(permissions(&seen), "r--s");
	counters_free(&seen);
	counters_free(&counters);
}
END_TEST

START_TEST(a_sealed_mapping_can_be_read_and_never_written_again)
{
	struct counters_map *before;

	start(RECORDS);
	before = counters.map;
	counter_set(&counters.map->block[0].worker.active, 3);
	ck_assert_int_eq(counters_seal(&counters), 0);
	ck_assert_ptr_eq(counters.map, before);
	ck_assert_str_eq(permissions(&counters), "r--s");
	ck_assert_uint_eq(counter_get(&counters.map->block[0].worker.active),
	    3);
	ck_assert_int_eq(mprotect(counters.map, counters.size, PROT_READ |
	    PROT_WRITE), -1);
	ck_assert_int_eq(errno, EACCES);
	counters_free(&counters);
}
END_TEST

START_TEST(sealing_leaves_others_their_mapping)
{
	struct counters other;
	int next;

	start(RECORDS);
	other = counters;
	other.map = mmap(NULL, counters.size, PROT_READ | PROT_WRITE,
	    MAP_SHARED, counters.fd, 0);
	ck_assert_ptr_ne(other.map, MAP_FAILED);
	ck_assert_int_ge(next = dup(counters.fd), 0);
	close(next);
	ck_assert_int_eq(counters_seal(&other), 0);
	/* And no descriptor is left open. */
	ck_assert_int_eq(fcntl(next, F_GETFD), -1);
	counter_set(&counters.map->block[0].worker.active, 4);
	ck_assert_uint_eq(counter_get(&other.map->block[0].worker.active), 4);
	munmap(other.map, other.size);
	counters_free(&counters);
}
END_TEST

START_TEST(without_its_descriptor_a_mapping_cannot_be_sealed)
{
	int fd;

	start(RECORDS);
	fd = counters.fd;
	counters.fd = -1;
	ck_assert_int_eq(counters_seal(&counters), -1);
	counters.fd = fd;
	counters_free(&counters);
}
END_TEST

/* The descriptor is not what counters_new() makes, and stays its owner's. */
static void
expect_refused(int fd)
{
	struct counters seen;

	errno = 0;
	ck_assert_int_eq(counters_open(&seen, fd, false), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_ne(fcntl(fd, F_GETFD), -1);
}

/* A memfd with a head like that of a mapping for some records. */
static int
make_like(size_t size, uint32_t version, uint32_t records)
{
	uint32_t head[2] = { version, records };
	int fd = memfd_create("like", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ck_assert_int_ne(fd, -1);
	if (size > 0)
		ck_assert_int_eq(pwrite(fd, head, sizeof(head), 0),
		    sizeof(head));
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	return (fd);
}

START_TEST(a_file_that_is_not_a_mapping_is_refused)
{
	size_t whole;
	struct {
		size_t size;
		uint32_t version, records;
	} wrong[6];

	start(RECORDS);
	whole = counters.size;
	counters_free(&counters);
	memcpy(wrong, (typeof(wrong)){
	    { 0, COUNTERS_VERSION, RECORDS },
	    { sizeof(struct counters_map) - 1, COUNTERS_VERSION, 0 },
	    { whole, COUNTERS_VERSION + 1, RECORDS },
	    { whole, COUNTERS_VERSION, 2 * RECORDS },
	    { whole - page_size(), COUNTERS_VERSION, RECORDS },
	    { whole + page_size(), COUNTERS_VERSION, RECORDS } },
	    sizeof(wrong));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		int fd = make_like(wrong[i].size, wrong[i].version,
		    wrong[i].records);

		expect_refused(fd);
		close(fd);
	}
}
END_TEST

START_TEST(a_mapping_of_the_right_shape_is_taken)
{
	struct counters seen;
	int fd;

	start(RECORDS);
	fd = make_like(counters.size, COUNTERS_VERSION, RECORDS);
	ck_assert_int_eq(counters_open(&seen, fd, false), 0);
	counters_free(&seen);
	counters_free(&counters);
}
END_TEST

START_TEST(a_descriptor_that_cannot_be_read_is_an_error)
{
	struct counters seen;

	ck_assert_int_eq(counters_open(&seen, -1, false), -1);
	ck_assert_int_eq(errno, EBADF);
}
END_TEST

/*
 * Lives and deaths.
 */

START_TEST(counters_outlive_the_process_that_wrote_them)
{
	struct counters_listener *listener;
	pid_t child;
	int status;

	start(RECORDS);
	listener = &counters.map->block[BLOCK].listener[0];
	ck_assert_int_ne(child = fork(), -1);
	if (child == 0) {
		counter_add(&listener->messages_in, 41);
		counter_add(&listener->messages_in, 1);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_uint_eq(counter_get(&listener->messages_in), 42);
	counters_free(&counters);
}
END_TEST

static void
hold(unsigned block, unsigned listener, uint64_t conns)
{
	struct counters_block *of = &counters.map->block[block];

	counter_add(&of->listener[listener].accepted, conns + 10);
	counter_add(&of->listener[listener].closed[CLOSE_EOF], 10);
	counter_add(&of->listener[listener].active, conns);
	counter_add(&of->listener[listener].peak, conns + 1);
	counter_add(&of->worker.active, conns);
}

START_TEST(what_a_dead_worker_held_is_counted_as_lost)
{
	struct counters_listener *listener;

	start(RECORDS);
	hold(BLOCK, 0, 5);
	hold(BLOCK, COUNTERS_LISTENERS - 1, 7);
	ck_assert_uint_eq(counters_bury(&counters, BLOCK), 12);
	listener = counters.map->block[BLOCK].listener;
	ck_assert_uint_eq(listener[0].closed[CLOSE_LOST], 5);
	ck_assert_uint_eq(listener[0].active, 0);
	ck_assert_uint_eq(listener[1].closed[CLOSE_LOST], 0);
	ck_assert_uint_eq(
	    listener[COUNTERS_LISTENERS - 1].closed[CLOSE_LOST], 7);
	ck_assert_uint_eq(counters_bury(&counters, BLOCK), 0);
	ck_assert_uint_eq(listener[0].closed[CLOSE_LOST], 5);
	counters_free(&counters);
}
END_TEST

START_TEST(burying_sets_gauges_to_0_and_lets_counters_be)
{
	struct counters_listener before, after;
	struct counters_worker *worker;

	start(RECORDS);
	hold(BLOCK, 2, 5);
	worker = &counters.map->block[BLOCK].worker;
	counter_set(&worker->buffered, 1234);
	counter_set(&worker->buffered_peak, 2345);
	counter_set(&worker->accept_pauses, 3);
	before = counters.map->block[BLOCK].listener[2];
	counters_bury(&counters, BLOCK);
	after = counters.map->block[BLOCK].listener[2];
	before.active = 0;
	before.closed[CLOSE_LOST] = 5;
	ck_assert_mem_eq(&after, &before, sizeof(before));
	ck_assert_uint_eq(worker->active, 0);
	ck_assert_uint_eq(worker->buffered, 0);
	ck_assert_uint_eq(worker->buffered_peak, 2345);
	ck_assert_uint_eq(worker->accept_pauses, 3);
	counters_free(&counters);
}
END_TEST

START_TEST(burying_one_worker_lets_the_others_of_its_slot_be)
{
	struct counters_block before;

	start(RECORDS);
	hold(BLOCK, 0, 5);
	hold(BLOCK + 1, 0, 6);
	before = counters.map->block[BLOCK + 1];
	ck_assert_uint_eq(counters_bury(&counters, BLOCK), 5);
	ck_assert_mem_eq(&counters.map->block[BLOCK + 1], &before,
	    sizeof(before));
	counters_free(&counters);
}
END_TEST

/* A giver and its taker can die together. */
START_TEST(connections_that_no_worker_took_are_counted_as_lost)
{
	struct counters slots[2];
	struct counters_listener *giver, *taker, *settled;

	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(counters_new(&slots[i], i, 64), 0);
		slots[i].listeners = 4;
	}
	giver = &slots[0].map->block[0].listener[1];
	taker = &slots[1].map->block[1].listener[2];
	settled = &slots[0].map->block[2].listener[1];
	/* Of 5, the taker has taken 3 for another listener. */
	counter_set(&giver->accepted, 5);
	counter_set(&giver->carried_out, 5);
	counter_set(&taker->carried_in, 3);
	counter_set(&taker->moved, 3);
	counter_set(&slots[1].map->block[1].listener[1].moved, -UINT64_C(3));
	ck_assert_uint_eq(counters_settle(slots, 2, &slots[0], 2), 2);
	ck_assert_uint_eq(settled->carried_in, 2);
	ck_assert_uint_eq(settled->closed[CLOSE_LOST], 2);
	ck_assert_uint_eq(counters_settle(slots, 2, &slots[0], 2), 0);
	counters_free(&slots[0]);
	counters_free(&slots[1]);
}
END_TEST

static void
expect_sum(const struct counters_listener *listener, uint64_t held)
{
	ck_assert_uint_eq(listener->accepted + listener->carried_in,
	    counters_closed(listener) + listener->carried_out + held);
}

START_TEST(a_rescuer_goes_on_with_those_that_it_has)
{
	static const unsigned numbers[] = { 0, 3, 5 };
	static const uint32_t own[] = { 4, 7, 2 }, guests[] = { 1, 0, 3 };
	struct counters_block *block;

	start(RECORDS);
	counters.handlers = 1;
	block = &counters.map->block[BLOCK];
	hold(BLOCK, 0, 6);
	/* It died before it could count the last one. */
	hold(BLOCK, 3, 6);
	/* These are offered to another worker. */
	hold(BLOCK, 5, 5);
	counter_add(&block->listener[5].carried_out, 3);
	counter_set(&block->worker.buffered, 1234);
	counter_set(&block->handler[0].waiting, 3);
	counter_set(&block->handler[0].executors, 2);
	counters_go_on(&counters, BLOCK, numbers, 3, own, guests, false);
	for (int i = 0; i < 3; i++)
		expect_sum(&block->listener[numbers[i]], own[i]);
	ck_assert_uint_eq(block->listener[0].closed[CLOSE_LOST], 2);
	ck_assert_uint_eq(block->listener[0].active, 5);
	ck_assert_uint_eq(block->listener[3].closed[CLOSE_LOST], 0);
	ck_assert_uint_eq(block->listener[3].accepted, 17);
	ck_assert_uint_eq(block->listener[3].active, 7);
	ck_assert_uint_eq(block->listener[5].closed[CLOSE_LOST], 0);
	ck_assert_uint_eq(block->listener[5].active, 5);
	ck_assert_uint_eq(block->worker.active, 17);
	ck_assert_uint_eq(block->worker.buffered, 0);
	ck_assert_uint_eq(block->handler[0].waiting, 0);
	ck_assert_uint_eq(block->handler[0].executors, 0);
	/* Another block is another worker's. */
	ck_assert_uint_eq(counters.map->block[BLOCK + 1].worker.active, 0);
	counters_free(&counters);
}
END_TEST

START_TEST(a_worker_that_wrote_nonsense_has_lost_no_more_than_it_could_hold)
{
	struct counters_listener *listener;

	start(RECORDS);
	listener = counters.map->block[BLOCK].listener;
	counter_set(&listener[0].accepted, UINT64_MAX);
	counter_set(&listener[0].active, UINT64_MAX);
	/* More went than came. */
	counter_set(&listener[1].closed[CLOSE_EOF], 5);
	counter_set(&listener[1].active, UINT64_MAX);
	ck_assert_uint_eq(counters_bury(&counters, BLOCK), RECORDS);
	ck_assert_uint_eq(listener[0].closed[CLOSE_LOST], RECORDS);
	ck_assert_uint_eq(listener[1].closed[CLOSE_LOST], 0);
	ck_assert_uint_eq(listener[0].active, 0);
	ck_assert_uint_eq(listener[1].active, 0);
	counters_free(&counters);
}
END_TEST

START_TEST(a_worker_that_died_between_two_stores_leaves_sums_that_add_up)
{
	struct counters_listener *listener;

	start(RECORDS);
	hold(BLOCK, 0, 5);
	listener = counters.map->block[BLOCK].listener;
	counter_add(&listener[0].accepted, 1);	/* active was to follow */
	ck_assert_uint_eq(counters_bury(&counters, BLOCK), 6);
	ck_assert_uint_eq(listener[0].accepted, 16);
	ck_assert_uint_eq(listener[0].closed[CLOSE_EOF] +
	    listener[0].closed[CLOSE_LOST], 16);
	counters_free(&counters);
}
END_TEST

/*
 * Forgetting records.
 */

static void
write_records(unsigned block)
{
	for (uint32_t i = 0; i < counters.records; i++)
		counters_records(&counters, block)[i].id = i + 1;
}

/* All records of the block are as written but for those that were forgotten. */
static void
expect_forgotten(unsigned block, uint32_t first, uint32_t n)
{
	for (uint32_t i = 0; i < counters.records; i++) {
		uint64_t id = counters_records(&counters, block)[i].id;

		uint64_t expected = i >= first && i < first + n ? 0 : i + 1;

		/* Not ck_assert(): it takes its time, thousands of times. */
		if (id != expected)
			ck_abort_msg("record %u holds %llu", i,
			    (unsigned long long)id);
	}
}

static void
expect_range_forgotten(uint32_t first, uint32_t n)
{
	write_records(BLOCK - 1);
	write_records(BLOCK);
	write_records(BLOCK + 1);
	counters_forget(&counters, BLOCK, first, n);
	expect_forgotten(BLOCK - 1, 0, 0);
	expect_forgotten(BLOCK, first, n);
	expect_forgotten(BLOCK + 1, 0, 0);
}

START_TEST(records_that_are_forgotten_are_zero_and_no_others)
{
	start(RECORDS);
	expect_range_forgotten(0, 256);
	expect_range_forgotten(256, 512);
	expect_range_forgotten(768, RECORDS - 768);
	expect_range_forgotten(0, RECORDS);
	counters_free(&counters);
}
END_TEST

START_TEST(records_that_are_no_whole_pages_can_be_forgotten)
{
	start(RECORDS);
	expect_range_forgotten(0, 1);
	expect_range_forgotten(0, 257);
	expect_range_forgotten(10, 10);
	expect_range_forgotten(255, 2);
	expect_range_forgotten(RECORDS - 1, 1);
	expect_range_forgotten(256, 0);
	counters_free(&counters);
}
END_TEST

/* Bytes that the mapping takes up. */
static size_t
bytes_used(void)
{
	struct stat st;

	ck_assert_int_eq(fstat(counters.fd, &st), 0);
	return ((size_t)st.st_blocks * 512);
}

START_TEST(pages_of_records_that_are_forgotten_are_given_back)
{
	size_t empty, full;

	start(RECORDS);
	empty = bytes_used();
	write_records(BLOCK);
	full = bytes_used();
	counters_forget(&counters, BLOCK, 256, 512);
	ck_assert_uint_eq(full - bytes_used(),
	    512 * sizeof(struct conn_record));
	/* The last page of a table is not full, and nobody else's. */
	counters_forget(&counters, BLOCK, 0, RECORDS);
	ck_assert_uint_eq(bytes_used(), empty);
	counters_free(&counters);
}
END_TEST

/*
 * One counter.
 */

START_TEST(a_counter_counts)
{
	uint64_t counter = 0;

	counter_set(&counter, 5);
	counter_add(&counter, 2);
	ck_assert_uint_eq(counter_get(&counter), 7);
	counter_sub(&counter, 3);
	ck_assert_uint_eq(counter_get(&counter), 4);
}
END_TEST

START_TEST(a_gauge_never_goes_below_0)
{
	uint64_t gauge = 2;

	counter_sub(&gauge, 2);
	ck_assert_uint_eq(counter_get(&gauge), 0);
	counter_sub(&gauge, 1);
	ck_assert_uint_eq(counter_get(&gauge), 0);
	counter_set(&gauge, 2);
	counter_sub(&gauge, 3);
	ck_assert_uint_eq(counter_get(&gauge), 0);
}
END_TEST

RUN_TESTS("counters",
    every_reason_has_a_name_of_its_own,
    a_new_mapping_is_zero_but_for_its_head,
    a_mapping_is_named_for_its_slot_and_closed_on_exec,
    nobody_can_take_the_memory_away_from_its_readers,
    a_mapping_that_is_freed_is_closed,
    every_block_begins_on_a_cache_line_of_its_own,
    every_block_has_a_table_of_its_own_on_pages_of_its_own,
    an_opened_mapping_shows_what_is_written,
    an_opened_mapping_is_read_only,
    a_sealed_mapping_can_be_read_and_never_written_again,
    sealing_leaves_others_their_mapping,
    without_its_descriptor_a_mapping_cannot_be_sealed,
    a_file_that_is_not_a_mapping_is_refused,
    a_mapping_of_the_right_shape_is_taken,
    a_descriptor_that_cannot_be_read_is_an_error,
    counters_outlive_the_process_that_wrote_them,
    what_a_dead_worker_held_is_counted_as_lost,
    burying_sets_gauges_to_0_and_lets_counters_be,
    burying_one_worker_lets_the_others_of_its_slot_be,
    connections_that_no_worker_took_are_counted_as_lost,
    a_rescuer_goes_on_with_those_that_it_has,
    a_worker_that_wrote_nonsense_has_lost_no_more_than_it_could_hold,
    a_worker_that_died_between_two_stores_leaves_sums_that_add_up,
    records_that_are_forgotten_are_zero_and_no_others,
    records_that_are_no_whole_pages_can_be_forgotten,
    pages_of_records_that_are_forgotten_are_given_back,
    a_counter_counts,
    a_gauge_never_goes_below_0)
