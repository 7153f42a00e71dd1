# SPDX-License-Identifier: ISC
# shellcheck shell=bash
#
# Completion of penstockctl(1) for bash.

_penstockctl()
{
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
	local commands="status connections top reload upgrade stop reopen
	    rebalance close"
	local options="-a -c -h -j -v --help --json --version"
	local i command=

	COMPREPLY=()
	case $before in
	-c)
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return ;;
	--sort)
		mapfile -t COMPREPLY < <(compgen -W "id age idle messages
		    bytes_in bytes_out requests" -- "$word")
		return ;;
	-a|-d|-n|--limit|--listener)
		return ;;
	esac
	for ((i = 1; i < COMP_CWORD; i++)); do
		case " ${commands//[[:space:]]/ } " in
		*" ${COMP_WORDS[i]} "*)
			command=${COMP_WORDS[i]} ;;
		esac
	done
	case $command in
	"")
		options="$options $commands" ;;
	connections)
		options="$options --sort --limit --listener" ;;
	top)
		options="$options -d -n" ;;
	reload|upgrade|stop)
		options="$options --wait" ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
}

complete -F _penstockctl penstockctl
