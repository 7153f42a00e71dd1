#!/bin/sh
# SPDX-License-Identifier: ISC
#
# What is installed elsewhere names no place of the defaults, and what its pages
# name is there.
set -eu

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM
root=$scratch/root

# The outer make is none of ours.
env -u MAKEFLAGS -u MAKELEVEL make -s -C "$TOP_BUILDDIR" install-data \
    DESTDIR="$root" prefix=/opt/here sysconfdir=/opt/etc \
    systemdsystemunitdir=/opt/units >"$scratch/said" 2>&1 ||
    { cat "$scratch/said"; exit 1; }

if grep -rn /usr/local "$root/opt/here/share/man"; then
	echo "these are not the places of this installation"
	exit 1
fi

# The programs are the other half of an installation.
sed -n 's/^\.It Pa \(\/[^ ]*\).*/\1/p; s/^\.Pa \(\/opt\/[^ ]*\).*/\1/p' \
    "$root"/opt/here/share/man/man[1-8]/* | grep '^/opt/' >"$scratch/named"
while read -r path; do
	if [ ! -e "$root$path" ]; then
		echo "a page names $path, which is not installed"
		exit 1
	fi
done <"$scratch/named"
for wanted in /opt/etc/penstock/penstock.conf /opt/here/lib/penstock \
    /opt/here/share/doc/penstock/penstock.rules.yml; do
	if ! grep -qx "$wanted" "$scratch/named"; then
		echo "no page names $wanted"
		exit 1
	fi
done
