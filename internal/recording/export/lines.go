package export

import "time"

// Lines makes lines of the bytes that went to a screen, as a transcript has
// them. The zero Lines is not of use.
type Lines struct{ line screenLine }

// NewLines calls emit for each line when it is finished, with the time at which
// it was begun.
func NewLines(emit func(at time.Duration, text string)) *Lines {
	return &Lines{screenLine{emit: emit}}
}

// Write takes the bytes of a frame.
func (l *Lines) Write(at time.Duration, b []byte) { l.line.write(at, b) }

// Finish emits what was never ended.
func (l *Lines) Finish() { l.line.finish() }
