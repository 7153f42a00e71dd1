#!/bin/sh
# SPDX-License-Identifier: ISC
#
# Between the files of one folder, calls go one way: no function of a file calls,
# through however many others, a function of a file that calls it.
#
# The symbols of the objects say which file needs which.  tsort(1) puts callers
# before callees, and complains if there is no such order.
set -eu

status=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM

# What the objects of a folder have and need: "FILE:ADDRESS TYPE NAME", without an
# address where a symbol is needed.
symbols_of() {
	case $1 in
	tools*)	nm -A "$1"/*.o ;;
	*)	nm -A "lib$1.a" 2>/dev/null | sed 's/^[^:]*://' ;;
	esac
}

cd "$TOP_BUILDDIR"
for folder in common conf master worker executor monitor logger tools \
    tools/bench tools/load; do
	symbols_of "$folder" |
	    awk -F '[: ]+' '
	    $NF != "" && $(NF - 1) ~ /^[TDBR]$/ { home[$NF] = $1 }
	    $(NF - 1) == "U" { needs[$1 " " $NF] }
	    END {
		for (pair in needs) {
			split(pair, p, " ")
			if (p[2] in home && home[p[2]] != p[1])
				print p[1], home[p[2]]
		}
	    }' | sort -u >"$scratch/calls"
	[ -s "$scratch/calls" ] || [ "$folder" = logger ]
	if ! tsort "$scratch/calls" >"$scratch/order" 2>"$scratch/said"; then
		echo "$folder: calls go in a circle:"
		sed -n 's/^tsort: \(.*\.o\)$/	\1/p' "$scratch/said"
		status=1
	fi
done
exit "$status"
