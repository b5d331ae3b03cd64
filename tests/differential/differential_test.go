package differential

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"dkv/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// defaultSequences take a minute.
const defaultSequences = 200

func TestRandom(t *testing.T) {
	sequences, steps := number(t, "DKV_DIFF_SEQUENCES", defaultSequences), number(t, "DKV_DIFF_STEPS", 400)
	if testing.Short() {
		sequences = min(sequences, 20)
	}
	seed := uint64(number(t, "DKV_DIFF_SEED", int(rand.Uint32())))
	if os.Getenv("DKV_DIFF_SEED") != "" {
		sequences = 1
	}
	// Most of the time is spent on waiting for replies: two halves at once.
	t.Run("halves", func(t *testing.T) {
		first := (sequences + 1) / 2
		for _, half := range [][2]int{{0, first}, {first, sequences}} {
			if half[0] == half[1] {
				continue
			}
			t.Run(strconv.Itoa(half[0]), func(t *testing.T) {
				t.Parallel()
				startPair(t).playRandom(t, seed+uint64(half[0]), half[1]-half[0], steps)
			})
		}
	})
	t.Logf("transactions that only dkv aborted, after a flush, SWAPDB or an expiry: %d", abortedByFlush.Load())
	for _, k := range known {
		t.Logf("known difference %-20s met %5d times: %s", k.command, k.seen.Load(), k.reason)
	}
}

// playRandom plays sequences that begin with a seed.
func (p *pair) playRandom(t *testing.T, seed uint64, sequences, steps int) {
	t.Helper()
	t.Logf("first seed %d, %d sequences of %d steps", seed, sequences, steps)
	unstable := 0
	for i := range sequences {
		g := newGenerator(seed + uint64(i))
		if p.forms != nil {
			g.forms = p.forms
		}
		seq := g.sequence(steps)
		m := p.play(seq)
		if m == nil {
			continue
		}
		// Two servers read two clocks: a difference that cannot be seen again
		// was one of time.
		if again := p.play(seq); again == nil {
			t.Logf("seed %d: seen once and not again:\n%s", seed+uint64(i), m)
			unstable++
			continue
		}
		report(t, p, seq, m, seed+uint64(i))
		if t.Failed() && i > 10 {
			break
		}
	}
	if unstable > 1+sequences/20 {
		t.Errorf("%d of %d sequences gave another result when played again", unstable, sequences)
	}
}

// report fails the test with the shortest sequence that still differs.
func report(t *testing.T, p *pair, seq []step, m *mismatch, seed uint64) {
	t.Helper()
	last := m
	short := shrink(seq, func(steps []step) bool {
		if m := p.play(steps); m != nil {
			last = m
			return true
		}
		return false
	})
	t.Errorf("seed %d: %s\ntranscript:\n%s", seed, last, transcript(short))
}

// TestTranscripts plays the sequences that are kept in testdata.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	p := startPair(t)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, part := range strings.Split(string(data), "\n\n") {
				steps, err := parseTranscript([]byte(part))
				if err != nil {
					t.Fatal(err)
				}
				if m := p.play(steps); m != nil {
					t.Errorf("%s\nin\n%s", m, part)
				}
			}
		})
	}
}

// Every command of a sequence is written and read back as it was.
func TestTranscriptFormat(t *testing.T) {
	steps := newGenerator(1).sequence(2000)
	parsed, err := parseTranscript([]byte(transcript(steps)))
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range steps {
		if s.conn != parsed[i].conn || s.more != parsed[i].more || !slices.Equal(s.args, parsed[i].args) {
			t.Fatalf("step %d: wrote %q, read %q", i, s.args, parsed[i].args)
		}
	}
}

// A shrunk sequence keeps what makes it fail, and nothing else.
func TestShrink(t *testing.T) {
	steps := newGenerator(2).sequence(300)
	a, b := steps[17], steps[200]
	short := shrink(steps, func(s []step) bool {
		has := func(want step) bool {
			return slices.ContainsFunc(s, func(x step) bool { return &x.args[0] == &want.args[0] })
		}
		return has(a) && has(b)
	})
	if len(short) != 2 {
		t.Fatalf("%d steps left of two that matter:\n%s", len(short), transcript(short))
	}
}

func number(t *testing.T, env string, otherwise int) int {
	t.Helper()
	text := os.Getenv(env)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", env, err)
	}
	return n
}
