package main

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseArgs(t *testing.T) {
	base := func(change func(*invocation)) invocation {
		v := invocation{addr: defaultAddr, timeout: defaultTimeout}
		change(&v)
		if v.addrs == nil {
			v.addrs = []string{v.addr}
		}
		return v
	}
	tests := []struct {
		args string
		want invocation
	}{
		{"", base(func(v *invocation) {})},
		{"INCR n", base(func(v *invocation) { v.words = []string{"INCR", "n"} })},
		{"DECRBY n -5", base(func(v *invocation) { v.words = []string{"DECRBY", "n", "-5"} })},
		{"-- -odd", base(func(v *invocation) { v.words = []string{"-odd"} })},
		{"-set k -5", base(func(v *invocation) { v.verb = "set"; v.operands = []string{"k", "-5"} })},
		{"--set=k v", base(func(v *invocation) { v.verb = "set"; v.operands = []string{"k", "v"} })},
		{"-get k -a h:1", base(func(v *invocation) { v.verb = "get"; v.operands = []string{"k"}; v.addr = "h:1" })},
		{"-dkvAddr=:7000 -listNodes", base(func(v *invocation) { v.addr = "127.0.0.1:7000"; v.verb = "listnodes"; v.operands = []string{} })},
		{"-a host PING", base(func(v *invocation) { v.addr = "host:6379"; v.words = []string{"PING"} })},
		{"-a ::1 PING", base(func(v *invocation) { v.addr = "[::1]:6379"; v.words = []string{"PING"} })},
		{"-a /run/s PING", base(func(v *invocation) { v.addr = "/run/s"; v.words = []string{"PING"} })},
		{"-a h1:1,h2 -listNodes", base(func(v *invocation) {
			v.addrs, v.addr, v.verb, v.operands = []string{"h1:1", "h2:6379"}, "h1:1", "listnodes", []string{}
		})},
		{"-addNode http://h:1 -async", base(func(v *invocation) { v.verb, v.operands, v.async = "addnode", []string{"http://h:1"}, true })},
		{"-force -removeNode http://h:1", base(func(v *invocation) { v.verb, v.operands, v.force = "removenode", []string{"http://h:1"}, true })},
		{"-transferLeader -a h:1", base(func(v *invocation) { v.verb, v.operands, v.addr = "transferleader", []string{}, "h:1" })},
		{"-transferLeader 2", base(func(v *invocation) { v.verb, v.operands = "transferleader", []string{"2"} })},
		{"-mget a b -a", base(func(v *invocation) { v.verb = "mget"; v.operands = []string{"a", "b", "-a"} })},
		{"-export f -db 2", base(func(v *invocation) { v.verb, v.operands, v.db = "export", []string{"f"}, 2 })},
		{"-x -set k", base(func(v *invocation) { v.lastArg = true; v.verb = "set"; v.operands = []string{"k"} })},
		{"--json -db 3 -timeout 1s -3 -pass p -user u PING", base(func(v *invocation) {
			v.format, v.db, v.timeout, v.proto, v.pass, v.user = formatJSON, 3, 1e9, 3, "p", "u"
			v.words = []string{"PING"}
		})},
	}
	for _, tt := range tests {
		got, err := parseArgs(strings.Fields(tt.args), func(string) string { return "" })
		if err != nil {
			t.Errorf("%s: %v", tt.args, err)
			continue
		}
		if len(got.words) == 0 {
			got.words = nil
		}
		if !reflect.DeepEqual(*got, tt.want) {
			t.Errorf("%s: got %+v, want %+v", tt.args, *got, tt.want)
		}
	}
	for _, args := range []string{
		"-nosuch", "-a", "-a h:x", "-a h:99999", "-db x", "-db -1", "-timeout 0s", "-set k", "-mget", "-get a b",
		"-get a -get b", "-x", "-user u PING", "-absent PING", "-cas k v n -absent", "-raw=1 PING",
		"-force PING", "-async -removeNode u", "-force -listNodes", "-a h:1, PING", "-a h:1,h:x PING", "-import f -db 1", "-import", "-export",
	} {
		if v, err := parseArgs(strings.Fields(args), func(string) string { return "" }); err == nil {
			t.Errorf("%s: accepted as %+v", args, *v)
		}
	}
}

func TestPasswordFromEnvironment(t *testing.T) {
	v, err := parseArgs([]string{"PING"}, func(name string) string { return "from " + name })
	if err != nil || v.pass != "from DKVCTL_AUTH" {
		t.Errorf("got %q, %v", v.pass, err)
	}
}
