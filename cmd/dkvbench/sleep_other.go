//go:build !linux

package main

import "time"

func beginPreciseSleep() func() { return func() {} }

func preciseSleep(d time.Duration) { time.Sleep(d) }
