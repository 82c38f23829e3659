package sftp

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// packet makes one from its fields: byte, uint32, uint64, string and []byte (a
// string on the wire), raw (as it is).
func packet(kind byte, fields ...any) []byte {
	b := []byte{0, 0, 0, 0, kind}
	for _, f := range fields {
		switch f := f.(type) {
		case int:
			b = binary.BigEndian.AppendUint32(b, uint32(f))
		case uint64:
			b = binary.BigEndian.AppendUint64(b, f)
		case string:
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(f))), f...)
		case []byte:
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(f))), f...)
		case raw:
			b = append(b, f...)
		}
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

type raw string

// size8 are attributes with nothing but a size.
func size8(n uint64) raw {
	return raw(binary.BigEndian.AppendUint64([]byte{0, 0, 0, attrSize}, n))
}

const none = raw("\x00\x00\x00\x00") // attributes without any

// talk is a conversation that a test leads.
type talk struct {
	t *testing.T
	*Parser
	ops  []recording.FileOp
	kept []recording.Content
	now  int64
}

func newTalk(t *testing.T, keep int64) *talk {
	k := &talk{t: t}
	k.Parser = New(Config{
		Keep: keep,
		Now:  func() int64 { k.now++; return k.now },
		Op:   func(op recording.FileOp) error { k.ops = append(k.ops, op); return nil },
		Content: func(c recording.Content) error {
			c.Bytes = slices.Clone(c.Bytes)
			k.kept = append(k.kept, c)
			return nil
		},
	})
	return k
}

// begun is a talk after INIT and VERSION.
func begun(t *testing.T, keep int64) *talk {
	k := newTalk(t, keep)
	k.c(typeInit, 3)
	k.n(typeVersion, 3, "posix-rename@openssh.com", "1")
	return k
}

// c and n are packets of the client and of the node that must pass.
func (k *talk) c(kind byte, fields ...any) { k.t.Helper(); k.ok(k.Client(packet(kind, fields...))) }
func (k *talk) n(kind byte, fields ...any) { k.t.Helper(); k.ok(k.Node(packet(kind, fields...))) }

func (k *talk) ok(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

// status answers a request.
func (k *talk) status(id, code int) { k.t.Helper(); k.n(typeStatus, id, code, "text", "") }

// open opens path as h.
func (k *talk) open(path, h string, flags int) {
	k.t.Helper()
	k.c(typeOpen, 1, path, flags, none)
	k.n(typeHandle, 1, h)
}

func (k *talk) close(h string) {
	k.t.Helper()
	k.c(typeClose, 2, h)
	k.status(2, codeOK)
}

// last is the operation that was told last.
func (k *talk) last() recording.FileOp {
	k.t.Helper()
	if len(k.ops) == 0 {
		k.t.Fatal("nothing was told")
	}
	return k.ops[len(k.ops)-1]
}

// refused wants err to be Malformed for cause.
func refused(t *testing.T, err error, cause Cause) {
	t.Helper()
	var m *Malformed
	if !errors.As(err, &m) || m.Cause != cause {
		t.Fatalf("got %v, want %s", err, cause)
	}
}

func digest(s string) []byte {
	sum := sha256.Sum256([]byte(s))
	return sum[:]
}
