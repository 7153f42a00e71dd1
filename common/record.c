/* SPDX-License-Identifier: ISC */
#include "common/record.h"

#include "common/shared.h"

bool
conn_record_copy(struct conn_record *to, const struct conn_record *from)
{
	uint32_t seq = seqlock_read_begin(&from->seq);

	if (__atomic_load_n(&from->family, __ATOMIC_RELAXED) == 0)
		return (false);
	*to = *from;
	return (seqlock_read_end(&from->seq, seq) && to->family != 0);
}
