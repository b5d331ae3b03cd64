package transport

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// streamKind is an index of streams.
type streamKind uint8

const (
	streamPeer streamKind = iota
	streamCalls
	streamSnapshot
)

const serviceName = "dkv.Transport"

// streams, and the unary method Admin, are what a protoc plugin would make of
//
//	service Transport {
//	  rpc Admin(Frame) returns (Frame);
//	  rpc Peer(stream Frame) returns (stream Frame);
//	  rpc Calls(stream Frame) returns (stream Frame);
//	  rpc Snapshot(stream Frame) returns (stream Frame);
//	}
//
// where a Frame is bytes and nothing else.
var streams = [...]grpc.StreamDesc{
	streamPeer:     {StreamName: "Peer", ClientStreams: true, ServerStreams: true},
	streamCalls:    {StreamName: "Calls", ClientStreams: true, ServerStreams: true},
	streamSnapshot: {StreamName: "Snapshot", ClientStreams: true, ServerStreams: true},
}

func (k streamKind) method() string { return "/" + serviceName + "/" + streams[k].StreamName }

// register makes the server call t.
func (t *Transport) register() {
	desc := grpc.ServiceDesc{
		ServiceName: serviceName,
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Admin", Handler: t.serveAdmin}},
	}
	for k, s := range streams {
		s.Handler = func(_ any, stream grpc.ServerStream) error { return t.serve(streamKind(k), stream) }
		desc.Streams = append(desc.Streams, s)
	}
	t.server.RegisterService(&desc, t)
}

// Windows and buffers of a connection. Fixed windows also spare the pings that
// gRPC measures with to set them.
const (
	streamWindowBytes = 4 << 20
	connWindowBytes   = 16 << 20
	ioBufferBytes     = 64 << 10
)

func (t *Transport) serverOptions() []grpc.ServerOption {
	o := []grpc.ServerOption{
		grpc.ForceServerCodecV2(rawCodec{}),
		grpc.MaxRecvMsgSize(maxFrameBytes),
		grpc.MaxSendMsgSize(maxFrameBytes),
		grpc.InitialWindowSize(streamWindowBytes),
		grpc.InitialConnWindowSize(connWindowBytes),
		grpc.ReadBufferSize(ioBufferBytes),
		grpc.WriteBufferSize(ioBufferBytes),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: serverPing, Timeout: aliveTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: clientPing / 2, PermitWithoutStream: true}),
		grpc.WaitForHandlers(true),
	}
	if t.tls != nil {
		o = append(o, grpc.Creds(t.tls.server(t.refusedTLS)))
	}
	return o
}

// conn is a gRPC client on one connection. gRPC would reconnect by itself, but
// then nobody could tell a refused connection from a slow one, or when to try.
type conn struct {
	*grpc.ClientConn
	raw       net.Conn
	tls       bool
	handshake atomic.Pointer[error] // of TLS, when it has failed
}

// connect dials; the TLS handshake happens when the first stream is opened.
func (t *Transport) connect(ctx context.Context, addr string) (*conn, error) {
	dctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	raw, err := t.o.Dial(dctx, addr)
	if err != nil {
		return nil, fmt.Errorf("transport: connect to %s: %w", addr, err)
	}
	c := &conn{raw: raw, tls: t.tls != nil}
	var used atomic.Bool
	o := []grpc.DialOption{
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			if used.Swap(true) {
				return nil, errReplaced
			}
			return raw, nil
		}),
		grpc.WithDefaultCallOptions(
			grpc.ForceCodecV2(rawCodec{}),
			grpc.MaxCallRecvMsgSize(maxFrameBytes),
			grpc.MaxCallSendMsgSize(maxFrameBytes),
		),
		grpc.WithInitialWindowSize(streamWindowBytes),
		grpc.WithInitialConnWindowSize(connWindowBytes),
		grpc.WithReadBufferSize(ioBufferBytes),
		grpc.WithWriteBufferSize(ioBufferBytes),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: clientPing, Timeout: aliveTimeout, PermitWithoutStream: true,
		}),
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		grpc.WithIdleTimeout(0),
		grpc.WithNoProxy(),
	}
	if t.tls != nil {
		o = append(o, grpc.WithTransportCredentials(t.tls.client(func(_ string, err error) {
			c.handshake.Store(&err)
		})))
	} else {
		o = append(o, grpc.WithTransportCredentials(insecure.NewCredentials()))
	}
	c.ClientConn, err = grpc.NewClient("passthrough:///"+addr, o...)
	if err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("transport: connect to %s: %w", addr, err)
	}
	return c, nil
}

// close ends the connection first: gRPC would wait seconds for a goodbye to be
// written to a peer that does not read. Errors say that it was closed already.
func (c *conn) close() {
	_ = c.raw.Close()
	_ = c.Close()
}
