package server

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// bulkOf is a bulk string as replies have it.
func bulkOf(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }

// event is a reply to SUBSCRIBE and its like.
func event(kind byte, word, name string, n int) string {
	return fmt.Sprintf("%c3\r\n%s%s:%d\r\n", kind, bulkOf(word), bulkOf(name), n)
}

// message is a message of a channel.
func message(kind byte, words ...string) string {
	out := fmt.Sprintf("%c%d\r\n", kind, len(words))
	for _, w := range words {
		out += bulkOf(w)
	}
	return out
}

// TestPubSubReplies compares what a connection gets for some requests with what a
// redis-server sends; the order of a client's own messages is that of 7.2.
func TestPubSubReplies(t *testing.T) {
	refused := func(name string) string {
		return "-ERR Can't execute '" + name + "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context\r\n"
	}
	for name, steps := range map[string][]string{
		"nothing to unsubscribe from": {
			"unsubscribe", "*3\r\n" + bulkOf("unsubscribe") + "$-1\r\n:0\r\n",
			"punsubscribe", "*3\r\n" + bulkOf("punsubscribe") + "$-1\r\n:0\r\n",
			"sunsubscribe", "*3\r\n" + bulkOf("sunsubscribe") + "$-1\r\n:0\r\n",
			"unsubscribe a b", event('*', "unsubscribe", "a", 0) + event('*', "unsubscribe", "b", 0),
		},
		"RESP2": {
			"subscribe a a b", event('*', "subscribe", "a", 1) + event('*', "subscribe", "a", 1) + event('*', "subscribe", "b", 2),
			"psubscribe p*", event('*', "psubscribe", "p*", 3),
			"ssubscribe x", event('*', "ssubscribe", "x", 1),
			"ping", "*2\r\n$4\r\npong\r\n$0\r\n\r\n",
			"ping hi", "*2\r\n$4\r\npong\r\n$2\r\nhi\r\n",
			"ping a b", "-ERR wrong number of arguments for 'ping' command\r\n",
			"get a", refused("get"),
			"client list", refused("client|list"),
			"multi", refused("multi"),
			"hello 3", refused("hello"),
			"exec", "-EXECABORT Transaction discarded because of: " + refused("exec")[len("-ERR "):],
			"set a", "-ERR wrong number of arguments for 'set' command\r\n",
			"unsubscribe a", event('*', "unsubscribe", "a", 2),
			"unsubscribe", event('*', "unsubscribe", "b", 1),
			"punsubscribe", event('*', "punsubscribe", "p*", 0),
			"get a", refused("get"),
			"sunsubscribe x", event('*', "sunsubscribe", "x", 0),
			"get a", "$-1\r\n",
			"subscribe a", event('*', "subscribe", "a", 1),
			"reset", "+RESET\r\n",
			"get a", "$-1\r\n",
		},
		"RESP3": {
			"hello 3", "",
			"subscribe a b", event('>', "subscribe", "a", 1) + event('>', "subscribe", "b", 2),
			"publish a 1", ":1\r\n" + message('>', "message", "a", "1"),
			"ping", "+PONG\r\n",
			"multi", "+OK\r\n",
			"publish a 2", "+QUEUED\r\n",
			"set k 1", "+QUEUED\r\n",
			"publish b 3", "+QUEUED\r\n",
			"exec", "*3\r\n:1\r\n+OK\r\n:1\r\n" + message('>', "message", "a", "2") + message('>', "message", "b", "3"),
			"psubscribe *", event('>', "psubscribe", "*", 3),
			"publish a 1", ":2\r\n" + message('>', "message", "a", "1") + message('>', "pmessage", "*", "a", "1"),
			"ssubscribe a", event('>', "ssubscribe", "a", 1),
			"spublish a 1", ":1\r\n" + message('>', "smessage", "a", "1"),
			"unsubscribe nosuch", event('>', "unsubscribe", "nosuch", 3),
			"punsubscribe", event('>', "punsubscribe", "*", 2),
			"hello 2", "",
			"publish a 1", refused("publish"),
			"ping", "*2\r\n$4\r\npong\r\n$0\r\n\r\n",
			"unsubscribe a b", event('*', "unsubscribe", "a", 1) + event('*', "unsubscribe", "b", 0),
		},
		"in a transaction": {
			"multi", "+OK\r\n",
			"subscribe c d", "+QUEUED\r\n",
			"ping", "+QUEUED\r\n",
			"get x", "+QUEUED\r\n",
			"ssubscribe e", "+QUEUED\r\n",
			"publish c hi", "+QUEUED\r\n",
			"exec", "*5\r\n" + event('*', "subscribe", "c", 1) + event('*', "subscribe", "d", 2) + "*2\r\n$4\r\npong\r\n$0\r\n\r\n" +
				"$-1\r\n-ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client\r\n:1\r\n" + message('*', "message", "c", "hi"),
			"ping", "*2\r\n$4\r\npong\r\n$0\r\n\r\n",
			"get x", refused("get"),
		},
		"without replies": {
			"hello 3", "",
			"client reply off", "",
			"subscribe z", event('>', "subscribe", "z", 1),
			"publish z 1", message('>', "message", "z", "1"),
			"unsubscribe z", event('>', "unsubscribe", "z", 0),
			"client reply on", "+OK\r\n",
		},
		"PUBSUB": {
			"pubsub", "-ERR wrong number of arguments for 'pubsub' command\r\n",
			"pubsub channels", "*0\r\n",
			"pubsub channels a b", "-ERR unknown subcommand or wrong number of arguments for 'channels'. Try PUBSUB HELP.\r\n",
			"pubsub numsub", "*0\r\n",
			"pubsub foo", "-ERR unknown subcommand 'foo'. Try PUBSUB HELP.\r\n",
			"hello 3", "",
			"subscribe a1 a2 b1", event('>', "subscribe", "a1", 1) + event('>', "subscribe", "a2", 2) + event('>', "subscribe", "b1", 3),
			"psubscribe a* a*", event('>', "psubscribe", "a*", 4) + event('>', "psubscribe", "a*", 4),
			"ssubscribe s", event('>', "ssubscribe", "s", 1),
			"pubsub numsub a1 x", "*4\r\n" + bulkOf("a1") + ":1\r\n" + bulkOf("x") + ":0\r\n",
			"pubsub shardnumsub s a1", "*4\r\n" + bulkOf("s") + ":1\r\n" + bulkOf("a1") + ":0\r\n",
			"pubsub channels b*", "*1\r\n" + bulkOf("b1"),
			"pubsub shardchannels", "*1\r\n" + bulkOf("s"),
			"pubsub shardchannels x*", "*0\r\n",
			"pubsub numpat", ":1\r\n",
			"pubsub numpat x", "-ERR wrong number of arguments for 'pubsub|numpat' command\r\n",
		},
	} {
		for _, loops := range []string{"1", "0"} {
			t.Run(name+", event-loops "+loops, func(t *testing.T) {
				c := dial(t, startServer(t, "event-loops", loops))
				for i := 0; i < len(steps); i += 2 {
					if strings.HasPrefix(steps[i], "hello ") && steps[i+1] == "" {
						c.do(strings.Fields(steps[i])...)
						continue
					}
					c.roundTrip(request(strings.Fields(steps[i])...), steps[i+1])
				}
			})
		}
	}
}

// TestPublishPipeline: what a client publishes to itself follows the reply, also when
// more commands have arrived with it.
func TestPublishPipeline(t *testing.T) {
	c := dial(t, startServer(t))
	c.do("hello", "3")
	c.roundTrip("subscribe a\r\npublish a 1\r\nset k v\r\npublish a 2\r\nget k\r\n",
		event('>', "subscribe", "a", 1)+":1\r\n"+message('>', "message", "a", "1")+"+OK\r\n:1\r\n"+message('>', "message", "a", "2")+"$1\r\nv\r\n")
}

func TestSubscriptionsEnd(t *testing.T) {
	s := startServer(t)
	c := dial(t, s)
	figures := func() string {
		return fmt.Sprint(s.pubsub.count(toChannel), s.pubsub.count(toPattern), s.pubsub.count(toShardChannel), s.pubsub.subs.Load(), s.pubsub.clients.Load())
	}
	for _, end := range []func(*client){
		func(c *client) { c.Close() },
		func(c *client) { c.roundTrip("quit\r\n", "+OK\r\n") },
		func(c *client) { c.roundTrip("reset\r\n", "+RESET\r\n") },
		func(*client) { c.roundTrip("client kill type pubsub\r\n", ":1\r\n") },
	} {
		p := dial(t, s)
		p.roundTrip("subscribe a b\r\npsubscribe p q r\r\nssubscribe s\r\n", event('*', "subscribe", "a", 1)+event('*', "subscribe", "b", 2)+
			event('*', "psubscribe", "p", 3)+event('*', "psubscribe", "q", 4)+event('*', "psubscribe", "r", 5)+event('*', "ssubscribe", "s", 1))
		if got := figures(); got != "2 3 1 6 1" {
			t.Errorf("subscribed: %s", got)
		}
		list := c.do("client", "list", "type", "pubsub")
		if !strings.Contains(list, " flags=P db=0 sub=2 psub=3 ssub=1 ") || strings.Count(list, "id=") != 1 {
			t.Errorf("CLIENT LIST: %q", list)
		}
		info := c.do("info", "stats") + c.do("info", "clients")
		for _, want := range []string{"pubsub_channels:2\r\n", "pubsub_patterns:3\r\n", "pubsubshard_channels:1\r\n", "pubsub_clients:1\r\n"} {
			if !strings.Contains(info, want) {
				t.Errorf("INFO lacks %q", want)
			}
		}
		end(p)
		eventually(t, "nothing is left", func() bool { return figures() == "0 0 0 0 0" })
		c.roundTrip("publish a 1\r\n", ":0\r\n")
	}
}

// TestSlowSubscriberIsDropped floods a subscriber that does not read. The publisher is
// served all the time.
func TestSlowSubscriberIsDropped(t *testing.T) {
	for name, limits := range map[string]string{"hard": "pubsub 1048576 0 0", "soft": "pubsub 0 1048576 1"} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, "client-output-buffer-limit", limits)
			slow, fast, c := dial(t, s), dial(t, s), dial(t, s)
			slow.roundTrip("subscribe a\r\n", event('*', "subscribe", "a", 1))
			text := strings.Repeat("x", 10000)
			for began := time.Now(); s.pubsub.count(toChannel) > 0; {
				if time.Since(began) > ioTimeout {
					t.Fatal("it was never dropped")
				}
				c.send(request("PUBLISH", "a", text))
				if got := c.reply(); got != ":1\r\n" && got != ":0\r\n" {
					t.Fatal(got)
				}
				if name == "soft" {
					time.Sleep(100 * time.Microsecond) // not to fill the memory
				}
			}
			if n := s.stats.OutputLimitKills.Load(); n != 1 {
				t.Errorf("%d clients were closed for their output", n)
			}
			fast.roundTrip("subscribe a\r\n", event('*', "subscribe", "a", 1))
			c.roundTrip(request("PUBLISH", "a", "hi"), ":1\r\n")
			fast.expect(message('*', "message", "a", "hi"))
		})
	}
}

// TestPublishOrder: all subscribers see the messages of several publishers in the
// same order, those of each in the order in which they were published.
func TestPublishOrder(t *testing.T) {
	const publishers, each = 4, 500
	for _, loops := range []string{"2", "0"} {
		s := startServer(t, "event-loops", loops)
		subs := []*client{dial(t, s), dial(t, s), dial(t, s)}
		subs[0].roundTrip("subscribe a\r\n", event('*', "subscribe", "a", 1))
		subs[1].roundTrip("psubscribe ?\r\n", event('*', "psubscribe", "?", 1))
		subs[2].do("hello", "3")
		subs[2].roundTrip("subscribe a\r\n", event('>', "subscribe", "a", 1))
		var publishing sync.WaitGroup
		for p := range publishers {
			c := dial(t, s)
			publishing.Go(func() {
				var b strings.Builder
				for i := range each {
					b.WriteString(request("PUBLISH", "a", fmt.Sprintf("%d-%d", p, i)))
				}
				c.send(b.String())
				for range each {
					if got := c.reply(); got != ":3\r\n" {
						t.Errorf("PUBLISH: %q", got)
						return
					}
				}
			})
		}
		var first []string
		for i, c := range subs {
			var last [publishers]int
			for n := range publishers * each {
				got := c.reply()
				got = got[strings.LastIndex(got[:len(got)-2], "\n")+1:]
				if i == 0 {
					first = append(first, got)
					var p, at int
					if _, err := fmt.Sscanf(got, "%d-%d", &p, &at); err != nil || at != last[p] {
						t.Fatalf("%q, want message %d of %d", got, last[p], p)
					}
					last[p]++
				} else if first[n] != got {
					t.Fatalf("message %d of subscriber %d is %q, of the first one %q", n, i, got, first[n])
				}
			}
		}
		publishing.Wait()
	}
}

// TestSubscribeBound: subscriptions take memory, which client-query-buffer-limit bounds.
func TestSubscribeBound(t *testing.T) {
	c := dial(t, startServer(t, "client-query-buffer-limit", "1mb"))
	name := strings.Repeat("n", 1000)
	n := 0
	for {
		got := c.do("subscribe", name+fmt.Sprint(n))
		if strings.HasPrefix(got, "-ERR The subscriptions") {
			break
		}
		n++
	}
	if n < 700 || n > 1000 {
		t.Errorf("%d subscriptions of 1 KB", n)
	}
	c.do("unsubscribe", name+"0")
	if got := c.do("subscribe", name+"0"); got[0] == '-' {
		t.Errorf("there is room again: %q", got)
	}
}
