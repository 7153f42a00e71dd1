/* SPDX-License-Identifier: ISC */
/*
 * Which handler a request is for.
 */
#ifndef WORKER_HTTP_ROUTE_H
#define WORKER_HTTP_ROUTE_H

#include "common/http.h"

struct conf_http;

/* Find the route of a request; where there are some, and none fits, the status
 * of its exchange says so: 404, or 405 with the methods that do.  "OPTIONS *" is
 * for no route: its status is 204, with the methods of all. */
void http_route(struct http_head *, const struct conf_http *);

#endif
