package rdb

import (
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
)

// Codes that stand in place of a type.
const (
	codeSlotInfo    = 244
	codeFunction    = 245
	codeFunctionPre = 246 // of a release candidate of Redis 7.0
	codeModuleAux   = 247
	codeIdle        = 248
	codeFreq        = 249
	codeAux         = 250
	codeResizeDB    = 251
	codeExpireMS    = 252
	codeExpire      = 253
	codeSelectDB    = 254
	codeEnd         = 255
)

const (
	magic       = "REDIS"
	headerBytes = len(magic) + 4
	// checksumSince is the first version that ends with a checksum.
	checksumSince = 5
)

// Op says what a Record is.
type Op uint8

const (
	OpKey      Op = iota + 1 // a key: its value must be read next, with Value or Skip
	OpAux                    // Key and Text: what is said about the file
	OpFunction               // Text: the code of a library of functions
	OpModule                 // Key: the name of a module that has data of its own, which is passed over
)

// Record is a part of a file. Its slices are valid until the next one.
type Record struct {
	Op       Op
	DB       int
	Key      []byte
	Text     []byte
	Type     Type
	ExpireAt int64 // Unix time in ms; 0: never
}

// File goes over an RDB file.
type File struct {
	Reader
	Version int
	rec     Record
	db      int
	key     []byte
}

// NewFile returns a File of a stream, of which it reads the header. Errors: ErrFormat,
// ErrVersion, the stream's.
func NewFile(src io.Reader) (*File, error) {
	f := new(File)
	f.src, f.buf = src, make([]byte, bufferBytes)
	b, err := f.bytes(uint64(headerBytes))
	if err != nil {
		return nil, fmt.Errorf("not an RDB file: %w", err)
	}
	if string(b[:len(magic)]) != magic {
		if string(b[:len("VALKEY")]) == "VALKEY" {
			return nil, fmt.Errorf("%w: an RDB file of Valkey 9 or later", ErrVersion)
		}
		return nil, badFormat("not an RDB file")
	}
	if f.Version, err = strconv.Atoi(string(b[len(magic):])); err != nil || f.Version < 1 {
		return nil, badFormat("not an RDB file")
	}
	if f.Version > MaxVersion {
		return nil, fmt.Errorf("%w: RDB version %d, the last one that is known is %d", ErrVersion, f.Version, MaxVersion)
	}
	return f, nil
}

// Offset returns how many bytes of the file have been read.
func (f *File) Offset() int64 { return f.offset() }

// Next returns the next part of the file, io.EOF at its end, when the checksum was
// right.
func (f *File) Next() (*Record, error) {
	rec := &f.rec
	*rec = Record{DB: f.db}
	for {
		code, err := f.byte()
		if err != nil {
			return nil, err
		}
		switch code {
		case codeEnd:
			return nil, f.end()
		case codeSelectDB:
			n, err := f.count()
			if err != nil {
				return nil, err
			}
			if n > 1<<30 {
				return nil, badFormat("database %d", n)
			}
			f.db, rec.DB = int(n), int(n)
		case codeExpireMS:
			if rec.ExpireAt, err = f.millis(); err != nil {
				return nil, err
			}
			rec.ExpireAt = max(rec.ExpireAt, 1)
		case codeExpire:
			b, err := f.bytes(4)
			if err != nil {
				return nil, err
			}
			rec.ExpireAt = max(int64(int32(binary.LittleEndian.Uint32(b)))*1000, 1)
		case codeFreq:
			if _, err := f.byte(); err != nil {
				return nil, err
			}
		case codeIdle, codeResizeDB, codeSlotInfo:
			numbers := map[byte]int{codeIdle: 1, codeResizeDB: 2, codeSlotInfo: 3}[code]
			for range numbers {
				if _, err := f.count(); err != nil {
					return nil, err
				}
			}
		case codeAux, codeFunction, codeModuleAux, codeFunctionPre:
			return f.special(code)
		default:
			rec.Op, rec.Type = OpKey, Type(code)
			if rec.Type.Kind() == 0 {
				return nil, badFormat("a value of type %d at byte %d", code, f.offset()-1)
			}
			key, err := f.str()
			if err != nil {
				return nil, err
			}
			f.key = append(f.key[:0], key...)
			rec.Key = f.key
			return rec, nil
		}
	}
}

// special reads what is no key.
func (f *File) special(code byte) (*Record, error) {
	rec := &f.rec
	switch code {
	case codeFunctionPre:
		return nil, fmt.Errorf("%w: functions of a release candidate of Redis 7.0", ErrVersion)
	case codeModuleAux:
		id, err := f.count()
		if err != nil {
			return nil, err
		}
		rec.Op, rec.Key = OpModule, []byte(moduleName(id))
		return rec, f.skipModule()
	case codeAux:
		key, err := f.str()
		if err != nil {
			return nil, err
		}
		f.key = append(f.key[:0], key...)
		rec.Op, rec.Key = OpAux, f.key
	case codeFunction:
		rec.Op = OpFunction
	}
	var err error
	rec.Text, err = f.str()
	return rec, err
}

// skipModule passes over the data of a module: numbers and strings, each with a code
// before it that says which.
func (f *File) skipModule() error {
	const (
		end, signed, unsigned, float, double, text = 0, 1, 2, 3, 4, 5
	)
	for {
		code, err := f.count()
		if err != nil {
			return err
		}
		switch code {
		case end:
			return nil
		case signed, unsigned:
			_, err = f.count()
		case float:
			_, err = f.bytes(4)
		case double:
			_, err = f.bytes(8)
		case text:
			_, err = f.str()
		default:
			err = badFormat("a module's data")
		}
		if err != nil {
			return err
		}
	}
}

// Value reads the value of the key that Next returned.
func (f *File) Value(emit Emit) error { return f.Reader.Value(f.rec.Type, emit) }

// Payload reads the value of the key that Next returned, checks it, and returns it as a
// payload of DUMP. Errors as of Value, and ErrFormat for one above limit bytes.
func (f *File) Payload(limit int) ([]byte, error) {
	t := f.rec.Type
	f.kept, f.keptTo = []byte{byte(t)}, f.pos
	defer func() { f.kept = nil }()
	err := f.Value(func(*Element) error {
		if len(f.kept) > limit {
			return badFormat("a value of more than %d bytes", limit)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	f.keep()
	return AppendFooter(f.kept, 0), nil
}

// Skip passes over that value, checking it. Errors as of Value, but for values of
// modules, which it can pass over.
func (f *File) Skip() error {
	if f.rec.Type == TypeModule2 {
		if _, err := f.count(); err != nil {
			return err
		}
		return f.skipModule()
	}
	return f.Value(func(*Element) error { return nil })
}

// end checks the checksum.
func (f *File) end() error {
	if f.Version < checksumSince {
		return io.EOF
	}
	f.addSum()
	sum := f.sum
	b, err := f.bytes(8)
	if err != nil {
		return err
	}
	// 0: it was written without.
	if want := binary.LittleEndian.Uint64(b); want != 0 && want != sum {
		return badFormat("the checksum is wrong")
	}
	return io.EOF
}
