/* SPDX-License-Identifier: ISC */
/*
 * The hosts that a request may name.
 */
#ifndef MONITOR_OWN_HOST_H
#define MONITOR_OWN_HOST_H

#include <stdbool.h>

#include "common/http.h"
#include "conf/conf.h"

/*
 * Whether a host, with or without a port, is this server: the local address of
 * the connection fd, a loopback address, "localhost", the name of the machine,
 * or one of monitor.hosts.
 */
bool is_own_host(struct http_slice host, int fd, const struct conf_monitor *);

#endif
