package transfer

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// turn is what one side says: the sender "s" or the receiver "r".
type turn struct{ who, says string }

// follow leads a conversation in pieces of step bytes, and returns what was told
// in lines.
func follow(t *testing.T, direction string, step int, turns []turn) (told []string, lost *Lost) {
	t.Helper()
	s := FollowSCP(direction, func() int64 { return 1 }, func(op recording.FileOp) error {
		told = append(told, line(op))
		return nil
	})
	for _, turn := range turns {
		to := s.Client
		if (turn.who == "s") == (direction == "down") {
			to = s.Node
		}
		for b := []byte(turn.says); len(b) > 0; {
			n := min(step, len(b))
			piece := bytes.Clone(b[:n])
			if err := to(piece); err != nil {
				if lost != nil || !errors.As(err, &lost) {
					t.Fatalf("%v after %v", err, lost)
				}
			}
			clear(piece)
			b = b[n:]
		}
	}
	if err := s.End(); err != nil {
		t.Fatal(err)
	}
	if s.Files() != len(told) {
		t.Errorf("%d files, %d told", s.Files(), len(told))
	}
	return told, lost
}

func line(op recording.FileOp) string {
	s := fmt.Sprintf("%s %s %d/%d %o", op.Op, op.Path, op.Read+op.Write, op.Size, op.Mode)
	if op.SHA256 != nil {
		s += fmt.Sprintf(" %x", op.SHA256[:3])
	}
	if op.Code != 0 {
		s += " failed " + string(op.Text)
	}
	if op.Open {
		s += " open"
	}
	return strings.TrimSpace(s + " " + op.Unhashed)
}

func TestWhatSCPCarriesIsTold(t *testing.T) {
	short := func(s string) string { sum := sha256.Sum256([]byte(s)); return fmt.Sprintf("%x", sum[:3]) }
	for _, test := range []struct {
		name      string
		direction string
		turns     []turn
		want      []string
		lost      string
	}{
		{"a file up", "up", []turn{{"r", "\x00"}, {"s", "C0644 5 name\n"}, {"r", "\x00"}, {"s", "hello\x00"}, {"r", "\x00"}}, []string{"write name 5/5 644 " + short("hello")}, ""},
		{"a file down, with times", "down", []turn{{"r", "\x00"}, {"s", "T1 0 2 0\n"}, {"r", "\x00"}, {"s", "C0600 2 a b\n"}, {"r", "\x00"}, {"s", "hi\x00"}, {"r", "\x00"}}, []string{"read a b 2/2 600 " + short("hi")}, ""},
		{"an empty file", "up", []turn{{"r", "\x00"}, {"s", "C0644 0 e\n"}, {"r", "\x00"}, {"s", "\x00"}, {"r", "\x00"}}, []string{"write e 0/0 644 " + short("")}, ""},
		{"folders", "up", []turn{{"r", "\x00"}, {"s", "D0755 0 d\n"}, {"r", "\x00"}, {"s", "D0755 0 in\n"}, {"r", "\x00"}, {"s", "C0644 1 f\n"}, {"r", "\x00"}, {"s", "x\x00"}, {"r", "\x00"},
			{"s", "E\n"}, {"r", "\x00"}, {"s", "C0644 1 g\n"}, {"r", "\x00"}, {"s", "y\x00"}, {"r", "\x00"}, {"s", "E\n"}, {"r", "\x00"}},
			[]string{"write d/in/f 1/1 644 " + short("x"), "write d/g 1/1 644 " + short("y")}, ""},
		{"a file that the receiver refuses", "up", []turn{{"r", "\x00"}, {"s", "C0644 5 a\n"}, {"r", "\x01scp: no\n"}, {"s", "C0644 1 b\n"}, {"r", "\x00"}, {"s", "x\x00"}, {"r", "\x00"}},
			[]string{"write a 0/5 644 failed scp: no", "write b 1/1 644 " + short("x")}, ""},
		{"a folder that the receiver refuses", "up", []turn{{"r", "\x00"}, {"s", "D0755 0 d\n"}, {"r", "\x01no\n"}}, []string{"mkdir d 0/0 755 failed no"}, ""},
		{"a file that is not there", "down", []turn{{"r", "\x00"}, {"s", "\x01scp: x: No such file\n"}}, []string{"read  0/0 0 failed scp: x: No such file"}, ""},
		{"a file that cannot be read to its end", "down", []turn{{"r", "\x00"}, {"s", "C0644 3 a\n"}, {"r", "\x00"}, {"s", "abc\x01read error\n"}, {"r", "\x00"}}, []string{"read a 3/3 644 failed read error failed"}, ""},
		{"a full disk", "up", []turn{{"r", "\x00"}, {"s", "C0644 3 a\n"}, {"r", "\x00"}, {"s", "abc\x00"}, {"r", "\x01no space\n"}}, []string{"write a 3/3 644 failed no space failed"}, ""},
		{"a file that is cut off", "up", []turn{{"r", "\x00"}, {"s", "C0644 5 a\n"}, {"r", "\x00"}, {"s", "ab"}}, []string{"write a 2/5 644 open unclosed"}, ""},
		{"a file whose end nobody confirms", "up", []turn{{"r", "\x00"}, {"s", "C0644 2 a\n"}, {"r", "\x00"}, {"s", "ab\x00"}}, []string{"write a 2/2 644 open unclosed"}, ""},
		{"a line before the receiver is ready", "up", []turn{{"s", "C0644 5 a\n"}}, nil, "a line came before its answer"},
		{"content that nobody agreed to", "up", []turn{{"r", "\x00"}, {"s", "C0644 5 a\nhello\x00C0644 1 b\n"}}, nil, "a line came before its answer"},
		{"a second line", "up", []turn{{"r", "\x00"}, {"s", "C0644 5 a\nC0644 5 b\n"}}, nil, "a line came before its answer"},
		{"an answer too many", "up", []turn{{"r", "\x00\x00"}}, nil, "an answer without a question"},
		{"a line that scp does not have", "up", []turn{{"r", "\x00"}, {"s", "X\n"}}, nil, `a line that begins with "X"`},
		{"a size that is no number", "up", []turn{{"r", "\x00"}, {"s", "C0644 -5 a\n"}}, nil, "a mode or a size that is no number"},
		{"no name", "up", []turn{{"r", "\x00"}, {"s", "C0644 5 \n"}}, nil, "a line without mode, size and name"},
		{"a line without end", "up", []turn{{"r", "\x00"}, {"s", "C0644 5 " + strings.Repeat("a", 10<<10)}}, nil, "a line is too long"},
		{"an error without end", "up", []turn{{"r", "\x00"}, {"s", "E\n"}, {"r", "\x01" + strings.Repeat("a", 10<<10)}}, nil, "an answer is too long"},
		{"the end of no folder", "up", []turn{{"r", "\x00"}, {"s", "E\n"}, {"r", "\x00"}}, nil, "a directory ends that did not begin"},
		{"a shell's greeting", "up", []turn{{"r", "Welcome!\n"}}, nil, "an answer that is none"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, step := range []int{1, 7, 1 << 20} {
				told, lost := follow(t, test.direction, step, test.turns)
				if fmt.Sprint(told) != fmt.Sprint(test.want) {
					t.Errorf("told %q, want %q", told, test.want)
				}
				if lost == nil && test.lost != "" || lost != nil && lost.What != test.lost {
					t.Errorf("lost %v, want %q", lost, test.lost)
				}
			}
		})
	}
}

func FuzzSCP(f *testing.F) {
	f.Add(true, []byte("r\x00sC0644 5 name\nr\x00shello\x00r\x00"))
	f.Add(false, []byte("r\x00sD0755 0 d\nr\x00sT1 0 1 0\nr\x00sE\nr\x01no\n"))
	f.Fuzz(func(t *testing.T, down bool, b []byte) {
		// Turns begin at an s or an r.
		var turns []turn
		for _, c := range b {
			switch {
			case c == 's' || c == 'r':
				turns = append(turns, turn{who: string(c)})
			case len(turns) > 0:
				turns[len(turns)-1].says += string([]byte{c})
			}
		}
		direction := "up"
		if down {
			direction = "down"
		}
		whole, lost := follow(t, direction, 1<<20, turns)
		again, lostToo := follow(t, direction, 1, turns)
		if fmt.Sprint(whole) != fmt.Sprint(again) || (lost == nil) != (lostToo == nil) {
			t.Fatalf("whole %q, %v; byte by byte %q, %v", whole, lost, again, lostToo)
		}
	})
}
