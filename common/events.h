/* SPDX-License-Identifier: ISC */
/*
 * The list of log events: every line of the log names one of them.
 *
 * Operators match on the names, so a change here needs a line in NEWS.  A test
 * compares this list with the section LOG of penstock(8).
 */
#ifndef COMMON_EVENTS_H
#define COMMON_EVENTS_H

#define LOG_EVENTS(E)							\
	/* the server as a whole */					\
	E(START,		"start")				\
	E(READY,		"ready")				\
	E(START_FAILED,		"start_failed")				\
	E(STOP,			"stop")					\
	E(STOPPED,		"stopped")				\
	E(CONF_ERROR,		"conf_error")				\
	E(CONF_WARNING,		"conf_warning")				\
	E(LIMIT,		"limit")				\
	E(LISTEN,		"listen")				\
	E(UNLISTEN,		"unlisten")				\
	E(NOTIFY_FAILED,	"notify_failed")			\
	/* orders */							\
	E(RELOAD,		"reload")				\
	E(RELOAD_WAITS,		"reload_waits")				\
	E(CANARY,		"canary")				\
	E(RELOAD_DONE,		"reload_done")				\
	E(RELOAD_REPORT,	"reload_report")			\
	E(RELOAD_REFUSED,	"reload_refused")			\
	E(REOPEN,		"reopen")				\
	E(REOPEN_FAILED,	"reopen_failed")			\
	E(UPGRADE,		"upgrade")				\
	E(UPGRADE_STDERR,	"upgrade_stderr")			\
	E(UPGRADE_REFUSED,	"upgrade_refused")			\
	E(UPGRADED,		"upgraded")				\
	E(ROLLBACK,		"rollback")				\
	/* workers */							\
	E(WORKER_START,		"worker_start")				\
	E(WORKER_READY,		"worker_ready")				\
	E(WORKER_FAILED,	"worker_failed")			\
	E(WORKER_DRAIN,		"worker_drain")				\
	E(WORKER_DRAINED,	"worker_drained")			\
	E(WORKER_EXIT,		"worker_exit")				\
	E(WORKER_DIED,		"worker_died")				\
	E(WORKER_HUNG,		"worker_hung")				\
	E(WORKER_KILLED,	"worker_killed")			\
	E(WORKER_DISOWNED,	"worker_disowned")			\
	E(RESCUED,		"rescued")				\
	E(CUSTODY_ENDED,	"custody_ended")			\
	E(CUSTODY_RENEWED,	"custody_renewed")			\
	E(MASTER_GONE,		"master_gone")				\
	E(HANDOVER_KEPT,	"handover_kept")			\
	E(HANDOVER_REFUSED,	"handover_refused")			\
	E(HANDOVER_BROKEN,	"handover_broken")			\
	E(REBALANCE,		"rebalance")				\
	E(REBALANCED,		"rebalanced")				\
	/* executors */							\
	E(EXECUTOR_START,	"executor_start")			\
	E(EXECUTOR_READY,	"executor_ready")			\
	E(EXECUTOR_WAITS,	"executor_waits")			\
	E(EXECUTOR_FAILED,	"executor_failed")			\
	E(EXECUTOR_EXIT,	"executor_exit")			\
	E(EXECUTOR_KEPT,	"executor_kept")			\
	E(EXECUTOR_DIED,	"executor_died")			\
	E(EXECUTOR_RETIRED,	"executor_retired")			\
	E(HANDLER_ROUNDED,	"handler_rounded")			\
	E(HANDLER_CHANGED,	"handler_changed")			\
	E(HANDLER_STDERR,	"handler_stderr")			\
	E(REPLY_REFUSED,	"reply_refused")			\
	/* the monitor */						\
	E(MONITOR_START,	"monitor_start")			\
	E(MONITOR_EXIT,		"monitor_exit")				\
	E(MONITOR_DIED,		"monitor_died")				\
	E(MONITOR_HUNG,		"monitor_hung")				\
	E(MONITOR_FAILED,	"monitor_failed")			\
	E(CLOSE_ORDERED,	"close_ordered")			\
	E(SPANS_LOST,		"spans_lost")				\
	/* clients */							\
	E(CONN_OPEN,		"conn_open")				\
	E(CONN_CLOSE,		"conn_close")				\
	E(CONN_LOST,		"conn_lost")				\
	E(CONN_REJECTED,	"conn_rejected")			\
	E(CONN_ERROR,		"conn_error")				\
	E(CONN_SLOWED,		"conn_slowed")				\
	E(REQUEST,		"request")				\
	E(ACCEPT_PAUSED,	"accept_paused")			\
	E(MEMORY_CAP,		"memory_cap")				\
	/* the logs themselves */					\
	E(LOGGER_DIED,		"logger_died")				\
	E(LOGGER_FAILED,	"logger_failed")			\
	E(LOG_LOST,		"log_lost")				\
	E(ACCESS_LOG_FAILED,	"access_log_failed")			\
	E(ACCESS_LOG_LOST,	"access_log_lost")

enum log_event {
#define LOG_EVENT_ENUM(id, name) EVENT_##id,
	LOG_EVENTS(LOG_EVENT_ENUM)
#undef LOG_EVENT_ENUM
	LOG_EVENT_COUNT
};

/* The name of an event in the log. */
const char *log_event_name(enum log_event);

#endif
