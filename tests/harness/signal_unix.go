//go:build unix

package harness

import "syscall"

// Pause stops the process with SIGSTOP.
func (n *Node) Pause() error { return n.Signal(syscall.SIGSTOP) }

// Resume lets a stopped process go on. One that is not stopped does not notice.
func (n *Node) Resume() error { return n.Signal(syscall.SIGCONT) }
