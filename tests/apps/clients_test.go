package apps

import (
	"os/exec"
	"testing"

	"dkv/tests/harness"
)

// TestNode runs what applications in Node.js do with their clients.
func TestNode(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, p place) {
		files := []string{"ioredis.js", "noderedis.js", "limits.js"}
		if !p.clustered {
			files = append(files, "session.js")
		}
		for _, file := range files {
			t.Run(file, func(t *testing.T) { startNode(t, p, file).mustEnd(t) })
		}
	})
}

// TestPython runs what applications in Python do with redis-py and hiredis.
func TestPython(t *testing.T) {
	t.Parallel()
	const python = "/usr/bin/python3" // the one that Debian's packages are for
	if err := exec.Command(python, "-c", "import redis, hiredis").Run(); err != nil {
		harness.Missing(t, "redis-py is not installed (apt-get install python3-redis python3-hiredis)")
	}
	everywhere(t, func(t *testing.T, p place) {
		start(t, p.env(), python, "python/redispy.py").mustEnd(t)
	})
}
