package audit

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// testWitness is a witness with its key in the test's hands.
type testWitness struct {
	name string
	key  ed25519.PrivateKey
}

func newTestWitness(t testing.TB, name string) testWitness {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return testWitness{name, key}
}

func (w testWitness) hash() []byte {
	sum := sha256.Sum256(append([]byte(w.name+"\n\x04"), w.key.Public().(ed25519.PublicKey)...))
	return sum[:4]
}

func (w testWitness) vkey() string {
	key := append([]byte{4}, w.key.Public().(ed25519.PublicKey)...)
	return fmt.Sprintf("%s+%x+%s", w.name, w.hash(), base64.StdEncoding.EncodeToString(key))
}

// cosign is what the witness answers about a note.
func (w testWitness) cosign(note []byte, at uint64) []byte {
	text, _, _ := bytes.Cut(note, []byte("\n\n"))
	sig := binary.BigEndian.AppendUint64(w.hash(), at)
	sig = append(sig, ed25519.Sign(w.key, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s\n", at, text))...)
	return fmt.Appendf(nil, "— %s %s\n", w.name, base64.StdEncoding.EncodeToString(sig))
}

func TestACheckpointIsReadAsItIsWritten(t *testing.T) {
	for _, size := range []int64{1, 9, 1 << 62} {
		c := Checkpoint{testOrigin, size, Hash{1, 2, 3}}
		if got, err := ParseCheckpoint(c.Text()); err != nil || got != c {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

func TestACheckpointIsRefused(t *testing.T) {
	good := Checkpoint{testOrigin, 9, Hash{1}}.Text()
	for name, text := range map[string]string{
		"that is empty":               "",
		"without its last newline":    strings.TrimSuffix(good, "\n"),
		"with a line more":            good + "more\n",
		"with an empty line":          good + "\n",
		"with Windows' newlines":      strings.ReplaceAll(good, "\n", "\r\n"),
		"without an origin":           strings.TrimPrefix(good, testOrigin),
		"of an origin with a space":   strings.Replace(good, "example", "exa mple", 1),
		"of an origin with a plus":    strings.Replace(good, "example", "exa+mple", 1),
		"of an origin that draws":     strings.Replace(good, "example", "\x1b[2J", 1),
		"of a long origin":            strings.Repeat("x", 300) + good,
		"with a size before zero":     strings.Replace(good, "\n9\n", "\n-9\n", 1),
		"with a size with zeros":      strings.Replace(good, "\n9\n", "\n09\n", 1),
		"with a size with a sign":     strings.Replace(good, "\n9\n", "\n+9\n", 1),
		"with a size of 2^63":         strings.Replace(good, "\n9\n", "\n9223372036854775808\n", 1),
		"with a short root":           testOrigin + "\n9\nAQ==\n",
		"with a root that is no base": testOrigin + "\n9\n" + strings.Repeat("!", 44) + "\n",
		"with a root with loose bits": strings.Replace(good, "A=\n", "B=\n", 1),
		"of nothing, that has a root": Checkpoint{testOrigin, 0, Hash{1}}.Text(),
		"with a root in base64url":    Checkpoint{testOrigin, 9, Hash{0xff, 0xff, 0xff}}.Text()[:len(testOrigin)+3] + "____AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
	} {
		c, err := ParseCheckpoint(text)
		if err == nil {
			t.Errorf("%s: %+v", name, c)
			continue
		}
		if damage, _ := damageOf(t, err); damage != Malformed {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestANoteIsTheSameEachTime(t *testing.T) {
	l := newTestLog(t)
	c := Checkpoint{testOrigin, 9, Hash{1}}
	if !bytes.Equal(l.sign(c), l.sign(c)) {
		t.Error("two CAs would publish two notes")
	}
	other, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if _, err := c.Sign(other); err == nil {
		t.Error("a key that no reader knows signs")
	}
	for _, bad := range []Checkpoint{{}, {Origin: "two words", Size: 9}, {Origin: testOrigin, Size: -1}, {Origin: testOrigin, Root: Hash{1}}} {
		if _, err := bad.Sign(l.key); err == nil {
			t.Errorf("%+v is signed", bad)
		}
	}
}

func TestOpenTakesWhatTrustedKeysSigned(t *testing.T) {
	l, stranger := newTestLog(t), newTestLog(t)
	ann, bob, eve := newTestWitness(t, "ann.example.org"), newTestWitness(t, "bob.example.org"), newTestWitness(t, "eve.example.org")
	c := Checkpoint{testOrigin, 9, Hash{1}}
	note := l.sign(c)
	trust := func(quorum int) *Trust {
		trust, err := NewTrust([]string{l.vkey}, []string{ann.vkey(), bob.vkey()}, quorum)
		if err != nil {
			t.Fatal(err)
		}
		return trust
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	wrong := ann.cosign(l.sign(Checkpoint{testOrigin, 8, Hash{1}}), 5)
	for _, row := range []struct {
		name   string
		trust  *Trust
		note   []byte
		damage Damage // "" is opened
		seen   int
	}{
		{"the log's own, without witnesses", trust(0), note, "", 0},
		{"one witness of one", trust(1), join(note, ann.cosign(note, 5)), "", 1},
		{"two witnesses of one", trust(1), join(note, ann.cosign(note, 5), bob.cosign(note, 6)), "", 2},
		{"a stranger beside", trust(1), join(note, eve.cosign(note, 5), ann.cosign(note, 5)), "", 1},
		{"two keys of the log, one after the other", must(NewTrust([]string{stranger.vkey, l.vkey}, nil, 0)), note, "", 0},

		{"no witness of one", trust(1), note, Unwitnessed, 0},
		{"one witness of two", trust(2), join(note, ann.cosign(note, 5)), Unwitnessed, 0},
		{"one witness twice", trust(2), join(note, ann.cosign(note, 5), ann.cosign(note, 6)), Unwitnessed, 0},
		{"a stranger for a witness", trust(1), join(note, eve.cosign(note, 5)), Unwitnessed, 0},
		{"a cosignature of another checkpoint", trust(1), join(note, wrong), Changed, 0},
		{"a cosignature with another time", trust(1), join(note, retime(ann.cosign(note, 5))), Changed, 0},
		{"a stranger's checkpoint", trust(0), stranger.sign(c), WrongKey, 0},
		{"witnesses alone", trust(1), join([]byte(c.Text()+"\n"), ann.cosign(note, 5)), WrongKey, 0},
		{"nobody's", trust(0), []byte(c.Text() + "\n"), Malformed, 0},
		{"no trust at all", nil, note, WrongKey, 0},
		{"the zero Trust", &Trust{}, note, WrongKey, 0},
		{"another root", trust(0), bytes.Replace(note, []byte("AQ"), []byte("AR"), 1), Changed, 0},
		{"no note", trust(0), []byte("hello"), Malformed, 0},
		{"nothing", trust(0), nil, Malformed, 0},
		{"too much", trust(0), bytes.Repeat(note, 1000), Malformed, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, err := row.trust.Open(row.note)
			if row.damage == "" {
				if err != nil || s.Checkpoint != c || len(s.Witnesses) != row.seen {
					t.Errorf("%+v, %v", s, err)
				}
				return
			}
			if damage, _ := damageOf(t, err); damage != row.damage || s.Origin != "" {
				t.Errorf("%q: %v", damage, err)
			}
		})
	}
}

func must(trust *Trust, err error) *Trust {
	if err != nil {
		panic(err)
	}
	return trust
}

// retime changes the time in a cosignature.
func retime(line []byte) []byte {
	fields := strings.Fields(string(line))
	sig, _ := base64.StdEncoding.DecodeString(fields[2])
	sig[11]++
	return []byte("— " + fields[1] + " " + base64.StdEncoding.EncodeToString(sig) + "\n")
}

func TestTrustIsRefused(t *testing.T) {
	l, w := newTestLog(t), newTestWitness(t, "ann.example.org")
	foreign, _ := VerifierKey("elsewhere.example.com/log", l.key.Public().(ed25519.PublicKey))
	again := w
	again.name = "second.example.org"
	for name, try := range map[string]func() (*Trust, error){
		"without a key":           func() (*Trust, error) { return NewTrust(nil, nil, 0) },
		"with a key that is none": func() (*Trust, error) { return NewTrust([]string{"x"}, nil, 0) },
		"with a key with another's hash": func() (*Trust, error) {
			return NewTrust([]string{strings.Replace(l.vkey, "access", "bccess", 1)}, nil, 0)
		},
		"with keys of two logs":            func() (*Trust, error) { return NewTrust([]string{l.vkey, foreign}, nil, 0) },
		"with a witness's key":             func() (*Trust, error) { return NewTrust([]string{w.vkey()}, nil, 0) },
		"with the log as a witness":        func() (*Trust, error) { return NewTrust([]string{l.vkey}, []string{l.vkey}, 0) },
		"with a witness twice":             func() (*Trust, error) { return NewTrust([]string{l.vkey}, []string{w.vkey(), w.vkey()}, 0) },
		"with a witness under two names":   func() (*Trust, error) { return NewTrust([]string{l.vkey}, []string{w.vkey(), again.vkey()}, 2) },
		"with a quorum that cannot be had": func() (*Trust, error) { return NewTrust([]string{l.vkey}, []string{w.vkey()}, 2) },
		"with a quorum before zero":        func() (*Trust, error) { return NewTrust([]string{l.vkey}, nil, -1) },
	} {
		if trust, err := try(); err == nil {
			t.Errorf("%s: %+v", name, trust)
		}
	}
}

func TestACosignatureIsTaken(t *testing.T) {
	l, ann, eve := newTestLog(t), newTestWitness(t, "ann.example.org"), newTestWitness(t, "eve.example.org")
	w, err := ParseWitness(ann.vkey())
	if err != nil {
		t.Fatal(err)
	}
	note := l.sign(Checkpoint{testOrigin, 9, Hash{1}})
	line, c, err := w.Cosign(note, append(eve.cosign(note, 7), ann.cosign(note, 5)...))
	if err != nil || line != string(ann.cosign(note, 5)) || c != (Cosignature{"ann.example.org", 5}) {
		t.Errorf("%q, %+v, %v", line, c, err)
	}
	imposter := eve
	imposter.name = ann.name
	for name, answer := range map[string][]byte{
		"nothing":                         nil,
		"another's":                       eve.cosign(note, 5),
		"another's under its name":        imposter.cosign(note, 5),
		"of another checkpoint":           ann.cosign(l.sign(Checkpoint{testOrigin, 8, Hash{1}}), 5),
		"with another time":               retime(ann.cosign(note, 5)),
		"without its newline":             bytes.TrimSpace(ann.cosign(note, 5)),
		"with a time that is none":        ann.cosign(note, 1<<63),
		"with text before it":             append([]byte("hello\n\n"), ann.cosign(note, 5)...),
		"larger than a note is":           bytes.Repeat(ann.cosign(note, 5), 1000),
		"that ends in another checkpoint": append([]byte(Checkpoint{testOrigin, 8, Hash{1}}.Text()+"\n"), ann.cosign(note, 5)...),
	} {
		if line, _, err := w.Cosign(note, answer); err == nil {
			t.Errorf("%s: %q", name, line)
		}
	}
}

func FuzzOpen(f *testing.F) {
	l, ann := newTestLog(f), newTestWitness(f, "ann.example.org")
	trust := must(NewTrust([]string{l.vkey}, []string{ann.vkey()}, 0))
	note := l.sign(Checkpoint{testOrigin, 9, Hash{1}})
	f.Add(note)
	f.Add(append(bytes.Clone(note), ann.cosign(note, 5)...))
	f.Add([]byte("access.example.com/log\n9\nAQ==\n\n— x y\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := trust.Open(data)
		if err == nil && (s.Origin != testOrigin || s.Size != 9 || s.Root != Hash{1}) {
			t.Fatalf("%+v was never signed", s.Checkpoint)
		}
	})
}

func FuzzParseCheckpoint(f *testing.F) {
	f.Add(Checkpoint{testOrigin, 9, Hash{1}}.Text())
	empty, _ := tlog.TreeHash(0, nil)
	f.Add(Checkpoint{testOrigin, 0, empty}.Text())
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := ParseCheckpoint(text); err == nil && c.Text() != text {
			t.Fatalf("%q is read, and would be written %q", text, c.Text())
		}
	})
}

func FuzzCosign(f *testing.F) {
	l, ann := newTestLog(f), newTestWitness(f, "ann.example.org")
	w, err := ParseWitness(ann.vkey())
	if err != nil {
		f.Fatal(err)
	}
	note := l.sign(Checkpoint{testOrigin, 9, Hash{1}})
	f.Add(ann.cosign(note, 5))
	f.Add([]byte("— ann.example.org AAAA\n"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		line, _, err := w.Cosign(note, answer)
		if err == nil && (strings.Count(line, "\n") != 1 || !bytes.Contains(answer, []byte(line))) {
			t.Fatalf("took %q from %q", line, answer)
		}
	})
}

func FuzzParseWitness(f *testing.F) {
	f.Add(newTestWitness(f, "ann.example.org").vkey())
	f.Fuzz(func(t *testing.T, text string) {
		if w, err := ParseWitness(text); err == nil && !strings.HasPrefix(text, w.Name()+"+") {
			t.Fatalf("%q is %q", text, w.Name())
		}
	})
}
