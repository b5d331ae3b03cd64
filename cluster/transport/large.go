package transport

import (
	"fmt"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// The data of a large entry is sent from where it is, and left where it arrived.
// Protobuf would copy it at both ends, on the goroutines that also send and take
// heartbeats: for hundreds of MiB that lasts longer than an election timeout. What
// goes over the wire is protobuf's encoding all the same.

// largeEntryBytes is from where an entry's data is not copied.
const largeEntryBytes = 1 << 20

// Numbers of fields in raft.proto.
const (
	messageEntries protowire.Number = 7
	entryData      protowire.Number = 4
)

// messageParts returns the encoding of a message, size bytes in all. The data of
// large entries are parts of their own, which must not be changed.
func messageParts(m *pb.Message, size int) [][]byte {
	large := false
	for _, e := range m.GetEntries() {
		large = large || len(e.GetData()) >= largeEntryBytes
	}
	if !large {
		return [][]byte{appendMessage(make([]byte, 0, size), m, size)}
	}
	others := new(pb.Message)
	m.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if f.Number() != messageEntries {
			others.ProtoReflect().Set(f, v)
		}
		return true
	})
	var parts [][]byte
	b := mustMarshal(nil, others)
	for _, e := range m.GetEntries() {
		head := &pb.Entry{Type: e.Type, Term: e.Term, Index: e.Index, Data: e.Data}
		b = protowire.AppendTag(b, messageEntries, protowire.BytesType)
		if len(e.Data) < largeEntryBytes {
			b = mustMarshal(protowire.AppendVarint(b, uint64(proto.Size(head))), head)
			continue
		}
		head.Data = nil
		bytes := proto.Size(head) + protowire.SizeTag(entryData) + protowire.SizeBytes(len(e.Data))
		b = mustMarshal(protowire.AppendVarint(b, uint64(bytes)), head)
		b = protowire.AppendTag(b, entryData, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(len(e.Data)))
		parts = append(parts, b, e.Data)
		b = nil
	}
	parts = append(parts, b)
	for _, part := range parts {
		size -= len(part)
	}
	if size != 0 {
		panic("transport: a raft message was changed after Send")
	}
	return parts
}

func mustMarshal(b []byte, m proto.Message) []byte {
	b, err := proto.MarshalOptions{}.MarshalAppend(b, m)
	if err != nil {
		panic("transport: a raft message cannot be marshaled: " + err.Error()) // see appendMessage
	}
	return b
}

// parseMessage decodes a raft message. When b is owned the data of large entries
// are parts of it. The error wraps ErrFormat.
func parseMessage(b []byte, owned bool) (*pb.Message, error) {
	m := new(pb.Message)
	if !owned || len(b) < largeEntryBytes {
		return m, wireError(proto.Unmarshal(b, m))
	}
	var entries []*pb.Entry
	others, err := splitFields(b, messageEntries, func(v []byte) error {
		e, err := parseEntry(v)
		entries = append(entries, e)
		return err
	})
	if err != nil {
		return nil, err
	}
	err = proto.Unmarshal(others, m)
	m.Entries = entries
	return m, wireError(err)
}

func parseEntry(b []byte) (*pb.Entry, error) {
	e := new(pb.Entry)
	if len(b) < largeEntryBytes {
		return e, wireError(proto.Unmarshal(b, e))
	}
	var data []byte
	others, err := splitFields(b, entryData, func(v []byte) error {
		data = v
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = proto.Unmarshal(others, e)
	e.Data = data
	return e, wireError(err)
}

// splitFields calls f for the values of a field of bytes, parts of b, and returns
// the other fields.
func splitFields(b []byte, number protowire.Number, f func(v []byte) error) (others []byte, err error) {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeField(b)
		if n < 0 {
			return nil, wireError(protowire.ParseError(n))
		}
		field := b[:n]
		b = b[n:]
		if num != number || typ != protowire.BytesType {
			others = append(others, field...)
			continue
		}
		_, _, head := protowire.ConsumeTag(field)
		v, _ := protowire.ConsumeBytes(field[head:])
		if err := f(v[:len(v):len(v)]); err != nil {
			return nil, err
		}
	}
	return others, nil
}

func wireError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrFormat, err)
}
