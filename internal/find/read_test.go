package find

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// session is a recording in the making.
type session struct {
	frames []recording.Frame
	next   int
	broken error // what Next returns at the end instead of io.EOF
}

func (s *session) Next() (recording.Frame, error) {
	if s.next == len(s.frames) {
		if s.broken != nil {
			return recording.Frame{}, s.broken
		}
		return recording.Frame{}, io.EOF
	}
	s.next++
	return s.frames[s.next-1], nil
}

func (s *session) add(kind recording.Kind, channel uint32, payload any) *session {
	b, raw := payload.([]byte)
	if !raw {
		b, _ = json.Marshal(payload)
	}
	n := uint64(len(s.frames))
	s.frames = append(s.frames, recording.Frame{Number: n, At: time.Duration(n) * time.Second, Channel: channel, Kind: kind, Payload: b})
	return s
}

func (s *session) request(channel uint32, name string, fields any) *session {
	return s.add(recording.KindRequest, channel, recording.Request{From: recording.Client, Type: name, Data: ssh.Marshal(fields)})
}

func (s *session) terminal() *session {
	return s.add(recording.KindOpen, 1, recording.Open{From: recording.Client, Type: "session"}).
		add(recording.KindRequest, 1, recording.Request{From: recording.Client, Type: "pty-req"})
}

// typed is echoed text under a veil that was lifted, and Enter.
func (s *session) typed(text string) *session {
	s.add(recording.KindVeiled, 1, []byte(strings.Repeat("?", len(text))))
	veiled := uint64(len(s.frames) - 1)
	s.add(recording.KindReveal, 1, recording.AppendReveal(nil, []recording.Run{{Frame: veiled, Bytes: []byte(text)}}))
	return s.add(recording.KindInput, 1, []byte("\r"))
}

var about = wire.Session{ID: "7kq2-m9x4d", Identity: "you@example.com", Login: "postgres", Node: "db-1", Client: "10.0.4.7:50122", Role: "db-oncall"}

// lines are the lines that Read finds of kind k.
func lines(t *testing.T, s *session, k Kind) (list []string) {
	t.Helper()
	chunks, _, _ := Read(about, s)
	s.next = 0
	for _, c := range chunks {
		if c.Kind != k {
			continue
		}
		unpacked, err := Unpack(c.Data)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range unpacked {
			list = append(list, l.Text)
			for _, w := range Words(l.Text) {
				if _, has := slices.BinarySearch(c.Words, w); !has {
					t.Errorf("the chunk of %q lacks its word %q", l.Text, w)
				}
			}
		}
	}
	return list
}

func TestLinesOfASession(t *testing.T) {
	s := new(session).terminal().
		add(recording.KindOutput, 1, []byte("db-1:~$ ")).
		typed("psql orders").
		add(recording.KindOutput, 1, []byte("\x1b[1mpsql\x1b[0m orders\r\npassword: ")).
		add(recording.KindVeiled, 1, []byte("hunter2-hunter2")).
		add(recording.KindInput, 1, []byte("\r")).
		add(recording.KindOutput, 1, []byte("\r\norders=> drop tabel\b\b\x1b[Kle orders_tmp;\r\nDROP TABLE\r\n")).
		request(2, "exec", struct{ Command string }{"systemctl restart nginx"}).
		add(recording.KindStderr, 2, []byte("Access denied\n")).
		add(recording.KindOutput, 2, []byte("DROP TABLE\n")). // seen before
		request(3, "subsystem", struct{ Name string }{"sftp"}).
		add(recording.KindOutput, 3, []byte("protocol bytes that are no text\n")).
		add(recording.KindFile, 3, recording.FileOp{Op: "read", Path: []byte("/etc/shadow"), Read: 12}).
		add(recording.KindOpen, 4, recording.Open{From: recording.Client, Type: "direct-tcpip", Data: ssh.Marshal(struct {
			Host       string
			Port       uint32
			Origin     string
			OriginPort uint32
		}{"10.9.9.9", 5432, "127.0.0.1", 1})}).
		add(recording.KindOutput, 4, []byte("tunnelled\n"))
	for k, want := range map[Kind][]string{
		Typed:    {"psql orders"},
		Command:  {"systemctl restart nginx", "sftp"},
		Output:   {"db-1:~$ psql orders", "password:", "orders=> drop table orders_tmp;", "DROP TABLE", "Access denied"},
		Identity: {"you@example.com  postgres@db-1  10.0.4.7:50122  db-oncall  7kq2-m9x4d"},
	} {
		if got := lines(t, s, k); !slices.Equal(got, want) {
			t.Errorf("%s lines are %q, and not %q", k, got, want)
		}
	}
	if got := strings.Join(lines(t, s, File), "\n"); !strings.Contains(got, "/etc/shadow") || !strings.Contains(got, "10.9.9.9") {
		t.Errorf("file lines are %q", got)
	}
	chunks, whole, err := Read(about, s)
	if err != nil || !whole {
		t.Errorf("whole is %v, %v", whole, err)
	}
	for _, c := range chunks {
		unpacked, _ := Unpack(c.Data)
		if text := fmt.Sprint(unpacked, c.Words); strings.Contains(text, "hunter2") || strings.Contains(text, "tunnelled") {
			t.Errorf("%s has %s", c.Kind, text)
		}
	}
}

func TestALineTellsItsMoment(t *testing.T) {
	s := new(session).terminal().typed("uptime")
	chunks, _, err := Read(about, s)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range chunks {
		if l, _ := Unpack(c.Data); c.Kind == Typed && l[0].At != 4000 {
			t.Errorf("it was typed at %d ms", l[0].At)
		}
	}
}

func TestASessionThatSaysTooMuchIsCutShort(t *testing.T) {
	s := new(session).terminal()
	for i := range 4000 {
		s.add(recording.KindOutput, 1, fmt.Appendf(nil, "%d %s\r\n", i, strings.Repeat("word ", 90)))
	}
	chunks, whole, err := Read(about, s)
	if err != nil || whole {
		t.Fatalf("whole is %v, %v", whole, err)
	}
	size := 0
	for _, c := range chunks {
		l, err := Unpack(c.Data)
		if err != nil {
			t.Fatal(err)
		}
		for _, each := range l {
			size += len(each.Text)
			if len(each.Text) > maxLine {
				t.Fatalf("a line of %d bytes", len(each.Text))
			}
		}
	}
	if size > maxText+maxLine {
		t.Errorf("%d bytes are kept", size)
	}
}

func TestWhatStandsBeforeDamageIsRead(t *testing.T) {
	s := new(session).terminal().typed("uptime")
	s.broken = &recording.DamageError{Where: "block"}
	chunks, _, err := Read(about, s)
	var damage *recording.DamageError
	if !errors.As(err, &damage) || len(chunks) != 2 {
		t.Errorf("%d chunks, %v", len(chunks), err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(uint8(recording.KindOutput), []byte("drop \x1b[2K\xffable\r\n"), uint8(recording.KindVeiled), []byte("x"))
	f.Add(uint8(recording.KindRequest), []byte(`{"type":"exec","data":"AAAAAWE="}`), uint8(recording.KindReveal), []byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, kind uint8, payload []byte, second uint8, more []byte) {
		s := new(session).terminal().add(recording.Kind(kind), 1, payload).add(recording.Kind(second), 1, more)
		chunks, _, _ := Read(about, s)
		for _, c := range chunks {
			l, err := Unpack(c.Data)
			if err != nil {
				t.Fatal(err)
			}
			for _, each := range l {
				for _, r := range each.Text {
					if r < ' ' || r == 0x7f {
						t.Fatalf("%q has a control character", each.Text)
					}
				}
			}
		}
	})
}
