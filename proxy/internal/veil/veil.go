// Package veil decides what of the text that a person types at a terminal stands
// in clear in the recording: what the node has echoed. A password that is typed
// or pasted at a prompt with echo off is not.
//
// # Rules
//
// Input is cut in two. Text (printable bytes, typed or pasted) is recorded under
// the recording's veil (recording.KindVeiled); everything else, Enter, control
// characters, arrows and other sequences of keys, in clear. Both are recorded
// before they are delivered, and in their order: nothing that a node sends can
// make the recording lose a byte.
//
// What the node sends afterwards can only lift the veil (recording.KindReveal),
// before it is delivered itself. The veil is lifted from what was typed in a line
// when the node has shown all of it, character by character in its order:
//
//   - at the beginning of a packet, or behind a control character or sequence,
//     where echoes begin; or behind what the line already showed, when an editor
//     draws it again; or, three characters and more, at the end of a piece of
//     text, as behind a prompt for what was typed ahead;
//   - a character or two only within a second after the last key; three (Enter's
//     echo counts as one) at any time. Where the node sends things by itself, such
//     as a clock in a status line, it is always three, counted from the line's
//     beginning;
//   - never blanks, stars and bullets alone: they are what prompts show instead.
//
// A key that is a command (j in less, dd in vim) is not echoed, but answered at
// once by a redrawn screen. Two keys in a row that are answered so are revealed:
// within 150 ms, by output that moves the cursor and has text other than blanks,
// stars and bullets, while the node sends nothing by itself.
//
// Enter ends a line. What was silent is not waited for any more when the next line
// is echoed, after a minute, behind maxPassed bytes of output, or when there is
// too much of it (maxPending): it stays under the veil, where those can read it to
// whom the recording is encrypted.
//
// # What this does not do
//
// It is no lie detector. A node that wants a typed password in clear can echo
// it, and then it stands in the output, too. A program that prints a secret right
// after it was typed in silence reveals it. One character may be revealed by a
// coincidence: output of something else, within a second, that begins with just
// this character.
//
// Some visible text stays under the veil, though what it did is in the output:
// single keys that are commands; anything typed while a program redraws its
// screen all the time and does not echo; text that an editor shows in another
// form, or out of order.
//
// # Cost
//
// While nothing is typed, output costs the look at a clock. The memory of a
// terminal is bounded by maxPending.
package veil

import (
	"sync"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/screen"
)

// maxPassed is how many bytes of output are held against what was typed. A node
// that prints so much is busy with something else, and shall not be slowed down.
const maxPassed = 256 << 10

// Recorder is where a Terminal records to. Each method returns when the frame is
// written; its error is final, and nothing may be delivered after it.
type Recorder interface {
	Append(kind recording.Kind, channel uint32, payload []byte) error
	// Veiled returns the frame's number.
	Veiled(channel uint32, typed []byte) (uint64, error)
	Reveal(channel uint32, runs []recording.Run) error
}

// Terminal records what passes at one channel's terminal. Input is for one
// goroutine, Output for another.
type Terminal struct {
	recorder Recorder
	channel  uint32
	clock    clock
	keys     keys // of Input alone

	mu      sync.Mutex
	pending pending
	echo    echo
	answer  answer
	scanner screen.Scanner // of the output, while something is pending
	passed  int            // bytes of output since something was typed
}

// New returns a Terminal that records to r as channel.
func New(r Recorder, channel uint32) *Terminal {
	return &Terminal{recorder: r, channel: channel, clock: newClock()}
}

// Input records what the person sent. After nil it may be delivered.
func (t *Terminal) Input(b []byte) error {
	now := t.clock.input()
	parts, many := t.keys.split(b)
	if many {
		return t.inputWhole(b, parts, now)
	}
	for _, p := range parts {
		if !p.text {
			if err := t.recorder.Append(recording.KindInput, t.channel, p.bytes); err != nil {
				return err
			}
			t.control(p.bytes)
			continue
		}
		frame, err := t.recorder.Veiled(t.channel, p.bytes)
		if err != nil {
			return err
		}
		t.mu.Lock()
		t.typed(p.bytes, frame, 0, now)
		t.mu.Unlock()
	}
	return nil
}

// inputWhole records input of many parts, such as a pasted text of many lines, in
// two frames instead of many: all of it veiled, and at once what is no text
// revealed.
func (t *Terminal) inputWhole(b []byte, parts []part, now time.Duration) error {
	frame, err := t.recorder.Veiled(t.channel, b)
	if err != nil {
		return err
	}
	var clear []recording.Run
	offset := 0
	for _, p := range parts {
		if !p.text {
			clear = append(clear, recording.Run{Frame: frame, Offset: offset, Bytes: p.bytes})
		}
		offset += len(p.bytes)
	}
	if err := t.recorder.Reveal(t.channel, clear); err != nil {
		return err
	}
	offset = 0
	for _, p := range parts {
		if p.text {
			t.mu.Lock()
			t.typed(p.bytes, frame, offset, now)
			t.mu.Unlock()
		} else {
			t.control(p.bytes)
		}
		offset += len(p.bytes)
	}
	return nil
}

// typed notes text that stands under the veil; t.mu is held.
func (t *Terminal) typed(text []byte, frame uint64, offset int, now time.Duration) {
	if t.pending.empty() {
		t.scanner = screen.Scanner{} // what has passed unseen began no echo
		t.echo.tail = t.echo.tail[:0]
	}
	t.pending.add(text, frame, offset, now)
	t.answer.key(len(text))
	t.passed = 0
	t.clock.waiting.Store(true)
}

// control follows what a control character does to the line.
func (t *Terminal) control(b []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range b {
		switch c {
		case '\r', '\n', 0x03, 0x04, 0x1a, 0x1c: // Enter, and what breaks a line off: ^C, ^D, ^Z, ^\
			if !t.pending.end() {
				t.echo.reset()
			}
			t.answer = answer{}
		case 0x7f, '\b':
			if !t.pending.erase() {
				t.echo.erase()
			}
		case 0x15: // ^U
			for t.pending.erase() {
			}
		}
	}
}

// Output records what the node sent, behind what it reveals. After nil it may be
// delivered.
func (t *Terminal) Output(b []byte) error {
	if t.clock.output() {
		if err := t.reveal(b); err != nil {
			return err
		}
	}
	return t.recorder.Append(recording.KindOutput, t.channel, b)
}

// reveal lifts the veil from what b echoes.
func (t *Terminal) reveal(b []byte) error {
	t.mu.Lock()
	now := t.clock.now()
	if t.passed += len(b); t.passed > maxPassed {
		t.pending.drop(len(t.pending.lines))
		t.echo.reset()
	}
	if t.pending.expire(now) {
		t.echo.reset()
	}
	w := watcher{t: t, now: now, ticks: t.clock.ticks(now), first: true}
	t.scanner.Scan(b, w.token)
	w.end()
	t.clock.waiting.Store(!t.pending.empty())
	runs := w.runs
	t.mu.Unlock()
	if len(runs) == 0 {
		return nil
	}
	return t.recorder.Reveal(t.channel, runs)
}
