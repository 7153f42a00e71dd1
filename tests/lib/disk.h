/* SPDX-License-Identifier: ISC */
/*
 * A disk that does not answer, or is full: tests/lib/disk.so is preloaded to a
 * server, and has its calls on regular files wait or fail.
 *
 * What the disk does stands in a file that the test and all processes of the
 * server map; the file that DISK_ENV names.
 */
#ifndef TESTS_LIB_DISK_H
#define TESTS_LIB_DISK_H

#include <stdint.h>

#define DISK_ENV	"PENSTOCK_TEST_DISK"

struct disk {
	uint32_t frozen;	/* write(2) and open(2) with O_CREAT wait */
	uint32_t full;		/* write(2): a part the first time, then
				   ENOSPC */
	uint32_t waiting;	/* processes that wait now */
	uint32_t refused;	/* writes that have failed */
};

#endif
