package script

import "time"

// began is when os.clock is 0.
var began = time.Now()

// openOS opens what Redis 7.4 has of Lua's library os: clock, for scripts that take time.
// Redis's is the processor time of the process, whose threads of one kind run scripts; this
// process has others, so it is the time that has passed.
func (s *state) openOS() {
	s.open("os", map[string]func(frame) int{
		"clock": func(f frame) int { return f.pushNum(time.Since(began).Seconds()) },
	})
}
