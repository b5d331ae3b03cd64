package acl_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"dkv/server/acl"
	"dkv/server/command"
)

const secretHash = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b" // of "secret"

// set returns the user "u" that rules make.
func set(t testing.TB, rules string) *acl.User {
	t.Helper()
	u, err := new(acl.Parser).Set(acl.NewUser("u", false), strings.Fields(rules))
	if err != nil {
		t.Fatalf("%s: %v", rules, err)
	}
	return u
}

// What rules make of a new user, as ACL LIST tells it.
func TestDescriptions(t *testing.T) {
	const base = "off sanitize-payload "
	for _, tt := range []struct{ rules, want string }{
		{"", base + "resetchannels -@all"},
		{"on nopass", "on nopass sanitize-payload resetchannels -@all"},
		{"ON >secret", "on sanitize-payload #" + secretHash + " resetchannels -@all"},
		{">secret >secret #" + secretHash, base + "#" + secretHash + " resetchannels -@all"},
		{"nopass >secret", base + "#" + secretHash + " resetchannels -@all"},
		{">secret nopass", "off nopass sanitize-payload resetchannels -@all"},
		{">secret resetpass", base + "resetchannels -@all"},
		{">secret <secret", base + "resetchannels -@all"},
		{">secret !" + secretHash, base + "resetchannels -@all"},
		{"skip-sanitize-payload", "off skip-sanitize-payload resetchannels -@all"},
		{"~a* ~a* %R~b %W~b %r~c %Wr~d", base + "~a* ~b %R~c ~d resetchannels -@all"},
		{"~a allkeys", base + "~* resetchannels -@all"},
		{"~a resetkeys", base + "resetchannels -@all"},
		{"&a resetchannels", base + "resetchannels -@all"},
		{"nopass resetpass", base + "resetchannels -@all"},
		{"~* resetkeys ~x", base + "~x resetchannels -@all"},
		{"allkeys resetkeys ~x", base + "~x resetchannels -@all"},
		{"&a &b &a", base + "resetchannels &a &b -@all"},
		{"&a &*", base + "&* -@all"},
		{"allchannels resetchannels &x", base + "resetchannels &x -@all"},
		{"+get +SET", base + "resetchannels -@all +get +set"},
		{"+get -get", base + "resetchannels -@all -get"},
		{"+get +set +get", base + "resetchannels -@all +set +get"},
		{"+@all -@dangerous -select +select|3 +config|get", base + "resetchannels +@all -@dangerous -select +select|3 +config|get"},
		{"+@read -@READ +@read", base + "resetchannels -@all +@read"},
		{"+config|get -config", base + "resetchannels -@all -config"},
		{"+@all +get allcommands", base + "resetchannels +@all"},
		{"+@all -get nocommands", base + "resetchannels -@all"},
		{"+get (~k +get) (%R~x &y +@read)", base + "resetchannels -@all +get (~k resetchannels -@all +get) (%R~x resetchannels &y -@all +@read)"},
		{"( +get ) (+set", ""},
		{"(+get) clearselectors", base + "resetchannels -@all"},
		{"()", base + "resetchannels -@all (resetchannels -@all)"},
		{"on >secret ~* &* +@all (+get) reset", base + "resetchannels -@all"},
	} {
		u, err := new(acl.Parser).Set(acl.NewUser("u", false), strings.Fields(tt.rules))
		if tt.want == "" {
			if err == nil {
				t.Errorf("%s: %s, want an error", tt.rules, u)
			}
			continue
		}
		if err != nil || u.String() != tt.want {
			t.Errorf("%s:\n got %v, %v\nwant %s", tt.rules, u, err, tt.want)
			continue
		}
		if again := set(t, u.String()); again.String() != tt.want {
			t.Errorf("%s: described and read again: %s", tt.rules, again)
		}
		if back, err := acl.ParseRecord("u", u.AppendRecord(nil)); err != nil || back.String() != tt.want {
			t.Errorf("%s: stored and read again: %v, %v", tt.rules, back, err)
		}
	}
	if got := acl.NewDefault().Line(); got != "user default on nopass sanitize-payload ~* &* +@all" {
		t.Error(got)
	}
}

// A rule that is refused changes nothing.
func TestRefusals(t *testing.T) {
	for _, tt := range []struct {
		rules string
		want  error
	}{
		{"bad", acl.ErrSyntax}, {"+", acl.ErrUnknownName}, {"-", acl.ErrUnknownName}, {"+nope", acl.ErrUnknownName},
		{"-nope", acl.ErrUnknownName}, {"+@nope", acl.ErrUnknownName}, {"-@nope", acl.ErrUnknownName}, {"+@", acl.ErrUnknownName},
		{"+config|nope", acl.ErrUnknownName}, {"-config|nope", acl.ErrUnknownName}, {"-get|x", acl.ErrUnknownName},
		{"+get|", acl.ErrSyntax}, {"+config|get|x", acl.ErrFirstArg}, {"+nope|x", acl.ErrUnknownName}, {"+a|b|c", acl.ErrUnknownName},
		{"<p", acl.ErrNoPassword}, {"!" + secretHash, acl.ErrNoPassword}, {"!p", acl.ErrBadHash}, {"#p", acl.ErrBadHash},
		{"#" + strings.ToUpper(secretHash), acl.ErrBadHash}, {"%X~p", acl.ErrSyntax}, {"%RR~p", acl.ErrSyntax}, {"%WW~p", acl.ErrSyntax},
		{"~* ~x", acl.ErrAllKeys}, {"allchannels &x", acl.ErrAllChannels}, {"%~p", acl.ErrSyntax},
		{"~a\x00", acl.ErrSyntax}, {"&a\x00", acl.ErrSyntax}, {"allkeys ~x", acl.ErrAllKeys}, {"&* &x", acl.ErrAllChannels},
		{"(on)", acl.ErrSyntax}, {"(+nope)", acl.ErrUnknownName}, {"(>p)", acl.ErrSyntax}, {")", acl.ErrSyntax},
	} {
		u := set(t, "on +get")
		got, err := new(acl.Parser).Set(u, strings.Fields(tt.rules))
		var bad *acl.RuleError
		if got != nil || !errors.Is(err, tt.want) || !errors.As(err, &bad) {
			t.Errorf("%q: %v, %v, want %v", tt.rules, got, err, tt.want)
		}
		if u.String() != "on sanitize-payload resetchannels -@all +get" {
			t.Errorf("%q has changed the user to %s", tt.rules, u)
		}
	}
	for what, rules := range map[string]func(i int) string{
		"a key":     func(int) string { return "~" + strings.Repeat("x", 2<<20) },
		"keys":      func(i int) string { return fmt.Sprintf("~%01000d", i) },
		"channels":  func(i int) string { return fmt.Sprintf("&%01000d", i) },
		"rules":     func(i int) string { return fmt.Sprintf("+select|%01000d", i) },
		"passwords": func(i int) string { return fmt.Sprintf("#%08x%056x", i, 0) },
		"selectors": func(int) string { return "()" },
	} {
		var list []string
		for i, bytes := 0, 0; bytes <= 1<<20 && i < 20_000; i++ {
			list = append(list, rules(i))
			bytes += len(list[i])
		}
		if _, err := new(acl.Parser).Set(acl.NewUser("u", false), list); !errors.Is(err, acl.ErrTooLarge) {
			t.Errorf("too much of %s: %v", what, err)
		}
	}
}

func lookup(t testing.TB, args []string) (*command.Spec, [][]byte) {
	t.Helper()
	var b [][]byte
	for _, a := range args {
		b = append(b, []byte(a))
	}
	spec := command.Lookup(b[0])
	if spec != nil && spec.Subcommands != nil && len(b) > 1 {
		spec = spec.Sub(b[1])
	}
	if spec == nil {
		t.Fatalf("no command %q", args)
	}
	return spec, b
}

func TestChecks(t *testing.T) {
	for _, tt := range []struct{ rules, send, want string }{
		{"", "get a", "command 0"},
		{"", "auth x", ""}, // always allowed
		{"+get", "get a", "key 1"},
		{"+get ~a", "get a", ""},
		{"+get ~b* ~a?", "get ab", ""},
		{"+get ~a", "get b", "key 1"},
		{"+get %R~a", "get a", ""},
		{"+get %W~a", "get a", "key 1"},
		{"+set %W~a", "set a 1", ""},
		{"+set %W~a", "set a 1 get", "key 1"},
		{"+set %RW~a", "set a 1 get", ""},
		{"+set %R~a", "set a 1", "key 1"},
		{"+del %R~a", "del a", "key 1"}, // deletes, inserts: each is writing
		{"+del %W~a", "del a", ""},
		{"+setnx %R~a", "setnx a 1", "key 1"},
		{"+setnx %W~a", "setnx a 1", ""},
		{"+getdel %W~a", "getdel a", "key 1"},
		{"+getdel %R~a", "getdel a", "key 1"},
		{"+getdel %R~a %W~a", "getdel a", ""},
		{"+get ~A", "get a", "key 1"},
		{"+get ~a", "get A", "key 1"},
		{"+bitfield %R~a", "bitfield a get u8 0", ""},
		{"+bitfield %R~a", "bitfield a get u8 0 set u8 0 1", "key 1"},
		{"+exists %W~a", "exists a", ""}, // neither reads nor writes the value
		{"+copy %R~a %W~b", "copy a b", ""},
		{"+copy %R~a %W~b", "copy b a", "key 1"},
		{"+mset ~a*", "mset a 1 b 1", "key 3"},
		{"+eval ~a", "eval x 1 a b", ""},
		{"+eval ~a", "eval x 2 a b", "key 4"},
		{"+eval ~a", "eval x 9 b", ""}, // fails by itself
		{"+sort ~a %W~b", "sort a store b", ""},
		{"+sort ~a %R~b", "sort a store b", "key 3"},
		{"+sort ~a", "sort a by w_*", ""},
		{"+zunionstore %W~d %R~s*", "zunionstore d 2 s1 s2", ""},
		{"+zunionstore %W~d %R~s*", "zunionstore s1 2 d s2", "key 1"},
		{"+xread %R~s", "xread streams s 0", ""},
		{"+xread %R~s", "xread streams s t 0 0", "key 3"},
		{"+@all", "config get x", ""},
		{"+@all -config|get", "config get x", "command 0"},
		{"+@all -config +config|get", "config get x", ""},
		{"+@all -config +config|get", "config set x y", "command 0"},
		{"+select|3", "select 3", ""},
		{"+select|3", "select 4", "command 0"},
		{"+debug|SLEEP", "debug sleep 0", ""},
		{"+debug|sleep", "debug SLEEP 0", ""},
		{"+ping|hi", "ping", "command 0"},
		{"+ping|hi", "ping HI", ""},
		{"+ping|hi", "ping hi\x00there", ""}, // as Redis, which compares C strings
		{"+select|3 -@connection", "select 3", "command 0"},
		{"+select|3 +select|5", "select 5", ""},
		{"+select|3 -select", "select 3", "command 0"},
		{"+select|3 +@all -@all", "select 3", "command 0"},
		{"+@all", "publish c m", "channel 1"},
		{"+publish &*", "publish c m", ""},
		{"+publish &C*", "publish c1 m", "channel 1"},
		{"+spublish &c*", "spublish d m", "channel 1"},
		{"+@pubsub &c*", "ssubscribe d", "channel 1"},
		{"+publish &c*", "publish c1 m", ""},
		{"+publish &c*", "spublish c1 m", "command 0"},
		{"+@pubsub &c*", "subscribe c1 c2 d", "channel 3"},
		{"+@pubsub &c*", "psubscribe c1", "channel 1"}, // a pattern must be there literally
		{"+@pubsub &c*", "psubscribe c*", ""},
		{"+@pubsub &c*", "ssubscribe c1", ""},
		{"+@pubsub", "unsubscribe d", ""},
		{"+@pubsub", "pubsub channels", ""},
		{"(+get ~a) (+set ~b)", "get a", ""},
		{"(+get ~a) (+set ~b)", "set b 1", ""},
		{"(+get ~a) (+set ~b)", "set a 1", "key 1"},
		{"(+get ~a) (+set ~b)", "del a", "command 0"},
		{"+mget ~a (+mget ~b)", "mget a b", "key 2"},
		{"+mget ~b (+mget ~a)", "mget a b", "key 2"}, // the argument that is furthest behind
		{"+mget ~a (+mget ~x)", "mget a b", "key 2"},
		{"+publish ~a (+get ~b)", "get a", "key 1"}, // what comes nearest to being allowed
		{"(+get ~b) +publish ~a", "get a", "key 1"},
		{"+mget ~a (+mget ~b) (+mget ~a ~b)", "mget a b", ""},
	} {
		u := set(t, tt.rules)
		spec, args := lookup(t, strings.Fields(tt.send))
		got := ""
		if why, arg := u.Check(spec, args); why != acl.Allowed {
			got = fmt.Sprint(why, " ", arg)
		}
		if got != tt.want {
			t.Errorf("%s: %s: %q, want %q", tt.rules, tt.send, got, tt.want)
		}
	}
}

func TestMessages(t *testing.T) {
	u := set(t, "+get")
	spec, args := lookup(t, []string{"config", "get", "x"})
	for _, tt := range []struct {
		why     acl.Reason
		verbose bool
		want    string
	}{
		{acl.DeniedCommand, false, "User u has no permissions to run the 'config|get' command"},
		{acl.DeniedCommand, true, "User u has no permissions to run the 'config|get' command"},
		{acl.DeniedKey, false, "No permissions to access a key"},
		{acl.DeniedKey, true, "User u has no permissions to access the 'x' key"},
		{acl.DeniedChannel, false, "No permissions to access a channel"},
		{acl.DeniedChannel, true, "User u has no permissions to access the 'x' channel"},
	} {
		if got := acl.Message(tt.why, u, spec, args[2], tt.verbose); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

func TestPasswords(t *testing.T) {
	for _, tt := range []struct {
		rules, password string
		want            bool
	}{
		{"on >secret", "secret", true}, {"on >secret", "Secret", false}, {"on >a >secret >b", "secret", true},
		{"off >secret", "secret", false}, {"on nopass", "anything", true}, {"on", "", false}, {"on >a <a", "a", false},
	} {
		if got := set(t, tt.rules).Accepts([]byte(tt.password)); got != tt.want {
			t.Errorf("%s: %s: %v", tt.rules, tt.password, got)
		}
	}
	if u := acl.NewDefault().WithPassword("secret"); u.NoPass() || !u.Accepts([]byte("secret")) || u.Accepts(nil) || !u.All() {
		t.Error("the default user with a password")
	}
	if u := acl.NewDefault().WithPassword("secret").WithPassword(""); !u.NoPass() || !u.Accepts(nil) {
		t.Error("the default user without one again")
	}
}

func TestFile(t *testing.T) {
	p := &acl.Parser{}
	list, err := p.ParseFile("f", "user a on +get ( ~x +set )\r\n\nuser default off\n")
	if err != nil || len(list) != 2 || list[0].String() != "on sanitize-payload resetchannels -@all +get (~x resetchannels -@all +set)" {
		t.Errorf("%v, %v", list, err)
	}
	_, err = p.ParseFile("f", "user a +nope >pw #x\nuser a\nx\nuser b (+get\n")
	want := "f:1: Error in applying operation '+nope': Unknown command or category name in ACL. f:1: The password hash must be exactly 64 characters " +
		"and contain only lowercase hexadecimal characters. WARNING: Duplicate user 'a' found on line 2. f:3 should start with user keyword followed by " +
		"the username. f:4: Unmatched parenthesis in selector definition.WARNING: ACL errors detected, no change to the previously active ACL rules was performed"
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
	for text, want := range map[string]string{
		"user":               "f:1 should start with user keyword followed by the username. ",
		"bogus bob on":       "f:1 should start with user keyword followed by the username. ",
		"User bob on":        "f:1 should start with user keyword followed by the username. ",
		"\n\nuser b\tb on\n": "'f:3: username 'b\tb' contains invalid characters. ",
		"user b %X~p bad":    "f:1: Syntax error. ", // only the first
	} {
		if _, err := p.ParseFile("f", text); err == nil || err.Error() != want+"WARNING: ACL errors detected, no change to the previously active ACL rules was performed" {
			t.Errorf("%q: %v", text, err)
		}
	}
	for text, want := range map[string]string{
		" \tuser b on \r\n":     "on sanitize-payload resetchannels -@all",
		"user b \ton\t \r+get":  "on sanitize-payload resetchannels -@all +get",
		"user b on\x00 +get\nx": "on sanitize-payload resetchannels -@all", // a C string
	} {
		if list, err := p.ParseFile("f", text); err != nil || len(list) != 1 || list[0].String() != want {
			t.Errorf("%q: %v, %v", text, list, err)
		}
	}
}

// Whatever the rules are: an error or a user that is the same when it was described, or
// stored, and read again.
func FuzzRules(f *testing.F) {
	for _, s := range []string{"on >p ~a* &b +get -@all", "(+get ~x) clearselectors", "%RW~x +config|get +select|0", "( +get", "#" + secretHash, "reset nopass \x00"} {
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, text string, all bool) {
		p := &acl.Parser{AllChannels: all}
		u, err := p.Set(acl.NewUser("u", all), strings.Split(text, " "))
		if err != nil {
			return
		}
		back, err := acl.ParseRecord("u", u.AppendRecord(nil))
		if err != nil || back.String() != u.String() {
			t.Fatalf("%q: %s stored and read again: %v, %v", text, u, back, err)
		}
		if again, err := p.Set(acl.NewUser("u", false), u.Rules()); err != nil || again.String() != u.String() {
			t.Fatalf("%q: %s described and read again: %v, %v", text, u, again, err)
		}
		spec, args := lookup(t, []string{"set", "k", "v"})
		why, arg := u.Check(spec, args)
		if why2, arg2 := back.Check(spec, args); why2 != why || arg2 != arg {
			t.Fatalf("%q: %v %d, stored %v %d", text, why, arg, why2, arg2)
		}
	})
}

// No record panics, and one that is good says the same when it is stored again.
func FuzzRecord(f *testing.F) {
	f.Add(acl.NewDefault().AppendRecord(nil))
	f.Add([]byte{1, 2, 4, '+', 'g', 'e', 't', 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		u, err := acl.ParseRecord("u", b)
		if err != nil {
			return
		}
		if back, err := acl.ParseRecord("u", u.AppendRecord(nil)); err != nil || back.String() != u.String() {
			t.Fatalf("%s: %v, %v", u, back, err)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	for _, bm := range []struct {
		name string
		user *acl.User
	}{
		{"everything", acl.NewDefault()},
		{"all commands and keys", set(b, "~* +@all")},
		{"a pattern", set(b, "~key:* +@all -@dangerous")},
		{"three selectors", set(b, "+get ~x (+get ~y) (+get ~key:*)")},
	} {
		spec, args := lookup(b, []string{"get", "key:1"})
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if why, _ := bm.user.Check(spec, args); why != acl.Allowed {
					b.Fatal(why)
				}
			}
		})
	}
}

// A check costs no memory.
func TestCheckAllocatesNothing(t *testing.T) {
	spec, args := lookup(t, []string{"get", "key:1"})
	for _, rules := range []string{"~* &* +@all", "~key:* +@all -@dangerous", "+get ~x (+get ~y) (+get ~key:*)"} {
		u := set(t, rules)
		if n := testing.AllocsPerRun(100, func() { u.Check(spec, args) }); n != 0 {
			t.Errorf("%s: %v allocations", rules, n)
		}
	}
}
