/* SPDX-License-Identifier: ISC */
/*
 * Word to the service manager, by the protocol of sd_notify(3): a datagram to
 * the socket that the environment variable NOTIFY_SOCKET names.  Without that
 * variable these functions do nothing.
 */
#ifndef MASTER_NOTIFY_H
#define MASTER_NOTIFY_H

#include <stdint.h>

/* All workers accept. */
void notify_ready(uint64_t generation, unsigned workers);
/* A reload has begun; notify_ready() ends it, however it went. */
void notify_reloading(void);
void notify_stopping(void);
/* One line for people. */
void notify_status(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
