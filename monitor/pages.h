/* SPDX-License-Identifier: ISC */
/*
 * Answers each request with its page.
 */
#ifndef MONITOR_PAGES_H
#define MONITOR_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ctl.h"
#include "common/heritage.h"
#include "monitor/front.h"

enum {
	/* While clients have not taken this many bytes of replies, large pages
	 * are not made. */
	PAGES_PENDING_MAX = 64 << 20,
};

struct pages {
	const struct heritage *heritage;	/* borrowed */
	/* Pass an order on to the master; returns false if that failed. */
	bool (*order)(enum ctl_type, uint64_t id, void *arg);
	void *arg;
};

/* Answer a request; pending is the number of bytes that other clients have not
 * taken. */
void pages_answer(const struct pages *, struct front_request *,
    size_t pending);

#endif
