package recording

import (
	"bytes"
	"testing"
)

func TestContentIsReadAsItWasWritten(t *testing.T) {
	want := Content{From: Node, File: 7, Offset: 1 << 40, Bytes: []byte("some\x00bytes")}
	got, err := ParseContent(want.Append(nil))
	if err != nil || got.From != want.From || got.File != want.File || got.Offset != want.Offset || !bytes.Equal(got.Bytes, want.Bytes) {
		t.Fatalf("%+v, %v", got, err)
	}
}

func FuzzContent(f *testing.F) {
	f.Add(Content{From: Client, File: 1, Bytes: []byte("x")}.Append(nil))
	f.Add(Content{From: Proxy, File: 1, Bytes: []byte("x")}.Append(nil))
	f.Add(Content{From: Node, Bytes: []byte("x")}.Append(nil))
	f.Add([]byte("n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := ParseContent(b); err == nil && !bytes.Equal(c.Append(nil), b) {
			t.Fatalf("%x was read as %+v", b, c)
		}
	})
}
