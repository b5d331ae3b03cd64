package wire

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// room is an OS thread in a network namespace and a mount namespace of its own.
//
// Invariant: the thread lives until close. Processes that it started have the
// kernel kill them when it ends, and its namespaces go with the last of them.
type room struct {
	netns *os.File
	calls chan func()
	done  chan struct{}
	once  sync.Once
}

func newRoom() (*room, error) {
	r := &room{calls: make(chan func()), done: make(chan struct{})}
	ready := make(chan error)
	go r.run(ready)
	if err := <-ready; err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return r, nil
}

// run is the thread. It is never unlocked, so that it ends with the goroutine.
func (r *room) run(ready chan<- error) {
	runtime.LockOSThread()
	defer close(r.done)
	err := func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("mount namespace: %w", err)
		}
		var err error
		r.netns, err = os.Open("/proc/thread-self/ns/net")
		return err
	}()
	ready <- err
	if err != nil {
		return
	}
	for {
		f := <-r.calls
		if f == nil {
			break
		}
		f()
	}
	r.netns.Close()
}

// do runs f on the thread.
func (r *room) do(f func() error) (err error) {
	finished := make(chan struct{})
	select {
	case r.calls <- func() { err = f(); close(finished) }:
		<-finished
		return err
	case <-r.done:
		return net.ErrClosed
	}
}

// close ends the thread.
func (r *room) close() {
	r.once.Do(func() {
		go func() { r.calls <- nil }()
		<-r.done
	})
}

// visit runs f on a thread that is in the room's network for as long as that
// takes. Sockets that f makes stay there.
func (r *room) visit(f func() error) error {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err == nil {
		err = unix.Setns(int(r.netns.Fd()), unix.CLONE_NEWNET)
	}
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer func() {
		// A thread that cannot go home stays locked, and so ends with its goroutine.
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		home.Close()
	}()
	return f()
}

// openTUN gives this thread's network a device with an address, and returns
// the device's other end. Must run in a room.
func openTUN(address string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: /dev/net/tun: %w", ErrUnavailable, err)
	}
	if err := setUp(fd, address); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return os.NewFile(uintptr(fd), "tun "+address), nil
}

// setUp does what these commands would:
//
//	ip tuntap add wire mode tun
//	ip link set lo up; ip addr change 127.0.0.1/32 dev lo
//	ip addr add 127.77.0.N/24 dev wire; ip link set wire mtu 60000 up
func setUp(tun int, address string) error {
	const device = "wire"
	req, err := unix.NewIfreq(device)
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(tun, unix.TUNSETIFF, req); err != nil {
		return fmt.Errorf("TUN device: %w", err)
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/conf/all/route_localnet", []byte("1"), 0); err != nil {
		return err
	}
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	return errors.Join(
		// The loopback device takes the whole of 127/8 when it comes up.
		setFlags(s, "lo"),
		setAddress(s, "lo", unix.SIOCSIFNETMASK, "255.255.255.255"),
		setAddress(s, device, unix.SIOCSIFADDR, address),
		setAddress(s, device, unix.SIOCSIFNETMASK, "255.255.255.0"),
		setMTU(s, device),
		setFlags(s, device))
}

func setFlags(socket int, device string) error {
	req, err := unix.NewIfreq(device)
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return named(device+" up", unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, req))
}

func setAddress(socket int, device string, what uint, address string) error {
	req, err := unix.NewIfreq(device)
	if err != nil {
		return err
	}
	if err := req.SetInet4Addr(net.ParseIP(address).To4()); err != nil {
		return err
	}
	return named(device+" "+address, unix.IoctlIfreq(socket, what, req))
}

func setMTU(socket int, device string) error {
	req, err := unix.NewIfreq(device)
	if err != nil {
		return err
	}
	req.SetUint32(maxPacket)
	return named(device+" mtu", unix.IoctlIfreq(socket, unix.SIOCSIFMTU, req))
}

func named(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// Mount mounts a file system in memory of the given size in bytes, which only
// the host's processes and Do see. It goes with the host.
func (h *Host) Mount(folder string, bytes int64) error {
	return h.Do(func() error {
		return named("tmpfs", unix.Mount("tmpfs", folder, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)))
	})
}
