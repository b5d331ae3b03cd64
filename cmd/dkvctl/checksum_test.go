package main

import (
	"errors"
	"testing"
)

func TestVerdict(t *testing.T) {
	at := func(index int64, digest, history string) nodeSum {
		return nodeSum{index: index, digest: digest, history: history}
	}
	for want, cases := range map[string][][]nodeSum{
		same: {
			{at(5, "a", "h"), at(5, "a", "h")},
			{at(5, "a", "h"), at(9, "a", "h")},
			{at(5, "a", "h"), at(5, "a", "h"), at(1048580, "a", "of a replica")},
		},
		different: {{at(5, "a", "h"), at(5, "b", "h")}},
		strangers: {{at(5, "a", "h"), at(5, "b", "other")}},
		unknown: {
			{at(5, "a", "h"), at(6, "b", "h")},
			{at(5, "a", "h"), {err: errors.New("away")}},
		},
	} {
		for _, sums := range cases {
			if got := verdictOf(sums); got != want {
				t.Errorf("%v: %q, want %q", sums, got, want)
			}
		}
	}
}
