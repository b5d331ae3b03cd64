package command

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	names := map[string]bool{}
	for i, s := range All() {
		if s.ID != i || names[s.Name] || s.Name != strings.ToLower(s.Name) || len(s.Name) > maxNameLen {
			t.Errorf("row %d: %s, ID %d", i, s.Name, s.ID)
		}
		names[s.Name] = true
		if s.Summary == "" || s.Arity == 0 || s.Group == "" || s.Since == "" && s.Group != GroupDKV {
			t.Errorf("%s is not complete", s.Name)
		}
		for _, sub := range s.Subcommands {
			if !strings.HasPrefix(sub.Name, s.Name+"|") {
				t.Errorf("%s is below %s", sub.Name, s.Name)
			}
		}
		if s.Handler != nil && s.Flags&(FlagWrite|FlagReadOnly) == 0 && !strings.HasSuffix(s.Name, "|help") && s.Group != GroupScripting {
			t.Errorf("%s has a handler, and neither reads nor writes", s.Name)
		}
		for _, a := range s.Args {
			checkArg(t, s, a)
		}
	}
}

func checkArg(t *testing.T, s *Spec, a Arg) {
	t.Helper()
	if a.Name == "" || (a.Type == ArgToken) && a.Token == "" || a.Type == ArgKey && a.KeySpec >= len(s.KeySpecs) {
		t.Errorf("%s: bad argument %+v", s.Name, a)
	}
	if (a.Type == ArgBlock || a.Type == ArgOneOf) != (len(a.Args) != 0) {
		t.Errorf("%s: %s is a %s with %d parts", s.Name, a.Name, a.Type, len(a.Args))
	}
	for _, part := range a.Args {
		checkArg(t, s, part)
	}
}

func TestLookup(t *testing.T) {
	if s := Lookup([]byte("GeT")); s == nil || s.Name != "get" {
		t.Errorf("GeT is %v", s)
	}
	for _, name := range []string{"", "nope", "object|encoding", strings.Repeat("x", 100), "ge\x00t"} {
		if s := Lookup([]byte(name)); s != nil {
			t.Errorf("%q is %s", name, s.Name)
		}
	}
	object := Lookup([]byte("object"))
	if s := object.Sub([]byte("EnCoding")); s == nil || s.Name != "object|encoding" || !object.IsContainer() {
		t.Errorf("OBJECT ENCODING is %v", s)
	}
	if object.Sub([]byte("nope")) != nil || Lookup([]byte("get")).Sub([]byte("get")) != nil {
		t.Error("a subcommand that does not exist was found")
	}
	name := []byte("INCRBYFLOAT")
	if n := testing.AllocsPerRun(100, func() { Lookup(name) }); n != 0 {
		t.Errorf("Lookup allocates %v times", n)
	}
}

func TestKeys(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"get a", "[1] <nil>"}, {"mset a 1 b 2", "[1 3] <nil>"}, {"mset a 1 b", "[1 3] <nil>"}, {"del a b c", "[1 2 3] <nil>"},
		{"rename a b", "[1 2] <nil>"}, {"lcs a b LEN", "[1 2] <nil>"}, {"object encoding k", "[2] <nil>"}, {"memory usage k", "[2] <nil>"},
		{"ping", "[] " + ErrNoKeyArguments.Error()}, {"get", "[] " + ErrBadKeyArity.Error()}, {"copy a b DB 1", "[1 2] <nil>"},
		{"dkv.cas k a b", "[1] <nil>"}, {"bitop and d a b", "[2 3 4] <nil>"}, {"pfmerge a b c", "[1 2 3] <nil>"}, {"pfdebug encoding k", "[2] <nil>"},
		{"sort k BY store GET store LIMIT store 1 STORE d STORE e ASC", "[1 12] <nil>"}, {"sort k STORE", "[1] <nil>"},
		{"georadius k 0 0 1 m STORE d", "[1 7] <nil>"}, {"georadius k 0 0 1 m ASC STOREDIST d", "[1 8] <nil>"}, {"georadius k 0 0 1 m", "[1] <nil>"},
		{"georadiusbymember k store 1 m", "[1] <nil>"}, {"geosearchstore d s FROMMEMBER m BYRADIUS 1 m", "[1 2] <nil>"},
		{"xread count 1 streams a b 0 0", "[4 5] <nil>"}, {"xreadgroup group streams c streams a >", "[5] <nil>"},
		{"xgroup create k g 0", "[2] <nil>"}, {"xinfo stream k full", "[2] <nil>"},
		{"migrate h 1 k 0 10 copy replace", "[3] <nil>"}, {"migrate h 1 '' 0 10 auth2 keys keys auth keys keys a keys", "[12 13] <nil>"},
		{"migrate h 1 k 0 10 keys a", "[] " + ErrBadKeyArguments.Error()}, {"migrate h 1 '' 0 10 keys", "[] " + ErrBadKeyArguments.Error()},
	} {
		args := words(c.line)
		raw := make([][]byte, len(args))
		for i, a := range args {
			raw[i] = []byte(a)
		}
		s := Lookup(raw[0])
		if s.IsContainer() {
			s = s.Sub(raw[1])
		}
		positions, err := s.Keys(raw)
		if got := fmt.Sprint(positions, " ", err); got != c.want {
			t.Errorf("%s: %s, want %s", c.line, got, c.want)
		}
	}
}

func TestKeySpecForms(t *testing.T) {
	args := func(line string) (raw [][]byte) {
		for _, w := range words(line) {
			raw = append(raw, []byte(w))
		}
		return raw
	}
	for _, c := range []struct {
		name string
		spec KeySpec
		line string
		want string
	}{
		{"keynum", KeySpec{Index: 1, Counted: true, FirstKey: 1, Step: 1}, "zunion 2 a b WEIGHTS 1 2", "[{2 0} {3 0}] <nil>"},
		{"keynum too many", KeySpec{Index: 1, Counted: true, FirstKey: 1, Step: 1}, "zunion 3 a b", "[] " + ErrBadKeyArguments.Error()},
		{"keynum no number", KeySpec{Index: 1, Counted: true, FirstKey: 1, Step: 1}, "zunion x a b", "[] " + ErrBadKeyArguments.Error()},
		{"keyword", KeySpec{Keyword: "STREAMS", Index: 1, LastKey: -1, Step: 1, Limit: 2}, "xread count 1 streams a b 0 0", "[{4 0} {5 0}] <nil>"},
		{"keyword backwards", KeySpec{Keyword: "STORE", Index: -2, Step: 1}, "sort k STORE dst", "[{3 0}] <nil>"},
		{"keyword missing", KeySpec{Keyword: "STORE", Index: -2, Step: 1}, "sort k", "[] <nil>"},
		{"unknown", KeySpec{Unknown: true}, "sort k", "[] <nil>"},
	} {
		keys, err := c.spec.appendKeys(nil, args(c.line))
		if got := fmt.Sprint(keys, " ", err); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// noteText is the prose of a key specification, which is our own.
var noteText = regexp.MustCompile(`\[notes .*? flags`)

// newIn72 differ from, or are not in, the redis-server 7.0 that the table is compared
// with.
var newIn72 = []string{"client|no-touch", "client|setinfo", "cluster|myshardid", "waitaof", "wait", "zrank", "zrevrank",
	"acl|deluser", "acl|save", "acl|setuser", // they have tips
	"command|getkeys", "command|getkeysandflags", // their arity
	"hexpire", "hpexpire", "hexpireat", "hpexpireat", "httl", "hpttl", "hexpiretime", "hpexpiretime", "hpersist", "hgetex", "hsetex"}

// The figures of COMMAND INFO are those of a real server.
func TestTableAgainstRedis(t *testing.T) {
	o := newOracle(t)
	for _, s := range All() {
		if s.Group == GroupDKV || slices.Contains(newIn72, s.Name) {
			continue
		}
		got := infoText(s)
		want := noteText.ReplaceAllString(shorten(o.do("COMMAND", "INFO", s.Name)), "[flags")
		if s.Flags&FlagBlocking != 0 {
			want = strings.Replace(want, "+noscript ", "", 1) // since 7.2 scripts may use them
		}
		if want == "[nil]" {
			t.Errorf("%s: redis-server does not know it", s.Name)
			continue
		}
		if !strings.HasPrefix(want, "["+got+" [") {
			t.Errorf("%s:\n got %s\nwant %s", s.Name, got, want)
		}
	}
}

// infoText is the part of a row that COMMAND INFO tells, subcommands left out.
func infoText(s *Spec) string {
	list := func(names []string, prefix string) string {
		for i, n := range names {
			names[i] = prefix + n
		}
		return "[" + strings.Join(names, " ") + "]"
	}
	var specs []string
	for _, k := range s.KeySpecs {
		begin := fmt.Sprintf("[type index spec [index %d]]", k.Index)
		if k.Keyword != "" {
			begin = fmt.Sprintf("[type keyword spec [keyword %s startfrom %d]]", k.Keyword, k.Index)
		}
		if k.Unknown {
			specs = append(specs, fmt.Sprintf("[flags %s begin_search [type unknown spec []] find_keys [type unknown spec []]]", list(k.Flags.Names(), "+")))
			continue
		}
		if k.Counted {
			specs = append(specs, fmt.Sprintf("[flags %s begin_search [type index spec [index %d]] find_keys [type keynum spec [keynumidx %d firstkey %d keystep %d]]]",
				list(k.Flags.Names(), "+"), k.Index, k.CountAt, k.FirstKey, k.Step))
			continue
		}
		specs = append(specs, fmt.Sprintf("[flags %s begin_search %s find_keys [type range spec [lastkey %d keystep %d limit %d]]]",
			list(k.Flags.Names(), "+"), begin, k.LastKey, k.Step, k.Limit))
	}
	flags := list(s.Flags.Names(), "+")
	return fmt.Sprintf("[%s %d %s %d %d %d %s %s [%s]", s.Name, s.Arity, flags, s.FirstKey, s.LastKey, s.KeyStep,
		list(s.Categories.Names(), "+@"), list(slices.Clone(s.Tips), ""), strings.Join(specs, " "))
}
