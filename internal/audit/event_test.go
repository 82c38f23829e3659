package audit

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

func TestALeafIsOneLineAndIsReadBack(t *testing.T) {
	e := Event{
		Kind: SessionDenied, At: 7, Outcome: Refused, Text: "a <b> & \"c\"\nd \u2028 \x00 é", Identity: "you@example.com",
		Certificate: &Certificate{Serial: 1 << 63, Profile: "login", Key: "SHA256:x"},
		Settings:    map[string]string{"b": "2", "a": "1"},
	}
	leaf, err := e.Leaf()
	if err != nil {
		t.Fatal(err)
	}
	if bytes.ContainsAny(leaf, "\n\x00") || !bytes.Contains(leaf, []byte(`a <b> & `)) || !bytes.Contains(leaf, []byte(`{"a":"1","b":"2"}`)) {
		t.Errorf("%s", leaf)
	}
	got, err := Entry{Leaf: leaf}.Event()
	if err != nil || !reflect.DeepEqual(got, e) {
		t.Errorf("%v\n%+v\n%+v", err, got, e)
	}
}

func TestALeafIsNotLongerThanABundleCanSay(t *testing.T) {
	fits := Event{Kind: LoginRefused, Text: strings.Repeat("x", MaxLeaf-len(`{"kind":"login_refused","at":0,"outcome":"","text":""}`))}
	if leaf, err := fits.Leaf(); err != nil || len(leaf) != MaxLeaf {
		t.Errorf("%d bytes, %v", len(leaf), err)
	}
	fits.Text += "x"
	if _, err := fits.Leaf(); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}

func TestBytesThatAreNoUTF8DoNotBreakALeaf(t *testing.T) {
	leaf, err := Event{Kind: LoginRefused, Text: "a\xffb"}.Leaf()
	if err != nil || !bytes.Contains(leaf, []byte("\ufffd")) && !bytes.Contains(leaf, []byte(`\ufffd`)) {
		t.Errorf("%s, %v", leaf, err)
	}
}

func TestAPolicyIsNamedByWhatCoreutilsSayOfItsFiles(t *testing.T) {
	files := map[string]string{"b.yaml": "role: b\n", "a.yaml": "role: a\n", "B.yaml": ""}
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("sh", "-c", "LC_ALL=C; export LC_ALL; sha256sum * | sha256sum")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	p := PolicyOf(3, files)
	if got := hex.EncodeToString(p.SHA256); p.Revision != 3 || p.Files != 3 || !strings.HasPrefix(string(out), got+" ") {
		t.Errorf("%+v is %s, and sha256sum says %s", p, got, out)
	}
}

func TestTheFrontierIsTheTreeOfXModAtEverySize(t *testing.T) {
	var stored []Hash
	read := tlog.HashReaderFunc(func(indexes []int64) ([]Hash, error) {
		var list []Hash
		for _, i := range indexes {
			list = append(list, stored[i])
		}
		return list, nil
	})
	var frontier, empty Frontier
	var leaves []Hash
	for size := range int64(600) {
		want, err := tlog.TreeHash(size, read)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := frontier.Root(size); err != nil || got != want {
			t.Fatalf("size %d: root %v, want %v (%v)", size, got, want, err)
		}
		if at, err := empty.Push(0, leaves...); err != nil || !bytes.Equal(at, frontier) {
			t.Fatalf("size %d: pushed at once it is another (%v)", size, err)
		}
		leaf := []byte{byte(size), byte(size >> 8)}
		more, err := tlog.StoredHashes(size, leaf, read)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, more...)
		before := bytes.Clone(frontier)
		next, err := frontier.Push(size, LeafHash(leaf))
		if err != nil || !bytes.Equal(before, frontier) {
			t.Fatalf("size %d: %v, or the frontier itself was changed", size, err)
		}
		leaves, frontier = append(leaves, LeafHash(leaf)), next
	}
}

func TestAFrontierOfAnotherSizeIsRefused(t *testing.T) {
	for _, c := range []struct {
		bytes int
		size  int64
	}{{0, 1}, {32, 0}, {32, 3}, {64, 2}, {31, 1}, {33, 1}, {32, -1}, {0, -1}} {
		f := make(Frontier, c.bytes)
		if _, err := f.Push(c.size, Hash{}); err == nil {
			t.Errorf("%d bytes took a leaf at size %d", c.bytes, c.size)
		}
		if _, err := f.Root(c.size); err == nil {
			t.Errorf("%d bytes have a root at size %d", c.bytes, c.size)
		}
	}
}
