package cluster

import (
	"fmt"
	"testing"

	"dkv/engine/enginetest"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestGrownNodeComesBack: a node was by itself, others were added, and it dies before its
// engine has written that down, so only its log knows of them. It must come back as one
// of several, not wait until it leads alone.
func TestGrownNodeComesBack(t *testing.T) {
	for added := 1; added <= 2; added++ {
		t.Run(fmt.Sprint(added), func(t *testing.T) {
			c := newTestCluster(t)
			mem := enginetest.NewCrashFS()
			two := func(o *Options) { o.Shards = 2 }
			first := c.start(1, func(o *Options) { two(o); o.FS = mem })
			c.waitServing(first)
			list := []*testNode{first}
			for i := 2; i <= 1+added; i++ {
				list = append(list, c.start(i, joining))
				first.mustAdd(i)
			}
			first.mustPut("k", "v")
			c.net.setCut(first.addr, true)
			crashed := mem.Crash(vfs.CrashCloneCfg{})
			first.stopNode(true)
			list[0] = c.start(1, func(o *Options) { o.FS = crashed })
			c.waitServing(list...)
			list[0].mustGet("k", "v")
			list[0].mustPut("l", "w")
			for _, n := range list {
				n.mustGet("l", "w")
			}
		})
	}
}
