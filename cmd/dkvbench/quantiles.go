package main

import (
	"math"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// quantiles are what is reported of a histogram, in milliseconds.
type quantiles struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean_ms"`
	Min   float64 `json:"min_ms"`
	P50   float64 `json:"p50_ms"`
	P90   float64 `json:"p90_ms"`
	P99   float64 `json:"p99_ms"`
	P999  float64 `json:"p99.9_ms"`
	P9999 float64 `json:"p99.99_ms"`
	Max   float64 `json:"max_ms"`
}

func quantilesOf(h *hdrhistogram.Histogram) quantiles {
	if h.TotalCount() == 0 {
		return quantiles{}
	}
	at := func(percent float64) float64 { return ms(h.ValueAtQuantile(percent)) }
	return quantiles{
		Count: h.TotalCount(), Mean: math.Round(h.Mean()) / 1000, Min: ms(h.Min()),
		P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), P9999: at(99.99), Max: ms(h.Max()),
	}
}

func ms(us int64) float64 { return float64(us) / 1000 }
