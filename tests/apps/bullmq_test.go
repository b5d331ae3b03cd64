package apps

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// TestBullMQ has workers of BullMQ killed in mid-job. A job that a dead worker had is
// found stalled and done by another; each is completed once.
func TestBullMQ(t *testing.T) {
	t.Parallel()
	queuePlaces(t, func(t *testing.T, p place) {
		c := p.dialClient(t)
		add := startNode(t, p, "bullmq.js", "add", "0", strconv.Itoa(jobs))
		workers := make([]*program, 3)
		for i := range workers {
			workers[i] = startNode(t, p, "bullmq.js", "work")
		}
		killed := 0
		for round := range 3 {
			untilDone(t, c, "{bull}:done", int64((round+1)*jobs/5))
			workers[round].kill()
			killed++
			if round == 1 {
				p.killLeader(t, "{bull}:done")
			}
			workers = append(workers, startNode(t, p, "bullmq.js", "work"))
		}
		add.mustEnd(t)
		out := startNode(t, p, "bullmq.js", "report", strconv.Itoa(jobs)).mustEnd(t)
		checkBullMQ(t, p, out, killed)
	})
}

// checkBullMQ reads what bullmq.js reports.
func checkBullMQ(t *testing.T, p place, out string, killed int) {
	t.Helper()
	var report struct {
		Counts             map[string]int
		Done               map[string]string
		Completed, Stalled map[string]int
	}
	if err := json.Unmarshal([]byte(strings.TrimSpace(out)), &report); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	for state, n := range report.Counts {
		if want := map[string]int{"completed": jobs}[state]; n != want {
			t.Errorf("%d jobs are %s, want %d", n, state, want)
		}
	}
	for i := range jobs {
		if n := report.Completed[fmt.Sprintf("job-%d", i)]; n != 1 {
			t.Errorf("job %d was completed %d times", i, n)
		}
	}
	t.Logf("%d jobs were found stalled", len(report.Stalled))
	again := killed * concurrency
	if p.cluster != nil {
		// Whoever was told nothing, or UNCERTAIN, says it again: the client resends
		// what was under way, and the queue has stalled jobs done again.
		again = jobs
	}
	checkDone(t, report.Done, again)
}
