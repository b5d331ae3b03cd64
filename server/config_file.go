package server

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Limits of a config file.
const (
	maxConfigFile     = 16 << 20 // bytes
	maxConfigIncludes = 16       // depth
)

// FileError is a line of a config file that was refused.
type FileError struct {
	File   string
	Line   int
	Text   string
	Reason string
}

func (e *FileError) Error() string {
	return fmt.Sprintf("%s, line %d: '%s': %s", e.File, e.Line, e.Text, e.Reason)
}

// Load reads a config file in the syntax of redis.conf and remembers its name
// for Rewrite. "-" is standard input. Directives take effect in their order.
//
// A bad value, and a name that looks like a misspelt one, is a *FileError. A
// name that is not known at all (of another version of Redis, say) and a
// parameter that does nothing here are returned as warnings.
func (c *Config) Load(path string) (warnings []string, err error) {
	l := loader{c: c}
	if err := l.load(path); err != nil {
		return nil, err
	}
	return l.warnings(), nil
}

func (l *loader) load(path string) error {
	if path == "-" {
		return l.read("standard input", "-", 0)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("config file: %w", err)
	}
	if err := l.read(path, abs, 0); err != nil {
		return err
	}
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	l.c.mu.file = abs
	return nil
}

// File returns the path of the config file, "" when there is none.
func (c *Config) File() string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.mu.file
}

// loader is one Load: what to do at the end depends on all lines.
type loader struct {
	c       *Config
	sawSave bool // the first save line replaces the default, others add to it
	inert   []string
	later   []string
	unknown []string
}

func (l *loader) read(shown, path string, depth int) error {
	if depth > maxConfigIncludes {
		return fmt.Errorf("config file %s: includes are nested more than %d deep", shown, maxConfigIncludes)
	}
	text, err := readConfigFile(path)
	if err != nil {
		return fmt.Errorf("config file: %w", err)
	}
	return l.parse(shown, text, depth)
}

func readConfigFile(path string) ([]byte, error) {
	f := os.Stdin
	if path != "-" {
		var err error
		if f, err = os.Open(path); err != nil {
			return nil, err
		}
		defer f.Close()
	}
	text, err := io.ReadAll(io.LimitReader(f, maxConfigFile+1))
	if err == nil && len(text) > maxConfigFile {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxConfigFile)
	}
	return text, err
}

func (l *loader) parse(file string, text []byte, depth int) error {
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.Trim(line, " \t\r\n")
		if line == "" || line[0] == '#' {
			continue
		}
		fail := func(reason string) error {
			return &FileError{file, i + 1, hideSecret(line), reason}
		}
		words, ok := splitWords(line)
		if !ok {
			return fail("Unbalanced quotes in configuration line")
		}
		if len(words) == 0 {
			continue
		}
		if strings.EqualFold(words[0], "include") && len(words) == 2 {
			if err := l.include(words[1], depth); err != nil {
				return err
			}
			continue
		}
		if err := l.directive(words[0], words[1:]); err != nil {
			return fail(reasonOf(err))
		}
	}
	return nil
}

func (l *loader) include(pattern string, depth int) error {
	paths := []string{pattern}
	if strings.ContainsAny(pattern, "*?[") {
		var err error
		if paths, err = filepath.Glob(pattern); err != nil {
			return fmt.Errorf("config file: include %q: %w", pattern, err)
		}
	}
	for _, p := range paths {
		if err := l.read(p, p, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// refusedDirectives are directives of Redis that would change what clients may
// do. Going on without them would be wrong, so they are errors.
var refusedDirectives = map[string]string{
	"rename-command": "rename-command is not supported",
	"loadmodule":     "loadmodule is not supported: dkv has no modules",
	"sentinel":       "sentinel is not supported",
}

// directive applies one name with its words, from a file or the command line.
func (l *loader) directive(name string, words []string) error {
	name = strings.ToLower(name)
	if reason := refusedDirectives[name]; reason != "" {
		return errors.New(reason)
	}
	if name == "user" {
		return l.c.addUser(words)
	}
	p := findParam(name)
	if p == nil {
		if near := nearestParam(name); near != "" {
			return fmt.Errorf("Bad directive or wrong number of arguments (did you mean %s?)", near)
		}
		l.unknown = append(l.unknown, name)
		return nil
	}
	if p.multi() && len(words) == 1 {
		split, err := p.words(words[0])
		if err != nil {
			return err
		}
		if len(split) > 0 {
			words = split
		}
	}
	if p.kind == kindSave {
		if l.sawSave && words[0] != "" {
			words = append(strings.Fields(l.c.String("save")), words...)
		}
		l.sawSave = true
	}
	if err := l.c.setWords(p, words); err != nil {
		return err
	}
	if l.c.value(p) != p.def {
		switch p.effect {
		case effectStored:
			l.inert = append(l.inert, p.name)
		case effectLater:
			l.later = append(l.later, p.name)
		}
	}
	return nil
}

func (l *loader) warnings() []string {
	var w []string
	add := func(what string, names []string) {
		if len(names) > 0 {
			w = append(w, what+": "+strings.Join(names, ", "))
		}
	}
	add("unknown parameters were ignored", l.unknown)
	add("parameters without an effect in dkv", l.inert)
	add("parameters of features that are not built yet", l.later)
	return w
}

// maxEdits is how far a misspelt name may be from the one that was meant.
const maxEdits = 2

// nearestParam returns the parameter that name may be a misspelling of, or "".
func nearestParam(name string) string {
	best, at := "", maxEdits+1
	for n := range paramByName {
		d := editDistance(name, n)
		if d < at || d == at && d <= maxEdits && n < best {
			best, at = n, d
		}
	}
	if len(name) < 2*at {
		return ""
	}
	return best
}

// editDistance is the Levenshtein distance of a and b, or maxEdits+1 when it
// is larger.
func editDistance(a, b string) int {
	if len(a)-len(b) > maxEdits || len(b)-len(a) > maxEdits {
		return maxEdits + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diag := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next := min(diag+cost, row[j]+1, row[j-1]+1)
			diag, row[j] = row[j], next
		}
	}
	return min(row[len(b)], maxEdits+1)
}

// hideSecret returns a config line without the value of a password, or the secret name of
// a command.
func hideSecret(line string) string {
	name := strings.ToLower(strings.Fields(line)[0])
	p := findParam(name)
	if p == nil {
		p = findParam(nearestParam(name))
	}
	if p != nil && p.flags&paramSensitive != 0 || name == "user" || name == "rename-command" {
		return name + " (hidden)"
	}
	return line
}
