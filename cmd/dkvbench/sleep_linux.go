package main

import (
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// beginPreciseSleep readies the calling goroutine for preciseSleep: a thread of
// its own, that the kernel wakes without its usual 50 us of slack. The function
// that it returns undoes that.
func beginPreciseSleep() func() {
	runtime.LockOSThread()
	unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // where that is refused, sleeps are a little longer
	return func() {
		unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) // 0 is the default
		runtime.UnlockOSThread()
	}
}

// preciseSleep sleeps for d. It holds an operating system thread.
func preciseSleep(d time.Duration) {
	ts := syscall.NsecToTimespec(int64(d))
	syscall.Nanosleep(&ts, nil) // an interrupted sleep is taken up by the pacer's next turn
}
