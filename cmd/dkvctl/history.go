package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
)

const historyEnv = "DKVCTL_HISTORY"

// history is the file that the prompt's lines are kept in; "" keeps none.
type history struct{ path string }

type historian interface {
	ReadHistory(io.Reader) (int, error)
	WriteHistory(io.Writer) (int, error)
}

// loadHistory reads the history file: $DKVCTL_HISTORY, where an empty value
// means none, or dkvctl/history in the user's configuration folder. A history
// that cannot be read is no reason to refuse a prompt.
func loadHistory(ed historian) history {
	path, set := os.LookupEnv(historyEnv)
	if !set {
		dir, err := os.UserConfigDir()
		if err != nil {
			return history{}
		}
		path = filepath.Join(dir, "dkvctl", "history")
	}
	if path == "" {
		return history{}
	}
	if f, err := os.Open(path); err == nil {
		ed.ReadHistory(f)
		f.Close()
	}
	return history{path: path}
}

// save replaces the file as a whole, readable by the user only.
func (h history) save(ed historian) {
	if h.path == "" || os.MkdirAll(filepath.Dir(h.path), 0o700) != nil {
		return
	}
	if fi, err := os.Stat(h.path); err == nil && !fi.Mode().IsRegular() {
		return // such as /dev/null
	}
	f, err := os.CreateTemp(filepath.Dir(h.path), ".history-*")
	if err != nil {
		return
	}
	_, err = ed.WriteHistory(f)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), h.path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
}

// hasSecret reports whether a command carries a password, and so must not be
// written to the history.
func hasSecret(words []string) bool {
	switch strings.ToUpper(words[0]) {
	case "AUTH", "ACL":
		return true
	case "HELLO", "MIGRATE":
		for _, w := range words[1:] {
			if w := strings.ToUpper(w); w == "AUTH" || w == "AUTH2" {
				return true
			}
		}
	case "CONFIG":
		for _, w := range words[1:] {
			if w := strings.ToLower(w); strings.Contains(w, "pass") || strings.Contains(w, "auth") {
				return true
			}
		}
	}
	return false
}
