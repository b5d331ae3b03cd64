package server

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"dkv/resp"
	"dkv/server/acl"
)

// callsOf makes calls of lines.
func callsOf(lines ...string) []call {
	var calls []call
	for _, line := range lines {
		var args [][]byte
		for _, w := range strings.Split(line, " ") {
			args = append(args, []byte(w))
		}
		calls = append(calls, call{spec: knownCall(args), args: args, proto: 2})
	}
	return calls
}

// requestText prints what a forwarded request says.
func requestText(r *shardRequest) string {
	var b strings.Builder
	fmt.Fprintf(&b, "notouch %v, string %d, reply %d, waits %v %x", r.noTouch, r.maxString, r.maxReply, r.blocks, r.ticket)
	for _, w := range r.watch {
		fmt.Fprintf(&b, "; watch %d %q %d %d", w.db, w.key, w.since, w.at)
	}
	for _, k := range r.calls[r.from:] {
		fmt.Fprintf(&b, "; %d %d %s %q", k.db, k.proto, k.spec.Name, k.args)
	}
	return b.String()
}

func TestForwardedRequest(t *testing.T) {
	run := &shardRequest{calls: callsOf("set a 1", "Get a", "object ENCODING a"), from: 1, maxString: 512 << 20, maxReply: 1 << 20}
	txn := &shardRequest{
		calls: callsOf("incr x"), noTouch: true,
		watch: []watched{{db: 15, key: []byte("\x00k"), since: 1 << 60, at: 1 << 41}, {key: nil}},
	}
	txn.calls[0].db, txn.calls[0].proto = 3, 3
	watch := &shardRequest{watch: []watched{{key: []byte("w")}}}
	waits := &shardRequest{calls: callsOf("blpop k 0"), blocks: true, ticket: ticket{1, 15: 2}}
	for _, r := range []*shardRequest{run, txn, watch, waits} {
		var got shardRequest
		if err := parseRequest(&got, appendRequest(nil, r)); err != nil {
			t.Errorf("%s: %v", requestText(r), err)
		} else if requestText(&got) != requestText(r) {
			t.Errorf("got  %s\nwant %s", requestText(&got), requestText(r))
		}
	}
}

// differentCallers is a transaction with AUTH in it, as its shard gets it.
func differentCallers() *shardRequest {
	r := &shardRequest{calls: callsOf("eval x 1 k", "set k 1", "evalsha y 1 k", "sort k", "eval z 1 k"), caller: &caller{user: acl.NewUser("few", true)}}
	put := &caller{user: acl.NewUser("put", false)}
	r.calls[1].as, r.calls[2].as, r.calls[3].as = put, put, put
	r.calls[4].as = &caller{user: acl.NewDefault()} // may do everything
	return r
}

// Who each call is run for arrives where it is not the same for all.
func TestForwardedCallers(t *testing.T) {
	b := appendRequest(nil, differentCallers())
	var got shardRequest
	if err := parseRequest(&got, b); err != nil || len(got.onBehalf) != 2 || string(got.onBehalf[0][0]) != "few" || string(got.onBehalf[1][0]) != "put" {
		t.Fatalf("%v: %q", err, got.onBehalf)
	}
	if want := []int{1, 2, 2, 2, 0}; !slices.Equal(got.byCall, want) {
		t.Errorf("calls are run for %v, want %v", got.byCall, want)
	}
	for n := range b {
		if err := parseRequest(new(shardRequest), b[:n]); !errors.Is(err, errForward) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
	b[1] |= requestCaller // one for all as well
	if err := parseRequest(new(shardRequest), b); !errors.Is(err, errForward) {
		t.Errorf("callers twice: %v", err)
	}
}

func TestForwardedKill(t *testing.T) {
	for _, kind := range []killKind{killRunning, killFunction} {
		b := appendKill(nil, kind)
		var got shardRequest
		if err := parseRequest(&got, b); err != nil || got.kills != kind {
			t.Errorf("%d becomes %d, %v", kind, got.kills, err)
		}
		for _, bad := range [][]byte{b[:1], append(b, 0), {forwardVersion, requestKillsScript | requestKillsFunction}, {forwardVersionCallers, b[1]}} {
			if err := parseRequest(new(shardRequest), bad); !errors.Is(err, errForward) {
				t.Errorf("%x: %v", bad, err)
			}
		}
	}
}

func TestForwardedWithdrawal(t *testing.T) {
	b := appendWithdrawal(nil, ticket{1, 15: 2})
	var got shardRequest
	if err := parseRequest(&got, b); err != nil || !got.withdraws || got.ticket != (ticket{1, 15: 2}) {
		t.Errorf("%v, ticket %x, %v", got.withdraws, got.ticket, err)
	}
	two := appendRequest(nil, &shardRequest{calls: callsOf("blpop k 0", "blpop k 0"), blocks: true})
	for _, bad := range [][]byte{b[:len(b)-1], append(b, 0), two, []byte("\x01%0000000000000000")} {
		if err := parseRequest(new(shardRequest), bad); !errors.Is(err, errForward) {
			t.Errorf("%x: %v", bad, err)
		}
	}
}

// What is not a request, or asks for what is not in the table or is not about
// keys, is refused.
func TestForwardedRequestRefused(t *testing.T) {
	good := appendRequest(nil, &shardRequest{calls: callsOf("set key value", "get key")})
	for n := range good {
		if err := parseRequest(new(shardRequest), good[:n]); !errors.Is(err, errForward) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
	raw := func(line string) []byte {
		r := &shardRequest{calls: callsOf("get k")}
		r.calls[0].args = nil
		for _, w := range strings.Fields(line) {
			r.calls[0].args = append(r.calls[0].args, []byte(w))
		}
		return appendRequest(nil, r)
	}
	db := &shardRequest{calls: callsOf("get k")}
	db.calls[0].db = 16
	proto := &shardRequest{calls: callsOf("get k")}
	proto.calls[0].proto = 4
	for name, b := range map[string][]byte{
		"nothing":        {},
		"version":        append([]byte{forwardVersionCallers + 1}, good[1:]...),
		"more behind":    append(bytes.Clone(good), 0),
		"empty":          appendRequest(nil, &shardRequest{}),
		"database":       appendRequest(nil, db),
		"protocol":       appendRequest(nil, proto),
		"no name":        raw(""),
		"unknown":        raw("nope k"),
		"no handler":     raw("ping"),
		"bound":          raw("shutdown now"),
		"transaction":    raw("exec"),
		"arity":          raw("get"),
		"container":      raw("object"),
		"no subcommand":  raw("object nope k"),
		"many arguments": append(append([]byte{forwardVersion, 0, 0, 0, 0, 1, 0, 2}, 0xff, 0xff, 0xff, 0xff, 0x0f), 1),
	} {
		if err := parseRequest(new(shardRequest), b); !errors.Is(err, errForward) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// answered returns a request whose calls were run, with these replies, as the
// leader's node has it.
func answered(mark int, replies ...string) *shardRequest {
	r := &shardRequest{calls: callsOf("incr a", "get b", "set c d"), out: new(resp.Writer), mark: mark}
	r.out.Buf = bytes.Repeat([]byte("x"), mark)
	for i, reply := range replies {
		r.out.Buf = append(r.out.Buf, reply...)
		r.calls[i].end, r.calls[i].nanos, r.calls[i].failed = len(r.out.Buf), int64(i)<<40, reply[0] == '-'
		r.done++
	}
	return r
}

func TestForwardedAnswer(t *testing.T) {
	for _, replies := range [][]string{
		{":1\r\n", "-ERR x\r\n", "+OK\r\n"}, {"$2\r\nab\r\n"}, {"$0\r\n\r\n", ":5\r\n"},
	} {
		from := answered(0, replies...)
		from.hits, from.misses = 7, 9
		to := answered(5)
		to.out.Buf = append(to.out.Buf, "left behind by an evaluation"...)
		if err := parseAnswer(to, appendAnswer(nil, from)); err != nil {
			t.Fatal(err)
		}
		if string(to.out.Buf) != "xxxxx"+strings.Join(replies, "") || to.done != len(replies) || to.hits != 7 || to.misses != 9 || to.aborted {
			t.Errorf("%q: got %q, %d done, %d hits, %d misses", replies, to.out.Buf, to.done, to.hits, to.misses)
		}
		for i, reply := range replies {
			k := &to.calls[i]
			if got := string(to.reply(i)); got != reply || k.nanos != int64(i)<<40 || k.failed != (reply[0] == '-') {
				t.Errorf("reply %d is %q, %d ns, failed %v; want %q", i, got, k.nanos, k.failed, reply)
			}
		}
	}
	aborted := answered(0)
	aborted.aborted = true
	to := answered(0)
	if err := parseAnswer(to, appendAnswer(nil, aborted)); err != nil || !to.aborted {
		t.Errorf("aborted: %v, %v", to.aborted, err)
	}
}

func TestForwardedAnswerRefused(t *testing.T) {
	good := appendAnswer(nil, answered(0, ":1\r\n", "+OK\r\n"))
	for n := range good {
		to := answered(3)
		if err := parseAnswer(to, good[:n]); !errors.Is(err, errForward) || to.done != 0 || len(to.out.Buf) != 3 {
			t.Errorf("cut to %d bytes: %v, %d done, %q", n, err, to.done, to.out.Buf)
		}
	}
	few := &shardRequest{calls: callsOf("get a"), out: new(resp.Writer)}
	for name, b := range map[string][]byte{
		"too many": good, "none": appendAnswer(nil, answered(0)), "version": append([]byte{9}, good[1:]...),
		"more behind": append(bytes.Clone(good), 'x'),
	} {
		if err := parseAnswer(few, b); !errors.Is(err, errForward) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzForward parses anything as a request and as an answer: nothing panics, and
// what is understood is written as it was read.
func FuzzForward(f *testing.F) {
	f.Add(appendRequest(nil, &shardRequest{calls: callsOf("set key value", "get key"), watch: []watched{{key: []byte("w")}}}))
	f.Add(appendRequest(nil, &shardRequest{calls: callsOf("blpop k 0"), blocks: true}))
	f.Add(appendRequest(nil, differentCallers()))
	f.Add(appendWithdrawal(nil, ticket{1}))
	f.Add(appendKill(nil, killFunction))
	f.Add(appendAnswer(nil, answered(0, ":1\r\n", "+OK\r\n")))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r shardRequest
		if parseRequest(&r, b) == nil {
			var again shardRequest
			written := appendRequest(nil, &r)
			switch {
			case r.withdraws:
				written = appendWithdrawal(nil, r.ticket)
			case r.kills != killNone:
				written = appendKill(nil, r.kills)
			}
			if err := parseRequest(&again, written); err != nil || requestText(&again) != requestText(&r) {
				t.Fatalf("%s becomes %s: %v", requestText(&r), requestText(&again), err)
			}
		}
		a := answered(2)
		if parseAnswer(a, b) == nil {
			for i := range a.done {
				a.reply(i)
			}
			if !a.aborted && !bytes.HasSuffix(b, a.out.Buf[2:]) {
				t.Fatalf("%q has the replies %q", b, a.out.Buf[2:])
			}
		}
	})
}
