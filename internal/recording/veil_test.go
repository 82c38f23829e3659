package recording

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"testing"
)

func TestAVeilIsAESInCounterMode(t *testing.T) {
	veil := testKey.Veil()
	block, err := aes.NewCipher(testKey.derive(labelVeil))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, 15, 16, 17, 4000} {
		text := bytes.Repeat([]byte("pass"), n)[:n]
		got, want := bytes.Clone(text), make([]byte, n)
		veil.Apply(77, got)
		iv := make([]byte, aes.BlockSize)
		binary.BigEndian.PutUint64(iv, 77)
		cipher.NewCTR(block, iv).XORKeyStream(want, text)
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes: %x, want %x", n, got, want)
		}
		if veil.Apply(77, got); !bytes.Equal(got, text) {
			t.Errorf("%d bytes are not unveiled", n)
		}
	}
}

// TestWhatNobodyRevealedIsReadByNobody of a recording in clear; in an encrypted
// one by the auditors, who ask for it.
func TestWhatNobodyRevealedIsReadByNobody(t *testing.T) {
	const typed = "secret\r"
	for _, f := range forms {
		rec, _ := recOf(&Packer{}, f, stored(sample()), 7)
		raw, _ := rawOf(f, sample(), 7)
		for _, file := range [][]byte{rec, raw, tailOf(f, sample(), 1, len(sample()))} {
			if bytes.Contains(file, []byte("secret")) {
				t.Errorf("%s: it stands in clear", f.name)
			}
		}
		r, err := joined(f.opener, rec)
		if err != nil {
			t.Fatal(err)
		}
		for {
			frame, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			if frame.Number != 14 {
				continue
			}
			text, ok := r.Unveil(frame)
			if ok != f.header.Encrypted() || ok && string(text) != typed {
				t.Errorf("%s: %q %v", f.name, text, ok)
			}
			break
		}
	}
}

func TestARevealIsReadAsItWasWritten(t *testing.T) {
	for _, runs := range [][]Run{
		nil,
		{{Frame: 1, Bytes: []byte("l")}},
		{{Frame: 7, Bytes: []byte("l")}, {Frame: 9, Bytes: []byte("s")}, {Frame: 9, Offset: 4, Bytes: []byte(" -la")}, {Frame: 300, Offset: 1, Bytes: []byte("é")}},
		{{Frame: 999, Offset: MaxPayload - 1, Bytes: []byte{0}}},
	} {
		b := AppendReveal(nil, runs)
		got, err := ParseReveal(Frame{Number: 1000, Kind: KindReveal, Payload: b})
		if err != nil || len(got) != len(runs) {
			t.Fatalf("%v: %v, %v", runs, got, err)
		}
		for i, r := range runs {
			if g := got[i]; g.Frame != r.Frame || g.Offset != r.Offset || !bytes.Equal(g.Bytes, r.Bytes) {
				t.Errorf("%v: %v", r, g)
			}
		}
	}
	// A typed line takes two bytes a key, and two more.
	if n := len(AppendReveal(nil, []Run{{Frame: 7, Bytes: []byte("l")}, {Frame: 9, Bytes: []byte("s")}})); n != 5 {
		t.Errorf("two keys take %d bytes", n)
	}
}

func TestRevealsThatAreRefused(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing":                       {},
		"a run that is not there":       {1},
		"a text that is not there":      {1, 2},
		"something after it":            {1, 2, 'l', 'x'},
		"of frame 0":                    {1, 0, 'x'},
		"of itself":                     {1, 20, 'x'},
		"of a frame behind it":          {1, 40, 'x'},
		"no bytes":                      {1, 3, 0, 0},
		"the same byte twice":           {2, 2, 0, 'a', 'b'},
		"an earlier byte after a later": {2, 3, 2, 1, 1, 0, 1, 'a', 'b'},
		"more runs than bytes":          {0xff, 0xff, 0xff, 0xff, 0x0f, 2, 'x'},
		"a length that is larger":       {1, 3, 0, 9, 'x'},
		"an offset that no frame has":   append([]byte{1, 3, 0x81, 0x80, 0x80, 0x80, 1, 1}, 'x'),
		"a number without an end":       {0xff, 0xff, 0xff},
	} {
		var damage *DamageError
		if runs, err := ParseReveal(Frame{Number: 10, Kind: KindReveal, Payload: b}); !errors.As(err, &damage) || damage.How != Malformed {
			t.Errorf("%s: %v, %v", name, runs, err)
		}
	}
}
