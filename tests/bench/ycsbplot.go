package main

import (
	"bytes"
	"fmt"
	"math"
	"strings"
)

// The plot's measures, in pixels.
const (
	panelWidth, panelHeight = 430, 120
	panelLeft, panelTop     = 48, 24 // within the panel's place: its scale and its title
	placeWidth              = panelWidth + panelLeft + 16
	placeHeight             = panelHeight + panelTop + 26
	plotTop                 = 44
)

// The scale of latencies: logarithmic, within these powers of ten of a millisecond.
const lowestPower, highestPower = -2, 4

// plotYCSB draws p99 and p99.9 of each second as an SVG image: a line of panels a
// workload, a column a node, a stripe where a checkpoint ran.
func plotYCSB(d *ycsbDocument) []byte {
	var rows []string
	for _, w := range ycsbRows {
		if d.run(w, nodeLayer) != nil || d.run(w, nodePlain) != nil {
			rows = append(rows, w)
		}
	}
	low, high := scaleOf(d)
	var b bytes.Buffer
	width, height := 2*placeWidth, plotTop+len(rows)*placeHeight
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n",
		width, height, width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text x="8" y="16" font-size="13">Latency of each second, ms: <tspan fill="#1f77b4">p99</tspan>, <tspan fill="#d62728">p99.9</tspan>; grey: a checkpoint runs</text>`+"\n")
	fmt.Fprintf(&b, `<text x="8" y="33">%d keys of %d bytes, %d MiB for everything, %s, %s</text>`+"\n", d.Keys, d.ValueBytes, d.MemoryBytes>>20, escape(d.Machine), escape(d.Date))
	for i, w := range rows {
		for column, node := range []string{nodePlain, nodeLayer} {
			if r := d.run(w, node); r != nil {
				p := panel{x: column*placeWidth + panelLeft, y: plotTop + i*placeHeight + panelTop, low: low, high: high}
				p.draw(&b, r)
			}
		}
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// scaleOf returns the powers of ten that all latencies lie between.
func scaleOf(d *ycsbDocument) (low, high int) {
	low, high = highestPower, lowestPower
	for _, r := range d.Runs {
		for _, p := range r.Series {
			if p.P99 > 0 && p.P999 > 0 {
				low = min(low, int(math.Floor(math.Log10(p.P99))))
				high = max(high, int(math.Ceil(math.Log10(p.P999))))
			}
		}
	}
	low = min(max(low, lowestPower), highestPower-1)
	return low, min(max(high, low+1), highestPower)
}

// panel is the place of one run; x and y are its upper left corner.
type panel struct {
	x, y      int
	low, high int
	seconds   float64
}

func (p panel) draw(b *bytes.Buffer, r *ycsbRun) {
	for _, s := range r.Series {
		p.seconds = max(p.seconds, s.At)
	}
	if p.seconds == 0 {
		return
	}
	title := map[string]string{nodePlain: "without the layer", nodeLayer: "with the layer"}[r.Node]
	name := "YCSB " + strings.ToUpper(r.Workload)
	if r.Workload == rowSteady {
		name = fmt.Sprintf("YCSB A at a steady %.0f/s", r.TargetRate)
	}
	fmt.Fprintf(b, `<text x="%d" y="%d">%s, %s: %.0f/s</text>`+"\n", p.x, p.y-6, escape(name), title, r.Rate)
	for _, s := range r.Checkpoints {
		from, to := p.at(s.From), p.at(s.To)
		fmt.Fprintf(b, `<rect class="checkpoint" x="%.1f" y="%d" width="%.1f" height="%d" fill="#dddddd"/>`+"\n", from, p.y, max(1, to-from), panelHeight)
	}
	for power := p.low; power <= p.high; power++ {
		y := p.level(math.Pow10(power))
		fmt.Fprintf(b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#cccccc" stroke-width="0.5"/>`, p.x, p.x+panelWidth, y, y)
		fmt.Fprintf(b, `<text x="%d" y="%.1f" text-anchor="end" fill="#555555">%g</text>`+"\n", p.x-4, y+4, math.Pow10(power))
	}
	fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%d" fill="none" stroke="#555555"/>`, p.x, p.y, panelWidth, panelHeight)
	fmt.Fprintf(b, `<text x="%d" y="%d" fill="#555555">0</text>`, p.x, p.y+panelHeight+13)
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end" fill="#555555">%.0f s</text>`+"\n", p.x+panelWidth, p.y+panelHeight+13, p.seconds)
	p.line(b, r, "#1f77b4", func(s ycsbPoint) float64 { return s.P99 })
	p.line(b, r, "#d62728", func(s ycsbPoint) float64 { return s.P999 })
}

// line draws one figure of the series; a second without replies has none.
func (p panel) line(b *bytes.Buffer, r *ycsbRun, colour string, of func(ycsbPoint) float64) {
	var points []string
	for _, s := range r.Series {
		if v := of(s); v > 0 {
			points = append(points, fmt.Sprintf("%.1f,%.1f", p.at(s.At), p.level(v)))
		}
	}
	fmt.Fprintf(b, `<polyline fill="none" stroke="%s" stroke-width="1.2" points="%s"/>`+"\n", colour, strings.Join(points, " "))
}

func (p panel) at(seconds float64) float64 {
	return float64(p.x) + panelWidth*min(max(seconds/p.seconds, 0), 1)
}

func (p panel) level(ms float64) float64 {
	share := (math.Log10(ms) - float64(p.low)) / float64(p.high-p.low)
	return float64(p.y) + panelHeight*(1-min(max(share, 0), 1))
}

// escape makes text safe between tags.
func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}
