package resp

import "strings"

// Error is an error reply: the text of the line without its leading '-',
// starting with the error's code. It is an error, so that handlers return it.
// Constants convert to the error interface without allocating.
type Error string

// Error returns the reply line without the leading '-'.
func (e Error) Error() string { return string(e) }

// Code returns the first word of the reply line, which tells errors apart
// ("ERR", "WRONGTYPE").
func (e Error) Code() string {
	code, _, _ := strings.Cut(string(e), " ")
	return code
}

// Errors about arguments and values.
const (
	ErrSyntax             Error = "ERR syntax error"
	ErrWrongType          Error = "WRONGTYPE Operation against a key holding the wrong kind of value"
	ErrNotInt             Error = "ERR value is not an integer or out of range"
	ErrNotFloat           Error = "ERR value is not a valid float"
	ErrNaNOrInf           Error = "ERR increment would produce NaN or Infinity"
	ErrOverflow           Error = "ERR increment or decrement would overflow"
	ErrDecrOverflow       Error = "ERR decrement would overflow"
	ErrOutOfRange         Error = "ERR value is out of range"
	ErrNotPositive        Error = "ERR value is out of range, must be positive"
	ErrIndexOutOfRange    Error = "ERR index out of range"
	ErrOffsetOutOfRange   Error = "ERR offset is out of range"
	ErrNoSuchKey          Error = "ERR no such key"
	ErrSameObject         Error = "ERR source and destination objects are the same"
	ErrInvalidCursor      Error = "ERR invalid cursor"
	ErrInvalidDBIndex     Error = "ERR invalid DB index"
	ErrDBIndexOutOfRange  Error = "ERR DB index is out of range"
	ErrInvalidFirstDB     Error = "ERR invalid first DB index"
	ErrInvalidSecondDB    Error = "ERR invalid second DB index"
	ErrTimeoutNotInt      Error = "ERR timeout is not an integer or out of range"
	ErrTimeoutNegative    Error = "ERR timeout is negative"
	ErrTimeoutOutOfRange  Error = "ERR timeout is out of range"
	ErrStringTooLong      Error = "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
	ErrExpireNXWithOthers Error = "ERR NX and XX, GT or LT options at the same time are not compatible"
	ErrExpireGTWithLT     Error = "ERR GT and LT options at the same time are not compatible"
	ErrBusyKey            Error = "BUSYKEY Target key name already exists."
	ErrUnknownType        Error = "ERR unknown type name"
)

// Errors about LCS.
const (
	ErrLCSBothLenIdx Error = "ERR If you want both the length and indexes, please just use IDX."
	ErrLCSWrongType  Error = "ERR The specified keys must contain string values"
	ErrLCSTooLong    Error = "ERR String too long for LCS"
	ErrLCSNoMemory   Error = "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"
)

// Errors about transactions.
const (
	ErrExecAbort           Error = "EXECABORT Transaction discarded because of previous errors."
	ErrNestedMulti         Error = "ERR MULTI calls can not be nested"
	ErrExecWithoutMulti    Error = "ERR EXEC without MULTI"
	ErrDiscardWithoutMulti Error = "ERR DISCARD without MULTI"
	ErrWatchInMulti        Error = "ERR WATCH inside MULTI is not allowed"
	ErrNotAllowedInMulti   Error = "ERR Command not allowed inside a transaction"
)

// Errors about authentication and connections.
const (
	ErrNoAuth        Error = "NOAUTH Authentication required."
	ErrNoAuthHello   Error = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time"
	ErrWrongPass     Error = "WRONGPASS invalid username-password pair or user is disabled."
	ErrNoPasswordSet Error = "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"
	ErrNoProto       Error = "NOPROTO unsupported protocol version"
	ErrProtoNotInt   Error = "ERR Protocol version is not an integer or out of range"
	ErrMaxClients    Error = "ERR max number of clients reached"
	ErrClientName    Error = "ERR Client names cannot contain spaces, newlines or special characters."
	ErrNoSuchClient  Error = "ERR No such client"
	ErrNoSuchUser    Error = "ERR No such user"
	ErrInternal      Error = "ERR internal error"
	ErrReadOnly      Error = "READONLY You can't write against a read only replica."
	ErrLoading       Error = "LOADING Redis is loading the dataset in memory"
	ErrMasterDown    Error = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."
	ErrNoReplicas    Error = "NOREPLICAS Not enough good replicas to write."
	ErrOOM           Error = "OOM command not allowed when used memory > 'maxmemory'."
	ErrProtected     Error = "DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default user. In this mode connections are only accepted from the loopback interface. If you want to connect from external computers to Redis you may adopt one of the following solutions: 1) Just disable protected mode sending the command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from the same host the server is running, however MAKE SURE Redis is not publicly accessible from internet if you do so. Use CONFIG REWRITE to make this change permanent. 2) Alternatively you can just disable the protected mode by editing the Redis configuration file, and setting the protected mode option to 'no', and then restarting the server. 3) If you started the server manually just for testing, restart it with the '--protected-mode no' option. 4) Setup a an authentication password for the default user. NOTE: You only need to do one of the above things in order for the server to start accepting connections from the outside."
)

// Errors of the protocol. After one of them is sent, the connection is closed.
const (
	ErrInvalidMultibulkLength Error = "ERR Protocol error: invalid multibulk length"
	ErrInvalidBulkLength      Error = "ERR Protocol error: invalid bulk length"
	ErrUnauthMultibulkLength  Error = "ERR Protocol error: unauthenticated multibulk length"
	ErrUnauthBulkLength       Error = "ERR Protocol error: unauthenticated bulk length"
	ErrTooBigInline           Error = "ERR Protocol error: too big inline request"
	ErrTooBigMbulkCount       Error = "ERR Protocol error: too big mbulk count string"
	ErrTooBigBulkCount        Error = "ERR Protocol error: too big bulk count string"
	ErrUnbalancedQuotes       Error = "ERR Protocol error: unbalanced quotes in request"
)

// ErrExpectedBulk is the protocol error for an argument that does not start
// with '$'.
func ErrExpectedBulk(got byte) Error {
	return Error("ERR Protocol error: expected '$', got '" + string([]byte{got}) + "'")
}

// ErrSubscribed is the error for a command that cannot be used between SUBSCRIBE and
// UNSUBSCRIBE in RESP2. name is the command's, as Redis prints it: with its
// subcommand.
func ErrSubscribed(name string) Error {
	return Error("ERR Can't execute '" + name + "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context")
}

// ErrWrongArity is the reply to a known command with too few or too many
// arguments; name is the full name in lower case ("get", "client|kill").
func ErrWrongArity(name string) Error {
	return Error("ERR wrong number of arguments for '" + name + "' command")
}

// ErrInvalidExpire is the reply to an expiry that is zero, negative or too
// far away; name is the command in lower case.
func ErrInvalidExpire(name string) Error {
	return Error("ERR invalid expire time in '" + name + "' command")
}

// Redis cuts what it quotes back to this many bytes.
const maxQuoted = 128

// ErrUnknownSubcommand is the reply to a subcommand that its container does not
// have; container is in lower case.
func ErrUnknownSubcommand(sub []byte, container string) Error {
	return Error("ERR unknown subcommand '" + quoted(sub) + "'. Try " + strings.ToUpper(container) + " HELP.")
}

// ErrSubcommandSyntax is the reply of a container's handler to arguments of a
// subcommand that it cannot make sense of.
func ErrSubcommandSyntax(sub []byte, container string) Error {
	return Error("ERR unknown subcommand or wrong number of arguments for '" + quoted(sub) + "'. Try " + strings.ToUpper(container) + " HELP.")
}

// ErrUnknownCommand is the reply to a command that the server does not have.
// Like Redis it quotes the beginning of the arguments, 128 bytes in all.
func ErrUnknownCommand(args [][]byte) Error {
	var b strings.Builder
	b.WriteString("ERR unknown command '")
	b.WriteString(quoted(args[0]))
	b.WriteString("', with args beginning with: ")
	rest := 0
	for _, a := range args[1:] {
		if rest >= maxQuoted {
			break
		}
		before := b.Len()
		b.WriteByte('\'')
		b.WriteString(cString(a, maxQuoted-rest))
		b.WriteString("' ")
		rest += b.Len() - before
	}
	return Error(b.String())
}

func quoted(b []byte) string { return cString(b, maxQuoted) }

// cString returns at most max bytes of b, up to the first NUL: Redis formats
// these texts with C's %.*s.
func cString(b []byte, max int) string {
	if len(b) > max {
		b = b[:max]
	}
	for i, c := range b {
		if c == 0 {
			b = b[:i]
			break
		}
	}
	return string(b)
}

// Errors about slots, those of Redis Cluster.
const ErrCrossSlot Error = "CROSSSLOT Keys in request don't hash to the same slot"

// ErrMoved sends a client to the node that serves a slot; addr is host:port.
func ErrMoved(slot, addr string) Error {
	return Error("MOVED " + slot + " " + addr)
}
