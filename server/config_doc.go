package server

import (
	"fmt"
	"io"
	"strings"
)

// The documentation of parameters is made from the registry: the flags that
// dkvsrv -help lists, the sample config file, and the table of
// docs/configuration.md.

// WriteFlags writes a list of all parameters as flags, by group.
func WriteFlags(w io.Writer) {
	for _, g := range paramGroups {
		fmt.Fprintf(w, "%s:\n", g)
		if g == groupRedis {
			writeParamNames(w, g)
			continue
		}
		for _, p := range paramsOf(g) {
			fmt.Fprintf(w, "  -%s %s\n", strings.Join(append([]string{p.name}, p.aliases...), ", -"), p.placeholder())
			for _, line := range wrap(p.sentence(), 72) {
				fmt.Fprintf(w, "        %s\n", line)
			}
		}
		fmt.Fprintln(w)
	}
}

func writeParamNames(w io.Writer, group string) {
	var names []string
	for _, p := range paramsOf(group) {
		names = append(names, p.name)
	}
	for _, line := range wrap(strings.Join(names, " "), 76) {
		fmt.Fprintf(w, "  %s\n", line)
	}
}

// WriteSample writes a config file with every parameter that does something,
// each commented out and at its default.
func WriteSample(w io.Writer) {
	fmt.Fprint(w, `# dkv.conf: a sample. Start with: dkvsrv dkv.conf
#
# Each line is a parameter and its value; what stands here commented out is the
# default. The syntax is that of redis.conf, and so are the names wherever Redis
# has the parameter: a redis.conf can be used as it is. Sizes take kb, mb and gb.
# "include <file>" reads another file. A flag of dkvsrv wins over this file.
`)
	for _, g := range paramGroups {
		if g == groupRedis {
			continue
		}
		fmt.Fprintf(w, "\n### %s\n", g)
		for _, p := range paramsOf(g) {
			if p.name == "listen-addr" || p.effect == effectStored || p.flags&paramUnbuilt != 0 {
				continue
			}
			fmt.Fprintln(w)
			for _, line := range wrap(p.sentence(), 78) {
				fmt.Fprintf(w, "# %s\n", line)
			}
			value := p.def
			if p.kind == kindMemory {
				value = shortSize(value)
			}
			if !p.multi() || value == "" {
				value = quoteWord(value)
			}
			fmt.Fprintf(w, "# %s %s\n", p.name, value)
		}
	}
}

// WriteTables writes the tables of docs/configuration.md, in Markdown.
func WriteTables(w io.Writer) {
	for _, g := range paramGroups {
		fmt.Fprintf(w, "### %s\n\n| parameter | default | CONFIG SET | effect |\n|---|---|---|---|\n", g)
		for _, p := range paramsOf(g) {
			fmt.Fprintf(w, "| %s | %s | %s | %s |\n", p.codeNames(), codeValue(p), p.settable(), p.effectText())
		}
		fmt.Fprintln(w)
	}
}

func paramsOf(group string) []*param {
	var ps []*param
	for _, p := range params {
		if p.group == group {
			ps = append(ps, p)
		}
	}
	return ps
}

// placeholder says what a flag's value looks like.
func (p *param) placeholder() string {
	switch p.kind {
	case kindBool:
		return "yes|no"
	case kindInt:
		return "number"
	case kindMemory, kindPercent:
		return "size"
	case kindOctal:
		return "mode"
	case kindEnum:
		return strings.Join(p.enum, "|")
	case kindDuration:
		return "duration"
	case kindPeer:
		return "host:port"
	case kindPeers:
		return "host:port,host:port..."
	case kindWords, kindSave, kindOutput, kindPercentile:
		return "word..."
	}
	return "text"
}

func (p *param) sentence() string {
	s := p.doc
	switch {
	case p.flags&paramUnbuilt != 0:
		s += " Not supported yet."
	case p.effect == effectLater:
		s += " Accepted; the feature is not built yet."
	}
	def := p.def
	if p.kind == kindMemory {
		def = shortSize(def)
	}
	if def != "" {
		s += " Default: " + def + "."
	}
	return s
}

func (p *param) codeNames() string {
	s := "`" + p.name + "`"
	for _, a := range p.aliases {
		s += ", `" + a + "`"
	}
	return s
}

func codeValue(p *param) string {
	v := p.def
	if p.kind == kindMemory {
		v = shortSize(v)
	}
	if v == "" {
		return "empty"
	}
	return "`" + v + "`"
}

func (p *param) settable() string {
	switch {
	case p.flags&paramImmutable != 0:
		return "no"
	case p.flags&paramProtected != 0:
		return "protected"
	}
	return "yes"
}

func (p *param) effectText() string {
	switch {
	case p.flags&paramUnbuilt != 0:
		return "Not supported yet, anything but the default is refused: " + p.doc
	case p.effect == effectStored:
		return "None: " + p.doc
	case p.effect == effectLater:
		return "Not yet: " + p.doc
	}
	return p.doc
}

// shortSize prints bytes in the largest unit that needs no fraction.
func shortSize(bytes string) string {
	n, err := parseMemory(bytes)
	if err != nil || n == 0 {
		return bytes
	}
	switch {
	case n%(1<<30) == 0:
		return fmt.Sprintf("%dgb", n>>30)
	case n%(1<<20) == 0:
		return fmt.Sprintf("%dmb", n>>20)
	case n%(1<<10) == 0:
		return fmt.Sprintf("%dkb", n>>10)
	}
	return bytes
}

// wrap breaks a text into lines of at most width bytes.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, w := range strings.Fields(text) {
		switch {
		case line == "":
			line = w
		case len(line)+1+len(w) > width:
			lines = append(lines, line)
			line = w
		default:
			line += " " + w
		}
	}
	return append(lines, line)
}
