//go:build !unix

package server

import (
	"runtime"
	"time"
)

type cpuTimes struct{ user, system time.Duration }

func processCPU(bool) cpuTimes { return cpuTimes{} }

func systemName() string { return runtime.GOOS + " " + runtime.GOARCH }

func openFileLimit() int { return 1 << 16 }
