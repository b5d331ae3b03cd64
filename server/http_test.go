package server

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

func TestHTTP(t *testing.T) {
	s := startServer(t)
	c := dial(t, s)
	c.do("SET", "a", "1")
	c.do("GET", "a")
	c.do("INCRBY", "a", "x")
	c.do("GET")
	web := httptest.NewServer(s.HTTPHandler(false))
	defer web.Close()

	for _, path := range []string{"/healthz", "/readyz"} {
		if status, body := get(t, web.URL+path); status != 200 || body != "ok\n" {
			t.Errorf("%s: %d %q", path, status, body)
		}
	}
	if status, _ := get(t, web.URL+"/debug/pprof/"); status != 404 {
		t.Errorf("profiles are served unasked: %d", status)
	}
	status, body := get(t, web.URL+"/metrics")
	if status != 200 {
		t.Fatalf("/metrics: %d %s", status, body)
	}
	for _, want := range []string{
		`dkv_info{engine="pebble",`, "dkv_connected_clients 1\n", `dkv_keys{db="db0"} 1`, "dkv_keyspace_hits_total 1\n",
		`dkv_command_duration_seconds_count{command="set"} 1`, `dkv_command_duration_seconds_bucket{command="set",le="+Inf"} 1`,
		`dkv_command_failures_total{command="incrby"} 1`, `dkv_command_rejections_total{command="get"} 1`,
		`dkv_error_replies_total{code="ERR"} 2`, `dkv_shard_leading{shard="0"} 1`, `dkv_shard_batch_duration_seconds_count{shard="0"}`,
		`dkv_engine_disk_bytes{shard="0"}`, "dkv_log_sync_duration_seconds_count", "dkv_log_failed 0\n", "go_goroutines ", "process_open_fds ",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	for _, line := range strings.Split(body, "\n") {
		if strings.HasPrefix(line, "dkv_") && !regexp.MustCompile(`^dkv_[a-z0-9_]+(\{[^{}]*\})? \S+$`).MatchString(line) {
			t.Errorf("line %q", line)
		}
	}
	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if status, body := get(t, web.URL+"/readyz"); status != 503 || body != "shutting down\n" {
		t.Errorf("/readyz of a closed server: %d %q", status, body)
	}
}

func TestHTTPProfiles(t *testing.T) {
	web := httptest.NewServer(startServer(t).HTTPHandler(true))
	defer web.Close()
	if status, body := get(t, web.URL+"/debug/pprof/"); status != 200 || !strings.Contains(body, "goroutine") {
		t.Errorf("profiles: %d", status)
	}
}
