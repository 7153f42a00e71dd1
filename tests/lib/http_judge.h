/* SPDX-License-Identifier: ISC */
/*
 * llhttp as the judge of our own reading of HTTP: what we take for a request it
 * takes for the same one, with the same body, or refuses for a reason that is
 * listed here, with what says that we may take it.  What we refuse is not its
 * matter: we may be stricter.
 */
#ifndef TESTS_LIB_HTTP_JUDGE_H
#define TESTS_LIB_HTTP_JUDGE_H

#include "tests/lib/stream.h"

/* Hold what was found in the bytes against llhttp, up to the first request that
 * one of the differences excuses.  Returns NULL, or what is wrong with the one
 * of that number; *agreed is how many requests were the same. */
const char *http_judge(const struct found *, const uint8_t *bytes, size_t len,
    size_t *agreed);

#endif
