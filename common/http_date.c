/* SPDX-License-Identifier: ISC */
#include "common/http_date.h"

#include <stdio.h>
#include <time.h>

/* By hand: strftime(3) would speak the language of the environment. */
static void
write_date(char *text, size_t size, time_t now)
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct tm tm;

	gmtime_r(&now, &tm);
	snprintf(text, size, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
	    days + (size_t)tm.tm_wday * 3, tm.tm_mday,
	    months + (size_t)tm.tm_mon * 3, tm.tm_year + 1900, tm.tm_hour,
	    tm.tm_min, tm.tm_sec);
}

const char *
http_date(void)
{
	static char text[64];		/* as much as any year could need */
	static time_t written = -1;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	if (now.tv_sec != written) {
		write_date(text, sizeof(text), now.tv_sec);
		written = now.tv_sec;
	}
	return (text);
}
