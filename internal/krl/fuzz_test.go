package krl

import (
	"crypto/ed25519"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
)

// FuzzParse: no file brings an agent down, and what one reads it would write
// with the same meaning.
func FuzzParse(f *testing.F) {
	signer, err := ssh.NewSignerFromSigner(ed25519.NewKeyFromSeed(make([]byte, 32)))
	if err != nil {
		f.Fatal(err)
	}
	ca := signer.PublicKey()
	for _, serials := range [][]Range{nil, Serials(1), {{5, 500}}, everyOther(1, 200), {{1, 1}, {9, 90}, {1 << 40, 1 << 40}}} {
		f.Add(marshal(f, List{Version: 1, Comment: "x", Revoked: []Authority{{ca, serials}}}))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := Parse(data)
		if err != nil {
			return
		}
		for _, a := range l.Revoked {
			for i, r := range a.Serials {
				if r.First == 0 || r.Last < r.First || i > 0 && r.First <= a.Serials[i-1].Last {
					t.Fatalf("serials are %v", a.Serials)
				}
			}
		}
		written, err := l.Marshal()
		if err != nil {
			if len(data) < MaxSize/8 {
				t.Fatalf("what was read cannot be written: %v", err)
			}
			return
		}
		again, err := Parse(written)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		for i := range again.Revoked {
			// A CA of which nothing is revoked is not written.
			if len(again.Revoked) == len(l.Revoked) && !cmp.Equal(again.Revoked[i].Serials, l.Revoked[i].Serials) {
				t.Fatalf("read %v, wrote %v", l.Revoked[i].Serials, again.Revoked[i].Serials)
			}
		}
	})
}
