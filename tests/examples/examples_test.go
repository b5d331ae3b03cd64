package examples

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"dkv/tests/harness"
)

var rewrite = flag.Bool("rewrite", false, "write the replies of redis-server into the files")

func TestMain(m *testing.M) { harness.Main(m) }

// example is a command with its reply, or the lines between two of them.
type example struct {
	line    int
	since   string // "" or the version of Redis that has it
	command string // "" for a comment
	want    []string
}

func (e *example) pattern() bool { return len(e.want) > 0 && strings.HasPrefix(e.want[0], "~ ") }

// parse reads a file of examples.
func parse(text string) (out []example) {
	for i, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		since, rest := "", line
		if strings.HasPrefix(line, "@") {
			since, rest, _ = strings.Cut(line[1:], " ")
		}
		switch {
		case strings.HasPrefix(rest, "> "):
			out = append(out, example{line: i + 1, since: since, command: rest[2:]})
		case strings.HasPrefix(line, "#"), line == "":
			out = append(out, example{line: i + 1, want: []string{line}})
		default:
			out[len(out)-1].want = append(out[len(out)-1].want, line)
		}
	}
	return out
}

// format makes the file of examples.
func format(examples []example) string {
	var b strings.Builder
	for _, e := range examples {
		if e.command != "" {
			if e.since != "" {
				b.WriteString("@" + e.since + " ")
			}
			b.WriteString("> " + e.command + "\n")
		}
		b.WriteString(strings.Join(e.want, "\n") + "\n")
	}
	return b.String()
}

// check says what is wrong with a reply, "" when nothing is.
func (e *example) check(got string) string {
	want := strings.Join(e.want, "\n")
	if e.pattern() {
		if re := regexp.MustCompile(`^(?s:` + strings.TrimPrefix(want, "~ ") + `)$`); re.MatchString(got) {
			return ""
		}
	} else if got == want {
		return ""
	}
	return "> " + e.command + "\n got:\n" + got + "\nwant:\n" + want
}

func TestExamples(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	servers := map[string]*harness.Server{"redis": harness.Redis(t), "dkv": harness.Dkv(t, "-fsync", "no")}
	old := strings.HasPrefix(servers["redis"].Dial(t).Info("server")["redis_version"], "7.0.")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		examples := parse(string(data))
		family := strings.TrimSuffix(filepath.Base(file), ".txt")
		for _, name := range []string{"redis", "dkv"} {
			t.Run(family+" on "+name, func(t *testing.T) {
				follow(t, servers[name], examples, name, old)
			})
		}
		if *rewrite {
			if err := os.WriteFile(file, []byte(format(examples)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// follow runs examples on a server. old: the Redis is of 7.0.
func follow(t *testing.T, server *harness.Server, examples []example, name string, old bool) {
	c := server.Dial(t)
	c.OK("FLUSHALL")
	for i := range examples {
		e := &examples[i]
		if e.command == "" {
			if strings.HasPrefix(e.want[0], "##") {
				c.Do("DISCARD") // what a failed example may have left open
				c.OK("FLUSHALL")
			}
			continue
		}
		if name == "redis" && old && e.since == "7.2" || name == "redis" && e.since == "8.0" || name == "redis" && e.since == "7.4" ||
			name == "dkv" && e.since == "dkv" {
			continue
		}
		got := show(c.Do(split(t, e.command)...), "")
		if *rewrite && name == "redis" && !e.pattern() {
			e.want = strings.Split(got, "\n")
		}
		if wrong := e.check(got); wrong != "" {
			t.Errorf("line %d: %s", e.line, wrong)
		}
	}
}

// split parses a command as redis-cli does: words, and strings in quotation marks with
// escapes.
func split(t *testing.T, line string) (args []string) {
	t.Helper()
	for rest := strings.TrimLeft(line, " "); rest != ""; rest = strings.TrimLeft(rest, " ") {
		var arg string
		if rest[0] == '"' {
			quoted, err := strconv.QuotedPrefix(rest)
			if err == nil {
				arg, err = strconv.Unquote(quoted)
			}
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			rest = rest[len(quoted):]
		} else if rest[0] == '\'' {
			arg, rest, _ = strings.Cut(rest[1:], "'")
		} else if arg, rest, _ = strings.Cut(rest, " "); arg == "" {
			continue
		}
		args = append(args, arg)
	}
	return args
}

// without are commands that no example is of, by the beginnings of their names.
var without = map[string]string{
	"dkv.":         "dkv's own",
	"cluster":      "of a cluster: tests/compat",
	"readwrite":    "of a cluster",
	"asking":       "of a cluster",
	"psync":        "of replicas: tests/replica, tests/migrate",
	"sync":         "of replicas",
	"replconf":     "of replicas",
	"debug":        "of tests",
	"save":         "writes to the disk",
	"bgsave":       "writes to the disk",
	"bgrewriteaof": "writes to the disk",
}

// TestEveryCommand fails for a command that no example is of.
func TestEveryCommand(t *testing.T) {
	harness.NeedItself(t)
	seen := make(map[string]bool)
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range parse(string(data)) {
			words := strings.Fields(strings.ToLower(e.command) + " . .")
			seen[words[0]], seen[words[0]+"|"+words[1]] = true, true
		}
	}
	for _, name := range harness.Dkv(t).Dial(t).Do("COMMAND", "LIST").Elems {
		known := seen[string(name.Str)] || strings.HasSuffix(string(name.Str), "|help")
		for prefix := range without {
			known = known || strings.HasPrefix(string(name.Str), prefix)
		}
		if !known {
			t.Errorf("no example of %s", name.Str)
		}
	}
}
