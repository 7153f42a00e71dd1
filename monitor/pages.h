/* SPDX-License-Identifier: ISC */
/*
 * What is answered to which request.
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
	/* While clients have not taken so many bytes of replies, no more are
	 * made. */
	PAGES_PENDING_MAX = 64 << 20,
};

struct pages {
	const struct heritage *heritage;	/* borrowed */
	/* Pass an order on to the master; returns false if that failed. */
	bool (*order)(enum ctl_type, uint64_t id, void *arg);
	void *arg;
};

/* Answer a request; pending is how many bytes other clients have not taken. */
void pages_answer(const struct pages *, struct front_request *,
    size_t pending);

#endif
