package recordings

import (
	"crypto/sha256"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// recordFiles makes a recording in clear of a channel that carried files.
func recordFiles(t *testing.T, path string, frames ...recording.Frame) {
	t.Helper()
	h, err := recording.NewHeader(recording.Meta{Session: "7kq2-m9x4d", Identity: "you@example.com", Started: 1_800_000_000_000_000}, recording.ContentKey{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var p recording.Packer
	if err := p.Start(h, recording.ContentKey{}, h.Chain()); err != nil {
		t.Fatal(err)
	}
	for i, f := range frames {
		f.Number, f.At, f.Channel = uint64(i+1), time.Duration(i)*time.Second, 1
		p.Add(f)
	}
	if err := os.WriteFile(path, p.Block(h.Append(nil)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func content(from recording.Side, file uint32, offset uint64, text string) recording.Frame {
	c := recording.Content{From: from, File: file, Offset: offset, Bytes: []byte(text)}
	return recording.Frame{Kind: recording.KindContent, Payload: c.Append(nil)}
}

func closed(t *testing.T, op recording.FileOp) recording.Frame {
	t.Helper()
	payload, err := json.Marshal(op)
	if err != nil {
		t.Fatal(err)
	}
	return recording.Frame{Kind: recording.KindFile, Payload: payload}
}

func sha(text string) []byte { d := sha256.Sum256([]byte(text)); return d[:] }

func TestKeptFilesAreWrittenUnderHarmlessNames(t *testing.T) {
	t.Chdir(t.TempDir())
	recordFiles(t, "x.rec",
		content(recording.Client, 1, 5, "world"), content(recording.Client, 1, 0, "hello"),
		content(recording.Node, 2, 0, "root:x:0"),
		closed(t, recording.FileOp{Op: "write", Path: []byte("/srv/www/index.html"), File: 1, Size: 10, SHA256: sha("helloworld")}),
		closed(t, recording.FileOp{Op: "read", Path: []byte("../../etc/pass\nwd\xff"), File: 2, Size: 100, SHA256: sha("all of it")}),
		content(recording.Client, 3, 0, "cut off by a crash"),
	)
	if status, _, said := run("export", "x.rec", "--as", "files", "-o", "out"); status != 0 {
		t.Fatal(said)
	}
	var list []keptFile
	text, err := os.ReadFile("out/files.json")
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	if err != nil || len(list) != 3 {
		t.Fatalf("%v\n%s", err, text)
	}
	for i, want := range []struct {
		name, content, from string
		whole               bool
	}{
		{"1-1.written-index.html", "helloworld", "client", true},
		{"1-2.read-pass_wd_", "root:x:0", "node", false},
		{"1-3.written", "cut off by a crash", "client", false},
	} {
		got, err := os.ReadFile(filepath.Join("out", want.name))
		if err != nil || string(got) != want.content {
			t.Errorf("%s is %q, %v", want.name, got, err)
		}
		if k := list[i]; k.Name != want.name || k.From != want.from || k.Whole != want.whole || k.Kept != int64(len(want.content)) {
			t.Errorf("%+v", k)
		}
	}
	// A second time over what is there, and over what is damaged: nothing changes.
	if status, _, _ := run("export", "x.rec", "--as", "files", "-o", "out"); status == 0 {
		t.Error("a folder was replaced")
	}
	damaged, err := os.ReadFile("x.rec")
	if err == nil {
		damaged[len(damaged)-40] ^= 1
		err = os.WriteFile("x.rec", damaged, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if status, _, _ := run("export", "x.rec", "--as", "files", "-o", "again"); status == 0 {
		t.Error("files of a damaged recording were written")
	}
	if left, err := os.ReadDir("."); err != nil || len(left) != 2 {
		t.Errorf("something is left behind: %v, %v", left, err)
	}
}
