package krl

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/rig"
)

func newCA(t testing.TB) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func marshal(t testing.TB, l List) []byte {
	t.Helper()
	data, err := l.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// shapes are serials of every kind that a plan has to deal with.
func shapes() map[string][]Range {
	random := mathrand.New(mathrand.NewPCG(1, 2))
	var dense, sparse, mixed []Range
	for n := uint64(1); n < 40_000; n++ {
		if random.IntN(3) == 0 {
			dense = append(dense, Range{n, n})
		}
	}
	for range 300 {
		n := 1 + random.Uint64N(math.MaxUint64-1)
		sparse = append(sparse, Range{n, n})
	}
	for n := uint64(1000); len(mixed) < 500; n += 1 + random.Uint64N(1<<random.IntN(20)) {
		r := Range{n, n + random.Uint64N(1<<random.IntN(12))}
		mixed, n = append(mixed, r), r.Last
	}
	return map[string][]Range{
		"one serial":           Serials(1),
		"the last serial":      Serials(math.MaxUint64),
		"all serials":          {{1, math.MaxUint64}},
		"two far apart":        Serials(1, 1<<40),
		"a range":              {{100, 9_000_000}},
		"the end of the range": {{math.MaxUint64 - 20000, math.MaxUint64}},
		"neighbours":           Serials(8, 7, 9, 7),
		"overlapping ranges":   {{5, 20}, {1, 10}, {21, 30}, {40, 41}},
		"a byte with its sign": Serials(16, 18, 20, 23),
		"every other of 40,000": func() (all []Range) {
			for n := uint64(2); n < 40_000; n += 2 {
				all = append(all, Range{n, n})
			}
			return
		}(),
		"a third of 40,000":   dense,
		"300 anywhere":        sparse,
		"a bit of everything": mixed,
	}
}

// TestSSHKeygenAgreesWithEveryList: ssh-keygen -Q finds revoked what we meant,
// and nothing beside it.
func TestSSHKeygenAgreesWithEveryList(t *testing.T) {
	keygen := rig.Need(t, "ssh-keygen", "openssh-client")
	ca, key := newCA(t), newCA(t).PublicKey()
	for name, serials := range shapes() {
		t.Run(name, func(t *testing.T) {
			l := List{Version: 7, Generated: 1_800_000_000, Comment: "test", Revoked: []Authority{{ca.PublicKey(), serials}}}
			dir := t.TempDir()
			path := filepath.Join(dir, "krl")
			if err := os.WriteFile(path, marshal(t, l), 0o600); err != nil {
				t.Fatal(err)
			}
			// Look at both sides of the edges of some ranges.
			args, want := []string{"-Q", "-f", path}, map[string]bool{}
			for i, r := range serials {
				if i%(len(serials)/20+1) != 0 {
					continue
				}
				for _, n := range []uint64{r.First - 1, r.First, r.Last, r.Last + 1} {
					file := filepath.Join(dir, fmt.Sprintf("%d-cert.pub", n))
					if _, done := want[file]; done || n == 0 {
						continue
					}
					if err := os.WriteFile(file, ssh.MarshalAuthorizedKey(certificate(t, ca, key, n)), 0o600); err != nil {
						t.Fatal(err)
					}
					args, want[file] = append(args, file), l.Revokes(ca.PublicKey(), n)
				}
			}
			out, _ := exec.Command(keygen, args...).CombinedOutput()
			for file, revoked := range want {
				switch line := lineWith(string(out), file); {
				case strings.HasSuffix(line, "REVOKED") != revoked || strings.HasSuffix(line, ": ok") == revoked:
					t.Errorf("want revoked %v, ssh-keygen says %q", revoked, line)
				}
			}
		})
	}
}

func lineWith(text, what string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, what) {
			return strings.TrimSpace(line)
		}
	}
	return text
}

func certificate(t testing.TB, ca ssh.Signer, key ssh.PublicKey, serial uint64) *ssh.Certificate {
	t.Helper()
	c := &ssh.Certificate{
		Key: key, Serial: serial, CertType: ssh.UserCert, KeyId: "test", ValidPrincipals: []string{"deploy@n-0123456789ab"},
		ValidAfter: uint64(time.Now().Add(-time.Minute).Unix()), ValidBefore: uint64(time.Now().Add(time.Hour).Unix()),
	}
	return certificateFor(t, c, ca)
}

func certificateFor(t testing.TB, c *ssh.Certificate, ca ssh.Signer) *ssh.Certificate {
	t.Helper()
	if err := c.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAListReadsBackAsItWasMeant(t *testing.T) {
	ca := newCA(t).PublicKey()
	for name, serials := range shapes() {
		merged, err := merge(serials)
		if err != nil {
			t.Fatal(err)
		}
		want := List{Version: math.MaxUint64, Generated: 5, Comment: "täglich", Revoked: []Authority{{ca, merged}}}
		got, err := Parse(marshal(t, want))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) })); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

// TestAListIsSmall: in bytes of serials, against the smallest that one form
// alone would give. 100,000 of 500,000 dense serials is issue enough for a bitmap.
func TestAListIsSmall(t *testing.T) {
	ca := newCA(t).PublicKey()
	empty := len(marshal(t, List{Revoked: []Authority{{ca, Serials(1)}}})) - 8 - 5
	many := mathrand.New(mathrand.NewPCG(3, 4)).Perm(500_000)[:100_000]
	var revoked []Range
	for _, n := range many {
		revoked = append(revoked, Range{uint64(n) + 1, uint64(n) + 1})
	}
	sets := shapes()
	sets["100,000 of 500,000"] = revoked
	for name, limit := range map[string]int{
		"one serial":            8 + 5,
		"a range":               16 + 5,
		"all serials":           16 + 5,
		"two far apart":         2*8 + 5,
		"300 anywhere":          300*8 + 5,
		"every other of 40,000": 40_000/8 + 3*20,
		"a third of 40,000":     40_000/8 + 3*20,
		"100,000 of 500,000":    64 << 10,
	} {
		data := marshal(t, List{Revoked: []Authority{{ca, sets[name]}}})
		if got := len(data) - empty; got > limit {
			t.Errorf("%s takes %d bytes, more than %d", name, got, limit)
		}
	}
}

func TestMarshalRefuses(t *testing.T) {
	ca := newCA(t)
	key := ca.PublicKey()
	for name, l := range map[string]List{
		"serial 0":                    {Revoked: []Authority{{key, Serials(1, 0)}}},
		"a range from serial 0":       {Revoked: []Authority{{key, []Range{{0, 9}}}}},
		"a range that ends before":    {Revoked: []Authority{{key, []Range{{9, 1}}}}},
		"no CA, which would be every": {Revoked: []Authority{{nil, Serials(1)}}},
		"a certificate as CA":         {Revoked: []Authority{{certificate(t, ca, key, 1), Serials(1)}}},
		"a CA twice":                  {Revoked: []Authority{{key, Serials(1)}, {key, Serials(2)}}},
		"more than MaxSize":           {Comment: strings.Repeat("x", MaxSize)},
	} {
		if data, err := l.Marshal(); err == nil || data != nil {
			t.Errorf("%s is written", name)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	ca := newCA(t)
	good := marshal(t, List{Version: 3, Revoked: []Authority{{ca.PublicKey(), []Range{{1, 1}, {5, 100}, {200, 200}}}}})
	head := marshal(t, List{})
	certificates := func(body ...byte) []byte {
		section := append(ssh.Marshal(struct{ CA, Reserved []byte }{ca.PublicKey().Marshal(), nil}), body...)
		return appendSection(bytes.Clone(head), sectionCertificates, section)
	}
	with := func(kind byte, data ...byte) []byte { return certificates(appendSection(nil, kind, data)...) }
	number := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
	bits := func(offset uint64, b ...byte) []byte {
		return with(certSerialBitmap, ssh.Marshal(struct {
			Offset uint64
			Bits   []byte
		}{offset, b})...)
	}
	change := func(at int, b byte) []byte { c := bytes.Clone(good); c[at] = b; return c }
	for name, data := range map[string][]byte{
		"nothing":                           nil,
		"a text file of keys":               ssh.MarshalAuthorizedKey(ca.PublicKey()),
		"a file of zeros":                   make([]byte, 512),
		"another magic":                     change(0, 'X'),
		"another format":                    change(11, 2),
		"a flag":                            change(35, 1),
		"a byte more":                       append(bytes.Clone(good), 0),
		"explicit keys":                     appendSection(bytes.Clone(head), 2, nil),
		"a signature":                       appendSection(bytes.Clone(head), 4, nil),
		"an extension":                      appendSection(bytes.Clone(head), 255, nil),
		"a section longer than the file":    append(bytes.Clone(head), 1, 0xff, 0xff, 0xff, 0xff),
		"every CA":                          appendSection(bytes.Clone(head), sectionCertificates, make([]byte, 8)),
		"a CA twice":                        append(bytes.Clone(good), good[len(head):]...),
		"key ids":                           with(0x23, 0, 0, 0, 1, 'x'),
		"serial 0":                          with(certSerialList, number(0)...),
		"half a serial":                     with(certSerialList, 1, 2, 3, 4),
		"an empty list of serials":          with(certSerialList),
		"half a range":                      with(certSerialRange, number(1)...),
		"a range from serial 0":             with(certSerialRange, make([]byte, 16)...),
		"a range backwards":                 with(certSerialRange, append(number(9), number(1)...)...),
		"a bitmap with serial 0":            bits(0, 1),
		"an empty bitmap":                   bits(1),
		"a bitmap of zeros":                 bits(1, 0),
		"a bitmap with zeros in front":      bits(1, 0, 0, 1),
		"a negative bitmap":                 bits(1, 0x80),
		"a bitmap beyond the last serial":   bits(math.MaxUint64, 2),
		"a bitmap longer than sshd's limit": bits(1, append([]byte{1}, make([]byte, maxBitmap/8)...)...),
		"more than MaxSize":                 append(bytes.Clone(good), make([]byte, MaxSize)...),
	} {
		if l, err := Parse(data); err == nil {
			t.Errorf("%s is read as %+v", name, l)
		}
	}
	for n := range good {
		// A list that ends between sections is whole; sshd thinks so, too.
		if _, err := Parse(good[:n]); err == nil && n != len(head) {
			t.Errorf("a list cut after %d of %d bytes is read", n, len(good))
		}
	}
}

// TestWeReadWhatSSHKeygenWrites: the other direction of the oracle.
func TestWeReadWhatSSHKeygenWrites(t *testing.T) {
	keygen := rig.Need(t, "ssh-keygen", "openssh-client")
	ca := newCA(t).PublicKey()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"ca.pub": string(ssh.MarshalAuthorizedKey(ca)),
		"spec":   "serial: 3\nserial: 5\nserial: 7\nserial: 100-9000\nserial: 123456789012\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "krl")
	if out, err := exec.Command(keygen, "-k", "-f", path, "-s", filepath.Join(dir, "ca.pub"), "-z", "42", filepath.Join(dir, "spec")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	l, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	want := []Range{{3, 3}, {5, 5}, {7, 7}, {100, 9000}, {123456789012, 123456789012}}
	if l.Version != 42 || len(l.Revoked) != 1 || !cmp.Equal(l.Revoked[0].Serials, want) {
		t.Errorf("read %+v", l)
	}
}
