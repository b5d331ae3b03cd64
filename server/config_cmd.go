package server

import (
	"errors"
	"strings"

	"dkv/engine/keyspace"
	"dkv/resp"
	"dkv/server/command"
)

func init() {
	bind("config|get", configGet)
	bind("config|set", configSet)
	bind("config|resetstat", configResetStat)
	bind("config|rewrite", configRewrite)
	bind("config|help", help("CONFIG",
		"GET <pattern>",
		"    Return parameters matching the glob-like <pattern> and their values.",
		"SET <directive> <value>",
		"    Set the configuration <directive> to <value>.",
		"RESETSTAT",
		"    Reset statistics reported by the INFO command.",
		"REWRITE",
		"    Rewrite the configuration file."))
}

// Match returns the parameters whose name, in any of its spellings, matches a
// glob pattern. A name without wildcards matches itself, and is returned in
// the spelling of the pattern.
func (c *Config) Match(pattern string) []Pair {
	if !strings.ContainsAny(pattern, "*?[") {
		if p := findParam(pattern); p != nil {
			return []Pair{{pattern, c.shown(p)}}
		}
		return nil
	}
	var pairs []Pair
	for _, p := range params {
		if p.flags&paramHidden != 0 {
			continue
		}
		for _, name := range append([]string{p.name}, p.aliases...) {
			if keyspace.Match([]byte(pattern), []byte(name), true) {
				pairs = append(pairs, Pair{name, c.shown(p)})
			}
		}
	}
	return pairs
}

func configGet(c *Conn, x *command.Ctx) error {
	seen := make(map[string]bool)
	var pairs []Pair
	for _, pattern := range x.Args[2:] {
		for _, pair := range c.srv.config.Match(string(pattern)) {
			if key := strings.ToLower(pair.Name); !seen[key] {
				seen[key] = true
				pairs = append(pairs, pair)
			}
		}
	}
	x.Out.Map(len(pairs))
	for _, pair := range pairs {
		x.Out.BulkString(pair.Name)
		x.Out.BulkString(pair.Value)
	}
	return nil
}

func configSet(c *Conn, x *command.Ctx) error {
	args := x.Args[2:]
	if len(args)%2 != 0 {
		return resp.ErrSyntax
	}
	pairs := make([]Pair, 0, len(args)/2)
	for i := 0; i < len(args); i += 2 {
		name := string(args[i])
		if findParam(name) == nil {
			return resp.Error("ERR Unknown option or number of arguments for CONFIG SET - '" + name + "'")
		}
		pairs = append(pairs, Pair{name, string(args[i+1])})
	}
	err := c.srv.config.SetAtRuntime(pairs)
	if pe := (*ParamError)(nil); errors.As(err, &pe) {
		return resp.Error("ERR CONFIG SET failed (possibly related to argument '" + pe.Name + "') - " + pe.Reason)
	}
	if err != nil {
		return err
	}
	x.Out.OK()
	return nil
}

func configResetStat(c *Conn, x *command.Ctx) error {
	c.srv.resetStats()
	x.Out.OK()
	return nil
}

func configRewrite(c *Conn, x *command.Ctx) error {
	err := c.srv.config.Rewrite()
	if errors.Is(err, ErrNoConfigFile) {
		return resp.Error("ERR " + err.Error())
	}
	if err != nil {
		c.srv.log.Warn("CONFIG REWRITE failed", "err", err)
		return resp.Error("ERR Rewriting config file: " + err.Error())
	}
	x.Out.OK()
	return nil
}

// shown is a parameter's value as CONFIG GET replies it.
func (c *Config) shown(p *param) string {
	value := c.value(p)
	if p.kind == kindEvents {
		value = shownEvents(value)
	}
	return value
}
