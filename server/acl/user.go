package acl

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"slices"

	"dkv/server/command"
)

// DefaultName is the name of the user that every connection begins as.
const DefaultName = "default"

// A User is a name, passwords and rights.
type User struct {
	name          string
	enabled       bool
	noPass        bool // any password is right
	skipsSanitize bool // only told: payloads of RESTORE are always checked
	passwords     []string
	selectors     []*selector // the first is the user's own, which is always there

	all bool // some selector allows everything; see seal
}

// selector is a set of rights. A command is allowed when one selector allows all of it.
type selector struct {
	allKeys, allChannels, allCommands bool

	// future: the rules begin with +@all. It is for describing them only.
	future    bool
	allowed   []uint64         // a bit for each command.Spec.ID
	firstArgs map[int][]string // of commands without their bit: allowed with such an argument, in lower case
	rules     []string         // about commands, in their order, since +@all or -@all
	keys      []keyPattern
	channels  []string // patterns
	bytes     int      // about what rules and patterns take
}

type keyPattern struct {
	access  access
	pattern string
}

// access is what a pattern allows to do with the keys that it matches.
type access uint8

const (
	reads access = 1 << iota
	writes
	readsAndWrites = reads | writes
)

// NewUser returns a user without any right or password, who is off.
func NewUser(name string, allChannels bool) *User {
	u := &User{name: name, selectors: []*selector{newSelector(allChannels)}}
	u.seal()
	return u
}

// NewDefault returns the default user as it is when nobody has changed it: it may do
// everything, without a password.
func NewDefault() *User {
	u := NewUser(DefaultName, true)
	u.enabled, u.noPass = true, true
	s := u.selectors[0]
	s.allKeys = true
	s.setAll(true)
	u.seal()
	return u
}

func newSelector(allChannels bool) *selector {
	return &selector{allChannels: allChannels, allowed: make([]uint64, (len(command.All())+63)/64)}
}

// seal is called when a user is complete.
func (u *User) seal() {
	u.all = slices.ContainsFunc(u.selectors, func(s *selector) bool { return s.allKeys && s.allChannels && s.allCommands })
}

// clone returns a copy that can be changed.
func (u *User) clone() *User {
	c := *u
	c.passwords = slices.Clone(u.passwords)
	c.selectors = make([]*selector, len(u.selectors))
	for i, s := range u.selectors {
		c.selectors[i] = s.clone()
	}
	return &c
}

func (s *selector) clone() *selector {
	c := *s
	c.allowed = slices.Clone(s.allowed)
	c.rules = slices.Clone(s.rules)
	c.keys = slices.Clone(s.keys)
	c.channels = slices.Clone(s.channels)
	c.firstArgs = nil
	for id, list := range s.firstArgs {
		c.addFirstArgs(id, list...)
	}
	return &c
}

func (s *selector) addFirstArgs(id int, args ...string) {
	if s.firstArgs == nil {
		s.firstArgs = make(map[int][]string)
	}
	for _, a := range args {
		if !slices.Contains(s.firstArgs[id], lower(a)) {
			s.firstArgs[id] = append(s.firstArgs[id], lower(a))
		}
	}
}

// Name returns the user's name.
func (u *User) Name() string { return u.name }

// Enabled reports whether anybody can log in as the user.
func (u *User) Enabled() bool { return u.enabled }

// NoPass reports whether any password is right.
func (u *User) NoPass() bool { return u.noPass }

// All reports whether the user may do everything.
func (u *User) All() bool { return u.all }

// Passwords returns the SHA-256 of each password, in hexadecimal. The slice is shared.
func (u *User) Passwords() []string { return u.passwords }

// Accepts reports whether somebody with this password is the user. It takes as long for
// one password as for another.
func (u *User) Accepts(password []byte) bool {
	switch {
	case !u.enabled:
		return false
	case u.noPass:
		return true
	}
	hash, right := []byte(Hash(password)), 0
	for _, p := range u.passwords {
		right |= subtle.ConstantTimeCompare(hash, []byte(p))
	}
	return right == 1
}

// Hash returns the SHA-256 of a password, in hexadecimal.
func Hash(password []byte) string {
	sum := sha256.Sum256(password)
	return hex.EncodeToString(sum[:])
}

// WithPasswords returns the user with the passwords of another one.
func (u *User) WithPasswords(of *User) *User {
	c := *u
	c.noPass, c.passwords = of.noPass, of.passwords
	return &c
}

// WithPassword returns the user with one password, or with none needed when that is empty.
func (u *User) WithPassword(password string) *User {
	c := *u
	c.noPass, c.passwords = password == "", nil
	if password != "" {
		c.passwords = []string{Hash([]byte(password))}
	}
	return &c
}
