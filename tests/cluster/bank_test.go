package cluster

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dkv/tests/harness"
)

const (
	bankAccounts = 16
	bankEach     = 1000 // what an account has at first
	bankMovers   = 6    // half of them use WATCH and MULTI, half EVAL
	bankReaders  = 3
)

// moving takes an amount from the first account and gives it to the second, if it is there.
const moving = "local n = tonumber(redis.call('GET', KEYS[1])) if n < tonumber(ARGV[1]) then return 0 end " +
	"redis.call('DECRBY', KEYS[1], ARGV[1]) redis.call('INCRBY', KEYS[2], ARGV[1]) return 1"

// summing adds all accounts up.
const summing = "local sum = 0 for _, v in ipairs(redis.call('MGET', unpack(KEYS))) do sum = sum + v end return sum"

// bank is clients that move money between accounts, and others that look whether it is all
// there.
type bank struct {
	t        *testing.T
	cluster  *harness.Cluster
	accounts []string
	random   func() *rand.Rand
	stop     atomic.Bool
	wg       sync.WaitGroup
	moved    [2]atomic.Int64 // by transactions; by scripts
	read     atomic.Int64
	aborted  atomic.Int64
}

func newBank(t *testing.T, c *harness.Cluster) *bank {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("DKV_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("DKV_SEED=%d", seed)
	b := &bank{t: t, cluster: c}
	var client atomic.Uint64
	b.random = func() *rand.Rand { return rand.New(rand.NewPCG(seed, client.Add(1))) }
	args := []string{"MSET"}
	for i := range bankAccounts {
		name := fmt.Sprintf("{bank}%d", i)
		b.accounts = append(b.accounts, name)
		args = append(args, name, strconv.Itoa(bankEach))
	}
	c.Nodes()[0].Dial(t).OK(args...)
	return b
}

// start starts the clients, which go from node to node.
func (b *bank) start() {
	for i := range bankMovers {
		random := b.random()
		move := b.transact
		if i%2 == 1 {
			move = b.script
		}
		b.wg.Go(func() { b.connected(i, func(c *harness.Conn) error { return move(c, random) }) })
	}
	for i := range bankReaders {
		b.wg.Go(func() { b.connected(i, b.look) })
	}
}

// connected runs f with connections to one node after the other until the end.
func (b *bank) connected(first int, f func(c *harness.Conn) error) {
	for i := first; !b.stop.Load(); i++ {
		c, err := b.cluster.Nodes()[i%3].Connect()
		if err != nil {
			time.Sleep(refusalsPause)
			continue
		}
		for n := 0; n < 50 && !b.stop.Load(); n++ {
			c.SetDeadline(time.Now().Add(replyLimit))
			if f(c) != nil {
				break
			}
		}
		c.Close()
	}
}

// choose returns two accounts and an amount.
func (b *bank) choose(random *rand.Rand) (from, to string, amount int64) {
	i := random.IntN(bankAccounts)
	j := (i + 1 + random.IntN(bankAccounts-1)) % bankAccounts
	return b.accounts[i], b.accounts[j], 1 + random.Int64N(bankEach/4)
}

// transact moves money in a transaction that ends without effect when one of the accounts
// has changed since it was looked at.
func (b *bank) transact(c *harness.Conn, random *rand.Rand) error {
	from, to, amount := b.choose(random)
	if r, err := c.Call("WATCH", from, to); err != nil || r.IsError() {
		return b.failed(r, err)
	}
	r, err := c.Call("MGET", from, to)
	if err != nil || r.IsError() {
		return b.failed(r, err)
	}
	have, ok1 := r.Elems[0].Int()
	has, ok2 := r.Elems[1].Int()
	if !ok1 || !ok2 {
		b.t.Errorf("an account is no number: %s", r)
		return nil
	}
	if have < amount {
		_, err = c.Call("UNWATCH")
		return err
	}
	for _, args := range [][]string{
		{"MULTI"}, {"SET", from, strconv.FormatInt(have-amount, 10)}, {"SET", to, strconv.FormatInt(has+amount, 10)},
	} {
		if r, err := c.Call(args...); err != nil || r.IsError() {
			return b.failed(r, err)
		}
	}
	r, err = c.Call("EXEC")
	switch {
	case err != nil || r.IsError():
		return b.failed(r, err)
	case len(r.Elems) == 2:
		b.moved[0].Add(1)
	default:
		b.aborted.Add(1)
	}
	return nil
}

func (b *bank) script(c *harness.Conn, random *rand.Rand) error {
	from, to, amount := b.choose(random)
	r, err := c.Call("EVAL", moving, "2", from, to, strconv.FormatInt(amount, 10))
	if err != nil || r.IsError() {
		return b.failed(r, err)
	}
	if n, _ := r.Int(); n == 1 {
		b.moved[1].Add(1)
	}
	return nil
}

// errRefused has a client go to another node.
var errRefused = fmt.Errorf("refused")

// failed is for replies that a fault explains; any other is an error of the test.
func (b *bank) failed(r harness.Reply, err error) error {
	if err != nil {
		return err
	}
	text := string(r.Raw)
	if !strings.HasPrefix(text, "-UNCERTAIN") && !strings.HasPrefix(text, "-CLUSTERDOWN") {
		b.t.Errorf("reply %s", r)
	}
	return errRefused
}

// look adds up all accounts, by MGET and by a script.
func (b *bank) look(c *harness.Conn) error {
	r, err := c.Call(append([]string{"MGET"}, b.accounts...)...)
	if err != nil || r.IsError() {
		return b.failed(r, err)
	}
	sum := int64(0)
	for _, e := range r.Elems {
		n, ok := e.Int()
		if !ok || n < 0 {
			b.t.Errorf("an account has %s", e)
		}
		sum += n
	}
	b.expect("MGET", sum)
	for _, command := range []string{"EVAL", "EVAL_RO"} {
		r, err = c.Call(append([]string{command, summing, strconv.Itoa(bankAccounts)}, b.accounts...)...)
		if err != nil || r.IsError() {
			return b.failed(r, err)
		}
		n, _ := r.Int()
		b.expect(command, n)
	}
	b.read.Add(1)
	return nil
}

func (b *bank) expect(how string, sum int64) {
	if sum != bankAccounts*bankEach {
		b.t.Errorf("%s sees %d, and there are %d", how, sum, bankAccounts*bankEach)
	}
}

// mustFlow waits until money has been moved in both ways, and looked at.
func (b *bank) mustFlow() {
	b.t.Helper()
	counts := func() [3]int64 { return [3]int64{b.moved[0].Load(), b.moved[1].Load(), b.read.Load()} }
	was := counts()
	harness.Until(b.t, backLimit, "money to be moved", func() bool {
		now := counts()
		return now[0] > was[0]+5 && now[1] > was[1]+5 && now[2] > was[2]+5
	})
}

// Leaders are killed and stopped while money is moved through all nodes: at no time, and for
// no client, is there more or less of it.
func TestBank(t *testing.T) {
	c := local(t, 3)
	b := newBank(t, c)
	b.start()
	b.mustFlow()
	for range 2 {
		leader := c.MustLeader(t)
		leader.Kill()
		b.mustFlow()
		restart(t, leader)
		b.mustFlow()

		leader = c.MustLeader(t)
		leader.Pause()
		if err := c.AwaitWrites(backLimit, c.Others(leader)...); err != nil {
			t.Fatal(err)
		}
		b.mustFlow()
		leader.Resume()
		b.mustFlow()
	}
	for _, n := range c.Nodes() {
		n.Kill()
	}
	if err := harness.StartAll(c.Nodes()); err != nil {
		t.Fatal(err)
	}
	b.mustFlow()
	b.stop.Store(true)
	b.wg.Wait()
	c.MustAwaitWrites(t, backLimit)
	same(t, c)
	for _, n := range c.Nodes() {
		conn, err := n.Connect()
		if err != nil {
			t.Fatal(err)
		}
		if err := b.look(conn); err != nil {
			t.Errorf("node %d: %v", n.Number, err)
		}
		conn.Close()
	}
	t.Logf("%d transactions (%d aborted) and %d scripts have moved money, %d times it was counted",
		b.moved[0].Load(), b.aborted.Load(), b.moved[1].Load(), b.read.Load())
}
