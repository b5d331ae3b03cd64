package script

import (
	"container/list"
	"crypto/sha1"
	"encoding/hex"
	"strings"
	"sync"

	lua "github.com/yuin/gopher-lua"

	"dkv/resp"
	"dkv/server/command"
)

// Bounds of the scripts that EVAL has brought. Those of SCRIPT LOAD are records.
const (
	maxKnown      = 2000
	maxKnownBytes = 16 << 20 // of source text
)

// A script is compiled source text. It is never changed.
type script struct {
	sha    string // SHA1 of the text, in hexadecimal
	source string
	proto  *lua.FunctionProto
	flags  flags
}

// A cache keeps the scripts that were used last, by their SHA1.
//
// A script is known, so that EVALSHA finds it, when EVAL has run it; what was only
// compiled beforehand is not.
type cache struct {
	mu    sync.Mutex
	bySHA map[string]*list.Element
	// bySource has the same ones: EVAL brings the text each time, and to look that up
	// costs less than its SHA1.
	bySource map[string]*list.Element
	order    *list.List // of *entry, the one used last in front
	bytes    int
}

type entry struct {
	*script
	known bool
}

func (c *cache) init() {
	c.bySHA, c.bySource, c.order = make(map[string]*list.Element), make(map[string]*list.Element), list.New()
}

// get returns a known script, nil when there is none.
func (c *cache) get(sha string) *script {
	c.mu.Lock()
	defer c.mu.Unlock()
	if el := c.bySHA[sha]; el != nil && el.Value.(*entry).known {
		c.order.MoveToFront(el)
		return el.Value.(*entry).script
	}
	return nil
}

// compiled returns a script that was compiled, whether it is known or not, and makes
// it known if asked to.
func (c *cache) compiled(source []byte, known bool) *script {
	c.mu.Lock()
	defer c.mu.Unlock()
	el := c.bySource[string(source)]
	if el == nil {
		return nil
	}
	c.order.MoveToFront(el)
	e := el.Value.(*entry)
	e.known = e.known || known
	return e.script
}

// put keeps a script, and forgets others if need be.
func (c *cache) put(sc *script, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if el := c.bySHA[sc.sha]; el != nil {
		e := el.Value.(*entry)
		e.known = e.known || known
		return
	}
	el := c.order.PushFront(&entry{sc, known})
	c.bySHA[sc.sha], c.bySource[sc.source] = el, el
	c.bytes += len(sc.source)
	for c.order.Len() > maxKnown || c.bytes > maxKnownBytes {
		c.drop(c.order.Back())
	}
}

func (c *cache) drop(el *list.Element) {
	e := el.Value.(*entry)
	c.order.Remove(el)
	delete(c.bySHA, e.sha)
	delete(c.bySource, e.source)
	c.bytes -= len(e.source)
}

func (c *cache) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.init()
	c.bytes = 0
}

// shaOf returns an argument that is a SHA1, in lower case.
func shaOf(arg []byte) string {
	var buf [2 * sha1.Size]byte
	if len(arg) != len(buf) {
		return ""
	}
	for i, c := range arg {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		buf[i] = c
	}
	return string(buf[:])
}

// compiled returns source text as a script, which EVALSHA finds from now on if known.
func (e *Engine) compiled(source []byte, known bool) (*script, error) {
	if sc := e.known.compiled(source, known); sc != nil {
		return sc, nil
	}
	sum := sha1.Sum(source)
	sc, err := newScript(string(source), hex.EncodeToString(sum[:]))
	if err == nil {
		e.known.put(sc, known)
	}
	return sc, err
}

func newScript(source, sha string) (*script, error) {
	body, f, err := shebang(source)
	if err != nil {
		return nil, err
	}
	proto, err := compile(body, "user_script")
	if err != nil {
		return nil, resp.Error("ERR Error compiling script (new function): " + err.Error())
	}
	return &script{sha: sha, source: source, proto: proto, flags: f}, nil
}

// recordOf is the name of a script's record.
func recordOf(sha string) string { return scriptRecords + sha }

const scriptRecords = "script:"

// find returns the script that EVALSHA names: one that EVAL has run on this node, or
// that SCRIPT LOAD has put into the shard's records.
func (e *Engine) find(c *command.Ctx) (*script, error) {
	sha := shaOf(c.Args[1])
	if sc := e.known.get(sha); sc != nil {
		return sc, nil
	}
	source, found, err := c.Tx.ScriptRecord(nil, recordOf(sha))
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errNoScript
	}
	return e.compiled(source, true)
}

// load is SCRIPT LOAD: the script becomes a record of the shard.
func (e *Engine) load(c *command.Ctx) error {
	sc, err := e.compiled(c.Args[2], false)
	if err != nil {
		return err
	}
	name := recordOf(sc.sha)
	_, found, err := c.Tx.ScriptRecord(nil, name)
	if err != nil {
		return err
	}
	if !found && !c.Tx.ReadOnly() { // a replica knows it by itself, as long as it runs
		c.Tx.PutScriptRecord(name, c.Args[2])
	}
	e.known.put(sc, true)
	c.Out.BulkString(sc.sha)
	return nil
}

// exists is SCRIPT EXISTS.
func (e *Engine) exists(c *command.Ctx) error {
	c.Out.Array(len(c.Args) - 2)
	for _, arg := range c.Args[2:] {
		sha := shaOf(arg)
		found := sha != "" && e.known.get(sha) != nil
		if !found && sha != "" {
			var err error
			if _, found, err = c.Tx.ScriptRecord(nil, recordOf(sha)); err != nil {
				return err
			}
		}
		n := int64(0)
		if found {
			n = 1
		}
		c.Out.Int(n)
	}
	return nil
}

// flush is SCRIPT FLUSH: no script is known any more.
func (e *Engine) flush(c *command.Ctx) error {
	if len(c.Args) > 3 || len(c.Args) == 3 && !isFlushType(c.Args[2]) {
		return resp.Error("ERR SCRIPT FLUSH only support SYNC|ASYNC option")
	}
	if !c.Tx.ReadOnly() { // a replica has the records of its source
		if err := deleteRecords(c, scriptRecords); err != nil {
			return err
		}
	}
	e.known.flush()
	c.Out.OK()
	return nil
}

// Forget empties the cache of the node, for a flush that other nodes have done.
func (e *Engine) Forget() { e.known.flush() }

// deleteRecords deletes all records whose names have a prefix.
func deleteRecords(c *command.Ctx, prefix string) error {
	return c.Tx.DeleteScriptRecords(prefix)
}

// isFlushType reports whether an argument is SYNC or ASYNC.
func isFlushType(arg []byte) bool {
	return strings.EqualFold(string(arg), "sync") || strings.EqualFold(string(arg), "async")
}
