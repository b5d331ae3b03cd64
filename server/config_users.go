package server

import (
	"errors"
	"strings"

	"dkv/server/acl"
)

// addUser keeps the words of a `user` line, a name and rules, for the start.
func (c *Config) addUser(words []string) error {
	if len(words) == 0 {
		return errors.New("wrong number of arguments")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, known := range c.mu.users {
		if known[0] == words[0] {
			return errors.New("Error in user declaration '" + words[0] + "': Duplicate user found. A user can only be defined once in config files")
		}
	}
	if !acl.ValidName(words[0]) {
		return errors.New("Spaces not allowed in ACL usernames")
	}
	p := acl.Parser{Words: splitWords}
	if _, err := p.Set(acl.NewUser(words[0], false), words[1:]); err != nil {
		return errors.New("Error in user declaration '" + words[0] + "': " + hidden(err).Error())
	}
	c.mu.users = append(c.mu.users, append([]string(nil), words...))
	return nil
}

// userLines returns the words of the `user` lines.
func (c *Config) userLines() [][]string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.mu.users
}

// setUserLines gives what `user` lines there are from now on, for Rewrite. Until then, and
// where users are kept elsewhere, it leaves them alone.
func (c *Config) setUserLines(f func() []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.lines = f
}

// rewriteUsers returns the lines of a config file without those about users, and the lines
// that take their place.
func (c *Config) rewriteUsers(text string) (rest string, users []string) {
	c.mu.RLock()
	lines := c.mu.lines
	c.mu.RUnlock()
	if lines == nil {
		return text, nil
	}
	var out []string
	for _, line := range strings.Split(text, "\n") {
		if words, ok := splitWords(line); !ok || len(words) < 2 || !strings.EqualFold(words[0], "user") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n"), lines()
}
