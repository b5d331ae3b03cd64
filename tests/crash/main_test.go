package crash

import (
	"testing"

	"dkv/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
