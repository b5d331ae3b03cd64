package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"dkv/server"
)

// release is set by the linker for a released build.
var release = "0.1.0-dev"

func version() string {
	v := release
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				v += "+" + s.Value[:12]
			}
		}
	}
	return v
}

// printAbout answers -help and -version.
func printAbout(args []string, w io.Writer) bool {
	for _, a := range args {
		switch strings.TrimPrefix(strings.TrimPrefix(a, "-"), "-") {
		case a: // no flag
		case "help", "h":
			printHelp(w)
			return true
		case "version", "v":
			fmt.Fprintf(w, "dkvsrv v=%s redis=%s go=%s %s/%s\n", version(), server.RedisVersion, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return true
		}
	}
	return false
}

func printHelp(w io.Writer) {
	fmt.Fprint(w, `dkvsrv serves the Redis protocol and keeps its data on disk.

Usage:
  dkvsrv                                 serve on 127.0.0.1:6379, data in ./dkv-data
  dkvsrv -listen-addr :7000 -requirepass secret
  dkvsrv path/to/dkv.conf [-name value]...
  dkvsrv -                               read the config file from standard input
  dkvsrv -restore BACKUP -db-folder NEW  make a data folder of a backup, and exit
  dkvsrv -restore BACKUP -db-folder NEW -log-archive-dir ARCHIVE -restore-until 2026-01-02T15:04:05Z
  dkvsrv -help | -version

Every parameter is a flag and a line of the config file (the syntax and the
names are those of redis.conf); flags win. One dash or two, "-name value" or
"-name=value"; a yes/no parameter may stand alone. Sizes take kb, mb and gb.

`)
	server.WriteFlags(w)
	fmt.Fprint(w, `
Environment:
  GOMEMLIMIT, GOGC    override the memory limits that dkvsrv sets for the Go runtime

Signals:
  SIGTERM, SIGINT     finish what runs, flush, exit with status 0; a second one exits at once
`)
}
