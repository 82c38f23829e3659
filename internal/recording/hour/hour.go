// Package hour is a scripted hour at a terminal, the same for everybody: what
// the recording of "an interactive hour" is measured on. It is for tests and
// benches; the product never imports it.
//
// It types at a person's speed, with typing errors and pauses; the node echoes
// each key in a packet of its own, prints what commands print, and runs vim,
// less and top with their full screens. Text is drawn from an invented
// vocabulary whose word frequencies fall as those of language do (Zipf), and
// numbers, times and hashes are drawn fresh, so that it compresses like the real
// thing and not like a repeated sample. Packets arrive when they would, to the
// microsecond: arrival times are a good part of what cannot be compressed.
package hour

import (
	"math/rand/v2"
	"strings"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// Columns and Rows of the terminal.
const (
	Columns = 120
	Rows    = 36
)

// Event is one packet of the script.
type Event struct {
	At      time.Duration
	Kind    recording.Kind // KindInput or KindOutput
	Payload []byte
}

// Script returns about an hour of events, in order. The same seed gives the same
// events.
func Script(seed uint64) []Event {
	s := &session{rng: rand.New(rand.NewPCG(seed, 0x5a11))}
	s.words = vocabulary(s.rng)
	s.zipf = rand.NewZipf(s.rng, 1.1, 4, uint64(len(s.words)-1))
	s.print("Linux web-1 6.1.0-26-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.1.112-1 (2024-09-30) x86_64\r\n\r\n")
	s.prompt()
	acts := []struct {
		weight int
		run    func()
	}{
		{20, s.list}, {10, s.processes}, {14, s.journal}, {10, s.gitLog}, {10, s.cat},
		{12, s.grep}, {16, s.short}, {5, s.vim}, {5, s.less}, {3, s.top}, {5, s.build},
	}
	total := 0
	for _, a := range acts {
		total += a.weight
	}
	for s.at < time.Hour {
		n := s.rng.IntN(total)
		for _, a := range acts {
			if n -= a.weight; n < 0 {
				a.run()
				break
			}
		}
		s.think()
	}
	s.command("exit")
	s.print("logout\r\n")
	return s.events
}

type session struct {
	rng    *rand.Rand
	zipf   *rand.Zipf
	words  []string
	at     time.Duration
	events []Event
}

// wait lets around d pass, never evenly.
func (s *session) wait(d time.Duration) {
	s.at += time.Duration(float64(d) * (0.4 + s.rng.ExpFloat64()*0.6))
}

// think is the pause between two commands: mostly short, at times long.
func (s *session) think() {
	if s.rng.IntN(6) == 0 {
		s.wait(90 * time.Second)
		return
	}
	s.wait(9 * time.Second)
}

func (s *session) key(k string) {
	s.wait(170 * time.Millisecond)
	s.events = append(s.events, Event{s.at, recording.KindInput, []byte(k)})
	s.wait(900 * time.Microsecond)
}

// print sends text in packets as a pty's reader gathers them.
func (s *session) print(text string) {
	for len(text) > 0 {
		n := min(len(text), 4095)
		if s.rng.IntN(3) == 0 {
			n = min(len(text), 200+s.rng.IntN(3000))
		}
		s.events = append(s.events, Event{s.at, recording.KindOutput, []byte(text[:n])})
		text = text[n:]
		s.wait(350 * time.Microsecond)
	}
}

func (s *session) prompt() {
	s.print("\x1b]0;deploy@web-1: ~\x07\x1b[01;32mdeploy@web-1\x1b[00m:\x1b[01;34m~\x1b[00m$ ")
}

// command types a line, with a typing error now and then, and Enter.
func (s *session) command(line string) {
	for _, c := range line {
		if s.rng.IntN(25) == 0 {
			s.key(string(rune('a' + s.rng.IntN(26))))
			s.print("x")
			s.key("\x7f")
			s.print("\b\x1b[K")
		}
		s.key(string(c))
		s.print(string(c))
	}
	s.key("\r")
	s.print("\r\n\x1b[?2004l\r")
	s.wait(12 * time.Millisecond)
}

// run types a command, prints what it prints, and prompts.
func (s *session) run(line, output string) {
	s.command(line)
	s.print(strings.ReplaceAll(output, "\n", "\r\n"))
	s.prompt()
}

// vocabulary invents words of two to four syllables.
func vocabulary(rng *rand.Rand) []string {
	onset := []string{"b", "c", "d", "f", "g", "l", "m", "n", "p", "r", "s", "t", "st", "tr", "pr", "v", "h", "cl", ""}
	nucleus := []string{"a", "e", "i", "o", "u", "ea", "io", "ou", "e", "a", "i"}
	coda := []string{"", "", "n", "r", "s", "t", "ng", "l", "d", "ct"}
	words := make([]string, 2500)
	for i := range words {
		var w strings.Builder
		for range 1 + rng.IntN(3) {
			w.WriteString(onset[rng.IntN(len(onset))] + nucleus[rng.IntN(len(nucleus))] + coda[rng.IntN(len(coda))])
		}
		words[i] = w.String()
	}
	return words
}

func (s *session) word() string { return s.words[s.zipf.Uint64()] }

func (s *session) sentence(words int) string {
	list := make([]string, words)
	for i := range list {
		list[i] = s.word()
	}
	return strings.Join(list, " ")
}
