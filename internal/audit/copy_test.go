package audit

import (
	"crypto/ed25519"
	"crypto/rand"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"
)

const testOrigin = "access.example.com/log"

// testLog is a log with its key in the test's hands.
type testLog struct {
	t     testing.TB
	key   ed25519.PrivateKey
	vkey  string
	trust *Trust
}

func newTestLog(t testing.TB) *testLog {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	l := &testLog{t: t, key: private}
	if l.vkey, err = VerifierKey(testOrigin, public); err != nil {
		t.Fatal(err)
	}
	if l.trust, err = NewTrust([]string{l.vkey}, nil, 0); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *testLog) sign(c Checkpoint) []byte {
	l.t.Helper()
	note, err := c.Sign(l.key)
	if err != nil {
		l.t.Fatal(err)
	}
	return note
}

func (l *testLog) signed(c Checkpoint) Signed {
	l.t.Helper()
	s, err := l.trust.Open(l.sign(c))
	if err != nil {
		l.t.Fatal(err)
	}
	return s
}

// leaf is event i as author tells it, about as long as real ones.
func leaf(author string, i int64) []byte {
	return fmt.Appendf(nil, `{"kind":"session_granted","at":%d,"outcome":"success","actor":"proxy:p-1","client":"10.0.4.7:51413","identity":"%s@example.com","login":"deploy","node":"web-%d","session":"7kq2-m9","roles":["web-deploy"],"revision":61,"certificate":{"serial":%d,"profile":"session","key_id":"session=7kq2-m9 identity=%[2]s@example.com policy=61","key":"SHA256:3Zt0Z1x2y3","valid_after":1792800000,"valid_before":1792800060}}`,
		1_792_800_000_000_000+i*1000, author, i%40, i)
}

// write writes the copy of a log of n events, all by author, by put.
func (l *testLog) write(n int64, author string, put func(path string, data []byte)) Checkpoint {
	l.t.Helper()
	edge := &Edge{}
	full := func(t Tile, hashes []byte) error { put(t.Path(), hashes); return nil }
	var bundle []byte
	for i := range n {
		one := leaf(author, i)
		bundle, _ = AppendEntry(bundle, one)
		if err := edge.Push(LeafHash(one), full); err != nil {
			l.t.Fatal(err)
		}
		if (i+1)%TileWidth == 0 || i+1 == n {
			put(Tile{Index: i / TileWidth, Width: int(i%TileWidth) + 1, Entries: true}.Path(), bundle)
			bundle = nil
		}
	}
	for level := range edge.Levels() {
		if t, hashes := edge.Partial(level); t.Width > 0 {
			put(t.Path(), hashes)
		}
	}
	c := Checkpoint{testOrigin, n, edge.Root()}
	put(CopyCheckpoint, l.sign(c))
	return c
}

// copy is a copy in memory.
func (l *testLog) copy(n int64, author string) (fstest.MapFS, Checkpoint) {
	files := fstest.MapFS{}
	c := l.write(n, author, func(path string, data []byte) { files[path] = &fstest.MapFile{Data: data} })
	return files, c
}

func reader(files fs.FS) ReadTile {
	return func(t Tile) ([]byte, error) {
		data, err := readCopy(files, t.Path(), MaxBundle)
		if err == nil || t.Width == TileWidth {
			return data, err
		}
		// From what it grew to.
		full := t
		for full.Width++; full.Width <= TileWidth; full.Width++ {
			if data, err := readCopy(files, full.Path(), MaxBundle); err == nil {
				return data[:t.Width*len(Hash{})], nil
			}
		}
		return nil, err
	}
}

var benchEvents = flag.Int64("events", 500_000, "length of the log in BenchmarkVerifyCopy")

// BenchmarkVerifyCopy verifies a log on disk. For ten million events:
//
//	go test ./internal/audit -run '^$' -bench VerifyCopy -benchtime 1x -events 10000000
func BenchmarkVerifyCopy(b *testing.B) {
	l, dir := newTestLog(b), b.TempDir()
	made := map[string]bool{}
	c := l.write(*benchEvents, "ann", func(path string, data []byte) {
		path = filepath.Join(dir, filepath.FromSlash(path))
		if parent := filepath.Dir(path); !made[parent] {
			if err := os.MkdirAll(parent, 0o700); err != nil {
				b.Fatal(err)
			}
			made[parent] = true
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			b.Fatal(err)
		}
	})
	for b.Loop() {
		begin := time.Now()
		v, err := VerifyCopy(b.Context(), os.DirFS(dir), l.trust)
		if err != nil || v.Checkpoint != c {
			b.Fatal(v.Checkpoint, err)
		}
		b.ReportMetric(float64(*benchEvents)/time.Since(begin).Seconds(), "events/s")
	}
}
