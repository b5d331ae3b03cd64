package chaos

import (
	"errors"
	"slices"
	"testing"
)

// The last fault is ended first. What fails meanwhile is done again when all others have
// been ended, if it may be for want of space, and once only.
func TestTakeBack(t *testing.T) {
	var log []string
	space := false
	free := func() error {
		log, space = append(log, "free"), true
		return nil
	}
	start := func() error {
		log = append(log, "start")
		if !space {
			return errors.New("no space")
		}
		return nil
	}
	never := func() error { return errors.New("broken") }

	if err := takeBack([]func() error{free, nil, start}, true); err != nil || !slices.Equal(log, []string{"start", "free", "start"}) {
		t.Errorf("%v, %v", log, err)
	}
	if takeBack([]func() error{free, never}, true) == nil {
		t.Error("what fails twice passes")
	}
	log, space = nil, false
	if takeBack([]func() error{free, start}, false) == nil || len(log) != 1 {
		t.Errorf("what fails passes: %v", log)
	}
}
