/* SPDX-License-Identifier: ISC */
/*
 * Which hosts a request may name.
 */
#ifndef MONITOR_OWN_HOST_H
#define MONITOR_OWN_HOST_H

#include <stdbool.h>

#include "common/http.h"
#include "conf/conf.h"

/*
 * Whether a host, with a port or without, is this server: the address that the
 * connection fd has come to, a loopback address, "localhost", the name of the
 * machine, or one that the configuration has.
 */
bool is_own_host(struct http_slice host, int fd, const struct conf_monitor *);

#endif
