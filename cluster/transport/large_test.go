package transport

import (
	"bytes"
	"errors"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// largeMessage has entries on both sides of largeEntryBytes, and one without data.
func largeMessage() *pb.Message {
	m := &pb.Message{
		Type: pb.MsgApp.Enum(), From: new(uint64(1)), To: new(uint64(2)), Term: new(uint64(7)), LogTerm: new(uint64(6)),
		Index: new(uint64(99)), Commit: new(uint64(0)), Context: []byte("c"),
	}
	for i, n := range []int{largeEntryBytes, 0, largeEntryBytes - 1, 3 * largeEntryBytes, 5} {
		e := &pb.Entry{Term: new(uint64(7)), Index: new(uint64(100 + i)), Data: bytes.Repeat([]byte{byte('a' + i)}, n)}
		if i == 1 {
			e.Data, e.Type = nil, pb.EntryConfChangeV2.Enum()
		}
		m.Entries = append(m.Entries, e)
	}
	return m
}

// TestLargeMessage: in parts or not, it is protobuf's encoding, and large data is
// not copied.
func TestLargeMessage(t *testing.T) {
	m := largeMessage()
	parts := messageParts(m, proto.Size(m))
	shared := 0
	for _, part := range parts {
		for _, e := range m.GetEntries() {
			if len(e.Data) >= largeEntryBytes && len(part) > 0 && &part[0] == &e.Data[0] {
				shared++
			}
		}
	}
	if shared != 2 {
		t.Errorf("%d parts are the data of entries", shared)
	}
	b := bytes.Join(parts, nil)
	plain := new(pb.Message)
	if err := proto.Unmarshal(b, plain); err != nil || !proto.Equal(plain, m) {
		t.Errorf("protobuf decodes something else: %v", err)
	}
	whole, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	for _, encoded := range [][]byte{b, whole} {
		for _, owned := range []bool{true, false} {
			got, err := parseMessage(encoded, owned)
			if err != nil || !proto.Equal(got, m) {
				t.Errorf("owned %v: something else is decoded: %v", owned, err)
			}
			encoded[len(encoded)-1]++ // the last byte of the last entry's data, which is small
			if !proto.Equal(got, m) {
				t.Errorf("owned %v: small data is shared", owned)
			}
			encoded[len(encoded)-1]--
		}
	}
	for _, cut := range []int{largeEntryBytes, largeEntryBytes + 20, len(b) - 1} {
		if _, err := parseMessage(b[:cut], true); !errors.Is(err, ErrFormat) {
			t.Errorf("cut at %d: %v", cut, err)
		}
	}
	small := &pb.Message{Type: pb.MsgHeartbeat.Enum(), Term: new(uint64(3))}
	if parts := messageParts(small, proto.Size(small)); len(parts) != 1 {
		t.Errorf("a small message in %d parts", len(parts))
	}
}

// TestLargeMessageIsSent: it arrives as it was sent.
func TestLargeMessageIsSent(t *testing.T) {
	a, b := listen(t, 1, nil), listen(t, 2, nil)
	meet(t, a, b)
	m := largeMessage()
	a.Send(0, []*pb.Message{m})
	b.wait("the message", func() bool { return len(b.received) == 1 })
	if got := b.received[0].msg; !proto.Equal(got, m) {
		t.Error("another message arrived")
	}
}
