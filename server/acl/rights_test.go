package acl_test

import (
	"strings"
	"testing"

	"dkv/server/acl"
)

// What is allowed to whoever is not asked about a single command.
func TestRightsBeyondACommand(t *testing.T) {
	for _, tt := range []struct {
		rules string
		want  bool
	}{
		{"~* &* +@all", true}, {"&* +@all", false}, {"~* +@all", false}, {"~* &* +@all -get", false},
		{"~a (~* &* +@all)", true}, {"~* &* (+@all)", false}, {"~* &* -@all +@all", true},
	} {
		u := set(t, tt.rules)
		listed, err := new(acl.Parser).ParseFile("f", "user u "+tt.rules)
		if err != nil || u.All() != tt.want || listed[0].All() != tt.want {
			t.Errorf("%s: allowed everything: %v, from a file %v, %v", tt.rules, u.All(), listed, err)
		}
	}
	for _, tt := range []struct {
		rules string
		want  bool
	}{
		{"~* &* +@all", true}, {"+sort ~*", true}, {"+sort allkeys", true}, {"+sort ~k", false}, {"+sort ~* -sort", false}, {"~*", false},
		{"+sort %R~* ~k", true}, {"+sort %W~* %R~k", false}, {"+sort %R~k*", false}, {"+sort %R~k (+sort ~*)", true}, {"+sort ~k (+get ~*)", false},
		{"+sort %W~k %R~* resetkeys", false},
	} {
		spec, args := lookup(t, []string{"sort", "k", "by", "w_*"})
		if got := set(t, tt.rules).MayRead(spec, args); got != tt.want {
			t.Errorf("%s: may read all keys: %v", tt.rules, got)
		}
	}
	for _, tt := range []struct {
		rules, name string
		pattern     bool
		want        bool
	}{
		{"&*", "c", false, true}, {"&*", "c*", true, true}, {"", "c", false, false}, {"&c*", "c1", false, true}, {"&c*", "c1", true, false},
		{"&c*", "c*", true, true}, {"&a (&c*)", "c1", false, true}, {"&a (&*)", "c?", true, true}, {"&a (&b)", "c", false, false},
	} {
		if got := set(t, tt.rules).MaySubscribe([]byte(tt.name), tt.pattern); got != tt.want {
			t.Errorf("%s: %s (a pattern: %v): %v", tt.rules, tt.name, tt.pattern, got)
		}
	}
	if set(t, "&c* (&d)").AllChannels() || !set(t, "&c* (&*)").AllChannels() {
		t.Error("all channels")
	}
}

// A user that is changed is another one: whoever has the old one sees nothing of it.
func TestChangesLeaveTheOldUser(t *testing.T) {
	const base = "on >a >b >c %R~x ~y ~z &1 &2 &3 +get +set +select|1 +select|2"
	old := set(t, base)
	before := old.String()
	for _, rules := range []string{
		"%W~x ~new", "&new", "-get", "+mget", "<a", ">d", "nopass", "+select|3", "-select", "allkeys", "resetkeys", "resetchannels",
		"+@all", "-@all", "off", "(+get ~q)", "clearselectors", "reset",
	} {
		first, err := new(acl.Parser).Set(old, strings.Fields(rules))
		if err != nil {
			t.Fatal(err)
		}
		told := first.String()
		if _, err := new(acl.Parser).Set(old, []string{"~other"}); err != nil {
			t.Fatal(err)
		}
		if _, err := new(acl.Parser).Set(old, []string{"&other", "+del", ">e", "+select|9"}); err != nil {
			t.Fatal(err)
		}
		if first.String() != told || old.String() != before {
			t.Errorf("%s:\n then %s\n  now %s\nold was %s\n  now is %s", rules, told, first, before, old)
		}
	}
	may := func(u *acl.User, words ...string) bool {
		spec, args := lookup(t, words)
		why, _ := u.Check(spec, args)
		return why == acl.Allowed
	}
	more, err := new(acl.Parser).Set(old, []string{"+select|3", "+incr", "-set"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		words     string
		old, more bool
	}{{"select 1", true, true}, {"select 3", false, true}, {"incr y", false, true}, {"set y 1", true, false}, {"get y", true, true}} {
		if words := strings.Fields(tt.words); may(old, words...) != tt.old || may(more, words...) != tt.more {
			t.Errorf("%s: the old user may: %v, the new one: %v", tt.words, may(old, words...), may(more, words...))
		}
	}
}

// acl-pubsub-default allchannels is for new users, for those that are reset, and for selectors.
func TestAllChannelsByDefault(t *testing.T) {
	p := &acl.Parser{AllChannels: true}
	for _, rules := range []string{"&a reset", "(+publish)"} {
		u, err := p.Set(acl.NewUser("u", false), strings.Fields(rules))
		if err != nil {
			t.Fatal(err)
		}
		if !u.AllChannels() {
			t.Errorf("%s: %s", rules, u)
		}
	}
	list, err := p.ParseFile("f", "user u +publish\n")
	if err != nil || !list[0].AllChannels() {
		t.Errorf("%v, %v", list, err)
	}
}
