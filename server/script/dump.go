package script

import (
	"encoding/binary"
	"errors"
	"hash/crc64"
	"strings"
	"time"

	"dkv/resp"
	"dkv/server/command"
)

// What FUNCTION DUMP returns, a piece of Redis's RDB format:
//
//	{ 245  string } version(2 bytes) CRC64(8 bytes)
//
// A string is the source text of a library: its length and its bytes, or compressed.
// Numbers at the end are little endian; the sum is of all before it.
const (
	opFunction   = 245
	dumpVersion  = 10 // what Redis 7.0 writes and 7.2 reads
	readsVersion = 11
	dumpFooter   = 2 + 8
)

const errBadDump resp.Error = "ERR DUMP payload version or checksum are wrong"

// jones is the table of the polynomial that Redis uses, bits reversed.
var jones = crc64.MakeTable(0x95ac9329ac4bc9b5)

// crc is Redis's CRC64: it begins with 0 and is not inverted, unlike package crc64's.
func crc(b []byte) uint64 { return ^crc64.Update(^uint64(0), jones, b) }

// dumpLibraries is FUNCTION DUMP.
func (e *Engine) dumpLibraries(c *command.Ctx) error {
	libs, err := readLibraries(c.Tx)
	if err != nil {
		return err
	}
	var b []byte
	for i := range libs {
		b = appendLength(append(b, opFunction), len(libs[i].code))
		b = append(b, libs[i].code...)
	}
	b = binary.LittleEndian.AppendUint16(b, dumpVersion)
	c.Out.Bulk(binary.LittleEndian.AppendUint64(b, crc(b)))
	return nil
}

// appendLength appends a length as RDB files have it.
func appendLength(b []byte, n int) []byte {
	switch {
	case n < 1<<6:
		return append(b, byte(n))
	case n < 1<<14:
		return append(b, 0x40|byte(n>>8), byte(n))
	}
	return binary.BigEndian.AppendUint32(append(b, 0x80), uint32(n))
}

// parseDump returns the source texts in a dump.
func parseDump(b []byte) (codes []string, err error) {
	if len(b) < dumpFooter {
		return nil, errBadDump
	}
	body, foot := b[:len(b)-dumpFooter], b[len(b)-dumpFooter:]
	if binary.LittleEndian.Uint16(foot) > readsVersion || binary.LittleEndian.Uint64(foot[2:]) != crc(b[:len(b)-8]) {
		return nil, errBadDump
	}
	total := 0
	for len(body) > 0 {
		if body[0] != opFunction {
			return nil, resp.Error("ERR given type is not a function")
		}
		var code string
		var ok bool
		if code, body, ok = parseText(body[1:]); !ok {
			return nil, resp.Error("ERR Failed loading library code")
		}
		if total += len(code); total > maxLibraryBytes {
			return nil, errTooManyLibBytes
		}
		codes = append(codes, code)
	}
	return codes, nil
}

// parseText reads a string; ok is false when it is cut short or of another kind.
func parseText(b []byte) (text string, rest []byte, ok bool) {
	const compressed = 0xc3
	if len(b) > 0 && b[0] == compressed {
		packed, b, ok := parseLength(b[1:])
		if !ok {
			return "", nil, false
		}
		size, b, ok := parseLength(b)
		if !ok || packed > len(b) || size > maxLibraryBytes {
			return "", nil, false
		}
		plain, ok := expand(b[:packed], size)
		return string(plain), b[packed:], ok
	}
	n, b, ok := parseLength(b)
	if !ok || n > len(b) {
		return "", nil, false
	}
	return string(b[:n]), b[n:], true
}

func parseLength(b []byte) (n int, rest []byte, ok bool) {
	switch {
	case len(b) == 0:
	case b[0] < 1<<6:
		return int(b[0]), b[1:], true
	case b[0] < 1<<7 && len(b) >= 2:
		return int(b[0]&0x3f)<<8 | int(b[1]), b[2:], true
	case b[0] == 0x80 && len(b) >= 5:
		return int(binary.BigEndian.Uint32(b[1:])), b[5:], true
	}
	return 0, nil, false
}

// expand undoes LZF: runs of literal bytes, and references to what came before.
func expand(b []byte, size int) ([]byte, bool) {
	var out []byte
	for i := 0; i < len(b); {
		c := int(b[i])
		i++
		if c < 1<<5 {
			if i+c+1 > len(b) {
				return nil, false
			}
			out = append(out, b[i:i+c+1]...)
			i += c + 1
			continue
		}
		n := c >> 5
		if n == 7 {
			if i >= len(b) {
				return nil, false
			}
			n += int(b[i])
			i++
		}
		if i >= len(b) {
			return nil, false
		}
		from := len(out) - (c&0x1f)<<8 - int(b[i]) - 1
		i++
		if n += 2; from < 0 || len(out)+n > size {
			return nil, false
		}
		for k := range n {
			out = append(out, out[from+k])
		}
	}
	return out, len(out) == size
}

// restoreLibraries is FUNCTION RESTORE payload [FLUSH|APPEND|REPLACE].
func (e *Engine) restoreLibraries(c *command.Ctx) error {
	if len(c.Args) > 4 {
		return resp.ErrSubcommandSyntax(c.Args[1], "function")
	}
	policy := "append"
	if len(c.Args) == 4 {
		policy = strings.ToLower(string(c.Args[3]))
	}
	if policy != "flush" && policy != "append" && policy != "replace" {
		return resp.Error("ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.")
	}
	codes, err := parseDump(c.Args[2])
	if err != nil {
		return err
	}
	if policy == "flush" {
		if err := deleteRecords(c, libraryRecords); err != nil {
			return err
		}
	}
	for _, code := range codes {
		_, err := e.install(c, code, policy == "replace")
		var there alreadyThere
		if errors.As(err, &there) {
			return resp.Error("ERR Library " + string(there) + " already exists")
		}
		if err != nil {
			return err
		}
	}
	if err := writeDigest(c.Tx); err != nil {
		return err
	}
	c.Out.OK()
	return nil
}

// replyRunning replies what is being run: its name, the command and how long.
func (e *Engine) replyRunning(w *resp.Writer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for r := range e.mu.running {
		if !r.function {
			continue
		}
		w.Map(3)
		w.BulkString("name")
		w.BulkString(r.name)
		w.BulkString("command")
		w.Array(len(r.x.Args))
		for _, a := range r.x.Args {
			w.Bulk(a)
		}
		w.BulkString("duration_ms")
		w.Int(time.Since(r.began).Milliseconds())
		return
	}
	w.Null()
}
