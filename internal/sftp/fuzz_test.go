package sftp

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// script cuts a fuzzer's bytes into what client and node say in turns: a byte
// that tells whose turn it is and one that says how much, then that much.
func script(b []byte, say func(client bool, b []byte) bool) {
	for len(b) >= 2 {
		client, n := b[0]&1 == 0, min(int(b[1])+int(b[0]>>1)<<8, len(b)-2)
		if !say(client, b[2:2+n]) {
			return
		}
		b = b[2+n:]
	}
}

// spoken makes a script of packets.
func spoken(turns ...any) []byte {
	var b []byte
	for i := 0; i < len(turns); i += 2 {
		p := turns[i+1].([]byte)
		side := byte(0)
		if turns[i] == "n" {
			side = 1
		}
		b = append(append(b, side|byte(len(p)>>8<<1), byte(len(p))), p...)
	}
	return b
}

// FuzzTalk feeds both directions, in the pieces that the fuzzer chose and byte by
// byte, and wants the same to be told, within the limits, and no panic.
func FuzzTalk(f *testing.F) {
	f.Add(spoken("c", packet(typeInit, 3), "n", packet(typeVersion, 3, "limits@openssh.com", "1"),
		"c", packet(typeOpen, 1, "/a", create, none), "n", packet(typeHandle, 1, "h"),
		"c", packet(typeWrite, 2, "h", uint64(0), "abc"), "c", packet(typeWrite, 3, "h", uint64(5), "fg"), "c", packet(typeWrite, 4, "h", uint64(3), "de"),
		"n", packet(typeStatus, 2, 0), "n", packet(typeStatus, 4, 0), "n", packet(typeStatus, 3, 0),
		"c", packet(typeFsetstat, 5, "h", size8(7)), "n", packet(typeStatus, 5, 0), "c", packet(typeClose, 6, "h"), "n", packet(typeStatus, 6, 0)))
	f.Add(spoken("c", packet(typeInit, 3), "n", packet(typeVersion, 3),
		"c", packet(typeOpen, 1, "/a", flagRead, none), "c", packet(typeLstat, 2, "/a"), "n", packet(typeHandle, 1, "h"), "n", packet(typeAttrs, 2, size8(6)),
		"c", packet(typeRead, 3, "h", uint64(3), 3), "c", packet(typeRead, 4, "h", uint64(0), 3), "c", packet(typeClose, 5, "h"),
		"n", packet(typeData, 3, "def"), "n", packet(typeStatus, 5, 0), "n", packet(typeData, 4, "abc")))
	f.Add(spoken("c", packet(typeInit, 3), "n", packet(typeVersion, 3),
		"c", packet(typeOpendir, 1, "/"), "n", packet(typeHandle, 1, "d"), "c", packet(typeReaddir, 2, "d"), "n", packet(typeName, 2, 2, "a", "", none, "b", "", size8(1)),
		"c", packet(typeExtended, 3, "statvfs@openssh.com", "/"), "n", packet(typeExtendedReply, 3, raw("x")),
		"c", packet(typeExtended, 4, "other@example.com", raw("x")), "n", packet(typeStatus, 4, 8, "no", "")))
	f.Fuzz(func(t *testing.T, b []byte) {
		follow := func(step int) (ops []recording.FileOp, kept int, malformed *Malformed) {
			var now int64
			p := New(Config{
				Keep:    4,
				Now:     func() int64 { now++; return now },
				Op:      func(op recording.FileOp) error { ops = append(ops, op); return nil },
				Content: func(c recording.Content) error { kept += len(c.Bytes); return nil },
			})
			var err error
			script(b, func(client bool, b []byte) bool {
				to := p.Node
				if client {
					to = p.Client
				}
				for len(b) > 0 && err == nil {
					n := min(step, len(b))
					piece := bytes.Clone(b[:n])
					err = to(piece)
					clear(piece)
					b = b[n:]
				}
				return err == nil
			})
			if err != nil && !errors.As(err, &malformed) {
				t.Fatalf("an error without a name: %v", err)
			}
			if p.pieces < 0 || p.pieces > maxPieces || p.named < 0 {
				t.Fatalf("%d bytes are held, %d of names", p.pieces, p.named)
			}
			open := len(p.files)
			for _, r := range p.requests {
				if r.op != nil {
					open++
				}
			}
			told := len(ops)
			if err := p.End(); err != nil || len(ops) != told+open {
				t.Fatalf("%d were open, %d told at the end: %v", open, len(ops)-told, err)
			}
			if p.pieces != 0 {
				t.Fatalf("%d bytes are held after the end", p.pieces)
			}
			return ops[:told], kept, malformed
		}
		whole, kept, malformed := follow(1 << 20)
		ops, keptToo, malformedToo := follow(1)
		if diff := cmp.Diff(whole, ops) + cmp.Diff(malformed, malformedToo); diff != "" || kept != keptToo {
			t.Fatalf("byte by byte it tells something else: %s", diff)
		}
	})
}
