package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"dkv/tests/harness"
)

// etcd is three members, and the program that puts load on them.
type etcd struct {
	members []*harness.Server
	loader  string
}

const etcdMembers = 3

// startEtcd starts a cluster with etcd's defaults: every write is on the disks
// of a majority before it is answered.
func startEtcd(c config, dir string) (*etcd, error) {
	loader, err := buildEtcdLoad(dir)
	if err != nil {
		return nil, err
	}
	e := &etcd{loader: loader}
	var peers, cluster []string
	for i := range etcdMembers {
		addr, err := freeAddr()
		if err != nil {
			return nil, err
		}
		peers = append(peers, "http://"+addr)
		cluster = append(cluster, fmt.Sprintf("m%d=%s", i, peers[i]))
	}
	for i := range etcdMembers {
		e.members = append(e.members, harness.NewServer(harness.Spec{
			Program: "etcd",
			Ready:   etcdHealthy,
			Args: func(port int) []string {
				client := fmt.Sprintf("http://127.0.0.1:%d", port)
				return []string{"--name", fmt.Sprintf("m%d", i), "--data-dir", filepath.Join(dir, fmt.Sprintf("m%d", i)),
					"--listen-client-urls", client, "--advertise-client-urls", client,
					"--listen-peer-urls", peers[i], "--initial-advertise-peer-urls", peers[i],
					"--initial-cluster", strings.Join(cluster, ","), "--initial-cluster-state", "new",
					"--quota-backend-bytes", "8589934592", "--logger", "zap", "--log-level", "error"}
			},
		}))
	}
	errs := make([]error, etcdMembers)
	var wg sync.WaitGroup
	for i, m := range e.members {
		wg.Go(func() { errs[i] = m.Start() })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		e.stop()
		return nil, err
	}
	return e, nil
}

func (e *etcd) stop() {
	for _, m := range e.members {
		m.Kill()
	}
}

// run puts load on the cluster and returns operations a second.
func (e *etcd) run(ctx context.Context, c config, l clusterLoad) (float64, error) {
	op := map[string]string{opSet: "put", opGet: "get", opFill: "fill"}[l.op]
	var endpoints []string
	for _, m := range e.members {
		endpoints = append(endpoints, m.Addr())
	}
	cmd := exec.CommandContext(ctx, e.loader, "-endpoints", strings.Join(endpoints, ","), "-op", op,
		"-clients", fmt.Sprint(clients), "-seconds", fmt.Sprint(c.seconds), "-warmup", fmt.Sprint(warmUp(c).Seconds()),
		"-keys", fmt.Sprint(c.keys), "-value-bytes", fmt.Sprint(valueBytes))
	cmd.Stderr = c.progress
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("etcdload: %w", err)
	}
	return parseEtcdLoad(c, string(out))
}

// parseEtcdLoad reads what etcdload prints: operations a second, and how many
// operations failed.
func parseEtcdLoad(c config, out string) (float64, error) {
	var rate float64
	var failed int
	if n, err := fmt.Sscanf(out, "%f %d\n", &rate, &failed); n != 2 || err != nil {
		return 0, fmt.Errorf("etcdload printed %q", out)
	}
	return rate, c.tolerable(rate*c.seconds, failed)
}

// buildEtcdLoad builds the module beside this program, which nothing else of
// the project needs.
func buildEtcdLoad(dir string) (string, error) {
	root, err := harness.ModuleRoot()
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "etcdload")
	cmd := exec.Command("go", "build", "-o", program, ".")
	cmd.Dir = filepath.Join(root, "tests", "bench", "etcdload")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building etcdload: %w\n%s", err, out)
	}
	return program, nil
}

// etcdHealthy reports whether a member knows a leader.
func etcdHealthy(addr string) bool {
	client := http.Client{Timeout: time.Second}
	r, err := client.Get("http://" + addr + "/health")
	if err != nil {
		return false
	}
	defer r.Body.Close()
	const short = 1 << 10
	body, err := io.ReadAll(io.LimitReader(r.Body, short))
	return err == nil && strings.Contains(string(body), `"true"`)
}

// etcdVersion is for the report.
func etcdVersion() string {
	out, err := exec.Command("etcd", "--version").Output()
	if first, _, ok := strings.Cut(string(out), "\n"); err == nil && ok {
		return strings.Replace(first, " Version: ", " ", 1)
	}
	return "etcd of unknown version"
}

// freeAddr returns an address on loopback that nobody listens on.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
