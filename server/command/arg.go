package command

import "strings"

// Arg describes an argument for COMMAND DOCS. The functions below make them, so that
// a row's arguments read as its syntax does.
type Arg struct {
	Name     string
	Type     ArgType
	Token    string // the word that comes before it, or is it
	Optional bool
	// Multiple: can be repeated, MultipleToken: with the token each time.
	Multiple, MultipleToken bool
	KeySpec                 int // for keys: index in Spec.KeySpecs
	Since, DeprecatedSince  string
	Args                    []Arg // of blocks and choices
}

// ArgType is the kind of an argument, as COMMAND DOCS names it.
type ArgType string

const (
	ArgString   ArgType = "string"
	ArgInteger  ArgType = "integer"
	ArgDouble   ArgType = "double"
	ArgKey      ArgType = "key"
	ArgPattern  ArgType = "pattern"
	ArgUnixTime ArgType = "unix-time"
	ArgToken    ArgType = "pure-token"
	ArgOneOf    ArgType = "oneof"
	ArgBlock    ArgType = "block"
)

// FlagNames returns the names of what is set of the argument's flags.
func (a *Arg) FlagNames() []string {
	var names []string
	if a.Optional {
		names = append(names, "optional")
	}
	if a.Multiple {
		names = append(names, "multiple")
	}
	if a.MultipleToken {
		names = append(names, "multiple_token")
	}
	return names
}

func key(name string) Arg      { return Arg{Name: name, Type: ArgKey} }
func str(name string) Arg      { return Arg{Name: name, Type: ArgString} }
func integer(name string) Arg  { return Arg{Name: name, Type: ArgInteger} }
func double(name string) Arg   { return Arg{Name: name, Type: ArgDouble} }
func pattern(name string) Arg  { return Arg{Name: name, Type: ArgPattern} }
func unixTime(name string) Arg { return Arg{Name: name, Type: ArgUnixTime} }

// token is an argument that is the word itself.
func token(word string) Arg {
	return Arg{Name: strings.ToLower(word), Type: ArgToken, Token: word}
}

func oneOf(name string, choices ...Arg) Arg {
	return Arg{Name: name, Type: ArgOneOf, Args: choices}
}

func block(name string, parts ...Arg) Arg {
	return Arg{Name: name, Type: ArgBlock, Args: parts}
}

// after puts a word before the argument.
func (a Arg) after(word string) Arg { a.Token = word; return a }

func (a Arg) opt() Arg                  { a.Optional = true; return a }
func (a Arg) many() Arg                 { a.Multiple = true; return a }
func (a Arg) spec(i int) Arg            { a.KeySpec = i; return a }
func (a Arg) named(name string) Arg     { a.Name = name; return a }
func (a Arg) since(version string) Arg  { a.Since = version; return a }
func (a Arg) goneBy(version string) Arg { a.DeprecatedSince = version; return a }
func (a Arg) manyWithToken() Arg        { a.Multiple, a.MultipleToken = true, true; return a }
