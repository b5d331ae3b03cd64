package main

import (
	"fmt"
	"strings"
)

const promptHelp = `Type a command, such as: SET greeting "hello world"
Quotes: "..." knows \n \r \t \a \b \" \\ and \xHH; '...' knows \'
TAB completes command names; Ctrl-R searches the history; Ctrl-C drops the line or ends a wait
help COMMAND   what the server says about a command
clear          clear the screen
exit, quit     leave (also Ctrl-D)`

// help serves the prompt's help, with words being what stands after it.
func (s *prompt) help(words []string) {
	if len(words) == 0 {
		s.p.text(promptHelp)
		return
	}
	if !s.ready() {
		return
	}
	name := strings.ToLower(strings.Join(words, "|"))
	r, err := s.c.do("COMMAND", "DOCS", name)
	switch {
	case err != nil:
		s.p.failure(err)
		s.disconnect()
	case r.isError():
		s.p.reply(&r)
	case len(r.elems) < 2:
		fmt.Fprintf(s.p.err, "dkvctl: the server has no help on %q\n", strings.Join(words, " "))
	default:
		s.p.text(docText(name, &r.elems[1]))
	}
}

// docText renders a row of COMMAND DOCS: pairs of a name and a value, an
// array in RESP2 and a map in RESP3.
func docText(name string, doc *reply) string {
	lines := []string{strings.ToUpper(strings.ReplaceAll(name, "|", " "))}
	for i := 0; i+1 < len(doc.elems); i += 2 {
		field := string(doc.elems[i].str)
		switch field {
		case "summary", "since", "group", "complexity":
			lines = append(lines, fmt.Sprintf("  %-11s %s", field+":", doc.elems[i+1].str))
		}
	}
	return strings.Join(lines, "\n")
}
