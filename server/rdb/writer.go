package rdb

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// Writer writes an RDB file. After the first error it does nothing; Close returns it.
type Writer struct {
	w   *bufio.Writer
	sum uint64
	out []byte
	err error
}

// NewWriter writes the header to w.
func NewWriter(w io.Writer) *Writer {
	f := &Writer{w: bufio.NewWriterSize(w, bufferBytes)}
	f.write(fmt.Appendf(nil, "%s%04d", magic, Version))
	return f
}

func (f *Writer) write(b []byte) {
	if f.err == nil {
		f.sum = updateSum(f.sum, b)
		_, f.err = f.w.Write(b)
	}
}

// Aux says something about the file.
func (f *Writer) Aux(name, value string) {
	f.write(AppendString(AppendString([]byte{codeAux}, []byte(name)), []byte(value)))
}

// Function writes the source text of a library of functions. It stands before all keys.
func (f *Writer) Function(code []byte) { f.write(AppendFunction(nil, code)) }

// Select says that what follows is of a database, of about so many keys, some of them
// with an expiry.
func (f *Writer) Select(db int, keys, expiring uint64) {
	b := AppendLength([]byte{codeSelectDB}, uint64(db))
	b = AppendLength(append(b, codeResizeDB), keys)
	f.write(AppendLength(b, expiring))
}

// Key writes a key of the selected database with its value, as PayloadValue returns
// it; expireAt is Unix time in ms, 0: never. The error is the first that there was.
func (f *Writer) Key(key []byte, t Type, value []byte, expireAt int64) error {
	b := f.out[:0]
	if expireAt != 0 {
		b = binary.LittleEndian.AppendUint64(append(b, codeExpireMS), uint64(expireAt))
	}
	b = AppendString(append(b, byte(t)), key)
	f.write(b)
	f.write(value)
	f.out = b
	return f.err
}

// Close writes the end of the file. It does not close what was written to.
func (f *Writer) Close() error {
	f.write([]byte{codeEnd})
	f.write(binary.LittleEndian.AppendUint64(nil, f.sum))
	if f.err != nil {
		return f.err
	}
	return f.w.Flush()
}
