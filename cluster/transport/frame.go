package transport

import (
	"fmt"
	"sync"

	"google.golang.org/grpc/mem"
)

// frame is what goes through gRPC in either direction: a buffer. Going out,
// the buffer is gRPC's from SendMsg on; coming in, it is ours until free.
type frame struct{ buf mem.Buffer }

// newFrame wraps bytes that were built in a buffer of framePool. If append has
// moved them meanwhile, the buffer is lost to the pool, nothing more.
func newFrame(b []byte) *frame { return &frame{buf: mem.NewBuffer(&b, framePool{})} }

func (f *frame) bytes() []byte {
	if f.buf == nil {
		return nil
	}
	return f.buf.ReadOnlyData()
}

func (f *frame) free() {
	if f.buf != nil {
		f.buf.Free()
		f.buf = nil
	}
}

// rawCodec passes frames through gRPC as they are.
type rawCodec struct{}

func (rawCodec) Name() string { return "dkv" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	f, ok := v.(*frame)
	if !ok || f.buf == nil {
		return nil, fmt.Errorf("transport: cannot marshal %T", v)
	}
	s := mem.BufferSlice{f.buf}
	f.buf = nil
	return s, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	f, ok := v.(*frame)
	if !ok {
		return fmt.Errorf("transport: cannot unmarshal into %T", v)
	}
	f.free()
	f.buf = data.MaterializeToBuffer(framePool{})
	return nil
}

// framePool keeps buffers by size. gRPC's own pool clears what it hands out,
// which costs more than to fill it.
type framePool struct{}

var (
	frameSizes = [...]int{4 << 10, 32 << 10, 256 << 10, frameTargetBytes + 64<<10}
	framePools [len(frameSizes)]sync.Pool
)

// Get returns a buffer of the given length, with anything in it.
func (framePool) Get(length int) *[]byte {
	for i, size := range frameSizes {
		if length > size {
			continue
		}
		if b, ok := framePools[i].Get().(*[]byte); ok {
			*b = (*b)[:length]
			return b
		}
		b := make([]byte, length, size)
		return &b
	}
	b := make([]byte, length)
	return &b
}

// Put takes a buffer back.
func (framePool) Put(b *[]byte) {
	for i, size := range frameSizes {
		if cap(*b) == size {
			framePools[i].Put(b)
			return
		}
	}
}
