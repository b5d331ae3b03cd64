package main

import "strconv"

const (
	keyDigits = 12
	keyPrefix = "key:" // key:000000000042, the keys of redis-benchmark
	keyBytes  = len(keyPrefix) + keyDigits
	maxRange  = 100 // records of YCSB's short scan: 1 to this many
)

// op is an operation that was sent, or is about to be.
type op struct {
	start   int64  // ns since the phase began: when it was to be sent
	key     uint64 // of opRMW
	lookups uint32 // keys that it reads
	part    uint8  // index in workload.parts
	code    opcode // opSet for the second half of an opRMW
}

// generator writes one connection's requests. It belongs to that connection.
type generator struct {
	cfg    *config
	w      *workload
	ks     *keySpace
	keys   picker
	vals   *values
	rnd    *random
	cursor []byte // of opScan
	buf    []byte // requests not yet sent
}

func newGenerator(ph *phase, id int) *generator {
	rnd := newRandom(ph.seed, uint64(id))
	return &generator{
		cfg: ph.cfg, w: &ph.w, ks: &ph.ks, vals: ph.vals, rnd: rnd, cursor: []byte("0"),
		keys: newPicker(ph.dist, ph.cfg.theta, &ph.ks, rnd),
	}
}

// next appends the request of operation number ticket to buf. The caller fills
// in its start.
func (g *generator) next(ticket uint64) op {
	i := 0
	if len(g.w.parts) > 1 {
		for u := g.rnd.float() - g.w.parts[0].share; u >= 0 && i+1 < len(g.w.parts); u -= g.w.parts[i].share {
			i++
		}
	}
	o := op{part: uint8(i), code: g.w.parts[i].op}
	switch o.code {
	case opGet:
		o.lookups = 1
		g.get(g.keys.pick(ticket))
	case opRMW:
		o.lookups = 1
		o.key = g.keys.pick(ticket)
		g.get(o.key)
	case opSet:
		g.set(g.keys.pick(ticket))
	case opInsert:
		g.set(g.ks.base + g.ks.added.Add(1) - 1)
	case opIncr:
		g.buf = append(g.buf, "*2\r\n$4\r\nINCR\r\n"...)
		g.key(g.keys.pick(ticket))
	case opMGet:
		o.lookups = uint32(g.cfg.mgetKeys)
		g.mgetHeader(g.cfg.mgetKeys)
		for i := range g.cfg.mgetKeys {
			g.key(g.keys.pick(ticket*uint64(g.cfg.mgetKeys) + uint64(i)))
		}
	case opRange:
		n := 1 + g.rnd.below(maxRange)
		from := g.keys.pick(ticket)
		n = min(n, g.ks.settled()-from) // the last record has no successors
		o.lookups = uint32(n)
		g.mgetHeader(int(n))
		for i := range n {
			g.key(from + i)
		}
	case opScan:
		g.buf = append(g.buf, "*4\r\n$4\r\nSCAN\r\n"...)
		g.arg(g.cursor)
		g.buf = append(g.buf, "$5\r\nCOUNT\r\n"...)
		g.arg(strconv.AppendInt(nil, int64(g.cfg.scanCount), 10))
	}
	return o
}

// second appends the SET that completes the opRMW o.
func (g *generator) second(o op) op {
	g.set(o.key)
	o.code, o.lookups = opSet, 0
	return o
}

func (g *generator) get(key uint64) {
	g.buf = append(g.buf, "*2\r\n$3\r\nGET\r\n"...)
	g.key(key)
}

func (g *generator) set(key uint64) {
	g.buf = append(g.buf, "*3\r\n$3\r\nSET\r\n"...)
	g.key(key)
	g.arg(g.vals.next(g.rnd))
}

func (g *generator) mgetHeader(keys int) {
	g.buf = strconv.AppendInt(append(g.buf, '*'), int64(keys)+1, 10)
	g.buf = append(g.buf, "\r\n$4\r\nMGET\r\n"...)
}

// key appends the key of record n as an argument.
func (g *generator) key(n uint64) {
	const head = "$16\r\n" + keyPrefix
	b := append(g.buf, head+"000000000000\r\n"...)
	for i := len(b) - 3; n > 0 && i >= len(b)-2-keyDigits; i-- {
		b[i] = '0' + byte(n%10)
		n /= 10
	}
	g.buf = b
}

func (g *generator) arg(s []byte) { g.buf = appendArg(g.buf, s) }

func appendArg(dst, s []byte) []byte {
	dst = append(strconv.AppendInt(append(dst, '$'), int64(len(s)), 10), "\r\n"...)
	return append(append(dst, s...), "\r\n"...)
}

// appendRequest appends a request that is not worth a template.
func appendRequest(dst []byte, words ...string) []byte {
	dst = append(strconv.AppendInt(append(dst, '*'), int64(len(words)), 10), "\r\n"...)
	for _, w := range words {
		dst = appendArg(dst, []byte(w))
	}
	return dst
}
