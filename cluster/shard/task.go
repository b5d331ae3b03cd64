package shard

import (
	"errors"
	"sync/atomic"

	"dkv/engine"
	"dkv/engine/keyspace"
)

// Errors of a task. Their texts are the replies that clients see.
var (
	// ErrNoSpace: the disk is full. Nothing was written; reads go on.
	ErrNoSpace = errors.New("MISCONF No space is left on the disk: writes are refused until there is space again, reads go on.")
	// ErrNotWritable: the engine cannot write for another reason than space.
	// Nothing was written; reads go on.
	ErrNotWritable = errors.New("MISCONF The data folder cannot be written, see the server's log: writes are refused, reads go on.")
	// ErrUncertain: the write may or may not have happened.
	ErrUncertain = errors.New("UNCERTAIN The outcome of the write is not known: the node stopped or lost its leadership before it was confirmed.")
	// ErrClosed: the shard is shutting down. Nothing was written.
	ErrClosed = errors.New("ERR The server is shutting down")
	// ErrNotLeader: no leader can take the write. Nothing was written.
	ErrNotLeader = errors.New("CLUSTERDOWN The shard has no leader")
	// ErrTooBig: the writes of one command exceed what one log entry holds.
	ErrTooBig = errors.New("ERR The writes of one command or transaction exceed the limit of 1 GiB")
)

// A Task is a run of commands that are evaluated together on the writer.
type Task struct {
	// Eval runs on the writer's goroutine and reads and writes through tx. The
	// replies that it makes must be held back until Wait has returned nil.
	Eval func(tx *keyspace.Tx)
	// EvalRaw, when Eval is nil, writes records of its own, whose keys begin with
	// "smember". See Options.OnRecord.
	EvalRaw func(o *engine.Overlay)
	// Source, when not nil, is applied instead: see SourceBatch.
	Source *SourceBatch
	// Step, when not nil, goes with Eval: see SourceStep.
	Step *SourceStep

	// Reads says that Eval writes nothing, whatever it finds: such a task may be parked
	// while the shard follows a source.
	Reads bool

	// OnPark, if set, is called on the writer's goroutine when the task begins to
	// wait for keys, see Park. It must not wait.
	OnPark func()

	alone bool // the batch is of this task only: see Evict
	done  chan error

	settle    func()
	wishes    []Wish
	withdrawn atomic.Bool
	// These belong to the lot.
	spots  []spot
	number uint64 // in the order in which tasks were parked
	parked bool
	waited bool // it was parked at some time
}

// rawPrefix begins the keys of the records that EvalRaw writes.
var (
	rawPrefix    = []byte("smember")
	rawPrefixEnd = []byte("smembes")
)

// Wait returns how the task ended: nil when its writes are committed and
// applied. It is called once after each Submit; the task can then be used again.
func (t *Task) Wait() error { return <-t.done }

func (t *Task) finish(err error) { t.done <- err }

// Busy is the error of tasks that are refused while another one keeps the writer.
// Nothing of them was done. Its text is the reply.
type Busy string

// Error is the reply.
func (b Busy) Error() string { return string(b) }

// Refuse ends the tasks that wait in the queue, with err. It is for a task that takes
// long, whose Eval calls it: on the writer's goroutine.
func (s *Shard) Refuse(err error) {
	for s.w.next == nil {
		select {
		case t := <-s.queue:
			if t.Source != nil {
				s.w.next = t
				return
			}
			t.finish(err)
		default:
			return
		}
	}
}
