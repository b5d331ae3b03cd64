package replica

import (
	"errors"
	"reflect"
	"testing"

	"dkv/cluster/shard"
)

func TestRequests(t *testing.T) {
	for _, r := range []Request{
		{Version: ProtocolVersion},
		{Version: ProtocolVersion, Shards: 4, Shard: 3},
		{Version: ProtocolVersion, Shards: 1, From: shard.SourcePosition{History: "abc", Position: shard.Position{Index: 1 << 60, Term: 7}}},
		{Version: ProtocolVersion, Shards: 1, CopyID: "f00", Place: []byte{0, 255}},
		{Version: ProtocolVersion, Shards: 1, CopyID: "f00", Place: []byte{}},
	} {
		got, err := ParseRequest(r.args())
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%+v came back as %+v, %v", r, got, err)
		}
	}
	long := append((&Request{CopyID: "1"}).args(), "what a later version says")
	if _, err := ParseRequest(long); err != nil {
		t.Errorf("with more than is known: %v", err)
	}
	for _, bad := range [][]string{
		nil, {""}, {"x"}, {"1"}, {"1", "1", "0", "?", "0"}, {"1", "-1", "0", "?", "0", "0"}, {"1", "1", "x", "?", "0", "0"},
		{"1", "1", "0", "?", "", "0"}, {"1", "1", "0", "?", "0", "1e3"}, {"1", "70000", "0", "?", "0", "0"},
		{"1", "1", "0", "?", "0", "0", "id", "no hex"},
	} {
		if r, err := ParseRequest(bad); !errors.Is(err, ErrRequest) {
			t.Errorf("%q: %+v, %v", bad, r, err)
		}
	}
	if _, err := ParseRequest([]string{"2", "anything"}); !errors.Is(err, ErrVersion) {
		t.Errorf("another version: %v", err)
	}
}
