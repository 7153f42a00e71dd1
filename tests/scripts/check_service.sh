#!/bin/sh
# SPDX-License-Identifier: ISC
#
# systemd takes penstock.service without a word, and rates its exposure as low.
set -eu

if ! command -v systemd-analyze >/dev/null; then
	echo "skipped: there is no systemd-analyze (Debian: systemd)"
	exit 77
fi

# systemd rates from 0 to 10; its option takes ten times that.
exposure_max=30

# systemd does not like a service file that anybody may write to.
umask 022
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM

# The program need not be installed for this.
service=$scratch/penstock.service
sed "s,^ExecStart=[^ ]*,ExecStart=$TOP_BUILDDIR/penstock," \
    "$TOP_BUILDDIR/etc/penstock.service" >"$service"

status=0
said=$(systemd-analyze verify --man=no --recursive-errors=no "$service" 2>&1) ||
    status=$?
# It also complains of other units of the system; those are not ours.
ours=$(printf '%s\n' "$said" | grep -F penstock || :)
if [ "$status" -ne 0 ] || [ -n "$ours" ]; then
	printf 'systemd-analyze verify, exit status %d:\n%s\n' "$status" "$said"
	exit 1
fi

# Either way "systemctl reload" ends in the signal that the program expects.
# shellcheck disable=SC2016 # $MAINPID stands so in the file
if ! grep -qx -e 'Type=notify-reload' -e 'ExecReload=kill -HUP $MAINPID' \
    "$service"; then
	echo "systemctl reload would not reach the program"
	exit 1
fi

# A keeper can become the main process, and is not one that systemd has started.
if ! grep -qx 'NotifyAccess=all' "$service"; then
	echo "systemd would not hear a keeper"
	exit 1
fi
version=$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
if [ "${version:-0}" -ge 250 ] && ! grep -qx 'ExitType=cgroup' "$service"; then
	echo "systemd would end the keeper together with the main process"
	exit 1
fi

systemd-analyze security --no-pager --offline=true \
    --threshold="$exposure_max" "$service"
