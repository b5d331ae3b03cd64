package server

import (
	"fmt"
	"strings"
	"testing"

	"dkv/server/command"
)

func TestCommandInfo(t *testing.T) {
	c := dial(t, startServer(t))
	get2 := "*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n*3\r\n+@read\r\n+@string\r\n+@fast\r\n*0\r\n" +
		"*1\r\n*6\r\n$5\r\nflags\r\n*2\r\n+RO\r\n+access\r\n$12\r\nbegin_search\r\n*4\r\n$4\r\ntype\r\n$5\r\nindex\r\n$4\r\nspec\r\n*2\r\n$5\r\nindex\r\n:1\r\n" +
		"$9\r\nfind_keys\r\n*4\r\n$4\r\ntype\r\n$5\r\nrange\r\n$4\r\nspec\r\n*6\r\n$7\r\nlastkey\r\n:0\r\n$7\r\nkeystep\r\n:1\r\n$5\r\nlimit\r\n:0\r\n*0\r\n"
	c.roundTrip(request("COMMAND", "INFO", "nosuch", "GET"), "*2\r\n$-1\r\n"+get2)
	c.do("HELLO", "3")
	get3 := strings.NewReplacer("*2\r\n+", "~2\r\n+", "*3\r\n+", "~3\r\n+", "*0", "~0", "*1\r\n*6", "~1\r\n%3", "*4", "%2", "*2\r\n$", "%1\r\n$", "*6", "%3").Replace(get2)
	c.roundTrip(request("COMMAND", "INFO", "nosuch", "GET"), "*2\r\n_\r\n"+get3)

	n := 0
	for _, s := range command.All() {
		if !strings.Contains(s.Name, "|") {
			n++
		}
	}
	if got := c.do("COMMAND", "COUNT"); got != fmt.Sprintf(":%d\r\n", n) {
		t.Errorf("COUNT: %q", got)
	}
	for _, request := range [][]string{{"COMMAND"}, {"COMMAND", "INFO"}} {
		if got := c.do(request...); !strings.HasPrefix(got, fmt.Sprintf("*%d\r\n*10\r\n", n)) {
			t.Errorf("%v: %.60q", request, got)
		}
	}
	if got := c.do("COMMAND", "INFO", "config|get"); !strings.HasPrefix(got, "*1\r\n*10\r\n$10\r\nconfig|get\r\n:-3\r\n~4\r\n+admin\r\n") {
		t.Errorf("subcommand: %.100q", got)
	}
}

func TestCommandDocs(t *testing.T) {
	c := dial(t, startServer(t))
	c.do("HELLO", "3")
	if got := c.do("COMMAND", "DOCS", "nosuch"); got != "%0\r\n" {
		t.Errorf("nosuch: %q", got)
	}
	got := c.do("COMMAND", "DOCS", "nosuch", "SET")
	for _, want := range []string{
		"%1\r\n$3\r\nset\r\n%", "$7\r\nsummary\r\n$", "$5\r\nsince\r\n$5\r\n1.0.0\r\n$5\r\ngroup\r\n$6\r\nstring\r\n$10\r\ncomplexity\r\n$4\r\nO(1)\r\n",
		"$9\r\narguments\r\n*5\r\n%4\r\n$4\r\nname\r\n$3\r\nkey\r\n$4\r\ntype\r\n$3\r\nkey\r\n$12\r\ndisplay_text\r\n$3\r\nkey\r\n$14\r\nkey_spec_index\r\n:0\r\n",
		"$5\r\noneof\r\n", "$5\r\nflags\r\n~1\r\n+optional\r\n$9\r\narguments\r\n*",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("DOCS SET lacks %q: %q", want, got)
		}
	}
	if got := c.do("COMMAND", "DOCS", "getset"); !strings.Contains(got, "$9\r\ndoc_flags\r\n~1\r\n+deprecated\r\n$16\r\ndeprecated_since\r\n$5\r\n6.2.0\r\n$11\r\nreplaced_by\r\n") {
		t.Errorf("DOCS GETSET: %q", got)
	}
	if got := c.do("COMMAND", "DOCS", "memory"); !strings.Contains(got, "$11\r\nsubcommands\r\n%6\r\n$13\r\nmemory|doctor\r\n%") {
		t.Errorf("DOCS MEMORY: %q", got)
	}
	all := c.do("COMMAND", "DOCS") // reply parses it whole
	if !strings.Contains(all, "$4\r\nmget\r\n") {
		t.Error("DOCS lacks mget")
	}
}

func TestCommandListAndKeys(t *testing.T) {
	c := dial(t, startServer(t))
	for _, tc := range []struct{ request, want string }{
		{"COMMAND LIST foo", "-ERR syntax error\r\n"},
		{"COMMAND LIST FILTERBY foo bar", "-ERR syntax error\r\n"},
		{"COMMAND LIST FILTERBY MODULE x", "*0\r\n"},
		{"COMMAND LIST FILTERBY ACLCAT nosuch", "*0\r\n"},
		{"COMMAND LIST FILTERBY PATTERN GETS*", "*1\r\n$6\r\ngetset\r\n"},
		{"COMMAND LIST FILTERBY PATTERN slowlog|l*", "*1\r\n$11\r\nslowlog|len\r\n"},
		{"COMMAND GETKEYS", "-ERR wrong number of arguments for 'command|getkeys' command\r\n"},
		{"COMMAND GETKEYSANDFLAGS", "-ERR wrong number of arguments for 'command|getkeysandflags' command\r\n"},
		{"COMMAND GETKEYS get", "-ERR Invalid number of arguments specified for command\r\n"},
		{"COMMAND GETKEYS nosuch", "-ERR Invalid command specified\r\n"},
		{"COMMAND GETKEYS ping", "-ERR The command has no key arguments\r\n"},
		{"COMMAND GETKEYSANDFLAGS ping", "-ERR The command has no key arguments\r\n"},
		{"COMMAND GETKEYS config", "-ERR The command has no key arguments\r\n"},
		{"COMMAND GETKEYS config get x", "-ERR The command has no key arguments\r\n"},
		{"COMMAND GETKEYS config|get x", "-ERR Invalid command specified\r\n"},
		{"COMMAND GETKEYS xinfo stream", "-ERR Invalid number of arguments specified for command\r\n"},
		{"COMMAND GETKEYS xinfo stream a", "*1\r\n$1\r\na\r\n"},
		{"COMMAND GETKEYS object encoding a", "*1\r\n$1\r\na\r\n"},
		{"COMMAND GETKEYS mset a", "-ERR Invalid number of arguments specified for command\r\n"},
		{"COMMAND GETKEYS mset a 1 b", "*2\r\n$1\r\na\r\n$1\r\nb\r\n"},
		{"COMMAND GETKEYS eval s 0", "*0\r\n"},
		{"COMMAND GETKEYS eval s 5 a", "*0\r\n"},
		{"COMMAND GETKEYS eval s -1 a", "*0\r\n"},
		{"COMMAND GETKEYS eval s x", "*0\r\n"},
		{"COMMAND GETKEYS eval s 1 a b", "*1\r\n$1\r\na\r\n"},
		{"COMMAND GETKEYS fcall f 0", "*0\r\n"},
		{"COMMAND GETKEYSANDFLAGS fcall f 2 a", "*0\r\n"},
		{"COMMAND GETKEYS zunion 0 a", "-ERR Invalid arguments specified for command\r\n"},
		{"COMMAND GETKEYS zunion 2 a", "-ERR Invalid arguments specified for command\r\n"},
		{"COMMAND GETKEYS lmpop 1 a", "-ERR Invalid number of arguments specified for command\r\n"},
		{"COMMAND GETKEYS lmpop 0 a left", "-ERR Invalid arguments specified for command\r\n"},
		{"COMMAND GETKEYS blmpop 1 99 a left", "-ERR Invalid arguments specified for command\r\n"},
		{"COMMAND GETKEYS xread count 5 streams", "-ERR Invalid arguments specified for command\r\n"},
		{"COMMAND GETKEYS xread 1 2 3 4", "-ERR Invalid arguments specified for command\r\n"},
		{"COMMAND GETKEYS xreadgroup group g c streams a >", "*1\r\n$1\r\na\r\n"},
		{"COMMAND GETKEYS sort a", "*1\r\n$1\r\na\r\n"},
		{"COMMAND GETKEYS sort a store b", "*2\r\n$1\r\na\r\n$1\r\nb\r\n"},
		{"COMMAND GETKEYS georadius a 1 2 3 m store", "*1\r\n$1\r\na\r\n"},
		{"COMMAND GETKEYS migrate h 1 a 0 1", "*1\r\n$1\r\na\r\n"},
		{"COMMAND GETKEYS get a", "*1\r\n$1\r\na\r\n"},
		{"COMMAND GETKEYS get a b", "-ERR Invalid number of arguments specified for command\r\n"},
		{"COMMAND GETKEYS mset a 1 b 2", "*2\r\n$1\r\na\r\n$1\r\nb\r\n"},
		{"COMMAND GETKEYS nosuch a", "-ERR Invalid command specified\r\n"},
		{"COMMAND GETKEYS memory nosuch", "-ERR Invalid command specified\r\n"},
		{"COMMAND GETKEYS memory usage a", "*1\r\n$1\r\na\r\n"},
		{"COMMAND GETKEYS ping a", "-ERR The command has no key arguments\r\n"},
		{"COMMAND GETKEYSANDFLAGS set a b", "*1\r\n*2\r\n$1\r\na\r\n*2\r\n+OW\r\n+update\r\n"},
		{"COMMAND GETKEYSANDFLAGS set a b ex 5 GET", "*1\r\n*2\r\n$1\r\na\r\n*3\r\n+RW\r\n+access\r\n+update\r\n"},
		{"COMMAND GETKEYSANDFLAGS get a", "*1\r\n*2\r\n$1\r\na\r\n*2\r\n+RO\r\n+access\r\n"},
		{"COMMAND foo", "-ERR unknown subcommand 'foo'. Try COMMAND HELP.\r\n"},
	} {
		if got := c.do(strings.Fields(tc.request)...); got != tc.want {
			t.Errorf("%s: %q", tc.request, got)
		}
	}
	if got := c.do("COMMAND", "LIST", "FILTERBY", "ACLCAT", "STRING"); !strings.Contains(got, "$3\r\nset\r\n") || strings.Contains(got, "$6\r\nexpire\r\n") {
		t.Errorf("strings: %q", got)
	}
	if got := c.do("COMMAND", "LIST"); !strings.Contains(got, "$10\r\nconfig|get\r\n") {
		t.Errorf("LIST has no subcommands: %.200q", got)
	}
}
