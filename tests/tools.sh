#!/bin/sh
# What `make test` needs besides Go.
#
#   tools.sh install     installs what is missing where that is possible (root
#                        and apt), otherwise says what to install
#   tools.sh race-flag   prints -race when this machine can build with it
#
# Debian's redis-server package starts a Redis service on the port that dkvsrv
# wants. That is prevented while installing; a Redis that was there before stays.
set -eu

missing() {
	packages=""
	command -v redis-server >/dev/null 2>&1 || packages="$packages redis-server"
	command -v redis-cli >/dev/null 2>&1 && command -v redis-benchmark >/dev/null 2>&1 || packages="$packages redis-tools"
	# The race detector is linked with a C compiler.
	command -v "${CC:-gcc}" >/dev/null 2>&1 || packages="$packages gcc libc6-dev"
	echo $packages
}

install_packages() {
	packages=$(missing)
	[ -n "$packages" ] || return 0
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
		echo "make test: without $packages some tests are skipped; install them to run all" >&2
		return 0
	fi
	echo "make test: installing $packages" >&2
	policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ]; then
		trap 'rm -f "$policy"' EXIT
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
	fi
	export DEBIAN_FRONTEND=noninteractive
	# Package lists may be absent or old: refresh them only when needed.
	# shellcheck disable=SC2086
	apt-get install -y --no-install-recommends $packages >/dev/null 2>&1 || {
		apt-get update >&2
		apt-get install -y --no-install-recommends $packages >&2
	}
	if command -v systemctl >/dev/null 2>&1 && systemctl is-active --quiet redis-server 2>/dev/null; then
		systemctl disable --now redis-server >&2
	fi
	left=$(missing)
	[ -z "$left" ] || {
		echo "make test: still missing after apt-get: $left" >&2
		return 1
	}
}

race_flag() {
	if command -v "${CC:-gcc}" >/dev/null 2>&1 && [ "$(go env CGO_ENABLED)" = 1 ]; then
		echo -race
	elif [ "${CI:-}" = true ]; then
		echo "make test: no C compiler, so no race detector, and CI=true allows no skip" >&2
		exit 1
	else
		echo "make test: no C compiler, tests run without the race detector" >&2
	fi
}

case "${1:-}" in
install) install_packages ;;
race-flag) race_flag ;;
*)
	echo "usage: tools.sh install | race-flag" >&2
	exit 2
	;;
esac
