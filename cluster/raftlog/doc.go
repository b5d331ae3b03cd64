// Package raftlog is the durable log of all shards of a node.
package raftlog
