/* SPDX-License-Identifier: ISC */
/*
 * Time.  Everything that waits or measures asks the monotonic clock, so that a
 * wall clock that jumps neither fires nor freezes a timeout; the wall clock is
 * for the text of the log alone.
 */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdint.h>

/* Milliseconds on the monotonic clock as of the kernel's last tick (1 to 10 ms
 * old): for timeouts, where a full reading per message would show. */
uint64_t clock_coarse_ms(void);

/* Milliseconds and microseconds on the monotonic clock, exactly. */
uint64_t clock_ms(void);
uint64_t clock_us(void);

/* A tick that is at most this much late is late because there was work. */
enum { CLOCK_STALL_MS = 250 };

/*
 * How long a process did not run, by a tick of it that is due every_ms after the
 * previous one: for that time nobody's patience may run out, as what came
 * meanwhile could not be seen.  0 if that is no more than CLOCK_STALL_MS.
 */
uint64_t clock_stall_ms(uint64_t previous_ms, uint64_t now_ms,
    unsigned every_ms);

/* A time from which patience counts, or at which it ends, after such a stall: no
 * later than now if it was not. */
uint64_t clock_later(uint64_t then_ms, uint64_t stall_ms, uint64_t now_ms);

/* Microseconds from then_ms to now_ms.  Processes read their clocks at times of
 * their own, and go on meanwhile: what came after now is of no age. */
uint64_t clock_us_between(uint64_t then_ms, uint64_t now_ms);

#endif
