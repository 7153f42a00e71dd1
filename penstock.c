/* SPDX-License-Identifier: ISC */
/*
 * penstock: a pre-fork connection server.  The one place where the roles meet.
 */
#include "common/title.h"
#include "executor/executor.h"
#include "logger/logger.h"
#include "master/master.h"
#include "monitor/monitor.h"
#include "worker/worker.h"

int
main(int argc, char *argv[])
{
	static const struct role worker = {
		.name = "worker",
		.main = worker_main,
	};
	static const struct role executor = {
		.name = "executor",
		.main = executor_main,
	};
	static const struct role monitor = {
		.name = "monitor",
		.main = monitor_main,
	};
	static const struct role logger = {
		.name = "logger",
		.main = logger_main,
	};
	static const struct roles roles = {
		.worker = &worker,
		.executor = &executor,
		.monitor = &monitor,
		.logger = &logger,
	};

	title_init(argc, argv);
	return (master_main(argc, argv, &roles));
}
