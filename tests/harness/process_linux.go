package harness

import "syscall"

// dieWithParent has the kernel kill a server when the test process dies, so
// that a test which is itself killed, or panics, leaves nothing behind.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
