package sftp

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	peer "github.com/pkg/sftp"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// wire carries one direction in pieces of any size, each fed before it goes on.
func wire(feed func([]byte) error, seed uint64) (*io.PipeReader, *io.PipeWriter, *sync.WaitGroup) {
	fromR, fromW := io.Pipe()
	toR, toW := io.Pipe()
	var wait sync.WaitGroup
	wait.Go(func() {
		random := rand.New(rand.NewPCG(seed, seed))
		buf := make([]byte, 64<<10)
		for {
			n, err := fromR.Read(buf[:1+random.IntN(len(buf))])
			if n > 0 {
				if bad := feed(buf[:n]); bad != nil {
					fromR.CloseWithError(bad)
					toW.CloseWithError(bad)
					return
				}
				if _, err := toW.Write(buf[:n]); err != nil {
					fromR.CloseWithError(err)
					return
				}
			}
			if err != nil {
				toW.CloseWithError(err)
				return
			}
		}
	})
	return toR, fromW, &wait
}

type ends struct {
	io.Reader
	io.WriteCloser
}

// between runs do with pkg/sftp's client at its server, and returns what was
// told.
func between(t *testing.T, do func(c *peer.Client)) []recording.FileOp {
	t.Helper()
	var ops []recording.FileOp
	p := New(Config{Now: func() int64 { return 0 }, Op: func(op recording.FileOp) error { ops = append(ops, op); return nil }})
	atServer, fromClient, up := wire(p.Client, 1)
	atClient, fromServer, down := wire(p.Node, 2)
	server, err := peer.NewServer(ends{atServer, fromServer})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() {
		err := server.Serve()
		fromServer.Close()
		served <- err
	}()
	client, err := peer.NewClientPipe(atClient, fromClient, peer.UseConcurrentWrites(true), peer.UseConcurrentReads(true))
	if err != nil {
		t.Fatal(err)
	}
	do(client)
	client.Close()
	if err := <-served; err != nil && !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	server.Close()
	up.Wait()
	down.Wait()
	if err := p.End(); err != nil {
		t.Error(err)
	}
	if p.err != nil {
		t.Error(p.err)
	}
	return ops
}

// TestAPeersConversationIsToldAsItWas: pkg/sftp sends its requests and answers
// in any order, from several goroutines.
func TestAPeersConversationIsToldAsItWas(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	data := make([]byte, 5<<20+123)
	for i := range data {
		data[i] = byte(i >> 8 * i)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	ops := between(t, func(c *peer.Client) {
		f, err := c.Create(path("up"))
		must(err)
		_, err = f.ReadFrom(bytes.NewReader(data))
		must(err)
		must(f.Close())
		f, err = c.Open(path("up"))
		must(err)
		var got bytes.Buffer
		_, err = f.WriteTo(&got)
		must(err)
		must(f.Close())
		if !bytes.Equal(got.Bytes(), data) {
			t.Error("the peer read something else than it wrote")
		}
		must(c.Mkdir(path("d")))
		must(c.Rename(path("up"), path("d/moved")))
		must(c.PosixRename(path("d/moved"), path("d/again")))
		must(c.Symlink("again", path("d/link")))
		_, err = c.ReadLink(path("d/link"))
		must(err)
		must(c.Link(path("d/again"), path("d/hard")))
		list, err := c.ReadDir(path("d"))
		must(err)
		if len(list) != 3 {
			t.Errorf("%d names", len(list))
		}
		must(c.Chmod(path("d/again"), 0o600))
		must(c.Truncate(path("d/again"), 10))
		_, err = c.StatVFS(path("d"))
		must(err)
		must(c.Remove(path("d/link")))
		if _, err := c.Stat(path("nothing")); !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
	})
	told := map[string]recording.FileOp{}
	for _, op := range ops {
		told[op.Op+" "+filepath.Base(string(op.Path))+" "+filepath.Base(string(op.Target))] = op
		if op.Open {
			t.Errorf("left open: %+v", op)
		}
	}
	sum := digest(string(data))
	for _, want := range []struct {
		key  string
		hash []byte
	}{
		{"write up .", sum}, {"read up .", sum}, {"mkdir d .", nil}, {"rename up moved", nil}, {"rename moved again", nil}, {"symlink link again", nil},
		{"readlink link again", nil}, {"hardlink again hard", nil}, {"list d .", nil}, {"setstat again .", nil}, {"statvfs@openssh.com d .", nil},
		{"remove link .", nil}, {"stat nothing .", nil},
	} {
		op, ok := told[want.key]
		if !ok {
			t.Errorf("not told: %s", want.key)
		}
		if !bytes.Equal(op.SHA256, want.hash) {
			t.Errorf("%s: digest %x, %q; %d written, %d read", want.key, op.SHA256, op.Unhashed, op.Write, op.Read)
		}
	}
	if told["stat nothing ."].Code != 2 || told["list d ."].Entries < 3 {
		t.Errorf("%+v, %+v", told["stat nothing ."], told["list d ."])
	}
	if t.Failed() {
		for key := range told {
			t.Log(key)
		}
	}
}

// TestRandomWritesAreSummedOrNot: pieces of a file written and read in random
// order, some left out and some doubled.
func TestRandomWritesAreSummedOrNot(t *testing.T) {
	dir := t.TempDir()
	random := rand.New(rand.NewPCG(3, 4))
	for range 40 {
		name := filepath.Join(dir, "f")
		data := make([]byte, 1+random.IntN(300<<10))
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		var cuts []int
		for at := 0; at < len(data); at += 1 + random.IntN(40<<10) {
			cuts = append(cuts, at)
		}
		order := random.Perm(len(cuts))
		whole := true
		switch random.IntN(4) {
		case 0:
			order = append(order, order[random.IntN(len(order))])
			whole = false
		case 1:
			order = order[:len(order)-1]
			whole = false
		}
		ops := between(t, func(c *peer.Client) {
			f, err := c.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range order {
				end := len(data)
				if i+1 < len(cuts) {
					end = cuts[i+1]
				}
				if _, err := f.WriteAt(data[cuts[i]:end], int64(cuts[i])); err != nil {
					t.Fatal(err)
				}
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		})
		op := ops[len(ops)-1]
		disk, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		// Whatever is told is true of the disk; and what was written whole is told.
		if op.SHA256 != nil && !bytes.Equal(op.SHA256, digest(string(disk))) || whole && op.SHA256 == nil {
			t.Fatalf("%d pieces, whole: %v; %+v", len(order), whole, op)
		}
	}
}
