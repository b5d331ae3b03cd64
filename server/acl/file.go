package acl

import (
	"errors"
	"fmt"
	"strings"
)

// ParseFile reads a file of users: a line "user name rule ..." for each. The error is what
// ACL LOAD replies, which tells of all lines that are wrong.
func (p *Parser) ParseFile(name, text string) ([]*User, error) {
	var list []*User
	var said strings.Builder
	known := make(map[string]bool)
	for i, line := range strings.Split(cText(text), "\n") {
		line = strings.Trim(line, " \t\r\n")
		if line == "" {
			continue
		}
		words := strings.Split(line, " ")
		switch {
		case words[0] != "user" || len(words) < 2:
			fmt.Fprintf(&said, "%s:%d should start with user keyword followed by the username. ", name, i+1)
		case !ValidName(words[1]):
			fmt.Fprintf(&said, "'%s:%d: username '%s' contains invalid characters. ", name, i+1, words[1])
		case known[words[1]]:
			fmt.Fprintf(&said, "WARNING: Duplicate user '%s' found on line %d. ", words[1], i+1)
		default:
			known[words[1]] = true
			list = append(list, p.parseLine(&said, fmt.Sprintf("%s:%d", name, i+1), words[1:]))
		}
	}
	if said.Len() > 0 {
		return nil, errors.New(said.String() + "WARNING: ACL errors detected, no change to the previously active ACL rules was performed")
	}
	return list, nil
}

// parseLine makes the user of a line, and says what is wrong with it. Rules that may have a
// secret in them are not told.
func (p *Parser) parseLine(said *strings.Builder, at string, words []string) *User {
	u := NewUser(words[0], p.AllChannels)
	rules, err := MergeSelectors(words[1:])
	if err != nil {
		fmt.Fprintf(said, "%s: Unmatched parenthesis in selector definition.", at)
		return u
	}
	syntax := false
	for _, rule := range rules {
		rule = strings.Trim(rule, "\t\r\n")
		switch err := p.apply(u, rule); {
		case err == nil:
		case errors.Is(err, ErrUnknownName):
			fmt.Fprintf(said, "%s: Error in applying operation '%s': %s. ", at, rule, err)
		case !syntax:
			syntax = true
			fmt.Fprintf(said, "%s: %s. ", at, err)
		}
	}
	u.seal()
	return u
}
