package differential

import "time"

// shrinkLimit bounds the time spent on making a failing sequence shorter.
const shrinkLimit = 30 * time.Second

// shrink returns a subsequence for which fails still holds, from which no step
// can be left out any more (unless time runs out). It tries halves, then
// quarters, and so on down to single steps.
func shrink(steps []step, fails func([]step) bool) []step {
	deadline := time.Now().Add(shrinkLimit)
	for size := max(1, len(steps)/2); ; {
		removed := false
		for start := 0; start < len(steps) && time.Now().Before(deadline); {
			end := min(start+size, len(steps))
			without := append(append([]step{}, steps[:start]...), steps[end:]...)
			if len(without) > 0 && fails(without) {
				steps, removed = without, true
			} else {
				start = end
			}
		}
		if time.Now().After(deadline) {
			return steps
		}
		if size > 1 {
			size = max(1, size/2)
		} else if !removed {
			return steps
		}
	}
}
