package server

import (
	"context"
	"errors"
	"net/http"
	"net/http/pprof"

	"dkv/cluster"
	"dkv/cluster/raftlog"
	"dkv/engine/keyspace"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxScrapes bounds how many /metrics requests are answered at once.
const maxScrapes = 4

// HTTPHandler serves
//
//	/metrics        figures for Prometheus
//	/healthz        200 while the process answers
//	/readyz         200 while it serves: every shard has a leader that this node can ask
//	/debug/pprof/   Go's profiles, when withProfiles
//
// There is no authentication: listen where only friends are.
func (s *Server) HTTPHandler(withProfiles bool) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{s}, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { writeHealth(w, nil) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { writeHealth(w, s.ready(r.Context())) })
	if withProfiles {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return mux
}

func writeHealth(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(err.Error() + "\n")) // the client is gone if it fails
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}

// ready returns why the server does not serve, nil when it does.
func (s *Server) ready(ctx context.Context) error {
	switch {
	case s.closing.Load():
		return errors.New("shutting down")
	case s.Addr() == nil:
		return errors.New("not listening yet")
	}
	if err := s.node.Metrics().Log.Failure; err != nil {
		return err
	}
	for i := range s.node.Shards() {
		var tx keyspace.Tx
		err := s.node.Read(ctx, raftlog.ShardID(i), &tx, cluster.ReadOptions{})
		if err := errors.Join(err, tx.Close()); err != nil {
			return err
		}
	}
	return nil
}
