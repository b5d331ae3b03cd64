package acl

import (
	"errors"
	"slices"
	"strings"

	"dkv/server/command"
)

// Reasons why a rule is refused, as Redis words them.
var (
	ErrSyntax      = errors.New("Syntax error")
	ErrUnknownName = errors.New("Unknown command or category name in ACL")
	ErrAllKeys     = errors.New("Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to start with an empty list of patterns")
	ErrAllChannels = errors.New("Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. Try 'resetchannels' to start with an empty list of channels")
	ErrNoPassword  = errors.New("The password you are trying to remove from the user does not exist")
	ErrBadHash     = errors.New("The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters")
	ErrFirstArg    = errors.New("Allowing first-arg of a subcommand is not supported")
	// ErrTooLarge is dkv's own: every node has all users in memory.
	ErrTooLarge = errors.New("The rules of the user exceed the limit of 1 MiB")
)

// maxRuleBytes bounds the patterns, rules and passwords of a user.
const maxRuleBytes = 1 << 20

// RuleError is a rule that was refused.
type RuleError struct {
	Rule string
	Err  error // one of the above
}

// Error is what ACL SETUSER replies, without a code.
func (e *RuleError) Error() string {
	return "Error in ACL SETUSER modifier '" + cText(e.Rule) + "': " + e.Err.Error()
}

// Unwrap returns the reason.
func (e *RuleError) Unwrap() error { return e.Err }

// UnmatchedError is a selector without an end.
type UnmatchedError struct{ At string }

func (e *UnmatchedError) Error() string {
	return "Unmatched parenthesis in acl selector starting at '" + cText(e.At) + "'."
}

// A Parser reads rules. The zero value is good.
type Parser struct {
	// AllChannels: acl-pubsub-default is allchannels.
	AllChannels bool
	// Words splits what is between the parentheses of a selector, ok is false for
	// unbalanced quotes; nil: at blanks.
	Words func(text string) (words []string, ok bool)
}

// Set returns u as the rules change it, all of them or none. A selector may be one rule or
// several. Errors: *RuleError, *UnmatchedError.
func (p *Parser) Set(u *User, rules []string) (*User, error) {
	rules, err := MergeSelectors(rules)
	if err != nil {
		return nil, err
	}
	c := u.clone()
	for _, rule := range rules {
		if err := p.apply(c, rule); err != nil {
			return nil, &RuleError{rule, err}
		}
		if c.size() > maxRuleBytes {
			return nil, &RuleError{rule[:min(len(rule), 64)], ErrTooLarge}
		}
	}
	c.seal()
	return c, nil
}

// size is about what a user takes.
func (u *User) size() int {
	n := 65 * len(u.passwords)
	for _, s := range u.selectors {
		n += 256 + s.bytes
	}
	return n
}

// MergeSelectors puts selectors together that were spread over several rules. The error is
// an *UnmatchedError.
func MergeSelectors(rules []string) ([]string, error) {
	var out []string
	open := -1
	for i, rule := range rules {
		switch {
		case open < 0 && strings.HasPrefix(rule, "(") && !strings.HasSuffix(rule, ")"):
			open = i
		case open < 0:
			out = append(out, rule)
		case strings.HasSuffix(rule, ")"):
			out = append(out, strings.Join(rules[open:i+1], " "))
			open = -1
		}
	}
	if open >= 0 {
		return nil, &UnmatchedError{rules[open]}
	}
	return out, nil
}

// apply changes a user by one rule.
func (p *Parser) apply(u *User, rule string) error {
	if rule == "" {
		return nil
	}
	switch lower(cText(rule)) {
	case "on":
		u.enabled = true
	case "off":
		u.enabled = false
	case "skip-sanitize-payload":
		u.skipsSanitize = true
	case "sanitize-payload":
		u.skipsSanitize = false
	case "nopass":
		u.noPass, u.passwords = true, nil
	case "resetpass":
		u.noPass, u.passwords = false, nil
	case "clearselectors":
		u.selectors = u.selectors[:1]
	case "reset":
		name := u.name
		*u = *NewUser(name, p.AllChannels)
	default:
		switch rule[0] {
		case '>', '#', '<', '!':
			return u.changePassword(rule)
		case '(':
			if rule[len(rule)-1] == ')' && len(rule) > 1 {
				return p.addSelector(u, rule[1:len(rule)-1])
			}
		}
		return u.selectors[0].apply(rule)
	}
	return nil
}

func (u *User) changePassword(rule string) error {
	hash := rule[1:]
	if rule[0] == '>' || rule[0] == '<' {
		hash = Hash([]byte(hash))
	} else if !isHash(hash) {
		return ErrBadHash
	}
	at := slices.Index(u.passwords, hash)
	if rule[0] == '>' || rule[0] == '#' {
		if at < 0 {
			u.passwords = append(u.passwords, hash)
		}
		u.noPass = false
		return nil
	}
	if at < 0 {
		return ErrNoPassword
	}
	u.passwords = slices.Delete(u.passwords, at, at+1)
	return nil
}

func isHash(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == 64
}

// addSelector makes a selector of the rules between its parentheses. Those with unbalanced
// quotes are none, as in Redis.
func (p *Parser) addSelector(u *User, text string) error {
	s := newSelector(p.AllChannels)
	words, ok := strings.Fields(text), true
	if p.Words != nil {
		words, ok = p.Words(text)
	}
	for _, w := range words {
		if !ok {
			break
		}
		if err := s.apply(w); err != nil {
			return err
		}
	}
	u.selectors = append(u.selectors, s)
	return nil
}

// lookup finds a command by its full name in any case, "get" or "config|get"; nil: there is none.
func lookup(name string) *command.Spec {
	container, sub, isSub := strings.Cut(name, "|")
	spec := command.Lookup([]byte(container))
	if spec != nil && isSub {
		spec = spec.Sub([]byte(sub))
	}
	return spec
}

// ValidName reports whether a user can be called so.
func ValidName(name string) bool { return !hasBlank(name) }

func hasBlank(s string) bool { return strings.ContainsAny(s, " \t\n\v\f\r\x00") }

// lower is s in lower case, as C does it: letters of ASCII only.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// cText is s up to its first NUL, where Redis compares and prints C strings.
func cText(s string) string {
	s, _, _ = strings.Cut(s, "\x00")
	return s
}
