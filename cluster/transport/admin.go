package transport

import (
	"context"
	"encoding/binary"
	"fmt"

	"google.golang.org/grpc"
)

// maxAdminBytes is the largest payload of an Admin request, and of its answer.
const maxAdminBytes = maxFrameBytes - 1<<10

// An Admin request and its answer are one frame each:
//
//	request  version uvarint | method, a string with its length before it | payload
//	answer   version uvarint | status u8: 0 payload, 1 text of an error | rest

// Admin sends a request to whoever listens at an address, member or not. The
// errors are as those of Call. ErrNotSent wraps the dialer's error.
func (t *Transport) Admin(ctx context.Context, addr, method string, payload []byte) ([]byte, error) {
	if len(payload)+len(method) > maxAdminBytes {
		return nil, fmt.Errorf("%w: %w", ErrNotSent, ErrTooLarge)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)()
	cc, err := t.connect(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotSent, err)
	}
	defer cc.close()
	b := binary.AppendUvarint(nil, ProtocolVersion)
	b = append(appendText(b, method), payload...)
	var answer frame
	defer answer.free()
	if err := cc.Invoke(ctx, "/"+serviceName+"/Admin", newFrame(b), &answer); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBroken, cc.explain(err))
	}
	p := parser{rest: answer.bytes()}
	version, failed := p.uvarint(), p.byte() != 0
	switch {
	case p.err != nil:
		return nil, fmt.Errorf("%w: %w", ErrBroken, p.err)
	case failed:
		return nil, &RemoteError{Text: string(p.rest)}
	case version != ProtocolVersion:
		return nil, fmt.Errorf("%w: an answer of version %d", ErrBroken, version)
	}
	return append([]byte(nil), p.rest...), nil
}

// serveAdmin has the signature of a grpc.MethodDesc's Handler.
func (t *Transport) serveAdmin(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	var f frame
	if err := decode(&f); err != nil {
		return nil, err
	}
	defer f.free()
	payload, err := t.admin(ctx, f.bytes())
	if err == nil && len(payload) > maxAdminBytes {
		err = ErrTooLarge
	}
	b := binary.AppendUvarint(nil, ProtocolVersion)
	if err != nil {
		b = append(append(b, 1), err.Error()...)
	} else {
		b = append(append(b, 0), payload...)
	}
	return newFrame(b), nil
}

func (t *Transport) admin(ctx context.Context, b []byte) ([]byte, error) {
	p := parser{rest: b}
	if version := p.uvarint(); version != ProtocolVersion {
		return nil, fmt.Errorf("transport: this node speaks version %d, not %d", ProtocolVersion, version)
	}
	method := p.text()
	if p.err != nil {
		return nil, p.err
	}
	return t.o.Handler.Admin(ctx, method, append([]byte(nil), p.rest...))
}
