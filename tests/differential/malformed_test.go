package differential

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"dkv/tests/harness"
)

// closeLimit is how long a server may take to answer and close.
const closeLimit = 10 * time.Second

// sentinel is a good command after the input of a case: its reply, or the lack
// of one, shows whether the server gave the connection up.
const sentinel = "*2\r\n$4\r\nECHO\r\n$8\r\nsentinel\r\n"

// malformed are inputs that are wrong, odd, or just inside the limits.
var malformed = []struct{ name, input string }{
	{"empty line", "\r\n"},
	{"line feed only", "\n"},
	{"empty array", "*0\r\n"},
	{"null array", "*-1\r\n"},
	{"array of minus two", "*-2\r\n"},
	{"array length with a letter", "*1a\r\n"},
	{"array length empty", "*\r\n"},
	{"array length with a space", "* 1\r\n$4\r\nPING\r\n"},
	{"array length with a plus", "*+1\r\n$4\r\nPING\r\n"},
	{"array length with a zero", "*01\r\n$4\r\nPING\r\n"},
	{"array length minus zero", "*-0\r\n"},
	{"array longer than an int", "*2147483648\r\n"},
	{"array longer than an int64", "*9223372036854775808\r\n"},
	{"bulk expected, got a number", "*1\r\n:1\r\n"},
	{"bulk expected, got an array", "*1\r\n*1\r\n$4\r\nPING\r\n"},
	{"bulk expected, got text", "*1\r\nPING\r\n"},
	{"bulk expected, got an empty line", "*1\r\n\r\n"},
	{"bulk length with a letter", "*1\r\n$4x\r\nPING\r\n"},
	{"bulk length empty", "*1\r\n$\r\nPING\r\n"},
	{"bulk length negative", "*1\r\n$-1\r\n"},
	{"bulk length with a space", "*1\r\n$ 4\r\nPING\r\n"},
	{"bulk length with a plus", "*1\r\n$+4\r\nPING\r\n"},
	{"bulk longer than the limit", "*1\r\n$536870913\r\n"},
	{"bulk longer than an int64", "*1\r\n$9223372036854775808\r\n"},
	{"bulk without its line end", "*1\r\n$4\r\nPINGxx"},
	{"bulk shorter than told", "*1\r\n$4\r\nPI\r\n\r\n"},
	{"bulk longer than told", "*1\r\n$4\r\nPINGPING\r\n"},
	{"lengths without carriage return", "*1\n$4\nPING\n"},
	{"empty command name", "*1\r\n$0\r\n\r\n"},
	{"empty command name with an argument", "*2\r\n$0\r\n\r\n$1\r\na\r\n"},
	{"unknown command with zero bytes", "*2\r\n$3\r\nA\x00B\r\n$3\r\n\r\n\x00\r\n"},
	{"unknown command with many arguments", "*30\r\n$3\r\nFOO\r\n" + strings.Repeat("$20\r\naaaaaaaaaaaaaaaaaaaa\r\n", 29)},
	{"unknown command with a long name", "*1\r\n$300\r\n" + strings.Repeat("x", 300) + "\r\n"},
	{"inline", "PING\r\n"},
	{"inline without carriage return", "PING\n"},
	{"inline with spaces", "  ECHO   hello  \r\n"},
	{"inline with tabs", "ECHO\thello\r\n"},
	{"inline with quotes", "ECHO \"a\\x41\\n\\tb\" \r\n"},
	{"inline with single quotes", "ECHO 'it\\'s \\n'\r\n"},
	{"inline with an empty string", "ECHO \"\"\r\n"},
	{"inline with an unbalanced quote", "ECHO \"abc\r\n"},
	{"inline with an unbalanced single quote", "ECHO 'abc\r\n"},
	{"inline with text after a quote", "ECHO \"a\"b\r\n"},
	{"inline with a quote in a word", "ECHO a\"b\"\r\n"},
	{"inline with a bad hex escape", "ECHO \"\\xzz\\x4\"\r\n"},
	{"inline that is spaces", "   \r\n"},
	{"inline of an unknown command", "nosuch 'a b' c\r\n"},
	{"inline of the longest line", "ECHO " + strings.Repeat("x", 60_000) + "\r\n"},
	{"a reply as a request", "+OK\r\n"},
	{"an error as a request", "-ERR\r\n"},
	{"a bulk as a request", "$4\r\nPING\r\n"},
	{"a map as a request", "%1\r\n+a\r\n+b\r\n"},
	{"HTTP", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"},
	{"HTTP POST", "POST / HTTP/1.1\r\nHost: localhost\r\n\r\n"},
	{"error after good commands", "*1\r\n$4\r\nPING\r\n*2\r\n$4\r\nECHO\r\n$1\r\na\r\n*1\r\n$x\r\n"},
	{"error in the middle of a transaction", "*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n*1\r\n$x\r\n"},
	{"quit", "*1\r\n$4\r\nQUIT\r\n"},
	{"quit, inline, with arguments", "QUIT a b\r\n"},
	{"quit in a transaction", "MULTI\r\nSET a b\r\nQUIT\r\n"},
	{"reply off and on", "CLIENT REPLY OFF\r\nPING\r\nCLIENT REPLY ON\r\nPING\r\n"},
	{"reply skip", "CLIENT REPLY SKIP\r\nPING\r\nPING\r\n"},
	{"reply skip twice", "CLIENT REPLY SKIP\r\nCLIENT REPLY SKIP\r\nPING\r\nPING\r\n"},
	{"reply off, then skip", "CLIENT REPLY OFF\r\nCLIENT REPLY SKIP\r\nPING\r\nCLIENT REPLY ON\r\n"},
	{"reply skip, then on", "CLIENT REPLY SKIP\r\nCLIENT REPLY ON\r\nPING\r\n"},
	{"reply off in a transaction", "MULTI\r\nCLIENT REPLY OFF\r\nPING\r\nEXEC\r\nPING\r\nCLIENT REPLY ON\r\n"},
	{"reply off and an error", "CLIENT REPLY OFF\r\nNOSUCH\r\nGET\r\nCLIENT REPLY ON\r\nPING\r\n"},
	{"kill oneself", "CLIENT KILL TYPE normal SKIPME no\r\n"},
	{"hello 3 with a null", "HELLO 3 SETNAME\r\nHELLO 4\r\nHELLO x\r\nHELLO 2 AUTH a\r\nHELLO 2 AUTH nosuch user\r\nGET absent\r\n"},
	{"reset", "SELECT 3\r\nMULTI\r\nRESET\r\nPING\r\nEXEC\r\n"},
}

// unended are inputs that a server must not wait for the end of. (With an end,
// Redis takes or refuses them by what one read from the socket happens to
// return.)
var unended = []struct{ name, input string }{
	{"array length that is too long", "*" + strings.Repeat("1", 200_000)},
	{"bulk length that is too long", "*1\r\n$" + strings.Repeat("1", 200_000)},
	{"inline that is too long", "ECHO " + strings.Repeat("x", 200_000)},
	{"second line that is too long", "PING\r\nECHO " + strings.Repeat("x", 200_000)},
	{"array without its elements", "*2\r\n$4\r\nECHO\r\n"},
	{"bulk without its bytes", "*1\r\n$4\r\nPI"},
	{"half a line", "PIN"},
	{"nothing", ""},
}

func TestMalformed(t *testing.T) {
	p := startPair(t)
	for _, c := range malformed {
		p.compareRaw(t, c.name, c.input+sentinel)
	}
	for _, c := range unended {
		p.compareRaw(t, c.name, c.input)
	}
}

// Redis looks for the end of a line as for that of a C string, so that a line
// with a zero byte never ends. dkv reads it as any other byte.
func TestZeroByteInLine(t *testing.T) {
	harness.NeedItself(t)
	srv := harness.Dkv(t, "-fsync", "no")
	for _, c := range []struct{ input, reply string }{
		{"ECHO a\x00b\r\n", "$3\r\na\x00b\r\n<closed>"},
		{"*1\r\n\x004\r\nPING\r\n", "-ERR Protocol error: expected '$', got '\x00'\r\n<closed>"},
		{"*1\x00\r\n", "-ERR Protocol error: invalid multibulk length\r\n<closed>"},
		// A TLS client that takes the port for its own gets an answer and an end.
		{"\x16\x03\x01\x02\x00\x01\x00\n", "-ERR unknown command '\x16\x03\x01\x02', with args beginning with: \r\n<closed>"},
	} {
		if got := converse(t, srv, c.input); got != c.reply {
			t.Errorf("%q: got %q, want %q", c.input, got, c.reply)
		}
	}
}

// Before AUTH the limits are narrower, and everything else is refused.
func TestMalformedBeforeAuth(t *testing.T) {
	p := &pair{t: t, redis: harness.Redis(t, "--requirepass", "secret"), dkv: harness.Dkv(t, "-fsync", "no", "-requirepass", "secret")}
	bulk := func(n int) string { return "$" + strconv.Itoa(n) + "\r\n" + strings.Repeat("x", n) + "\r\n" }
	for _, c := range []struct{ name, input string }{
		{"refused", "*1\r\n$4\r\nPING\r\n"},
		{"refused, unknown", "*1\r\n$6\r\nNOSUCH\r\n"},
		{"refused, arity", "*1\r\n$3\r\nGET\r\n"},
		{"refused, in a transaction", "MULTI\r\nEXEC\r\n"},
		{"array of ten", "*10\r\n$4\r\nECHO\r\n" + strings.Repeat("$1\r\na\r\n", 9)},
		{"array of eleven", "*11\r\n$4\r\nECHO\r\n" + strings.Repeat("$1\r\na\r\n", 10)},
		{"bulk of 16384", "*2\r\n$4\r\nECHO\r\n" + bulk(16384)},
		{"bulk of 16385", "*2\r\n$4\r\nECHO\r\n" + bulk(16385)},
		{"wrong password", "AUTH wrong\r\n"},
		{"wrong user", "AUTH nosuch secret\r\n"},
		{"too many words", "AUTH a b c\r\n"},
		{"hello without password", "HELLO 3\r\n"},
		{"hello with a wrong password", "HELLO 3 AUTH default wrong\r\n"},
		{"hello with a version that does not exist", "HELLO 9 AUTH default secret\r\n"},
		{"password", "AUTH secret\r\nPING\r\n"},
		{"user and password", "AUTH default secret\r\nPING\r\nRESET\r\nPING\r\n"},
		{"quit", "QUIT\r\n"},
	} {
		p.compareRaw(t, c.name, c.input+sentinel)
	}
}

// A connection on which something wrong came is closed by the server, without
// waiting for the client to do it.
func TestMalformedCloses(t *testing.T) {
	p := startPair(t)
	for _, input := range []string{"*1\r\n$x\r\n", "*x\r\n", "*1\r\n:\r\n", "ECHO \"\r\n", "QUIT\r\n", "POST / HTTP/1.1\r\n",
		"PING\r\n*1\r\n$536870913\r\n", strings.Repeat("x", 70_000)} {
		for _, s := range []*harness.Server{p.redis, p.dkv} {
			c := s.Dial(t)
			c.SetDeadline(time.Now().Add(closeLimit))
			_ = c.Send(input)
			if got := readToEnd(c); !strings.HasSuffix(got, "<closed>") {
				t.Errorf("%.40q on port %d: got %q and no end", input, s.Port(), got)
			}
		}
	}
}

// TestMalformedRandom changes bytes of good pipelines.
func TestMalformedRandom(t *testing.T) {
	// Each takes two connections, of which a machine has some 28,000 a minute.
	const most = 10_000
	count := min(most, number(t, "DKV_DIFF_SEQUENCES", defaultSequences)*10)
	if testing.Short() {
		count = min(count, 200)
	}
	seed := uint64(number(t, "DKV_DIFF_SEED", int(rand.Uint32())))
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, stream))
	p := startPair(t)
	for range count {
		var good []byte
		for range 1 + rng.IntN(4) {
			good = harness.AppendCommand(good, pickCommand(rng)...)
		}
		bad := bytes.Clone(good)
		for range 1 + rng.IntN(3) {
			bad = damage(rng, bad)
		}
		if !p.compareRaw(t, strconv.Quote(string(bad)), string(bad)) {
			return
		}
	}
}

// pickCommand returns a command that cannot harm whatever becomes of its bytes.
func pickCommand(rng *rand.Rand) []string {
	commands := [][]string{{"SET", "a", "hello"}, {"GET", "a"}, {"PING"}, {"ECHO", "text with\r\nlines"}, {"MGET", "a", "b", "c"},
		{"DEL", "a"}, {"INCR", "n"}, {"STRLEN", "a"}}
	return commands[rng.IntN(len(commands))]
}

func damage(rng *rand.Rand, b []byte) []byte {
	if len(b) == 0 {
		return b
	}
	at := rng.IntN(len(b))
	replacements := "\r\n*$0123456789-+ :\x01\xffAa\"'"
	c := replacements[rng.IntN(len(replacements))]
	switch rng.IntN(4) {
	case 0:
		b[at] = c
	case 1:
		b = append(b[:at], b[at+1:]...)
	case 2:
		b = append(b[:at:at], append([]byte{c}, b[at:]...)...)
	default:
		b = b[:at]
	}
	return b
}

// compareRaw sends bytes to both and compares all that comes back until the end
// of the connection. It reports whether they agree.
func (p *pair) compareRaw(t *testing.T, name, input string) bool {
	t.Helper()
	a, b := converse(t, p.redis, input), converse(t, p.dkv, input)
	if mask(a) != mask(b) {
		t.Errorf("%s\n input: %s\n redis: %s\n dkv:   %s", name, shorten(strconv.Quote(input)), shorten(strconv.Quote(a)), shorten(strconv.Quote(b)))
		return false
	}
	return true
}

// ofOneServer is what HELLO says of a server and a connection.
var ofOneServer = regexp.MustCompile(`(version\r\n)\$\d+\r\n[^\r]*|(id\r\n):\d+`)

// mask hides what belongs to one server, and a text that 7.2 has otherwise.
func mask(s string) string {
	s = strings.ReplaceAll(s, "the HELLO <proto> AUTH", "the HELLO AUTH")
	return ofOneServer.ReplaceAllString(s, "$1$2<its own>")
}

// converse sends input, ends its side of the connection and returns all that
// comes back.
func converse(t *testing.T, s *harness.Server, input string) string {
	t.Helper()
	c := s.Dial(t)
	defer c.Close()
	c.SetDeadline(time.Now().Add(closeLimit))
	_ = c.Send(input) // the server may have closed already; what it said counts
	_ = c.Conn.Conn.(interface{ CloseWrite() error }).CloseWrite()
	return readToEnd(c)
}

func readToEnd(c *harness.TestConn) string {
	got, err := io.ReadAll(c.Reader())
	if err == nil || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return string(got) + "<closed>"
	}
	return string(got) + "<" + err.Error() + ">"
}
