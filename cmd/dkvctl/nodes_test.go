package main

import (
	"net"
	"strings"
	"testing"
)

// A cluster's replies, in RESP2 and RESP3.
const (
	nodesRESP2 = "*2\r\n" +
		"*14\r\n$2\r\nid\r\n:1\r\n$9\r\npeer-addr\r\n$5\r\nh:101\r\n$11\r\nclient-addr\r\n$3\r\nh:1\r\n$5\r\nstate\r\n$5\r\nvoter\r\n" +
		"$4\r\nself\r\n:1\r\n$9\r\nconnected\r\n:1\r\n$6\r\nshards\r\n*2\r\n" +
		"*8\r\n$5\r\nshard\r\n:0\r\n$4\r\nrole\r\n$6\r\nleader\r\n$4\r\nterm\r\n:3\r\n$3\r\nlag\r\n:0\r\n" +
		"*8\r\n$5\r\nshard\r\n:1\r\n$4\r\nrole\r\n$6\r\nleader\r\n$4\r\nterm\r\n:15\r\n$3\r\nlag\r\n:7\r\n" +
		"*14\r\n$2\r\nid\r\n:12\r\n$9\r\npeer-addr\r\n$5\r\nh:102\r\n$11\r\nclient-addr\r\n$0\r\n\r\n$5\r\nstate\r\n$7\r\nlearner\r\n" +
		"$4\r\nself\r\n:0\r\n$9\r\nconnected\r\n:0\r\n$6\r\nshards\r\n*1\r\n*6\r\n$5\r\nshard\r\n:0\r\n$4\r\nrole\r\n$7\r\nlearner\r\n$3\r\nlag\r\n$-1\r\n"
	nodesRESP3 = "*1\r\n%3\r\n$2\r\nid\r\n:1\r\n$5\r\nstate\r\n$5\r\nvoter\r\n$6\r\nshards\r\n*1\r\n%3\r\n$5\r\nshard\r\n:0\r\n$4\r\nterm\r\n:4\r\n$3\r\nlag\r\n:3\r\n"
)

func TestListNodes(t *testing.T) {
	addr := fakeServer(t, func(words []string) string {
		switch strings.Join(words, " ") {
		case "CLUSTER LISTNODES":
			return nodesRESP2
		case "HELLO 3":
			return "%0\r\n"
		}
		return "-ERR unexpected " + strings.Join(words, " ") + "\r\n"
	})
	const want = "" +
		"ID  PEER   CLIENT  STATE    LEADS  TERM  LAG  \n" +
		"1   h:101  h:1     voter    0,1    3,15  7    this node\n" +
		"12  h:102  -       learner  -      -     -    not connected\n"
	ctl(t, "", "-a", addr, "-listNodes").expect(t, want, exitOK)
	ctl(t, "", "-a", addr, "-no-raw", "-listNodes").expect(t, want, exitOK)
	if r := ctl(t, "", "-a", addr, "-json", "-listNodes"); r.code != exitOK || !strings.HasPrefix(r.out, `[["id",1,"peer-addr","h:101",`) {
		t.Errorf("JSON: %+v", r)
	}

	three := fakeServer(t, func(words []string) string {
		if words[0] == "HELLO" {
			return "%0\r\n"
		}
		return nodesRESP3
	})
	ctl(t, "", "-a", three, "-3", "-listNodes").
		expect(t, "ID  PEER  CLIENT  STATE  LEADS  TERM  LAG  \n1   -     -       voter  -      4     3    \n", exitOK)
}

func TestClusterVerbs(t *testing.T) {
	addr := fakeServer(t, func(words []string) string { return "+" + strings.Join(words, " ") + "\r\n" })
	for args, want := range map[string]string{
		"-addNode http://h:1":            "CLUSTER ADDNODE http://h:1",
		"-addNode http://h:1 -async":     "CLUSTER ADDNODE http://h:1 ASYNC",
		"-removeNode http://h:1":         "CLUSTER REMOVENODE http://h:1",
		"-removeNode 3 -force":           "CLUSTER REMOVENODE 3 FORCE",
		"-transferLeader":                "CLUSTER TRANSFERLEADER",
		"--transferleader=http://h:2":    "CLUSTER TRANSFERLEADER http://h:2",
		"CLUSTER TRANSFERLEADER SHARD 1": "CLUSTER TRANSFERLEADER SHARD 1",
	} {
		ctl(t, "", append([]string{"-dkvAddr", addr}, strings.Fields(args)...)...).expect(t, want+"\n", exitOK)
	}
}

// Of several addresses the first that answers serves.
func TestSeveralAddresses(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	dead := ln.Addr().String()
	alive := fakeServer(t, func([]string) string { return "+PONG\r\n" })
	ctl(t, "", "-a", dead+","+alive, "PING").expect(t, "PONG\n", exitOK)
	ctl(t, "", "-a", alive+", "+dead, "PING").expect(t, "PONG\n", exitOK)

	// One that is of no cluster any more is passed over.
	removed := fakeServer(t, func(words []string) string {
		if words[0] == "CLUSTER" {
			return "$18\r\ncluster_state:fail\r\n"
		}
		return "-CLUSTERDOWN\r\n"
	})
	ctl(t, "", "-a", removed+","+dead+","+alive, "PING").expect(t, "PONG\n", exitOK)
	ctl(t, "", "-a", removed+","+dead, "PING").expect(t, "", exitError)
	if r := ctl(t, "", "-a", dead+","+dead, "PING"); r.code != exitConn || strings.Count(r.err, "could not connect to "+dead) != 2 {
		t.Errorf("%+v", r)
	}
}
