#!/bin/sh
# SPDX-License-Identifier: ISC
#
# No script gives shellcheck anything to complain of.
set -eu

if ! command -v shellcheck >/dev/null; then
	echo "skipped: there is no shellcheck (Debian: shellcheck)"
	exit 77
fi

cd "$TOP_SRCDIR"
# By their first line, so that a new script is not forgotten.  A distribution
# has no .ci.
scripts=$(find quickstart bench fuzz tests .ci -type f \
    -exec sh -c 'head -n 1 "$1" | grep -q "^#!.*sh$"' sh {} \; -print \
    2>/dev/null || :)
echo "$scripts"
# shellcheck disable=SC2086 # no name of a script has a space
exec shellcheck $scripts
