package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"dkv/cluster"
	"dkv/cluster/raftlog"
	"dkv/server"
	"dkv/server/psync"
	"dkv/server/script"
)

// absoluteDir makes dir independent of where the process stands, which CONFIG
// GET dir shows.
func absoluteDir(config *server.Config) error {
	dir, err := filepath.Abs(config.String("dir"))
	if err != nil {
		return fmt.Errorf("dir: %w", err)
	}
	return config.Set("dir", dir)
}

// inDir resolves a path parameter.
func inDir(config *server.Config, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(config.String("dir"), path)
}

func dataFolder(config *server.Config) string {
	return inDir(config, config.String("db-folder"))
}

// engineFile is the path of the file of engine options; empty: none.
func engineFile(config *server.Config) string {
	if path := config.String("db-engine-ini"); path != "" {
		return inDir(config, path)
	}
	return ""
}

// logArchive is the folder of the log's archive; empty: none.
func logArchive(config *server.Config) string {
	if path := config.String("log-archive-dir"); path != "" {
		return inDir(config, path)
	}
	return ""
}

// nodeOptions turns parameters into a node's options.
func nodeOptions(config *server.Config, logger *slog.Logger) (cluster.Options, error) {
	fsync, err := raftlog.ParseFsyncMode(config.String("fsync"))
	if err != nil {
		return cluster.Options{}, err
	}
	o := cluster.Options{
		Dir:              dataFolder(config),
		Engine:           config.String("db-engine"),
		EngineFile:       engineFile(config),
		Diskless:         config.Bool("diskless"),
		Fsync:            fsync,
		BlockCacheBytes:  config.Int("block-cache-size"),
		MemtableBytes:    config.Int("memtable-size"),
		HotCacheBytes:    orNone(config.Int("hot-cache-size")),
		HotWriteBytes:    orNone(config.HotWriteBytes()),
		Compression:      config.String("compression"),
		LogRetainBytes:   config.Int("repl-log-size"),
		LogRetainTime:    config.Duration("repl-log-ttl"),
		MaxLogBytes:      config.Int("max-log-size"),
		LogCacheBytes:    config.Int("log-cache-size"),
		ReserveDiskBytes: config.Int("reserve-disk-size"),

		LogArchiveDir:      logArchive(config),
		LogArchiveInterval: config.Duration("log-archive-interval"),
		LogArchiveMaxBytes: config.Int("log-archive-max-lag"),

		Logger: logger,
		Follow: cluster.FollowOptions{
			Addrs:    config.SourceAddrs(),
			Auth:     func() (string, string) { return config.String("masteruser"), config.String("masterauth") },
			Addr:     func() string { return config.ReplicaAddr(nil) },
			Timeout:  func() time.Duration { return time.Duration(config.Int("repl-timeout")) * time.Second },
			Interval: func() time.Duration { return config.Duration("repl-poll-interval") },
			Dial:     config.SourceDialer(),
			Foreign:  follower(config, logger).Follow,
		},
	}
	o.MaxMemory = config.MaxMemory()
	sizedByMaxMemory(config, &o)
	return o, clusterOptions(config, &o)
}

// follower follows Redis servers. Of scripts it only loads libraries of functions.
func follower(config *server.Config, logger *slog.Logger) *psync.Follower {
	return psync.New(psync.Options{
		Folder: receiveFolder(config), Limits: &config.Encodings,
		Scripts: script.New(script.Options{MemoryLimit: config.LuaMemoryLimit.Load, Logger: logger}),
	})
}

// sizedByMaxMemory leaves to a diskless node with a bound the sizes that nobody has
// chosen: their defaults are for machines, not for bounds.
func sizedByMaxMemory(config *server.Config, o *cluster.Options) {
	if !o.Diskless || o.MaxMemory.Bytes == 0 {
		return
	}
	for name, size := range map[string]*int64{
		"hot-cache-size": &o.HotCacheBytes, "hot-write-buffer-size": &o.HotWriteBytes, "log-cache-size": &o.LogCacheBytes,
		"repl-log-size": &o.LogRetainBytes, "max-log-size": &o.MaxLogBytes,
	} {
		if !config.Given(name) {
			*size = 0
		}
	}
}

// receiveFolder is where the data of a Redis server is put while it is received: a
// diskless node has no folder of its own.
func receiveFolder(config *server.Config) string {
	if config.Bool("diskless") {
		return ""
	}
	return dataFolder(config)
}

// orNone turns the parameter's 0, which is none, into what the node's option
// takes for that.
func orNone(n int64) int64 {
	if n == 0 {
		return -1
	}
	return n
}

// levels are slog's levels for those of loglevel. Redis's verbose lies between
// debug and notice.
var levels = map[string]slog.Level{
	"debug":   slog.LevelDebug,
	"verbose": slog.LevelDebug + 2,
	"notice":  slog.LevelInfo,
	"warning": slog.LevelWarn,
	"nothing": slog.LevelError + 100,
}

// openLog returns the logger that the parameters ask for. CONFIG SET loglevel
// changes it while it is in use.
func openLog(config *server.Config, stdout io.Writer) (*slog.Logger, io.Closer, error) {
	var out io.Writer = stdout
	var file io.Closer = io.NopCloser(nil)
	if path := config.String("logfile"); path != "" {
		f, err := os.OpenFile(inDir(config, path), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return nil, nil, fmt.Errorf("open logfile: %w", err)
		}
		out, file = f, f
	}
	level := new(slog.LevelVar)
	level.Set(levels[config.String("loglevel")])
	config.OnChange("loglevel", func(v string) { level.Set(levels[v]) })
	options := &slog.HandlerOptions{Level: level}
	if config.String("log-format") == "json" {
		return slog.New(slog.NewJSONHandler(out, options)), file, nil
	}
	return slog.New(slog.NewTextHandler(out, options)), file, nil
}

// writePIDFile writes the process id where pidfile says. As in Redis the server goes on
// without the file: that of a packaged redis.conf is in a folder that only its service has.
func writePIDFile(config *server.Config, logger *slog.Logger) (remove func() error) {
	nothing := func() error { return nil }
	path := config.String("pidfile")
	if path == "" {
		return nothing
	}
	path = inDir(config, path)
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
		logger.Warn("cannot write the pidfile", "err", err)
		return nothing
	}
	return func() error { return os.Remove(path) }
}
