/* SPDX-License-Identifier: ISC */
#include "common/clock.h"

#include <time.h>

static uint64_t
read_us(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return ((uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
}

uint64_t
clock_coarse_ms(void)
{
	return (read_us(CLOCK_MONOTONIC_COARSE) / 1000);
}

uint64_t
clock_ms(void)
{
	return (read_us(CLOCK_MONOTONIC) / 1000);
}

uint64_t
clock_us(void)
{
	return (read_us(CLOCK_MONOTONIC));
}

uint64_t
clock_stall_ms(uint64_t previous_ms, uint64_t now_ms, unsigned every_ms)
{
	uint64_t due_ms = previous_ms + every_ms;

	return (now_ms > due_ms + CLOCK_STALL_MS ? now_ms - due_ms : 0);
}

uint64_t
clock_later(uint64_t then_ms, uint64_t stall_ms, uint64_t now_ms)
{
	uint64_t later_ms = then_ms + stall_ms;

	return (then_ms <= now_ms && later_ms > now_ms ? now_ms : later_ms);
}

uint64_t
clock_us_between(uint64_t then_ms, uint64_t now_ms)
{
	return (then_ms > now_ms ? 0 : (now_ms - then_ms) * 1000);
}
