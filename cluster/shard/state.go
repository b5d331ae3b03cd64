package shard

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"dkv/cluster/raftlog"
	"dkv/engine"
	"dkv/engine/keyspace"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// The shard's own records beside the keyspace's.
//
//	"sapplied"   8 bytes big endian: index of the last applied entry. The first
//	             record of every batch.
//	"sconf"      the membership after that entry, raftpb.ConfState
//
// Both are of the same moment as the data, so what a crash leaves, and what a raft
// snapshot carries, needs nothing else to go on from.
var (
	positionKey = []byte("sapplied")
	confKey     = []byte("sconf")
)

// state is an engine and what is kept in memory beside it. A raft snapshot
// replaces both; who reads the old ones goes on with them until it is done.
type state struct {
	eng engine.Engine
	ks  *keyspace.Keyspace
	// refs counts those who use it, and one as long as it is the shard's. At zero
	// the engine is given back.
	refs   atomic.Int64
	retire func()
}

func newState(eng engine.Engine, notifier *keyspace.Notifier, retire func()) (*state, error) {
	ks, err := keyspace.Open(eng)
	if err != nil {
		return nil, fmt.Errorf("shard: open keyspace: %w", err)
	}
	ks.SetNotifier(notifier)
	st := &state{eng: eng, ks: ks, retire: retire}
	st.refs.Store(1)
	return st, nil
}

// Release ends a use of the state.
func (st *state) Release() {
	if st.refs.Add(-1) == 0 {
		st.retire()
	}
}

// acquire returns the present state, which the caller must Release.
func (s *Shard) acquire() *state {
	for {
		st := s.state.Load()
		for {
			n := st.refs.Load()
			if n == 0 {
				break // replaced meanwhile
			}
			if st.refs.CompareAndSwap(n, n+1) {
				return st
			}
		}
	}
}

// readPosition returns zero for an engine that nothing was ever applied to: that
// of a member which has just joined.
func readPosition(r engine.Reader) (raftlog.Index, error) {
	v, found, err := r.Get(nil, positionKey)
	if err != nil {
		return 0, fmt.Errorf("shard: read position: %w", err)
	}
	if !found {
		return 0, nil
	}
	if len(v) != 8 {
		return 0, fmt.Errorf("shard: position of %d bytes", len(v))
	}
	return raftlog.Index(binary.BigEndian.Uint64(v)), nil
}

// readConf returns nil when the engine has no record of the membership.
func readConf(r engine.Reader) (*pb.ConfState, error) {
	v, found, err := r.Get(nil, confKey)
	if err != nil {
		return nil, fmt.Errorf("shard: read membership: %w", err)
	}
	if !found {
		return nil, nil
	}
	cs := &pb.ConfState{}
	if err := proto.Unmarshal(v, cs); err != nil {
		return nil, fmt.Errorf("shard: decode membership: %w", err)
	}
	return cs, nil
}

func putPosition(b *engine.Batch, index raftlog.Index) {
	var v [8]byte
	binary.BigEndian.PutUint64(v[:], uint64(index))
	b.Put(positionKey, v[:])
}

func putConf(b *engine.Batch, cs *pb.ConfState) error {
	v, err := proto.Marshal(cs)
	if err != nil {
		return fmt.Errorf("shard: encode membership: %w", err)
	}
	b.Put(confKey, v)
	return nil
}

// Create readies an empty engine: its position becomes index and its members cs,
// durably. The log of a new shard starts after that index too.
func Create(e engine.Engine, index raftlog.Index, cs *pb.ConfState) error {
	var b engine.Batch
	putPosition(&b, index)
	if err := putConf(&b, cs); err != nil {
		return err
	}
	if err := e.Apply(b.Repr()); err != nil {
		return fmt.Errorf("shard: create: %w", err)
	}
	if err := e.Flush(); err != nil {
		return fmt.Errorf("shard: create: %w", err)
	}
	return nil
}
