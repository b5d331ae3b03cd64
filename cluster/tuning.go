package cluster

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"dkv/engine/badgerdb"
	"dkv/engine/pebbledb"
	"dkv/engine/rocksdb"
)

// ErrEngineFile says that the file of engine options has a mistake.
var ErrEngineFile = errors.New("bad file of engine options")

// tuning is what a file of engine options says, a map of names and values for each
// engine. Its form:
//
//	; a comment, as is a line that begins with #
//	[rocksdb]
//	block_cache_size = 256mb
//	compression = zstd
//
// Sections of other engines are read, and checked, and otherwise left alone. What
// the file says goes before the parameters of the same meaning.
type tuning map[string]map[string]string

// maxEngineFile bounds the file.
const maxEngineFile = 1 << 20

// setter sets an option of an engine's options O.
type setter[O any] func(o *O, value string) error

var pebbleSetters = map[string]setter[pebbledb.Options]{
	"block_cache_size":  func(o *pebbledb.Options, v string) error { return size(&o.BlockCacheBytes, v) },
	"memtable_size":     func(o *pebbledb.Options, v string) error { return size(&o.MemtableBytes, v) },
	"memtable_count":    func(o *pebbledb.Options, v string) error { return number(&o.MemtableCount, v) },
	"bloom_bits":        func(o *pebbledb.Options, v string) error { return bloom(&o.BloomBitsPerKey, v) },
	"compression":       func(o *pebbledb.Options, v string) error { return word(&o.Compression, v, "none", "snappy", "zstd") },
	"compactions":       func(o *pebbledb.Options, v string) error { return number(&o.MaxConcurrentCompactions, v) },
	"max_open_files":    func(o *pebbledb.Options, v string) error { return number(&o.MaxOpenFiles, v) },
	"reserve_disk_size": func(o *pebbledb.Options, v string) error { return size(&o.ReserveDiskBytes, v) },
}

var rocksSetters = map[string]setter[rocksdb.Options]{
	"block_cache_size": func(o *rocksdb.Options, v string) error { return size(&o.BlockCacheBytes, v) },
	"memtable_size":    func(o *rocksdb.Options, v string) error { return size(&o.MemtableBytes, v) },
	"memtable_count":   func(o *rocksdb.Options, v string) error { return number(&o.MemtableCount, v) },
	"bloom_bits":       func(o *rocksdb.Options, v string) error { return bloom(&o.BloomBitsPerKey, v) },
	"compression": func(o *rocksdb.Options, v string) error {
		return word(&o.Compression, v, "none", "snappy", "lz4", "zstd")
	},
	"compactions":       func(o *rocksdb.Options, v string) error { return number(&o.MaxBackgroundJobs, v) },
	"max_open_files":    func(o *rocksdb.Options, v string) error { return number(&o.MaxOpenFiles, v) },
	"block_size":        func(o *rocksdb.Options, v string) error { return number(&o.BlockBytes, v) },
	"reserve_disk_size": func(o *rocksdb.Options, v string) error { return size(&o.ReserveDiskBytes, v) },
}

var badgerSetters = map[string]setter[badgerdb.Options]{
	"block_cache_size":  func(o *badgerdb.Options, v string) error { return size(&o.BlockCacheBytes, v) },
	"memtable_size":     func(o *badgerdb.Options, v string) error { return size(&o.MemtableBytes, v) },
	"memtable_count":    func(o *badgerdb.Options, v string) error { return number(&o.MemtableCount, v) },
	"bloom_bits":        func(o *badgerdb.Options, v string) error { return bloom(&o.BloomBitsPerKey, v) },
	"compression":       func(o *badgerdb.Options, v string) error { return word(&o.Compression, v, "none", "snappy", "zstd") },
	"compactions":       func(o *badgerdb.Options, v string) error { return number(&o.Compactors, v) },
	"value_threshold":   func(o *badgerdb.Options, v string) error { return size(&o.ValueThreshold, v) },
	"gc_interval":       func(o *badgerdb.Options, v string) error { return duration(&o.GCInterval, v) },
	"gc_ratio":          func(o *badgerdb.Options, v string) error { return ratio(&o.GCRatio, v) },
	"reserve_disk_size": func(o *badgerdb.Options, v string) error { return size(&o.ReserveDiskBytes, v) },
}

func (t tuning) pebble(o *pebbledb.Options) { tune(t[EnginePebble], pebbleSetters, o) }
func (t tuning) rocksdb(o *rocksdb.Options) { tune(t[EngineRocksDB], rocksSetters, o) }
func (t tuning) badger(o *badgerdb.Options) { tune(t[EngineBadger], badgerSetters, o) }

func tune[O any](values map[string]string, setters map[string]setter[O], o *O) {
	for name, value := range values {
		_ = setters[name](o, value) // checked when the file was read
	}
}

// blockCache is the size of an engine's block cache; asked is the parameter's.
func (t tuning) blockCache(engine string, asked int64) int64 {
	if v, ok := t[engine]["block_cache_size"]; ok {
		_ = size(&asked, v) // checked
	}
	return asked
}

// readTuning reads a file of engine options. Errors: ErrEngineFile, wrapped, with
// the line; those of the file system.
func readTuning(path string) (tuning, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cluster: engine options: %w", err)
	}
	defer f.Close()
	t, err := parseTuning(io.LimitReader(f, maxEngineFile+1))
	if err != nil {
		return nil, fmt.Errorf("cluster: %w: %s: %w", ErrEngineFile, path, err)
	}
	return t, nil
}

func parseTuning(r io.Reader) (tuning, error) {
	t, section, read := make(tuning), "", 0
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		if read += len(lines.Bytes()) + 1; read > maxEngineFile {
			return nil, fmt.Errorf("it is larger than %d bytes", maxEngineFile)
		}
		line := strings.TrimSpace(lines.Text())
		var err error
		switch {
		case line == "" || line[0] == ';' || line[0] == '#':
		case line[0] == '[':
			section, err = parseSection(line)
		case section == "":
			err = errors.New("an option before the first section, as [rocksdb]")
		default:
			err = t.set(section, line)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	return t, lines.Err()
}

func parseSection(line string) (string, error) {
	name := strings.ToLower(strings.TrimSpace(strings.TrimSuffix(line[1:], "]")))
	if !strings.HasSuffix(line, "]") || !slices.Contains([]string{EnginePebble, EngineRocksDB, EngineBadger}, name) {
		return "", fmt.Errorf("section %s is none of [pebble], [rocksdb], [badger]", line)
	}
	return name, nil
}

// set takes in a line of a section.
func (t tuning) set(section, line string) error {
	name, value, ok := strings.Cut(line, "=")
	name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
	if !ok {
		return fmt.Errorf("%q is not a name, =, and a value", line)
	}
	var err error
	switch section {
	case EnginePebble:
		err = try(pebbleSetters, name, value)
	case EngineRocksDB:
		err = try(rocksSetters, name, value)
	case EngineBadger:
		err = try(badgerSetters, name, value)
	}
	if err != nil {
		return fmt.Errorf("[%s] %s: %w", section, name, err)
	}
	if t[section] == nil {
		t[section] = make(map[string]string)
	}
	if _, twice := t[section][name]; twice {
		return fmt.Errorf("[%s] %s is set twice", section, name)
	}
	t[section][name] = value
	return nil
}

// try says whether an option can be set so, and would be taken by the engine beside
// defaults.
func try[O interface{ Check() error }](setters map[string]setter[O], name, value string) error {
	set := setters[name]
	if set == nil {
		names := make([]string, 0, len(setters))
		for n := range setters {
			names = append(names, n)
		}
		sort.Strings(names)
		return fmt.Errorf("no such option; there are %s", strings.Join(names, ", "))
	}
	var o O
	if err := set(&o, value); err != nil {
		return err
	}
	return o.Check()
}

// size reads a number of bytes, as in 1000, 64kb, 32mb, 1gb.
func size(to *int64, value string) error {
	digits := strings.TrimRight(strings.ToLower(value), "bkmg")
	unit, ok := map[string]int64{
		"": 1, "b": 1, "k": 1000, "kb": 1 << 10, "m": 1000_000, "mb": 1 << 20, "g": 1000_000_000, "gb": 1 << 30,
	}[strings.ToLower(value[len(digits):])]
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || n < 1 || n > math.MaxInt64/unit {
		return fmt.Errorf("%q is not a size, as 64mb", value)
	}
	*to = n * unit
	return nil
}

func number(to *int, value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return fmt.Errorf("%q is not a number above 0", value)
	}
	*to = n
	return nil
}

// bloom reads the bits of a Bloom filter; 0 is no filter.
func bloom(to *int, value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 || n > 64 {
		return fmt.Errorf("%q is not a number of bits, 0 (no filter) to 64", value)
	}
	if *to = n; n == 0 {
		*to = -1
	}
	return nil
}

func word(to *string, value string, words ...string) error {
	if *to = strings.ToLower(value); !slices.Contains(words, *to) {
		return fmt.Errorf("%q is none of %s", value, strings.Join(words, ", "))
	}
	return nil
}

// duration reads a time span; 0 is never.
func duration(to *time.Duration, value string) error {
	d, err := time.ParseDuration(value)
	if value == "0" {
		d, err = 0, nil
	}
	if err != nil || d < 0 {
		return fmt.Errorf("%q is not a time span, as 5m; 0 is never", value)
	}
	if *to = d; d == 0 {
		*to = -1
	}
	return nil
}

func ratio(to *float64, value string) error {
	f, err := strconv.ParseFloat(value, 64)
	if err != nil || !(f > 0 && f < 1) {
		return fmt.Errorf("%q is not a number between 0 and 1", value)
	}
	*to = f
	return nil
}
