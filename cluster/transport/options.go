package transport

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"dkv/cluster/consensus"
	"dkv/cluster/raftlog"

	pb "go.etcd.io/raft/v3/raftpb"
)

// ProtocolVersion is what both ends of a stream must speak.
const ProtocolVersion = 1

// Limits of what is sent and taken.
const (
	// MaxBytes is the largest raft message, request, reply or chunk: a log
	// entry of 1 GiB and what is around it.
	MaxBytes = 1<<30 + 64<<20
	// MaxPositionBytes is the longest position in a raft snapshot: a key.
	MaxPositionBytes = 64 << 20
	// maxCalls is how many calls to one peer may be unanswered.
	maxCalls = 1 << 16
)

// Times. A peer's kernel that does not acknowledge for aliveTimeout is taken
// for gone. gRPC's clients ping every 10 s at most; the listening end pings a
// silent connection sooner, and the dialing end seldom is silent.
const (
	dialTimeout      = 2 * time.Second
	handshakeTimeout = 3 * time.Second
	aliveTimeout     = 3 * time.Second
	clientPing       = 10 * time.Second
	serverPing       = 2 * time.Second
	minBackoff       = 50 * time.Millisecond
	maxBackoff       = time.Second
	// steadyLink is how long a connection has to last for the next one to be
	// tried at once when it breaks.
	steadyLink = time.Second
)

// Identity is who a node is.
type Identity struct {
	ClusterID   string
	Node        consensus.NodeID
	Incarnation string // made anew with a node's folder
}

// Peer is where a member listens and which one it is. An empty Incarnation is
// not checked.
type Peer struct {
	Addr        string // host:port
	Incarnation string
}

// TLS names PEM files. Both ends show a certificate that the CA has signed; the
// listener's must be valid for the host it is dialed by. The certificate and
// its key are read anew for each connection, so they can be replaced.
type TLS struct {
	CertFile, KeyFile, CAFile string
}

// CallKind tells the requests of Call apart. Its values are the caller's.
type CallKind uint8

// Options configures a Transport. Zero values mean the defaults.
type Options struct {
	Addr    string // host:port to listen on; port 0: any, see Transport.Addr
	TLS     *TLS   // nil: plain TCP
	Handler Handler
	Logger  *slog.Logger
	Clock   func() time.Time
	// QueueBytes bounds the raft messages that wait for one peer; default
	// 64 MiB. An eighth of it, on top, is only for what is no MsgApp. A message
	// that is larger than the bound is taken when nothing else waits.
	QueueBytes int64
	// MaxCallBytes is the largest request or answer of Call that this node sends;
	// default, and at most, MaxBytes.
	MaxCallBytes int64
	// SnapshotBytesPerSecond limits all raft snapshots that are sent; 0: none.
	SnapshotBytesPerSecond int64
	// Dial is for tests.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
}

// Delivery is raft messages for one shard.
type Delivery struct {
	Shard    raftlog.ShardID
	Messages []*pb.Message
}

// Handler is what a Transport delivers to. Its methods are called concurrently,
// PeerUp and PeerDown of one peer in order. None may call Transport.Close.
type Handler interface {
	// Messages delivers the raft messages of a member that came together, a
	// shard's in the order they were sent, except that MsgApp may be overtaken.
	// It must not block. The messages are the handler's.
	Messages(from consensus.NodeID, list []Delivery)
	// Call answers a request from a member. It runs on a goroutine of its own;
	// ctx ends when the stream breaks or the Transport closes, and Call must
	// return then. The payload is the handler's; the answer is the transport's.
	Call(ctx context.Context, from consensus.NodeID, kind CallKind, shard raftlog.ShardID, payload []byte) ([]byte, error)
	// Admin answers a request from anyone who can connect, member or not. The
	// payload is the handler's.
	Admin(ctx context.Context, method string, payload []byte) ([]byte, error)
	// Snapshot begins or resumes to receive a raft snapshot. For one sender and
	// shard the sink of an earlier stream has been closed before. An error is
	// final for the sender.
	Snapshot(from consensus.NodeID, h *SnapshotHeader) (SnapshotSink, error)
	// PeerUp: messages and calls to the peer flow.
	PeerUp(id consensus.NodeID)
	// PeerDown: they do not. refused: nobody listens at the peer's address, so
	// its process is gone. Called for each change, not for each attempt.
	PeerDown(id consensus.NodeID, refused bool)
	// Removed: a member says that this node was removed from the cluster.
	Removed(by consensus.NodeID)
	// Unknown: a node of this cluster was refused, because it is no member that this
	// node knows of. It must not block.
	Unknown(id consensus.NodeID)
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.QueueBytes == 0 {
		o.QueueBytes = 64 << 20
	}
	if o.MaxCallBytes == 0 {
		o.MaxCallBytes = MaxBytes
	}
	if o.Dial == nil {
		o.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		}
	}
	return o
}

func (o Options) validate() error {
	switch {
	case o.Addr == "":
		return errors.New("transport: Options.Addr is empty")
	case o.Handler == nil:
		return errors.New("transport: Options.Handler is nil")
	case o.QueueBytes < 0 || o.SnapshotBytesPerSecond < 0 || o.MaxCallBytes < 0:
		return errors.New("transport: a negative limit")
	case o.MaxCallBytes > MaxBytes:
		return errors.New("transport: Options.MaxCallBytes is above what others take")
	}
	return nil
}
