//go:build !linux

package enginetest

import (
	"io"
	"os"
	"testing"
)

func testKilled(t *testing.T, _ Factory)    { missing(t, "needs Linux") }
func testPowerCut(t *testing.T, _ Factory)  { missing(t, "needs Linux") }
func testSmallDisk(t *testing.T, _ Factory) { missing(t, "needs Linux") }

func copySparse(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.Create(to)
	if err != nil {
		return err
	}
	defer dst.Close()
	_, err = io.Copy(dst, src)
	return err
}
