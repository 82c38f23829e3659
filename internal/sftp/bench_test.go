package sftp

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// BenchmarkParser is what following costs a byte that is uploaded or downloaded:
// requests and answers of 32 KiB in buffers of 256 KiB, as the relay feeds them.
// "alone" is without SHA-256, of which there is none for content that passed
// twice.
func BenchmarkParser(b *testing.B) {
	const block, blocks = 32 << 10, 64
	data := make([]byte, block)
	for _, test := range []struct {
		name   string
		up     bool
		hashed bool
	}{{"upload", true, true}, {"upload alone", true, false}, {"download", false, true}, {"download alone", false, false}} {
		b.Run(test.name, func(b *testing.B) {
			p := New(Config{Now: func() int64 { return 0 }, Op: func(recording.FileOp) error { return nil }})
			must := func(err error) {
				if err != nil {
					b.Fatal(err)
				}
			}
			feed := func(to func([]byte) error, all []byte) {
				for len(all) > 0 {
					n := min(256<<10, len(all))
					must(to(all[:n]))
					all = all[n:]
				}
			}
			must(p.Client(packet(typeInit, 3)))
			must(p.Node(packet(typeVersion, 3)))
			must(p.Client(packet(typeOpen, 1, "/a", flagRead|flagWrite|flagTrunc, none)))
			must(p.Node(packet(typeHandle, 1, "h")))
			if !test.hashed {
				must(p.Client(packet(typeWrite, 2, "h", uint64(1)<<60, "x")))
				must(p.Node(packet(typeStatus, 2, 0)))
				must(p.Client(packet(typeWrite, 2, "h", uint64(1)<<60, "x")))
				must(p.Node(packet(typeStatus, 2, 0)))
				must(p.Client(packet(typeRead, 2, "h", uint64(1)<<60, 1)))
				must(p.Node(packet(typeData, 2, "x")))
				must(p.Client(packet(typeRead, 2, "h", uint64(1)<<60, 1)))
				must(p.Node(packet(typeData, 2, "x")))
			}
			var requests, answers bytes.Buffer
			var places []int // of the requests' offsets
			for id := range blocks {
				places = append(places, requests.Len()+prefix+4+4+len("h"))
				if test.up {
					requests.Write(packet(typeWrite, id, "h", uint64(0), data))
					answers.Write(packet(typeStatus, id, 0, "Success", ""))
				} else {
					requests.Write(packet(typeRead, id, "h", uint64(0), block))
					answers.Write(packet(typeData, id, data))
				}
			}
			at := uint64(0)
			b.SetBytes(block * blocks)
			for b.Loop() {
				for _, place := range places {
					binary.BigEndian.PutUint64(requests.Bytes()[place:], at)
					at += block
				}
				feed(p.Client, requests.Bytes())
				feed(p.Node, answers.Bytes())
			}
		})
	}
}
