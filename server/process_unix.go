//go:build unix

package server

import (
	"bytes"
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTimes is the processor time of this process, or of its children that
// ended.
type cpuTimes struct{ user, system time.Duration }

func processCPU(children bool) cpuTimes {
	who := unix.RUSAGE_SELF
	if children {
		who = unix.RUSAGE_CHILDREN
	}
	var r unix.Rusage
	if unix.Getrusage(who, &r) != nil {
		return cpuTimes{}
	}
	return cpuTimes{
		user:   time.Duration(r.Utime.Nano()),
		system: time.Duration(r.Stime.Nano()),
	}
}

// openFileLimit is how many files the process may have open. The Go runtime
// raises the soft limit to the hard one at start.
func openFileLimit() int {
	var lim unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &lim) != nil {
		return 1024
	}
	return int(min(uint64(lim.Cur), math.MaxInt32))
}

// systemName is the system's name, release and machine, as uname prints them.
func systemName() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "unknown"
	}
	return unixText(u.Sysname[:]) + " " + unixText(u.Release[:]) + " " + unixText(u.Machine[:])
}

func unixText(b []byte) string {
	text, _, _ := bytes.Cut(b, []byte{0})
	return string(text)
}
