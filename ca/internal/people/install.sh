#!/bin/sh
# Installs sallyport on this node and enrols it:
#   curl -fsS @URL@/install | sudo sh -s -- --token TOKEN
# What stands after -- goes to `sallyport agent enroll`. PREFIX is where to
# install, /usr/local by default.
set -eu

main() {
	[ "$(id -u)" = 0 ] || fail "run this as root"
	to=${PREFIX:-/usr/local}/bin/sallyport
	case $(uname -m) in
	x86_64 | amd64) arch=amd64 ;;
	aarch64 | arm64) arch=arm64 ;;
	*) arch=$(uname -m) ;;
	esac

	new=$(mktemp "$to.XXXXXX")
	trap 'rm -f "$new"' EXIT
	curl -fsS -o "$new" "@URL@@BINARY@?os=linux&arch=$arch" ||
		fail "no sallyport for linux/$arch at @URL@; install the package, then run: sallyport agent enroll --ca @URL@"
	chmod 0755 "$new"
	mv -f "$new" "$to"
	trap - EXIT

	# The token goes through a pipe: arguments show in the list of processes.
	token=
	left=$#
	while [ "$left" -gt 0 ]; do
		case $1 in
		--token)
			token=$2
			shift
			left=$((left - 1))
			;;
		--token=*) token=${1#--token=} ;;
		*) set -- "$@" "$1" ;;
		esac
		shift
		left=$((left - 1))
	done
	if [ -n "$token" ]; then
		printf '%s\n' "$token" | "$to" agent enroll --ca "@URL@" --token-file - "$@"
	else
		"$to" agent enroll --ca "@URL@" "$@"
	fi
}

fail() {
	echo "sallyport: $1" >&2
	exit 1
}

# A download that breaks off in the middle runs nothing.
main "$@"
