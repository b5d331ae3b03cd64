package apps

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"dkv/tests/harness"
)

// rueidis connects to a place, in RESP3, with its client-side cache where the server
// tracks what clients keep.
func (p place) rueidis(t *testing.T) rueidis.Client {
	t.Helper()
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: p.addrs, ForceSingleClient: !p.clustered,
		DisableCache: !p.tracks(t), ShuffleInit: p.clustered})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// tracks reports whether there is CLIENT TRACKING.
func (p place) tracks(t *testing.T) bool {
	t.Helper()
	c, err := harness.Dial(p.addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(programLimit))
	r, err := c.Call("CLIENT", "TRACKING", "OFF")
	if err != nil {
		t.Fatal(err)
	}
	return !r.IsError()
}

// TestRueidis runs what applications do with rueidis.
func TestRueidis(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, p place) {
		c := p.rueidis(t)
		t.Run("values", func(t *testing.T) { rueidisValues(t, c) })
		t.Run("pipelines", func(t *testing.T) { rueidisPipelines(t, c) })
		t.Run("transactions", func(t *testing.T) { rueidisTransactions(t, c) })
		t.Run("scripts", func(t *testing.T) { rueidisScripts(t, c) })
		t.Run("messages", func(t *testing.T) { rueidisMessages(t, c, p.rueidis(t)) })
		t.Run("waiting", func(t *testing.T) { rueidisWaiting(t, c) })
		t.Run("cache", func(t *testing.T) {
			if !p.tracks(t) {
				t.Skip("skipped: there is no CLIENT TRACKING")
			}
			rueidisCache(t, c, p.rueidis(t))
		})
	})
}

// expect fails the test when a value is another, or did not come.
func expect[T comparable](t *testing.T, want T) func(got T, err error) {
	return func(got T, err error) {
		t.Helper()
		if err != nil || got != want {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
	}
}

func rueidisValues(t *testing.T, c rueidis.Client) {
	ctx, b := t.Context(), func() rueidis.Builder { return c.B() }
	for _, key := range []string{"{r}k", "{r}h", "{r}z"} {
		if err := c.Do(ctx, b().Del().Key(key).Build()).Error(); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, "OK")(c.Do(ctx, b().Set().Key("{r}k").Value("a\x00\r\n").PxMilliseconds(50000).Build()).ToString())
	expect(t, "a\x00\r\n")(c.Do(ctx, b().Get().Key("{r}k").Build()).ToString())
	if _, err := c.Do(ctx, b().Get().Key("{r}none").Build()).ToString(); !rueidis.IsRedisNil(err) {
		t.Errorf("GET of no key: %v", err)
	}
	expect(t, int64(2))(c.Do(ctx, b().Hset().Key("{r}h").FieldValue().FieldValue("a", "1").FieldValue("b", "2").Build()).AsInt64())
	m, err := c.Do(ctx, b().Hgetall().Key("{r}h").Build()).AsStrMap()
	if err != nil || len(m) != 2 || m["b"] != "2" {
		t.Errorf("HGETALL: %v, %v", m, err)
	}
	expect(t, int64(1))(c.Do(ctx, b().Zadd().Key("{r}z").ScoreMember().ScoreMember(1.5, "one").Build()).AsInt64())
	expect(t, 1.5)(c.Do(ctx, b().Zscore().Key("{r}z").Member("one").Build()).ToFloat64())
	var redisErr *rueidis.RedisError
	if err := c.Do(ctx, b().Incr().Key("{r}h").Build()).Error(); !errors.As(err, &redisErr) {
		t.Errorf("INCR of a hash: %v", err)
	}
}

func rueidisPipelines(t *testing.T, c rueidis.Client) {
	var cmds rueidis.Commands
	for i := range 200 {
		cmds = append(cmds, c.B().Set().Key("pipe:"+strconv.Itoa(i)).Value(strconv.Itoa(i)).Build())
	}
	for _, r := range c.DoMulti(t.Context(), cmds...) {
		expect(t, "OK")(r.ToString())
	}
	keys := make([]string, 200)
	for i := range keys {
		keys[i] = "pipe:" + strconv.Itoa(i)
	}
	got, err := rueidis.MGet(c, t.Context(), keys)
	if err != nil {
		t.Fatal(err)
	}
	for i, key := range keys {
		m := got[key]
		expect(t, strconv.Itoa(i))(m.ToString())
	}
}

func rueidisTransactions(t *testing.T, c rueidis.Client) {
	ctx := t.Context()
	err := c.Dedicated(func(d rueidis.DedicatedClient) error {
		if err := d.Do(ctx, d.B().Set().Key("{r}sum").Value("1").Build()).Error(); err != nil {
			return err
		}
		for _, disturb := range []bool{false, true} {
			if err := d.Do(ctx, d.B().Watch().Key("{r}sum").Build()).Error(); err != nil {
				return err
			}
			if disturb {
				if err := c.Do(ctx, c.B().Incr().Key("{r}sum").Build()).Error(); err != nil {
					return err
				}
			}
			results := d.DoMulti(ctx, d.B().Multi().Build(), d.B().Incr().Key("{r}sum").Build(), d.B().Exec().Build())
			values, err := results[2].ToArray()
			if disturb != rueidis.IsRedisNil(err) || !disturb && (err != nil || len(values) != 1) {
				return fmt.Errorf("EXEC, what it watches changed %v: %v, %v", disturb, values, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "3")(c.Do(ctx, c.B().Get().Key("{r}sum").Build()).ToString())
}

func rueidisScripts(t *testing.T, c rueidis.Client) {
	script := rueidis.NewLuaScript(`return {KEYS[1], tonumber(ARGV[1]) + 1, redis.call('TYPE', KEYS[1]).ok}`)
	for range 2 { // EVALSHA of one that is not known yet, and of one that is
		values, err := script.Exec(t.Context(), c, []string{"{r}nothing"}, []string{"41"}).ToArray()
		if err != nil || len(values) != 3 {
			t.Fatalf("%v, %v", values, err)
		}
		expect(t, int64(42))(values[1].AsInt64())
		expect(t, "none")(values[2].ToString())
	}
}

func rueidisMessages(t *testing.T, c, subscriber rueidis.Client) {
	ctx, cancel := context.WithTimeout(t.Context(), programLimit)
	defer cancel()
	got := make(chan rueidis.PubSubMessage, 100)
	ended := make(chan error, 1)
	go func() {
		ended <- subscriber.Receive(ctx, subscriber.B().Ssubscribe().Channel("{r}news").Build(), func(m rueidis.PubSubMessage) { got <- m })
	}()
	every := time.NewTicker(10 * time.Millisecond)
	defer every.Stop()
	for {
		select {
		case m := <-got:
			if m.Channel != "{r}news" || m.Message != "hello" {
				t.Errorf("%+v", m)
			}
			cancel()
			<-ended
			return
		case err := <-ended:
			t.Fatal(err)
		case <-every.C:
			if err := c.Do(ctx, c.B().Spublish().Channel("{r}news").Message("hello").Build()).Error(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func rueidisWaiting(t *testing.T, c rueidis.Client) {
	ctx := t.Context()
	popped := make(chan error, 1)
	go func() {
		values, err := c.Do(ctx, c.B().Blpop().Key("{r}queue").Timeout(30).Build()).AsStrSlice()
		if err == nil && (len(values) != 2 || values[1] != "job") {
			err = fmt.Errorf("BLPOP: %v", values)
		}
		popped <- err
	}()
	if err := c.Do(ctx, c.B().Rpush().Key("{r}queue").Element("job").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	if err := <-popped; err != nil {
		t.Fatal(err)
	}
}

// rueidisCache keeps values on the client's side, until another client changes them.
func rueidisCache(t *testing.T, c, other rueidis.Client) {
	ctx := t.Context()
	cached := func(key string) rueidis.RedisResult { return c.DoCache(ctx, c.B().Get().Key(key).Cache(), time.Minute) }
	set := func(value string) {
		t.Helper()
		if err := other.Do(ctx, other.B().Set().Key("{r}cached").Value(value).Build()).Error(); err != nil {
			t.Fatal(err)
		}
	}
	for round := range 20 {
		want := "value " + strconv.Itoa(round)
		set(want)
		harness.Until(t, programLimit, "the new value", func() bool {
			got, err := cached("{r}cached").ToString()
			return err == nil && got == want
		})
		harness.Until(t, programLimit, "a value from the cache", func() bool { return cached("{r}cached").IsCacheHit() })
	}
	if err := other.Do(ctx, other.B().Del().Key("{r}cached").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	harness.Until(t, programLimit, "the deletion", func() bool { return rueidis.IsRedisNil(cached("{r}cached").Error()) })
	if err := other.Do(ctx, other.B().Set().Key("{r}cached").Value("short").PxMilliseconds(100).Build()).Error(); err != nil {
		t.Fatal(err)
	}
	harness.Until(t, programLimit, "the expiry", func() bool { return rueidis.IsRedisNil(cached("{r}cached").Error()) })
}
