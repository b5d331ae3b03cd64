//go:build cgo

package main

/*
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
static void limitArenas(int n) { mallopt(M_ARENA_MAX, n); }
#else
static void limitArenas(int n) {}
#endif
*/
import "C"

import (
	"os"
	"runtime"
)

// maxArenas bounds what is chosen here.
const maxArenas = 4

// limitArenas has the C library take memory from few arenas, unless the environment
// says how many. It would make eight for each core, and a block that is put back into
// one is not used by another: with caches of 156 MiB the process grew to twice that.
// Called before there are threads that have an arena each. Source: mallopt(3).
func limitArenas() {
	if os.Getenv("MALLOC_ARENA_MAX") == "" {
		C.limitArenas(C.int(arenas(runtime.NumCPU())))
	}
}

// arenas is one for two cores, which leaves many cores some to choose from.
func arenas(cores int) int { return min(max(cores/2, 1), maxArenas) }
