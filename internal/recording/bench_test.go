package recording

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"
)

// large is a sealed recording of about so many bytes, of output that compresses
// to a half.
func large(b *testing.B, f form, size int) []byte {
	b.Helper()
	p := NewPacker()
	if err := p.Start(f.header, f.key, f.header.Chain()); err != nil {
		b.Fatal(err)
	}
	file := f.header.Append(nil)
	rng := rand.NewChaCha8([32]byte{})
	payload := make([]byte, 32<<10)
	for n := uint64(1); len(file) < size; n++ {
		rng.Read(payload[:len(payload)/2])
		if p.Add(Frame{Number: n, At: time.Duration(n) * time.Millisecond, Channel: 1, Kind: KindOutput, Payload: payload}) {
			file = p.Block(file)
		}
	}
	return sealed(f, file, p.Chain(), EndClosed)
}

// BenchmarkVerify is of a recording of 1 GiB; the floor is 300 MB/s.
func BenchmarkVerify(b *testing.B) {
	size := 1 << 30
	if testing.Short() {
		size = 64 << 20
	}
	for _, f := range forms {
		file := large(b, f, size)
		for name, o := range map[string]Opener{"without the key": nil, "with the key": f.opener} {
			b.Run(f.name+"/"+name, func(b *testing.B) {
				b.SetBytes(int64(len(file)))
				for b.Loop() {
					if _, err := Verify(bytes.NewReader(file), int64(len(file)), trust, o); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkTail is what one frame costs the one who waits for it.
func BenchmarkTail(b *testing.B) {
	for _, f := range forms {
		for _, size := range []int{1, 4096, 32 << 10} {
			b.Run(f.name, func(b *testing.B) {
				w, err := NewTailWriter(f.header, f.key)
				if err != nil {
					b.Fatal(err)
				}
				frame := Frame{Channel: 1, Kind: KindVeiled, Payload: make([]byte, size)}
				if size > 1 {
					frame.Kind = KindOutput
				}
				buf := make([]byte, 0, size+RecordSize)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					buf = w.Append(buf[:0], &frame)
				}
			})
		}
	}
}

// BenchmarkPacker compresses and encrypts.
func BenchmarkPacker(b *testing.B) {
	for _, f := range forms {
		b.Run(f.name, func(b *testing.B) {
			p := NewPacker()
			if err := p.Start(f.header, f.key, f.header.Chain()); err != nil {
				b.Fatal(err)
			}
			payload, buf := bytes.Repeat([]byte("-rw-r--r-- 1 root root 4096 Mar  2 14:02 file\r\n"), 80), []byte(nil)
			b.SetBytes(int64(len(payload)))
			for n := uint64(1); b.Loop(); n++ {
				if p.Add(Frame{Number: n, Channel: 1, Kind: KindOutput, Payload: payload}) {
					buf = p.Block(buf[:0])
				}
			}
		})
	}
}
