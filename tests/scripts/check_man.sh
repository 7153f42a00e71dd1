#!/bin/sh
# SPDX-License-Identifier: ISC
#
# mandoc has nothing to say against any of the manual pages.
set -eu

if ! command -v mandoc >/dev/null; then
	echo "skipped: there is no mandoc (Debian: mandoc)"
	exit 77
fi

cd "$TOP_SRCDIR/man"
exec mandoc -T lint -W warning ./*.[1-9]
