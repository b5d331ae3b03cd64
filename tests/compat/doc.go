// Package compat uses dkvsrv as its users do: through go-redis, redis-cli and
// redis-benchmark as Debian has them, dkvctl, and the lines of the README.
//
//   - goredis_*_test.go: every command family through the typed API of go-redis
//     v9, in RESP2 and RESP3; pipelines, transactions, optimistic loops.
//   - rediscli_test.go, benchmark_test.go: Debian's programs.
//   - dkvctl_test.go: dkvctl, with sessions written for the older store.
//   - readme_test.go: the README's sessions, run as they stand there.
//   - own_test.go: what only dkv has, and what came with Redis 7.2, so that the
//     differential suite cannot compare it with Debian's 7.0.
//   - monitoring_test.go: the figures that monitoring tools read.
package compat
