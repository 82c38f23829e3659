package recording

import (
	"bytes"
	"slices"
	"sort"
	"time"
)

// Silence is what somebody typed in one line at a terminal, and the node did not
// echo: a password, mostly, or keys of a full-screen program. What it was is not
// told.
type Silence struct {
	At    time.Duration // of its last byte
	Bytes int
}

// maxVeiled is how many veiled frames of a channel are remembered for a reveal.
// The proxy gives up after a minute, in which nobody types so much.
const maxVeiled = 1 << 16

// typing follows what is typed at a terminal.
type typing struct {
	line   int      // how many were ended
	frames []veiled // that may still be revealed, in order
	lines  []silent // with something veiled, in order
}

type veiled struct {
	frame uint64
	line  int // index in lines
}

type silent struct {
	Silence
	line int
}

// clear takes in bytes that stand in clear, and returns how many lines they end:
// a terminal sends a carriage return for Enter.
func (t *typing) clear(b []byte) int {
	n := bytes.Count(b, []byte{'\r'})
	t.line += n
	return n
}

// veil takes in a KindVeiled.
func (t *typing) veil(f Frame) {
	if len(f.Payload) == 0 {
		return
	}
	if n := len(t.lines); n == 0 || t.lines[n-1].line != t.line {
		t.lines = append(t.lines, silent{line: t.line})
	}
	last := &t.lines[len(t.lines)-1]
	last.At, last.Bytes = f.At, last.Bytes+len(f.Payload)
	if len(t.frames) == maxVeiled {
		t.frames = slices.Delete(t.frames, 0, maxVeiled/2)
	}
	t.frames = append(t.frames, veiled{f.Number, len(t.lines) - 1})
}

// reveal takes in the runs of a KindReveal, and returns how many lines they end.
func (t *typing) reveal(runs []Run) (ended int) {
	for _, r := range runs {
		i := sort.Search(len(t.frames), func(i int) bool { return t.frames[i].frame >= r.Frame })
		if i < len(t.frames) && t.frames[i].frame == r.Frame {
			line := &t.lines[t.frames[i].line]
			line.Bytes = max(line.Bytes-len(r.Bytes), 0)
		}
		ended += t.clear(r.Bytes)
	}
	return ended
}

// silences are the lines of which something was never revealed.
func (t *typing) silences() (list []Silence) {
	for _, l := range t.lines {
		if l.Bytes > 0 {
			list = append(list, l.Silence)
		}
	}
	return list
}
