package server

import (
	"slices"
	"strings"

	"dkv/resp"
	"dkv/server/command"
)

func init() {
	bind("client|tracking", clientTracking)
	bind("client|caching", clientCaching)
	bind("client|getredir", func(c *Conn, x *command.Ctx) error {
		x.Out.Int(c.shared.redir.Load())
		return nil
	})
	bind("client|trackinginfo", clientTrackingInfo)
}

// Commands that track looks for.
var (
	specTracking = command.Lookup([]byte("client")).Sub([]byte("tracking"))
	specCaching  = command.Lookup([]byte("client")).Sub([]byte("caching"))
	// specsOfScripts may read the keys that they are given.
	specsOfScripts = func() map[*command.Spec]bool {
		list := make(map[*command.Spec]bool)
		for _, name := range []string{"eval", "evalsha", "fcall", "eval_ro", "evalsha_ro", "fcall_ro"} {
			list[command.Lookup([]byte(name))] = true
		}
		return list
	}()
)

// trackingOptions are the arguments of CLIENT TRACKING.
type trackingOptions struct {
	redirect                     int64
	bcast, optIn, optOut, noLoop bool
	prefixes                     []string
}

// clientTracking is CLIENT TRACKING (ON|OFF) [REDIRECT client-id] [PREFIX prefix ...]
// [BCAST] [OPTIN] [OPTOUT] [NOLOOP].
func clientTracking(c *Conn, x *command.Ctx) error {
	o, err := c.trackingOptions(x.Args[3:])
	if err != nil {
		return err
	}
	on, err := onOff(x.Args[2])
	if err != nil {
		return err
	}
	if !on {
		c.stopTracking()
		x.Out.OK()
		return nil
	}
	if err := c.goesWith(&o); err != nil {
		return err
	}
	c.startTracking(&o)
	x.Out.OK()
	return nil
}

func (c *Conn) trackingOptions(args [][]byte) (o trackingOptions, err error) {
	for i := 0; i < len(args); i++ {
		more := i+1 < len(args)
		switch word := args[i]; {
		case equalFold(word, "redirect") && more:
			i++
			if o.redirect != 0 {
				return o, resp.Error("ERR A client can only redirect to a single other client")
			}
			if o.redirect, err = parseInt(args[i]); err != nil {
				return o, err
			}
			if c.srv.clients.get(uint64(o.redirect)) == nil {
				return o, resp.Error("ERR The client ID you want redirect to does not exist")
			}
		case equalFold(word, "bcast"):
			o.bcast = true
		case equalFold(word, "optin"):
			o.optIn = true
		case equalFold(word, "optout"):
			o.optOut = true
		case equalFold(word, "noloop"):
			o.noLoop = true
		case equalFold(word, "prefix") && more:
			i++
			o.prefixes = append(o.prefixes, string(args[i]))
		default:
			return o, resp.ErrSyntax
		}
	}
	return o, nil
}

// goesWith says why options contradict each other, or what is set up.
func (c *Conn) goesWith(o *trackingOptions) error {
	was := c.tracking
	const before = "before disabling tracking for this client, and then re-enabling it with a different mode."
	switch {
	case !o.bcast && len(o.prefixes) > 0:
		return resp.Error("ERR PREFIX option requires BCAST mode to be enabled")
	case was != nil && was.bcast != o.bcast:
		return resp.Error("ERR You can't switch BCAST mode on/off " + before)
	case o.bcast && (o.optIn || o.optOut):
		return resp.Error("ERR OPTIN and OPTOUT are not compatible with BCAST")
	case o.optIn && o.optOut:
		return resp.Error("ERR You can't specify both OPTIN mode and OPTOUT mode")
	case was != nil && (o.optIn && was.optOut || o.optOut && was.optIn):
		return resp.Error("ERR You can't switch OPTIN/OPTOUT mode " + before)
	}
	var present []string
	if was != nil {
		present = was.prefixes // nobody else changes them
	}
	return prefixesOverlap(o.prefixes, present)
}

// maxPrefixes bounds the prefixes of one client: each is compared with all others.
const maxPrefixes = 1024

func prefixesOverlap(prefixes, present []string) error {
	if len(prefixes)+len(present) > maxPrefixes {
		return resp.Error("ERR Too many prefixes for a single client")
	}
	overlap := func(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) }
	text := func(p string) string { return cText([]byte(p)) }
	for i, p := range prefixes {
		for _, q := range present {
			if overlap(p, q) {
				return resp.Error("ERR Prefix '" + text(p) + "' overlaps with an existing prefix '" + text(q) + "'. Prefixes for a single client must not overlap.")
			}
		}
		for _, q := range prefixes[i+1:] {
			if overlap(p, q) {
				return resp.Error("ERR Prefix '" + text(p) + "' overlaps with another provided prefix '" + text(q) + "'. Prefixes for a single client must not overlap.")
			}
		}
	}
	return nil
}

func (c *Conn) startTracking(o *trackingOptions) {
	c.share()
	tr := &tracking{conn: c, bcast: o.bcast, optIn: o.optIn, optOut: o.optOut, noLoop: o.noLoop, redirect: uint64(o.redirect)}
	c.tracking = tr
	c.hold() // no message before this reply
	c.setFlag(flagTracking, true)
	c.setFlag(flagTrackingBCast, o.bcast)
	c.setFlag(flagTrackingBroken, false)
	c.shared.redir.Store(o.redirect)
	if o.redirect != 0 {
		if to := c.srv.clients.get(tr.redirect); to != nil && to != c {
			to.askToShare()
		}
	}
	c.srv.tracker.enable(tr, o.prefixes)
}

// stopTracking ends CLIENT TRACKING, if it is on.
func (c *Conn) stopTracking() {
	if c.tracking == nil {
		return
	}
	c.srv.tracker.disable(c.tracking)
	c.tracking, c.caching = nil, false
	c.release()
	c.setFlag(flagTracking|flagTrackingBCast|flagTrackingBroken, false)
	c.shared.redir.Store(-1)
}

// clientCaching is CLIENT CACHING (YES|NO).
func clientCaching(c *Conn, x *command.Ctx) error {
	tr := c.tracking
	if tr == nil {
		return resp.Error("ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled")
	}
	switch mode := x.Args[2]; {
	case equalFold(mode, "yes"):
		if !tr.optIn {
			return resp.Error("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
		}
	case equalFold(mode, "no"):
		if !tr.optOut {
			return resp.Error("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
		}
	default:
		return resp.ErrSyntax
	}
	c.caching = true
	x.Out.OK()
	return nil
}

// endCaching ends what CLIENT CACHING has said, after a command that it was said of: the
// next one, or the whole next transaction.
func (c *Conn) endCaching(name []byte) {
	if !c.txn.open && !equalFold(name, "client") {
		c.caching = false
	}
}

// clientTrackingInfo is CLIENT TRACKINGINFO.
func clientTrackingInfo(c *Conn, x *command.Ctx) error {
	tr := c.tracking
	flags := []string{"off"}
	if tr != nil {
		flags[0] = "on"
		for _, f := range [...]struct {
			on   bool
			name string
		}{
			{tr.bcast, "bcast"},
			{tr.optIn, "optin"}, {tr.optIn && c.caching, "caching-yes"},
			{tr.optOut, "optout"}, {tr.optOut && c.caching, "caching-no"},
			{tr.noLoop, "noloop"},
			{c.shared.flags.Load()&flagTrackingBroken != 0, "broken_redirect"},
		} {
			if f.on {
				flags = append(flags, f.name)
			}
		}
	}
	x.Out.Map(3)
	x.Out.BulkString("flags")
	x.Out.Set(len(flags))
	for _, f := range flags {
		x.Out.BulkString(f)
	}
	x.Out.BulkString("redirect")
	x.Out.Int(c.shared.redir.Load())
	x.Out.BulkString("prefixes")
	if tr == nil {
		x.Out.Array(0)
		return nil
	}
	x.Out.Array(len(tr.prefixes))
	for _, p := range tr.prefixes {
		x.Out.BulkString(p)
	}
	return nil
}

// wants says whether the keys of a command are registered.
func (tr *tracking) wants(caching bool) bool {
	return !tr.bcast && !(tr.optIn && !caching) && !(tr.optOut && caching)
}

// track registers the keys that a command is about to read. It is called before anything
// of the command is run, so that no change of them is missed. A script's are those that
// it declares.
func (c *Conn) track(spec *command.Spec, args [][]byte) {
	if c.tracking.wants(c.caching) {
		c.registerKeys(spec, args)
	}
}

func (c *Conn) registerKeys(spec *command.Spec, args [][]byte) {
	if spec.Flags&command.FlagReadOnly == 0 && !specsOfScripts[spec] {
		return
	}
	c.registered++
	for i := range keyArgs(spec, args) {
		c.srv.tracker.register(c.tracking, args[i], c.registered)
	}
}

// trackQueued is track for all commands of a transaction.
func (c *Conn) trackQueued() {
	tr, caching := c.tracking, c.caching
	for i := range c.txn.calls {
		k := &c.txn.calls[i]
		if k.spec == specCaching {
			caching = caching || tr.optIn && equalFold(k.args[2], "yes") || tr.optOut && equalFold(k.args[2], "no")
		}
		if tr.wants(caching) {
			c.registerKeys(k.spec, k.args)
		}
	}
}

// trackingQueued is called after a transaction. Its commands on keys have run before any
// CLIENT TRACKING in it, so what they have read may not have been registered.
func (c *Conn) trackingQueued() {
	if c.tracking != nil && slices.ContainsFunc(c.txn.calls, func(k call) bool { return k.spec == specTracking }) {
		c.srv.tracker.invalidate(c.tracking, invalidated{all: true})
	}
}

// told returns how often the client was told of something so far.
func (c *Conn) told() uint64 {
	if c.tracking == nil {
		return 0
	}
	return c.tracking.told.Load()
}

// toldWhileBlocked is called behind the reply of a blocking command: what was invalidated
// since told, while messages left at once, may have been what the command replies.
func (c *Conn) toldWhileBlocked(spec *command.Spec, args [][]byte, told uint64) {
	if c.tracking == nil || c.told() == told || spec.Flags&command.FlagReadOnly == 0 {
		return
	}
	m := invalidated{}
	for i := range keyArgs(spec, args) {
		m.keys = append(m.keys, string(args[i]))
	}
	c.srv.tracker.invalidate(c.tracking, m)
}
