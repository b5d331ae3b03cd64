package harness

import (
	"bufio"
	"strings"
	"testing"
)

func TestReadReply(t *testing.T) {
	const raw = "*3\r\n$3\r\na\r\n\r\n%1\r\n+k\r\n*-1\r\n>2\r\n$-1\r\n_\r\n"
	r := bufio.NewReader(strings.NewReader("+OK\r\n" + raw + ":5\r\n"))
	if reply, err := ReadReply(r); err != nil || string(reply.Raw) != "+OK\r\n" || string(reply.Str) != "OK" {
		t.Errorf("simple string: %+v, %v", reply, err)
	}
	reply, err := ReadReply(r)
	if err != nil || string(reply.Raw) != raw || len(reply.Elems) != 3 {
		t.Fatalf("nested: %+v, %v", reply, err)
	}
	if text := reply.Elems[0]; string(text.Str) != "a\r\n" || string(text.Raw) != "$3\r\na\r\n\r\n" {
		t.Errorf("bulk with a line end: %+v", text)
	}
	if m := reply.Elems[1]; m.Kind != '%' || len(m.Elems) != 2 || !m.Elems[1].Null {
		t.Errorf("map: %+v", m)
	}
	if push := reply.Elems[2]; !push.Elems[0].Null || !push.Elems[1].Null {
		t.Errorf("push: %+v", push)
	}
	if n, err := ReadReply(r); err != nil || n.Kind != ':' || string(n.Str) != "5" {
		t.Errorf("number after it: %+v, %v", n, err)
	}
}

func TestReadReplyRefuses(t *testing.T) {
	for _, bad := range []string{"", "OK\r\n", "+OK\n", "$x\r\n", "$3\r\nab\r\n", "$2\r\nabcd", "*1\r\n", "*-2\r\n", strings.Repeat("*1\r\n", 100)} {
		if reply, err := ReadReply(bufio.NewReader(strings.NewReader(bad))); err == nil {
			t.Errorf("%q: got %+v", bad, reply)
		}
	}
}

func TestAppendCommand(t *testing.T) {
	const want = "*2\r\n$4\r\nECHO\r\n$3\r\na\r\n\r\n"
	if got := string(AppendCommand(nil, "ECHO", "a\r\n")); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
