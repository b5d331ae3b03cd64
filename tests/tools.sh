#!/bin/sh
# What `make test` and `make bench-cluster` need besides Go.
#
#   tools.sh install        installs what is missing for the tests, where that is
#                           possible (root and apt), otherwise says what to install
#   tools.sh install-etcd   the same for the etcd that `make bench-cluster` compares
#                           with, and which no test needs
#   tools.sh node-modules   prints the folder that the Node.js libraries of tests/apps
#                           are installed in: outside of this tree, one a lock file
#   tools.sh has-rocksdb    prints yes when a program with RocksDB can be built here
#   tools.sh race-flag      prints -race when this machine can build with it
#
# Debian's packages start services: a Redis on the port that dkvsrv wants, an
# etcd that takes its share of the machine. That is prevented while installing;
# what ran before stays.
set -eu

# missing prints the packages that are not there, for a purpose.
missing() {
	packages=""
	if [ "$1" = etcd ]; then
		command -v etcd >/dev/null 2>&1 || packages=etcd-server
		echo $packages
		return
	fi
	command -v redis-server >/dev/null 2>&1 || packages="$packages redis-server"
	command -v redis-cli >/dev/null 2>&1 && command -v redis-benchmark >/dev/null 2>&1 || packages="$packages redis-tools"
	# The race detector is linked with a C compiler.
	command -v "${CC:-gcc}" >/dev/null 2>&1 || packages="$packages gcc libc6-dev"
	# The applications of tests/apps.
	/usr/bin/python3 -c 'import redis, hiredis' >/dev/null 2>&1 || packages="$packages python3-redis python3-hiredis"
	command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1 || packages="$packages nodejs npm"
	# The rocksdb engine is tested with its library.
	[ "$(has_rocksdb)" = yes ] || packages="$packages $rocksdb_packages"
	echo $packages
}

rocksdb_packages="librocksdb-dev g++ libsnappy-dev liblz4-dev libzstd-dev zlib1g-dev"

# has_rocksdb compiles and links what the bindings do, with functions that older and
# later versions of the library than 7.8 lack.
has_rocksdb() {
	command -v "${CC:-gcc}" >/dev/null 2>&1 || return 0
	out=$(mktemp)
	if printf '#include <rocksdb/c.h>\nint main(void) { rocksdb_options_t *o = rocksdb_options_create(); rocksdb_options_set_prepopulate_blob_cache(o, 0); rocksdb_options_set_access_hint_on_compaction_start(o, 0); return 0; }\n' |
		"${CC:-gcc}" -x c - -o "$out" -lrocksdb -lstdc++ -lm -lzstd -llz4 -lz -lsnappy >/dev/null 2>&1; then
		echo yes
	fi
	rm -f "$out"
}

install_packages() {
	packages=$(missing "$1")
	[ -n "$packages" ] || return 0
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
		if [ "$1" = etcd ]; then
			echo "tools.sh: $packages has to be installed; this needs root and apt-get" >&2
			return 1
		fi
		echo "make test: without $packages some tests are skipped; install them to run all" >&2
		return 0
	fi
	echo "tools.sh: installing $packages" >&2
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
	for service in redis-server etcd; do
		case " $packages " in *" $service"*) ;; *) continue ;; esac
		if command -v systemctl >/dev/null 2>&1 && systemctl is-active --quiet $service 2>/dev/null; then
			systemctl disable --now $service >&2
		fi
	done
	left=$(missing "$1")
	if [ "$left" = "$rocksdb_packages" ] && [ "${CI:-}" != true ]; then
		echo "tools.sh: librocksdb is not version 7.8 here: the rocksdb engine is not tested" >&2
		left=""
	fi
	[ -z "$left" ] || {
		echo "tools.sh: still missing after apt-get: $left" >&2
		return 1
	}
}

# node_modules prints where the libraries of tests/apps/node belong.
node_modules() {
	sum=$(cat "$apps/package.json" "$apps/package-lock.json" | cksum | tr ' ' '-')
	echo "${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/dkv/node-$sum"
}

# install_node_modules installs them there, as package-lock.json has them. Not with
# `npm ci`, which wants to know all optional packages of all systems, and no registry
# has to have those. A folder that is complete says so in a file.
install_node_modules() {
	folder=$(node_modules)
	[ ! -e "$folder/.complete" ] || return 0
	command -v npm >/dev/null 2>&1 || {
		echo "make test: without npm the applications in Node.js are skipped" >&2
		return 0
	}
	echo "tools.sh: installing the libraries of tests/apps/node" >&2
	mkdir -p "$folder"
	cp "$apps/package.json" "$apps/package-lock.json" "$folder/"
	if (cd "$folder" && npm install --no-save --omit=optional --ignore-scripts --no-audit --no-fund --loglevel=error) >&2 &&
		cmp -s "$apps/package-lock.json" "$folder/package-lock.json"; then
		: >"$folder/.complete"
	elif [ "${CI:-}" = true ]; then
		echo "tools.sh: the libraries of tests/apps/node could not be installed as the lock file has them" >&2
		return 1
	else
		echo "make test: the libraries of tests/apps/node could not be installed, its tests are skipped" >&2
	fi
}

apps=$(dirname "$0")/apps/node

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
install)
	install_packages tests
	install_node_modules
	;;
install-etcd) install_packages etcd ;;
node-modules) node_modules ;;
has-rocksdb) has_rocksdb ;;
race-flag) race_flag ;;
*)
	echo "usage: tools.sh install | install-etcd | node-modules | has-rocksdb | race-flag" >&2
	exit 2
	;;
esac
