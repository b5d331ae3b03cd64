package acl

import (
	"encoding/binary"
	"errors"
)

// ErrCorrupt is a record of a user that cannot be read.
var ErrCorrupt = errors.New("acl: corrupt record of a user")

// recordVersion begins a record:
//
//	version 1 (1 byte), for each selector: uvarint(number of rules + 1) rules, 0
//	a rule is uvarint(length) and its bytes
//
// The rules of the first selector begin with those about logging in. They are kept one by
// one because what they say of names may have quotes and parentheses in it.
const recordVersion = 1

// AppendRecord appends the user's rules in the form in which they are stored. The name is
// not in it.
func (u *User) AppendRecord(b []byte) []byte {
	b = append(b, recordVersion)
	for i, s := range u.selectors {
		var words []string
		if i == 0 {
			words = u.Flags()
			for _, p := range u.passwords {
				words = append(words, "#"+p)
			}
		}
		words = append(words, s.words()...)
		b = binary.AppendUvarint(b, uint64(len(words)+1))
		for _, w := range words {
			b = append(binary.AppendUvarint(b, uint64(len(w))), w...)
		}
	}
	return append(b, 0)
}

// ParseRecord returns the user of a record. A rule about a command that is not known, of a
// later version, is left out if it allows something; one that forbids something is as well,
// since what is not known cannot be run. Errors wrap ErrCorrupt.
func ParseRecord(name string, b []byte) (*User, error) {
	if len(b) == 0 || b[0] != recordVersion {
		return nil, ErrCorrupt
	}
	b = b[1:]
	number := func() uint64 {
		n, w := binary.Uvarint(b)
		if w <= 0 || n > uint64(len(b)) {
			b = nil
			return 0
		}
		b = b[w:]
		return n
	}
	u := NewUser(name, false)
	p := &Parser{}
	for first := true; ; first = false {
		left := number()
		if left == 0 {
			break
		}
		s := u.selectors[0]
		if !first {
			s = newSelector(false)
			u.selectors = append(u.selectors, s)
		}
		for ; left > 1; left-- {
			n := number()
			if n > uint64(len(b)) {
				return nil, ErrCorrupt
			}
			rule := string(b[:n])
			b = b[n:]
			var err error
			if first {
				err = p.apply(u, rule)
				s = u.selectors[0]
			} else {
				err = s.apply(rule)
			}
			if err != nil && !errors.Is(err, ErrUnknownName) {
				return nil, errors.Join(ErrCorrupt, err)
			}
		}
	}
	if b == nil || len(b) != 0 {
		return nil, ErrCorrupt
	}
	u.seal()
	return u, nil
}
