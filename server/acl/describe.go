package acl

import "strings"

// Flags returns the words of ACL GETUSER for how the user logs in.
func (u *User) Flags() []string {
	words := []string{"off"}
	if u.enabled {
		words[0] = "on"
	}
	if u.noPass {
		words = append(words, "nopass")
	}
	if u.skipsSanitize {
		return append(words, "skip-sanitize-payload")
	}
	return append(words, "sanitize-payload")
}

// String returns the rules that make the user, as in ACL LIST.
func (u *User) String() string { return strings.Join(u.Rules(), " ") }

// Line is the user's line in ACL LIST, a config file and a file of users.
func (u *User) Line() string { return "user " + u.name + " " + u.String() }

// Rules returns the rules that make the user of a new one. A selector is one of them.
func (u *User) Rules() []string {
	words := u.Flags()
	for _, p := range u.passwords {
		words = append(words, "#"+p)
	}
	words = append(words, u.selectors[0].words()...)
	for _, s := range u.selectors[1:] {
		words = append(words, "("+strings.Join(s.words(), " ")+")")
	}
	return words
}

func (s *selector) words() []string {
	var words []string
	if s.allKeys {
		words = append(words, "~*")
	}
	for _, k := range s.keys {
		words = append(words, k.String())
	}
	if s.allChannels {
		words = append(words, "&*")
	} else {
		words = append(words, "resetchannels")
	}
	for _, c := range s.channels {
		words = append(words, "&"+c)
	}
	return append(words, s.commandWords()...)
}

func (s *selector) commandWords() []string {
	base := "-@all"
	if s.future {
		base = "+@all"
	}
	return append([]string{base}, s.rules...)
}

func (k keyPattern) String() string {
	switch k.access {
	case reads:
		return "%R~" + k.pattern
	case writes:
		return "%W~" + k.pattern
	}
	return "~" + k.pattern
}

// A Description is a set of rights as ACL GETUSER tells it.
type Description struct{ Commands, Keys, Channels string }

// Describe returns the user's rights: the first are the user's own, the others are those of
// the selectors.
func (u *User) Describe() []Description {
	var list []Description
	for _, s := range u.selectors {
		d := Description{Commands: strings.Join(s.commandWords(), " "), Keys: "~*", Channels: "&*"}
		if !s.allKeys {
			var words []string
			for _, k := range s.keys {
				words = append(words, k.String())
			}
			d.Keys = strings.Join(words, " ")
		}
		if !s.allChannels {
			d.Channels = ""
			if len(s.channels) > 0 {
				d.Channels = "&" + strings.Join(s.channels, " &")
			}
		}
		list = append(list, d)
	}
	return list
}
