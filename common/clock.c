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
clock_us_between(uint64_t then_ms, uint64_t now_ms)
{
	return (then_ms > now_ms ? 0 : (now_ms - then_ms) * 1000);
}
