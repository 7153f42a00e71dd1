/* SPDX-License-Identifier: ISC */
#include "master/privileges.h"

#include <sys/prctl.h>

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

#include "common/log.h"

/* Whose children's user is not configured. */
#define DEFAULT_USER "nobody"

int
privileges_find(const struct conf *conf, struct identity *identity,
    char why[PRIVILEGES_WHY_MAX])
{
	const char *name = *conf->user != '\0' ? conf->user : DEFAULT_USER;
	const struct passwd *user;
	const struct group *group;

	*identity = (struct identity){ .change = geteuid() == 0 };
	if (!identity->change) {
		if (*conf->user != '\0' || *conf->group != '\0')
			LOG(WARN, LIMIT, F_STR("error",
			    "user and group are ignored: not started as root"));
		return (0);
	}
	if ((user = getpwnam(name)) == NULL) {
		snprintf(why, PRIVILEGES_WHY_MAX, "user \"%s\" does not exist",
		    name);
		return (-1);
	}
	identity->uid = user->pw_uid;
	identity->gid = user->pw_gid;
	if (*conf->group == '\0')
		return (0);
	if ((group = getgrnam(conf->group)) == NULL) {
		snprintf(why, PRIVILEGES_WHY_MAX, "group \"%s\" does not exist",
		    conf->group);
		return (-1);
	}
	identity->gid = group->gr_gid;
	return (0);
}

int
privileges_drop(const struct identity *identity)
{
	/* Groups first: afterwards we may not. */
	if (identity->change && (
	    setgroups(1, &identity->gid) == -1 ||
	    setresgid(identity->gid, identity->gid, identity->gid) == -1 ||
	    setresuid(identity->uid, identity->uid, identity->uid) == -1))
		return (-1);
	/* A change of user forbids core dumps; an abort is worth one. */
	if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == -1)
		return (-1);
	return (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}
