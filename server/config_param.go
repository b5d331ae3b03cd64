package server

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// kind is how a parameter's words become its value.
type kind uint8

const (
	kindString kind = iota
	kindBool
	kindInt
	kindMemory     // bytes; k, kb, m, mb, g, gb on input
	kindPercent    // memory, or a percentage of maxmemory
	kindOctal      // a file mode
	kindEnum       // one of param.enum
	kindDuration   // Go syntax: 500ms, 2s
	kindPeer       // host:port; http://host:port on input
	kindWords      // several words, kept as they are; this kind and those below take several
	kindPeers      // several of kindPeer, with commas
	kindSave       // pairs of seconds and changes
	kindOutput     // client class, hard, soft, soft seconds; merges by class
	kindPercentile // numbers from 0 to 100
	kindEvents     // classes of keyspace notifications
)

// paramFlags say how a parameter may be changed and shown.
type paramFlags uint8

const (
	paramImmutable paramFlags = 1 << iota // only before the start
	paramProtected                        // at run time only with enable-protected-configs yes
	paramSensitive                        // hidden in logs, SLOWLOG and MONITOR
	paramUnbuilt                          // any value but the default is refused: not supported yet
	paramHidden                           // CONFIG GET shows it only when named in full
)

// effect says what a parameter does in dkv, for the documentation and for the
// warning that a config file draws.
type effect uint8

const (
	effectFull   effect = iota // works
	effectStored               // accepted and read back; dkv has nothing that it could change
	effectLater                // accepted and read back; works once the feature it belongs to is built
)

// param is one row of the registry.
type param struct {
	name    string
	aliases []string // older spellings
	kind    kind
	def     string
	flags   paramFlags
	effect  effect
	min     int64 // of a duration: nanoseconds
	max     int64 // 0 is no bound
	enum    []string
	// refused are values that are not taken, with the reason; "" is "not
	// supported yet".
	refused map[string]string
	group   string // heading in the documentation
	doc     string // one sentence
}

// maxParamValue bounds a value and a line of a config file, in bytes.
const maxParamValue = 1 << 16

var (
	errMemory      = errors.New("argument must be a memory value")
	errMemoryRange = errors.New("memory value out of range")
)

// words splits a value given as one string, for parameters that take several.
func (p *param) words(value string) ([]string, error) {
	if len(value) > maxParamValue {
		return nil, &ParamError{p.name, "argument is too long"}
	}
	if !p.multi() {
		return []string{value}, nil
	}
	words, ok := splitWords(value)
	if !ok {
		return nil, &ParamError{p.name, "Invalid quoted string"}
	}
	return words, nil
}

// multi reports whether the parameter takes several words.
func (p *param) multi() bool {
	return p.kind >= kindWords
}

// parse turns words into the canonical value. old is the present value, which
// a parameter of several parts merges with.
func (p *param) parse(words []string, old string) (string, error) {
	value, err := p.parseKind(words, old)
	if err != nil {
		return "", err
	}
	reason, refused := p.refused[value]
	if p.flags&paramUnbuilt != 0 && value != p.def || refused && reason == "" {
		if p.flags&paramSensitive != 0 {
			value = "(hidden)"
		}
		return "", fmt.Errorf("%s %s is not supported yet", p.name, value)
	}
	if refused {
		return "", errors.New(reason)
	}
	return value, nil
}

func (p *param) parseKind(words []string, old string) (string, error) {
	if !p.multi() && len(words) != 1 {
		return "", errors.New("wrong number of arguments")
	}
	switch p.kind {
	case kindBool:
		return parseYesNo(words[0])
	case kindInt, kindMemory, kindPercent, kindOctal:
		return p.parseNumber(words[0])
	case kindEnum:
		return p.parseEnum(words[0])
	case kindDuration:
		return p.parseDuration(words[0])
	case kindPeer:
		return parsePeer(words[0])
	case kindPeers:
		return parsePeers(words)
	case kindWords:
		return p.parseWords(words)
	case kindSave:
		return parseSave(words)
	case kindOutput:
		return parseOutputLimits(words, old)
	case kindPercentile:
		return parsePercentiles(words)
	case kindEvents:
		return parseEvents(strings.Join(words, ""))
	}
	if p.flags&paramSensitive == 0 && strings.Contains(words[0], "\x00") {
		return "", errors.New("argument must not contain a zero byte")
	}
	return words[0], p.checkText(words[0])
}

// checkText says what Redis does not take as the value of a string parameter.
func (p *param) checkText(s string) error {
	switch p.name {
	case "dbfilename":
		if strings.ContainsAny(s, "/\\") {
			return errors.New("dbfilename can't be a path, just a filename")
		}
	case "cluster-announce-hostname":
		if len(s) >= maxHostname {
			return fmt.Errorf("Hostnames must be less than %d characters", maxHostname)
		}
		for _, c := range s {
			if !(c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.') {
				return errors.New("Hostnames may only contain alphanumeric characters, hyphens or dots")
			}
		}
	}
	return nil
}

// maxHostname is the length of a name in DNS, with a byte at the end.
const maxHostname = 256

func parseYesNo(s string) (string, error) {
	switch strings.ToLower(s) {
	case "yes":
		return "yes", nil
	case "no":
		return "no", nil
	}
	return "", errors.New("argument must be 'yes' or 'no'")
}

func (p *param) parseEnum(s string) (string, error) {
	for _, e := range p.enum {
		if strings.EqualFold(e, s) {
			return e, nil
		}
	}
	return "", errors.New("argument(s) must be one of the following: " + strings.Join(p.enum, ", "))
}

func (p *param) parseNumber(s string) (string, error) {
	var n int64
	var err error
	switch p.kind {
	case kindMemory:
		if n, err = parseMemory(s); err == errMemoryRange {
			return "", fmt.Errorf("argument must be between %d and %d inclusive", p.min, p.highest())
		}
	case kindPercent:
		return parsePercent(s)
	case kindOctal:
		if n, err = strconv.ParseInt(s, 8, 64); err != nil {
			return "", errors.New("argument couldn't be parsed as an octal number")
		}
	default:
		if n, err = strconv.ParseInt(s, 10, 64); err != nil || s[0] == '+' {
			return "", errors.New("argument couldn't be parsed into an integer")
		}
	}
	if err != nil {
		return "", err
	}
	hi := p.highest()
	if n < p.min || n > hi {
		if p.kind == kindOctal {
			return "", fmt.Errorf("argument must be between %o and %o inclusive", p.min, hi)
		}
		return "", fmt.Errorf("argument must be between %d and %d inclusive", p.min, hi)
	}
	if p.kind == kindOctal {
		return strconv.FormatInt(n, 8), nil
	}
	if p.name == "hz" {
		n = min(max(n, minHz), maxHz) // Redis takes any number and clamps it
	}
	return strconv.FormatInt(n, 10), nil
}

// highest is the largest value of a number.
func (p *param) highest() int64 {
	if p.max == 0 {
		return math.MaxInt64
	}
	return p.max
}

// Bounds of hz, the rate of background work.
const (
	minHz = 1
	maxHz = 500
)

// parseMemory reads a size: digits, then nothing, b, k, kb, m, mb, g or gb in
// any case. k is 1000 and kb is 1024, as in redis.conf. Without digits it is 0, as in Redis.
// The error is errMemory, or errMemoryRange for one that no int64 holds.
func parseMemory(s string) (int64, error) {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	mul := int64(1)
	switch strings.ToLower(s[i:]) {
	case "", "b":
	case "k":
		mul = 1000
	case "kb":
		mul = 1 << 10
	case "m":
		mul = 1000 * 1000
	case "mb":
		mul = 1 << 20
	case "g":
		mul = 1000 * 1000 * 1000
	case "gb":
		mul = 1 << 30
	default:
		return 0, errMemory
	}
	if i == 0 {
		return 0, nil
	}
	n, err := strconv.ParseInt(s[:i], 10, 64)
	if err != nil || n > math.MaxInt64/mul {
		return 0, errMemoryRange
	}
	return n * mul, nil
}

func parsePercent(s string) (string, error) {
	if pct, ok := strings.CutSuffix(s, "%"); ok {
		n, err := strconv.ParseUint(pct, 10, 31)
		if err != nil {
			return "", errors.New("argument must be a memory or percent value")
		}
		if n > 100 {
			return "", errors.New("percentage argument must be less or equal to 100")
		}
		return pct + "%", nil
	}
	n, err := parseMemory(s)
	if err != nil {
		return "", errors.New("argument must be a memory or percent value")
	}
	return strconv.FormatInt(n, 10), nil
}
