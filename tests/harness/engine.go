package harness

import (
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Engines are the names of all storage engines.
var Engines = []string{"pebble", "badger", "rocksdb"}

var lacksRocksDB = sync.OnceValues(func() (bool, error) {
	program, err := Program("dkvsrv")
	if err != nil {
		return false, err
	}
	// Refused in either case: this engine is on disk, and may not be built in.
	out, _ := exec.Command(program, "-db-engine", "rocksdb", "-diskless").CombinedOutput()
	return strings.Contains(string(out), "built without RocksDB"), nil
})

// NeedEngine ends the test when the dkvsrv that is tested lacks an engine. `make build`
// has RocksDB in where its library is installed; what the tests build by themselves
// has not.
func NeedEngine(t testing.TB, name string) {
	t.Helper()
	NeedItself(t)
	if name != "rocksdb" {
		return
	}
	lacks, err := lacksRocksDB()
	if err != nil {
		t.Fatal(err)
	}
	if lacks {
		Missing(t, "dkvsrv has no RocksDB (apt-get install librocksdb-dev, make build, and "+envBinFolder+"=bin)")
	}
}

// FreeAddrs returns addresses of this machine that nobody listens on.
func FreeAddrs(t testing.TB, n int) []string {
	t.Helper()
	addrs := make([]string, n)
	for i := range addrs {
		port, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		addrs[i] = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
	return addrs
}
