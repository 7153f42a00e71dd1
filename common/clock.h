/* SPDX-License-Identifier: ISC */
/*
 * Time.  All timeouts and measurements use the monotonic clock, so that a jump
 * of the wall clock neither fires nor delays a timeout.  The wall clock is only
 * for the text of logs.
 */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdint.h>

/* Milliseconds on the monotonic clock at the kernel's last tick (1 to 10 ms
 * old): for timeouts, because an exact reading per message would be slow. */
uint64_t clock_coarse_ms(void);

/* Exact milliseconds and microseconds on the monotonic clock. */
uint64_t clock_ms(void);
uint64_t clock_us(void);

/* A tick that is late by at most this time is late because of work. */
enum { CLOCK_STALL_MS = 250 };

/*
 * For how long a process did not run, by its tick, which is due every_ms after
 * the previous one.  No timeout may count this time, because what came
 * meanwhile could not be read.  0 if the tick is late by at most
 * CLOCK_STALL_MS.
 */
uint64_t clock_stall_ms(uint64_t previous_ms, uint64_t now_ms,
    unsigned every_ms);

/* Move the beginning or end of a timeout by such a stall; a time that was not
 * after now_ms stays so. */
uint64_t clock_later(uint64_t then_ms, uint64_t stall_ms, uint64_t now_ms);

/* Microseconds from then_ms to now_ms; 0 if then_ms is later, because another
 * process may have read its clock after now_ms. */
uint64_t clock_us_between(uint64_t then_ms, uint64_t now_ms);

#endif
