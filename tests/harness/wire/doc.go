// Package wire is a network to break: hosts in network namespaces of their
// own, joined by a switch in this process that can drop, delay, slow down and
// lose what goes from one host to another, each direction by itself.
//
//	w, err := wire.New()             // ErrUnavailable: no root, no Linux, no TUN
//	a, err := w.AddHost()            // 127.77.0.1
//	a.Do(func() error { return cmd.Start() }) // the process runs on that host
//	c, err := w.Dial("127.77.0.1:6379")       // from the clients' host
//	w.SetLink(1, 2, wire.Link{Drop: true})    // 1 is not heard by 2 any more
//
// A host is an OS thread in a new network namespace and a new mount namespace,
// with a TUN device whose other end is here. Why not the kernel's bridge, tc
// and nft: which of their parts a kernel has differs from machine to machine
// (netem above all), none of them is needed for this, and what this process
// holds is gone with it. A namespace without a name dies with its last thread,
// process and file; so nothing is left behind even by a test that is killed.
//
// The addresses are of the loopback range, of which such a namespace may use
// any part for a network (route_localnet): packets to them can never leave the
// machine, and servers that treat local clients differently see local ones.
//
// Goroutines: one a host that reads its device, one a slow or delayed link.
package wire
