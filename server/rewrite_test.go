package server

import (
	"strings"
	"testing"
)

// BGREWRITEAOF and BGSAVE wait for each other, or refuse, as in Redis; INFO tells of it.
func TestRewriteAndSave(t *testing.T) {
	s := startServer(t)
	c := dial(t, s)
	info := func(line string) func() bool {
		return func() bool { return strings.Contains(c.do("INFO", "persistence"), line+"\r\n") }
	}
	if !info("aof_last_rewrite_time_sec:-1")() {
		t.Error("a rewriting before the first")
	}
	c.roundTrip(request("BGREWRITEAOF"), "+Background append only file rewriting started\r\n")
	eventually(t, "it has ended", info("aof_rewrite_in_progress:0"))
	if !info("aof_rewrites:1")() || !info("aof_last_rewrite_time_sec:0")() || !info("aof_last_bgrewrite_status:ok")() {
		t.Errorf("%q", c.do("INFO", "persistence"))
	}

	c.send(request("MULTI") + request("BGREWRITEAOF") + request("EXEC"))
	c.expect("+OK\r\n+QUEUED\r\n*1\r\n+Background append only file rewriting scheduled\r\n")
	eventually(t, "it has ended", info("aof_rewrites:2"))
	eventually(t, "it has ended", info("aof_rewrite_in_progress:0"))

	// While a save is under way.
	s.admin.saveBegan.Store(1)
	c.roundTrip(request("BGREWRITEAOF"), "+Background append only file rewriting scheduled\r\n")
	c.roundTrip(request("BGSAVE"), "-ERR Background save already in progress\r\n")
	if !info("aof_rewrite_scheduled:1")() || !info("rdb_bgsave_in_progress:1")() {
		t.Errorf("%q", c.do("INFO", "persistence"))
	}
	s.admin.saveBegan.Store(0)
	if err := s.saveNow(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it begins after the save", info("aof_rewrites:3"))
	if !info("aof_rewrite_scheduled:0")() {
		t.Error("still scheduled")
	}

	// While a rewriting is under way.
	eventually(t, "it has ended", info("aof_rewrite_in_progress:0"))
	s.admin.rewrite.running.Store(true)
	c.roundTrip(request("BGREWRITEAOF"), "-ERR Background append only file rewriting already in progress\r\n")
	c.roundTrip(request("BGSAVE"), "-ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a BGSAVE whenever possible.\r\n")
	c.roundTrip(request("BGSAVE", "SCHEDULE"), "+Background saving scheduled\r\n")
	s.admin.rewrite.running.Store(false)
	saves := s.admin.saves.Load()
	c.roundTrip(request("BGREWRITEAOF"), "+Background append only file rewriting started\r\n")
	eventually(t, "the save begins after it", func() bool { return s.admin.saves.Load() == saves+1 })
}
