package command

import (
	"fmt"
	"strings"
	"testing"
)

// What is counted is what the range has, also of sets whose members are records.
func TestZcountOfManyMembers(t *testing.T) {
	c := newClient(t)
	for i := range 300 {
		member := fmt.Sprintf("m%03d", i)
		c.do("ZADD", "same", "7", member)
		c.do("ZADD", "mixed", fmt.Sprint(i%40), member)
		if i < 20 {
			c.do("ZADD", "small", "7", member)
		}
	}
	lex := []string{"-", "+", "[", "(", "[m000", "(m000", "[m007", "(m007", "[m0075", "(m0075", "[m150", "(m150", "[m299", "(m299", "[z"}
	scores := []string{"-inf", "+inf", "0", "(0", "7", "(7", "6.5", "20", "(39", "39", "40"}
	for _, key := range []string{"same", "mixed", "small", "none"} {
		for _, form := range []struct {
			count, list string
			bounds      []string
		}{{"ZLEXCOUNT", "ZRANGEBYLEX", lex}, {"ZCOUNT", "ZRANGEBYSCORE", scores}} {
			for _, low := range form.bounds {
				for _, high := range form.bounds {
					n := strings.Count(c.do(form.list, key, low, high), "$4\r\nm")
					if got, want := c.do(form.count, key, low, high), fmt.Sprintf(":%d\r\n", n); got != want {
						t.Errorf("%s %s %s %s: %q, want %q", form.count, key, low, high, got, want)
					}
				}
			}
		}
		for i := range 300 {
			if i%7 != 0 && i < 290 || key == "small" && i >= 20 || key == "none" {
				continue
			}
			member := fmt.Sprintf("m%03d", i)
			before, _, _ := strings.Cut(c.do("ZRANGE", key, "0", "-1"), member)
			n := strings.Count(before, "$4\r\nm")
			size := strings.Count(c.do("ZRANGE", key, "0", "-1"), "$4\r\nm")
			if got, want := c.do("ZRANK", key, member), fmt.Sprintf(":%d\r\n", n); got != want {
				t.Errorf("ZRANK %s %s: %q, want %q", key, member, got, want)
			}
			if got, want := c.do("ZREVRANK", key, member), fmt.Sprintf(":%d\r\n", size-1-n); got != want {
				t.Errorf("ZREVRANK %s %s: %q, want %q", key, member, got, want)
			}
		}
	}
}
