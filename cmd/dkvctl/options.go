package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

const (
	defaultPort    = "6379"
	defaultAddr    = "127.0.0.1:" + defaultPort
	defaultTimeout = 5 * time.Second
	authEnv        = "DKVCTL_AUTH"
)

// format is how replies are printed.
type format int

const (
	formatAuto format = iota // formatTTY on a terminal, else formatRaw
	formatTTY
	formatRaw
	formatJSON
)

// invocation is what the arguments ask for.
type invocation struct {
	// addrs are the servers to try in turn, host:port or the path of a unix
	// socket; addr is the one that is in use.
	addrs      []string
	addr       string
	user, pass string
	tls        tlsOptions
	db         int
	proto      int // 2 or 3; 0: 3 for JSON, where its types show, else 2
	timeout    time.Duration
	format     format
	lastArg    bool // -x: the last argument comes from stdin
	absent     bool // -absent: -cas expects that the key does not exist
	force      bool // -force: -removeNode even where it may cost data
	async      bool // -async: -addNode does not wait until the node has caught up

	verb     string   // one of the verbs, "healthcheck", "help" or "version"; or none
	operands []string // the verb's
	words    []string // a command, when there is no verb
}

// How many operands a verb takes, where it is not a number.
const (
	oneOrMore = -1
	noneOrOne = -2 // none before an option
)

// verbOperands says how many operands each verb takes.
var verbOperands = map[string]int{
	"set": 2, "get": 1, "mget": oneOrMore, "del": oneOrMore, "iter": 1, "cas": 3,
	"backup": 1, "verify": 1, "checksum": 0,
	"addnode": 1, "removenode": 1, "listnodes": 0, "transferleader": noneOrOne,
	"import": 1, "export": 1, "healthcheck": 0, "help": 0, "version": 0,
}

// setters are the options that take a value.
var setters = map[string]func(*invocation, string) error{
	"a": setAddr, "addr": setAddr, "dkvaddr": setAddr,
	"user": func(v *invocation, s string) error { v.user = s; return nil },
	"pass": func(v *invocation, s string) error { v.pass = s; return nil },
	"db":   setDB, "n": setDB,
	"timeout": setTimeout,
	"cacert":  func(v *invocation, s string) error { v.tls.on, v.tls.caFile = true, s; return nil },
	"cert":    func(v *invocation, s string) error { v.tls.on, v.tls.certFile = true, s; return nil },
	"key":     func(v *invocation, s string) error { v.tls.on, v.tls.keyFile = true, s; return nil },
	"sni":     func(v *invocation, s string) error { v.tls.on, v.tls.name = true, s; return nil },
}

// switches are the options that take none.
var switches = map[string]func(*invocation){
	"raw":      func(v *invocation) { v.format = formatRaw },
	"no-raw":   func(v *invocation) { v.format = formatTTY },
	"json":     func(v *invocation) { v.format = formatJSON },
	"x":        func(v *invocation) { v.lastArg = true },
	"absent":   func(v *invocation) { v.absent = true },
	"force":    func(v *invocation) { v.force = true },
	"async":    func(v *invocation) { v.async = true },
	"tls":      func(v *invocation) { v.tls.on = true },
	"insecure": func(v *invocation) { v.tls.on, v.tls.insecure = true, true },
	"2":        func(v *invocation) { v.proto = 2 },
	"3":        func(v *invocation) { v.proto = 3 },
}

// parseArgs reads the arguments. It does not use package flag because a verb's
// operands may begin with a dash (-set balance -5) and because options may
// follow a verb, both of which the older store's users do.
func parseArgs(args []string, getenv func(string) string) (*invocation, error) {
	v := &invocation{addrs: []string{defaultAddr}, addr: defaultAddr, pass: getenv(authEnv), timeout: defaultTimeout}
	for len(args) > 0 {
		arg := args[0]
		if arg == "--" || len(arg) < 2 || arg[0] != '-' {
			if arg == "--" {
				args = args[1:]
			}
			v.words = args
			break
		}
		rest, err := v.option(arg, args[1:])
		if err != nil {
			return nil, err
		}
		args = rest
	}
	return v, v.validate()
}

// option applies the option arg and returns what remains of the arguments.
func (v *invocation) option(arg string, rest []string) ([]string, error) {
	name, value, hasValue := strings.Cut(strings.TrimPrefix(arg[1:], "-"), "=")
	name = strings.ToLower(name)
	if name == "h" || name == "?" {
		name = "help"
	}
	if hasValue {
		rest = append([]string{value}, rest...)
	}
	if set, ok := setters[name]; ok {
		if len(rest) == 0 {
			return nil, fmt.Errorf("option %s needs a value", arg)
		}
		return rest[1:], set(v, rest[0])
	}
	if n, ok := verbOperands[name]; ok {
		return v.setVerb(name, n, arg, rest)
	}
	if set, ok := switches[name]; ok && !hasValue {
		set(v)
		return rest, nil
	}
	return nil, fmt.Errorf("unknown option %s", arg)
}

func (v *invocation) setVerb(name string, operands int, arg string, rest []string) ([]string, error) {
	if v.verb != "" {
		return nil, fmt.Errorf("%s after -%s: one at a time", arg, v.verb)
	}
	v.verb = name
	switch {
	case operands == noneOrOne:
		operands = 0
		if len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
			operands = 1
		}
	case operands == oneOrMore:
		operands = len(rest)
		if operands == 0 && !v.lastArg {
			return nil, fmt.Errorf("%s needs operands", arg)
		}
	case v.lastArg && operands > 0:
		operands--
	}
	if len(rest) < operands {
		return nil, fmt.Errorf("%s needs %d operand(s), got %d", arg, operands, len(rest))
	}
	v.operands = rest[:operands:operands]
	return rest[operands:], nil
}

func (v *invocation) validate() error {
	if v.verb != "" && len(v.words) > 0 {
		return fmt.Errorf("unexpected %q after -%s", v.words[0], v.verb)
	}
	if v.lastArg && v.verb == "" && len(v.words) == 0 {
		return errors.New("-x needs a command whose last argument it reads")
	}
	if v.absent && (v.verb != "cas" || len(v.operands) < 2 || v.operands[1] != "") {
		return errors.New("-absent belongs to -cas KEY '' NEW")
	}
	if v.force && v.verb != "removenode" {
		return errors.New("-force belongs to -removeNode")
	}
	if v.async && v.verb != "addnode" {
		return errors.New("-async belongs to -addNode")
	}
	if v.db != 0 && v.verb == "import" {
		return errors.New("-db has no place with -import: each key goes into the database that the file has it in")
	}
	if v.user != "" && v.pass == "" {
		return fmt.Errorf("-user needs a password: -pass or %s", authEnv)
	}
	return nil
}

// setAddr takes one address or several, separated by commas: the nodes of a
// cluster, of which any will do.
func setAddr(v *invocation, s string) error {
	v.addrs = nil
	for a := range strings.SplitSeq(s, ",") {
		a = strings.TrimSpace(a)
		if a == "" && s != "" {
			return fmt.Errorf("there is an empty address in %q", s)
		}
		addr, err := parseAddr(a)
		if err != nil {
			return err
		}
		v.addrs = append(v.addrs, addr)
	}
	v.addr = v.addrs[0]
	return nil
}

func parseAddr(s string) (string, error) {
	if strings.HasPrefix(s, "/") {
		return s, nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host, port = strings.Trim(s, "[]"), defaultPort
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return "", fmt.Errorf("address %q is not host:port", s)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

func setDB(v *invocation, s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return fmt.Errorf("database %q is not a number", s)
	}
	v.db = n
	return nil
}

func setTimeout(v *invocation, s string) error {
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return fmt.Errorf("timeout %q is not a duration such as 2s", s)
	}
	v.timeout = d
	return nil
}

// protocol is the RESP version to ask for.
func (v *invocation) protocol() int {
	if v.proto == 0 && v.format == formatJSON {
		return 3
	}
	return max(v.proto, 2)
}
