package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"dkv/server"
)

// webServer serves /metrics and its neighbours; nil serves nothing.
type webServer struct {
	http *http.Server
	done chan struct{}
}

// Limits of a request to the HTTP server.
const (
	httpHeaderTimeout = 5 * time.Second
	httpIdleTimeout   = time.Minute
	httpStopTimeout   = time.Second
	httpMaxHeader     = 16 << 10
)

func startHTTP(config *server.Config, s *server.Server, logger *slog.Logger) (*webServer, error) {
	addr := config.String("http-listen-addr")
	if addr == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("http-listen-addr: %w", err)
	}
	w := &webServer{
		http: &http.Server{
			Handler:           s.HTTPHandler(config.Bool("pprof")),
			ReadHeaderTimeout: httpHeaderTimeout,
			IdleTimeout:       httpIdleTimeout,
			MaxHeaderBytes:    httpMaxHeader,
			ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		},
		done: make(chan struct{}),
	}
	go func() {
		defer close(w.done)
		if err := w.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			logger.Error("the HTTP server stopped", "err", err)
		}
	}()
	logger.Info("HTTP ready", "addr", l.Addr().String())
	return w, nil
}

// stop lets running requests finish, for httpStopTimeout at most.
func (w *webServer) stop() error {
	if w == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), httpStopTimeout)
	defer cancel()
	err := w.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = w.http.Close()
	}
	<-w.done
	return err
}
