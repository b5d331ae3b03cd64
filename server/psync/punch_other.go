//go:build !linux

package psync

import (
	"errors"
	"os"
)

// punch is Linux's alone.
func punch(*os.File, int64, int64) error { return errors.ErrUnsupported }
