package server

import "testing"

// The default of the write buffer suits the machine and maxmemory; what was given is
// what it is.
func TestHotWriteBytes(t *testing.T) {
	set := func(pairs ...string) *Config {
		t.Helper()
		c := NewConfig()
		for i := 0; i < len(pairs); i += 2 {
			if err := c.Set(pairs[i], pairs[i+1]); err != nil {
				t.Fatal(err)
			}
		}
		return c
	}
	if n := set().HotWriteBytes(); n <= 0 || n > defHotWriteSize {
		t.Errorf("by default %d bytes", n)
	}
	if n := set("maxmemory", "160mb").HotWriteBytes(); n != 10<<20 {
		t.Errorf("with a maxmemory of 160mb %d bytes", n)
	}
	if n := set("maxmemory", "160mb", "hot-write-buffer-size", "1gb").HotWriteBytes(); n != 1<<30 {
		t.Errorf("where 1gb was given %d bytes", n)
	}
	if n := set("hot-write-buffer-size", "0").HotWriteBytes(); n != 0 {
		t.Errorf("where 0 was given %d bytes", n)
	}
}
