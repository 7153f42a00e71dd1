/* SPDX-License-Identifier: ISC */
/*
 * What the targets for protocols have in common: a stream and how it is cut up,
 * both from one input.
 *
 * An input is one byte that chooses the limit of messages, one that chooses the
 * cuts, and the stream.
 */
#ifndef FUZZ_PIECES_H
#define FUZZ_PIECES_H

#include <stddef.h>
#include <stdint.h>

#include "tests/lib/stream.h"
#include "worker/proto.h"

/* What a protocol finds in a whole stream, found in the simplest way. */
typedef void reference(struct found *, const uint8_t *bytes, size_t len,
    size_t max_payload);

/* Hold a protocol against its reference, however the stream of an input is cut;
 * aborts where they differ. */
void pieces_try(const struct proto *, reference *, const uint8_t *input,
    size_t len);

#endif
