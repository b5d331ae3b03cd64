package server

import (
	"encoding/binary"
	"errors"
	"slices"

	"dkv/engine/keyspace"
	"dkv/resp"
	"dkv/server/command"
)

// What a node asks of a shard's leader, and its answer. Numbers are uvarints
// where no width is given; a string is its length and its bytes.
//
//	request = version(1 byte) flags(1 byte) [ticket(16 bytes)] [user(string) rules(string)] [writer(24 bytes)]
//	          [callers { user(string) rules(string) }]
//	          maxString maxReply
//	          watches { db since at key-string }
//	          calls { db proto(1 byte) [caller] args { string } }
//
//	answer  = version(1 byte) flags(1 byte) hits misses
//	          calls { nanos<<1|failed reply-length }
//	          replies(bytes, one after the other, to the end)
//
// The name of a command is its first argument, as the client sent it: the leader
// looks it up in its own table. The ticket is there when the only call may wait for
// keys. With requestWithdraws nothing comes after it: the request of that ticket is
// withdrawn, and the answer is empty. With requestKillsScript or requestKillsFunction nothing
// comes after the flags: a script or function of that node is ended, and the answer is
// killedAnswer, or the error. An answer may have fewer calls than its request,
// which were not run then: see shardRequest. at is Unix time in ms.
//
// A transaction whose commands are run for different users, since AUTH is among them, has
// version 2: it names them, and each call who it is run for, from 1; 0 is somebody who may
// do everything. A node that does not know of that refuses it.
const (
	forwardVersion        = 1
	forwardVersionCallers = 2

	requestNoTouch   = 1 << 0 // flags of a request
	requestBlocks    = 1 << 1
	requestWithdraws = 1 << 2
	requestCaller    = 1 << 3 // who it is done for may not do everything, and a command asks
	requestWriter    = 1 << 4 // writer is there: who is not to be told of its own changes

	requestKillsScript   = 1 << 5
	requestKillsFunction = 1 << 6

	answerAborted = 1 << 0 // flags of an answer: a watched key has changed
)

// errForward says that a forwarded request, or the answer to one, is not what
// it must be: the other node has another version, or a bug.
var errForward = errors.New("ERR a request between nodes was not understood")

// appendRequest appends the part of r that is next.
func appendRequest(b []byte, r *shardRequest) []byte {
	flags := byte(0)
	if r.noTouch {
		flags |= requestNoTouch
	}
	if r.blocks {
		flags |= requestBlocks
	}
	version := byte(forwardVersion)
	callers, several := r.callers()
	limited := len(callers) > 0 && !several
	if limited {
		flags |= requestCaller
	}
	if several {
		version = forwardVersionCallers
	}
	named := r.writer != writerName{}
	if named {
		flags |= requestWriter
	}
	b = append(b, version, flags)
	if r.blocks {
		b = append(b, r.ticket[:]...)
	}
	if limited {
		b = callers[0].appendTo(b)
	}
	if named {
		b = append(b, r.writer[:]...)
	}
	if several {
		b = binary.AppendUvarint(b, uint64(len(callers)))
		for _, who := range callers {
			b = who.appendTo(b)
		}
	}
	b = binary.AppendUvarint(b, uint64(max(r.maxString, 0)))
	b = binary.AppendUvarint(b, uint64(r.maxReply))
	b = binary.AppendUvarint(b, uint64(len(r.watch)))
	for i := range r.watch {
		w := &r.watch[i]
		b = binary.AppendUvarint(b, uint64(w.db))
		b = binary.AppendUvarint(b, w.since)
		b = binary.AppendUvarint(b, uint64(w.at))
		b = appendString(b, w.key)
	}
	b = binary.AppendUvarint(b, uint64(len(r.calls)-r.from))
	for i := r.from; i < len(r.calls); i++ {
		k := &r.calls[i]
		b = binary.AppendUvarint(b, uint64(k.db))
		b = append(b, byte(k.proto))
		if several {
			b = binary.AppendUvarint(b, uint64(slices.Index(callers, r.callerOf(k))+1))
		}
		b = binary.AppendUvarint(b, uint64(len(k.args)))
		for _, a := range k.args {
			b = appendString(b, a)
		}
	}
	return b
}

// appendTo appends name and rules of a caller.
func (k *caller) appendTo(b []byte) []byte {
	b = appendString(b, []byte(k.user.Name()))
	return appendString(b, k.user.AppendRecord(nil))
}

// appendWithdrawal appends a request that withdraws another.
func appendWithdrawal(b []byte, t ticket) []byte {
	return append(append(b, forwardVersion, requestWithdraws), t[:]...)
}

// requestSize is about the length of what appendRequest appends.
func requestSize(r *shardRequest) int {
	n := 64
	for i := range r.watch {
		n += 32 + len(r.watch[i].key)
	}
	for i := r.from; i < len(r.calls); i++ {
		n += 8
		for _, a := range r.calls[i].args {
			n += 5 + len(a)
		}
	}
	return n
}

// parseRequest puts a forwarded request into r, which is empty. Arguments point
// into b. Every call is in the command table, has the right number of arguments
// and is about keys. The error is errForward.
func parseRequest(r *shardRequest, b []byte) error {
	p := payload{b: b}
	version := p.octet()
	if version != forwardVersion && version != forwardVersionCallers {
		return errForward
	}
	several := version == forwardVersionCallers
	flags := p.octet()
	r.noTouch, r.blocks, r.withdraws = flags&requestNoTouch != 0, flags&requestBlocks != 0, flags&requestWithdraws != 0
	if r.blocks || r.withdraws {
		r.ticket = p.ticket()
	}
	if r.withdraws {
		if p.bad || len(p.b) != 0 || flags != requestWithdraws || several {
			return errForward
		}
		return nil
	}
	if r.kills = killKindOf(flags); r.kills != killNone {
		if p.bad || len(p.b) != 0 || several {
			return errForward
		}
		return nil
	}
	if flags&requestCaller != 0 {
		r.onBehalf = append(r.onBehalf, [2][]byte{p.string(), p.string()})
	}
	if r.writer = (writerName{}); flags&requestWriter != 0 {
		p.fixed(r.writer[:])
	}
	if several {
		r.byCall = []int{}
		for n := p.count(); n > 0 && !p.bad; n-- {
			r.onBehalf = append(r.onBehalf, [2][]byte{p.string(), p.string()})
		}
	}
	r.maxString = int64(p.number(1 << 62))
	r.maxReply = int(p.number(1 << 30))
	for n := p.count(); n > 0 && !p.bad; n-- {
		w := watched{db: p.database(), since: p.uvarint(), at: int64(p.number(1 << 62)), key: p.string()}
		r.watch = append(r.watch, w)
	}
	for n := p.count(); n > 0 && !p.bad; n-- {
		k := call{db: p.database(), proto: int(p.octet())}
		if several {
			r.byCall = append(r.byCall, int(p.number(uint64(len(r.onBehalf)))))
		}
		first := len(r.argv)
		for args := p.count(); args > 0 && !p.bad; args-- {
			r.argv = append(r.argv, p.string())
		}
		k.args = r.argv[first:len(r.argv):len(r.argv)]
		if k.spec = knownCall(k.args); k.spec == nil || k.proto != 2 && k.proto != 3 {
			return errForward
		}
		r.calls = append(r.calls, k)
	}
	if p.bad || len(p.b) != 0 || len(r.calls)+len(r.watch) == 0 ||
		r.blocks && (len(r.calls) != 1 || len(r.watch) != 0) || several && flags&(requestCaller|requestBlocks) != 0 {
		return errForward
	}
	return nil
}

// knownCall returns the row of a command about keys, nil when args are not one.
func knownCall(args [][]byte) *command.Spec {
	if len(args) == 0 {
		return nil
	}
	spec := command.Lookup(args[0])
	if spec != nil && spec.Subcommands != nil && len(args) > 1 {
		spec = spec.Sub(args[1])
	}
	if spec == nil || spec.Handler == nil && spec.Effect == nil || !spec.GoodArity(len(args)) {
		return nil
	}
	return spec
}

// appendAnswer appends how r, which was evaluated, went.
func appendAnswer(b []byte, r *shardRequest) []byte {
	flags := byte(0)
	if r.aborted {
		flags |= answerAborted
	}
	b = append(b, forwardVersion, flags)
	b = binary.AppendUvarint(b, r.hits)
	b = binary.AppendUvarint(b, r.misses)
	b = binary.AppendUvarint(b, uint64(r.done-r.from))
	start := r.mark
	for i := r.from; i < r.done; i++ {
		k := &r.calls[i]
		n := uint64(max(k.nanos, 0)) << 1
		if k.failed {
			n |= 1
		}
		b = binary.AppendUvarint(b, n)
		b = binary.AppendUvarint(b, uint64(k.end-start))
		start = k.end
	}
	return append(b, r.out.Buf[r.mark:start]...)
}

// answerSize is a bound of the length of what appendAnswer appends, and not above
// it by much.
func answerSize(r *shardRequest) int {
	return 64 + 16*(r.done-r.from) + len(r.out.Buf) - r.mark
}

// parseAnswer puts the answer to r into it, as eval would have left it. The
// error is errForward; r then has no replies.
func parseAnswer(r *shardRequest, b []byte) error {
	r.out.Buf = r.out.Buf[:r.mark]
	r.done = r.from
	p := payload{b: b}
	if p.octet() != forwardVersion {
		return errForward
	}
	r.aborted = p.octet()&answerAborted != 0
	r.hits, r.misses = p.uvarint(), p.uvarint()
	n := p.count()
	if p.bad || n > len(r.calls)-r.from || n == 0 && len(r.calls) > r.from && !r.aborted {
		return errForward
	}
	end := r.mark
	for i := r.from; i < r.from+n; i++ {
		k := &r.calls[i]
		v := p.uvarint()
		k.nanos, k.failed = int64(v>>1), v&1 != 0
		end += int(p.number(uint64(len(b))))
		k.end = end
	}
	if p.bad || end-r.mark != len(p.b) {
		return errForward
	}
	r.out.Buf = append(r.out.Buf, p.b...)
	r.done = r.from + n
	return nil
}

func appendString(b, s []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// payload is what is left to parse. Once it is bad it yields zeros.
type payload struct {
	b   []byte
	bad bool
}

func (p *payload) fail() {
	p.b, p.bad = nil, true
}

func (p *payload) octet() byte {
	if len(p.b) == 0 {
		p.fail()
		return 0
	}
	v := p.b[0]
	p.b = p.b[1:]
	return v
}

func (p *payload) uvarint() uint64 {
	v, n := binary.Uvarint(p.b)
	if n <= 0 {
		p.fail()
		return 0
	}
	p.b = p.b[n:]
	return v
}

// number is a uvarint of at most limit.
func (p *payload) number(limit uint64) uint64 {
	v := p.uvarint()
	if v > limit {
		p.fail()
		return 0
	}
	return v
}

// count is how many of something follow, each of which takes a byte at least.
func (p *payload) count() int {
	v := p.uvarint()
	if v > uint64(len(p.b)) {
		p.fail()
		return 0
	}
	return int(v)
}

func (p *payload) ticket() (t ticket) {
	p.fixed(t[:])
	return t
}

// fixed fills dst.
func (p *payload) fixed(dst []byte) {
	if len(p.b) < len(dst) {
		p.fail()
		return
	}
	p.b = p.b[copy(dst, p.b):]
}

func (p *payload) database() int { return int(p.number(keyspace.Databases - 1)) }

func (p *payload) string() []byte {
	n := p.count()
	s := p.b[:n:n]
	p.b = p.b[n:]
	return s
}

// errorLine returns the text of a reply that is an error, without its '-' and
// the line's end.
func errorLine(reply []byte) string {
	if len(reply) < 3 || reply[0] != '-' {
		return string(resp.ErrInternal)
	}
	return string(reply[1 : len(reply)-2])
}
