package transfer

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
	"math"
	"strconv"
	"sync"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// Bounds of scp's old protocol.
const (
	maxLine = 8 << 10 // bytes of a line; OpenSSH's buffer has 2 KiB
	maxDirs = 1024    // that one lies in the other
)

// Lost says that a conversation of scp could not be followed any further. It is
// told once; what passes after it is only counted.
type Lost struct{ What string }

func (l *Lost) Error() string { return "scp: " + l.What }

// SCP follows scp's old protocol (OpenSSH's scp.c, source and sink): one side
// sends lines that name files, and their content; the other answers each with a
// byte, and the first waits for it. Because it waits, what comes next is always
// known. A sender that does not wait is lost.
type SCP struct {
	down bool // the node sends
	now  func() int64
	op   func(recording.FileOp) error

	mu   sync.Mutex
	lost bool
	told int

	// Of the sender.
	line []byte
	left int64    // content of the file that is still to come
	next state    // what comes next from the sender
	dirs [][]byte // that are open
	file recording.FileOp
	name []byte // of file, alone
	sum  hash.Hash

	// Of the receiver.
	owed  question // what it is to answer
	error []byte   // an error that it is saying, from its first byte
}

type state uint8

const (
	lines   state = iota // a line
	content              // bytes of a file
	mark                 // the byte, or the line of an error, after them
)

// question is what a sender waits for.
type question uint8

const (
	nothing  question = iota
	ready             // the receiver's first word
	mayTimes          // T
	mayFile           // C
	mayEnter          // D
	mayLeave          // E
	taken             // a file that was sent whole
)

// FollowSCP follows `scp -t` (direction "up") or `scp -f` ("down"). op is called
// for each file, before the answer that ends it goes on. Its paths are as the
// sender names them, below the path of the command.
func FollowSCP(direction string, now func() int64, op func(recording.FileOp) error) *SCP {
	return &SCP{down: direction == down, now: now, op: op, owed: ready}
}

// Client follows what the client has sent. Its error is a *Lost, or op's.
func (s *SCP) Client(b []byte) error { return s.feed(b, !s.down) }

// Node is Client for what the node has sent.
func (s *SCP) Node(b []byte) error { return s.feed(b, s.down) }

func (s *SCP) feed(b []byte, sender bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	take := s.answered
	if sender {
		take = s.sent
	}
	for len(b) > 0 && !s.lost {
		n, err := take(b)
		if err != nil {
			_, s.lost = err.(*Lost)
			return err
		}
		b = b[n:]
	}
	return nil
}

// End tells a file that was not sent whole.
func (s *SCP) End() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == lines && s.owed != taken {
		return nil
	}
	s.file.Open = true
	return s.tell("unclosed")
}

// Files is how many files were told.
func (s *SCP) Files() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.told
}

// sent follows the sender, and says how much of b it took.
func (s *SCP) sent(b []byte) (int, error) {
	if s.next == content {
		n := min(int64(len(b)), s.left)
		if s.owed != nothing {
			return 0, &Lost{"content came before the receiver agreed to it"}
		}
		s.sum.Write(b[:n])
		s.count(n)
		if s.left -= n; s.left == 0 {
			s.next = mark
		}
		return int(n), nil
	}
	if s.next == mark && len(s.line) == 0 && b[0] == 0 {
		s.next, s.owed = lines, taken
		return 1, nil
	}
	n := bytes.IndexByte(b, '\n') + 1
	if n == 0 {
		n = len(b)
	}
	if len(s.line)+n > maxLine {
		return 0, &Lost{"a line is too long"}
	}
	if s.line = append(s.line, b[:n]...); s.line[len(s.line)-1] != '\n' {
		return n, nil
	}
	line := s.line[:len(s.line)-1]
	s.line = nil
	return n, s.message(line)
}

func (s *SCP) count(n int64) {
	if s.down {
		s.file.Read += n
	} else {
		s.file.Write += n
	}
}

// message takes a whole line of the sender.
func (s *SCP) message(line []byte) error {
	if len(line) == 0 {
		return &Lost{"an empty line"}
	}
	if line[0] == 1 || line[0] == 2 { // its own error, which is not answered
		if s.next == mark { // it could not read all of the file
			s.next, s.owed = lines, taken
			s.file.Code, s.file.Text = failure, bytes.Clone(line[1:])
			return nil
		}
		s.begin(nil)
		s.file.Code, s.file.Text = failure, bytes.Clone(line[1:])
		return s.tell("")
	}
	if s.next != lines || s.owed != nothing {
		return &Lost{"a line came before its answer"}
	}
	switch line[0] {
	case 'T':
		s.owed = mayTimes
	case 'E':
		s.owed = mayLeave
	case 'C', 'D':
		return s.named(line)
	default:
		return &Lost{fmt.Sprintf("a line that begins with %q", line[:1])}
	}
	return nil
}

// named takes "C0644 1234 name" and "D0755 0 name".
func (s *SCP) named(line []byte) error {
	f := bytes.SplitN(line[1:], []byte(" "), 3)
	if len(f) != 3 || len(f[2]) == 0 {
		return &Lost{"a line without mode, size and name"}
	}
	mode, err := strconv.ParseUint(string(f[0]), 8, 16)
	size, err2 := strconv.ParseUint(string(f[1]), 10, 64)
	if err != nil || err2 != nil || size > math.MaxInt64 {
		return &Lost{"a mode or a size that is no number"}
	}
	s.name = bytes.Clone(f[2])
	s.begin(s.name)
	s.file.Mode, s.file.Size, s.left = uint32(mode), int64(size), int64(size)
	s.owed = mayFile
	if line[0] == 'D' {
		s.owed = mayEnter
		s.left = 0
	}
	return nil
}

// begin begins a file below the directories that are open; name is nil where it
// is not known.
func (s *SCP) begin(name []byte) {
	parts := append(s.dirs[:len(s.dirs):len(s.dirs)], name)
	if name == nil {
		parts = s.dirs
	}
	s.file = recording.FileOp{Op: "write", Path: bytes.Join(parts, []byte("/")), Began: s.now()}
	if s.down {
		s.file.Op = "read"
	}
	s.sum = sha256.New()
}

// answered follows the receiver.
func (s *SCP) answered(b []byte) (int, error) {
	if len(s.error) == 0 && b[0] == 0 {
		return 1, s.yes()
	}
	if len(s.error) == 0 && b[0] != 1 && b[0] != 2 {
		return 0, &Lost{"an answer that is none"}
	}
	n := bytes.IndexByte(b, '\n') + 1
	if n == 0 {
		n = len(b)
	}
	if len(s.error)+n > maxLine {
		return 0, &Lost{"an answer is too long"}
	}
	if s.error = append(s.error, b[:n]...); s.error[len(s.error)-1] != '\n' {
		return n, nil
	}
	text := s.error[1 : len(s.error)-1]
	s.error = nil
	return n, s.no(text)
}

func (s *SCP) yes() error {
	owed := s.owed
	s.owed = nothing
	switch owed {
	case nothing:
		return &Lost{"an answer without a question"}
	case mayFile:
		if s.next = content; s.left == 0 {
			s.next = mark
		}
	case mayEnter:
		if len(s.dirs) >= maxDirs {
			return &Lost{"too many directories"}
		}
		s.dirs = append(s.dirs, s.name)
	case mayLeave:
		if len(s.dirs) == 0 {
			return &Lost{"a directory ends that did not begin"}
		}
		s.dirs = s.dirs[:len(s.dirs)-1]
	case taken:
		return s.tell("")
	}
	return nil
}

func (s *SCP) no(text []byte) error {
	owed := s.owed
	s.owed = nothing
	switch owed {
	case nothing:
		return &Lost{"an error without a question"}
	case mayFile, mayEnter, taken:
		s.file.Code, s.file.Text = failure, bytes.Clone(text)
		if owed == mayEnter {
			s.file.Op = "mkdir"
		}
		return s.tell("")
	}
	return nil
}

// failure is SSH_FX_FAILURE: scp has no codes.
const failure = 4

// tell tells the file.
func (s *SCP) tell(why string) error {
	op := s.file
	carried := op.Read + op.Write
	switch {
	case why != "":
		op.Unhashed = why
	case op.Code != 0 && carried > 0:
		op.Unhashed = "failed"
	case op.Code == 0:
		op.SHA256 = s.sum.Sum(nil)
	}
	s.told++
	s.file, s.sum = recording.FileOp{}, nil
	return s.op(op)
}
