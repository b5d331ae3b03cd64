//go:build !linux

package server

func residentBytes() uint64 { return 0 }

func systemMemory() uint64 { return 0 }
