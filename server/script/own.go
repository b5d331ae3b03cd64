package script

import (
	"strconv"
	"strings"
	"time"

	"dkv/engine/keyspace"
	"dkv/resp"
	"dkv/server/command"
)

// waitsForStream reports whether a command is an XREAD or XREADGROUP with BLOCK. Other
// commands that would block answer at once, from scripts.
func waitsForStream(spec *command.Spec, args [][]byte) bool {
	if spec.Name != "xread" && spec.Name != "xreadgroup" {
		return false
	}
	_, waits := spec.Timeout(args)
	return waits
}

// publish sends a message behind what the script has written: it travels in the same
// log entry, and each node that applies that tells its subscribers. The reply is how
// many there are on this node.
func (r *run) publish(x *command.Ctx, class keyspace.Class) error {
	x.Tx.NoteMessage(class, x.Args[1], x.Args[2])
	x.Out.Int(int64(r.engine.o.Receivers(class == keyspace.ClassShardMessage, x.Args[1])))
	return nil
}

// maxSleep is how long a script sleeps before it looks whether it is to stop.
const maxSleep = 10 * time.Millisecond

// sleep is DEBUG SLEEP.
func (r *run) sleep(arg []byte) error {
	seconds, err := strconv.ParseFloat(string(arg), 64)
	if err != nil || !(seconds > 0) {
		return nil
	}
	const longest = 1e9 // seconds
	for until := time.Now().Add(time.Duration(min(seconds, longest) * float64(time.Second))); ; {
		left := time.Until(until)
		if left <= 0 {
			return nil
		}
		time.Sleep(min(left, maxSleep))
		if err := r.overdue(); err != nil {
			return err
		}
	}
}

// ownCommands are the commands without keys that scripts may call. They change only
// what the script itself sees.
var ownCommands = map[string]func(r *run, x *command.Ctx) error{
	"ping": func(_ *run, x *command.Ctx) error {
		switch len(x.Args) {
		case 1:
			x.Out.Simple("PONG")
		case 2:
			x.Out.Bulk(x.Args[1])
		default:
			return resp.ErrWrongArity("ping")
		}
		return nil
	},
	"echo": func(_ *run, x *command.Ctx) error {
		x.Out.Bulk(x.Args[1])
		return nil
	},
	"time": func(r *run, x *command.Ctx) error {
		now := r.began // the clock stands still for a script
		x.Out.Array(2)
		x.Out.BulkInt(now.Unix())
		x.Out.BulkInt(int64(now.Nanosecond() / 1000))
		return nil
	},
	"publish":  func(r *run, x *command.Ctx) error { return r.publish(x, keyspace.ClassMessage) },
	"spublish": func(r *run, x *command.Ctx) error { return r.publish(x, keyspace.ClassShardMessage) },
	"debug": func(r *run, x *command.Ctx) error {
		if len(x.Args) == 3 && strings.EqualFold(string(x.Args[1]), "sleep") {
			if err := r.sleep(x.Args[2]); err != nil {
				return err
			}
			x.Out.OK()
			return nil
		}
		if known, err := r.engine.o.Own(x); known {
			return err
		}
		return errNotAllowed
	},
	"select": func(r *run, x *command.Ctx) error {
		n, ok := keyspace.ParseInt(x.Args[1])
		if !ok {
			return resp.ErrNotInt
		}
		if n < 0 || n >= r.engine.o.Databases() {
			return resp.ErrDBIndexOutOfRange
		}
		r.db = int(n)
		x.Out.OK()
		return nil
	},
}
