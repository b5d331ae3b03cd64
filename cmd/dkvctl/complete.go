package main

import (
	"sort"
	"strings"
)

// commandNames completes the names of the server's commands.
type commandNames struct {
	names []string            // upper case, sorted
	subs  map[string][]string // of containers such as CONFIG
}

// load asks the server for its commands. A server that does not tell leaves
// completion empty.
func (n *commandNames) load(c *conn) {
	if n.names != nil {
		return
	}
	c.wait = defaultTimeout
	r, err := c.do("COMMAND")
	c.wait = 0
	if err != nil || r.kind != kindArray {
		return
	}
	n.subs = map[string][]string{}
	for i := range r.elems {
		name := commandName(&r.elems[i])
		if name == "" {
			continue
		}
		n.names = append(n.names, name)
		if row := r.elems[i].elems; len(row) > 9 {
			n.subs[name] = subcommands(&row[9])
		}
	}
	sort.Strings(n.names)
}

// commandName is the name in a row of COMMAND's reply.
func commandName(row *reply) string {
	if len(row.elems) == 0 {
		return ""
	}
	return strings.ToUpper(string(row.elems[0].str))
}

// subcommands are the names in a row's list of subcommands, without their
// container: "config|get" is GET.
func subcommands(list *reply) []string {
	var names []string
	for i := range list.elems {
		if _, sub, ok := strings.Cut(commandName(&list.elems[i]), "|"); ok {
			names = append(names, sub)
		}
	}
	sort.Strings(names)
	return names
}

// complete returns the lines that the line typed so far may become.
func (n *commandNames) complete(line string) []string {
	first, rest, second := strings.Cut(line, " ")
	candidates, typed, before := n.names, first, ""
	if second {
		candidates, typed, before = n.subs[strings.ToUpper(first)], rest, first+" "
	}
	var lines []string
	for _, name := range candidates {
		if !strings.HasPrefix(name, strings.ToUpper(typed)) {
			continue
		}
		if typed != "" && typed == strings.ToLower(typed) {
			name = strings.ToLower(name)
		}
		lines = append(lines, before+name)
	}
	return lines
}
