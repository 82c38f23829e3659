package recording

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// auditor is somebody with a key of each kind.
func auditor(t testing.TB) (x25519, hybrid string, file string) {
	t.Helper()
	x, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	h, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, lines ...string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("x25519", "# created by age-keygen", x.String())
	write("hybrid", h.String())
	write("both", x.String(), h.String())
	return x.Recipient().String(), h.Recipient().String(), dir
}

// TestAnyAuditorOpensARecording, with either kind of key, also where several kinds
// were named.
func TestAnyAuditorOpensARecording(t *testing.T) {
	x, h, dir := auditor(t)
	x2, _, dir2 := auditor(t)
	for _, test := range []struct {
		recipients []string
		opens      []string
		not        []string
	}{
		{[]string{x}, []string{dir + "/x25519", dir + "/both"}, []string{dir + "/hybrid", dir2 + "/both"}},
		{[]string{h}, []string{dir + "/hybrid", dir + "/both"}, []string{dir + "/x25519", dir2 + "/both"}},
		{[]string{x, h, x2}, []string{dir + "/x25519", dir + "/hybrid", dir2 + "/x25519"}, []string{dir2 + "/hybrid"}},
	} {
		key := NewContentKey()
		wrapped, err := key.Wrap(test.recipients)
		if err != nil {
			t.Fatal(err)
		}
		header, err := NewHeader(sampleMeta, key, wrapped)
		if err != nil {
			t.Fatal(err)
		}
		f := form{header: header, key: key}
		rec, _ := recOf(NewPacker(), f, sample(), 5)
		for _, path := range append(test.opens, test.not...) {
			o, err := LoadIdentities(path)
			if err != nil {
				t.Fatal(err)
			}
			r, err := joined(o, rec)
			if err != nil {
				t.Fatal(err)
			}
			_, err = drain(r)
			if opened := err == nil; opened != contain(test.opens, path) || !opened && fault.ReasonOf(err) != fault.RecordingLocked {
				t.Errorf("%d recipients, %s: %v", len(test.recipients), path, err)
			}
		}
	}
}

func contain(list []string, s string) bool {
	for _, each := range list {
		if each == s {
			return true
		}
	}
	return false
}

// TestAgeItselfOpensAWrappedKey: the wrapped key is an age file and nothing else.
func TestAgeItselfOpensAWrappedKey(t *testing.T) {
	program := rig.Need(t, "age", "age")
	x, _, dir := auditor(t)
	key := NewContentKey()
	wrapped, err := key.Wrap([]string{x})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-d", "-i", dir+"/x25519")
	cmd.Stdin = bytes.NewReader(wrapped)
	if out, err := cmd.Output(); err != nil || !bytes.Equal(out, key[:]) {
		t.Errorf("%d bytes, %v", len(out), err)
	}
}

func TestRecipientsThatAreRefused(t *testing.T) {
	x, h, _ := auditor(t)
	for name, list := range map[string][]string{
		"nobody":             nil,
		"an empty one":       {""},
		"a name":             {"auditor@example.com"},
		"a secret key":       {"AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ"},
		"one that was cut":   {x, h[:40]},
		"one with a mistake": {x[:20] + "b" + x[21:]},
		"two in one":         {x + " " + x},
	} {
		if _, err := NewContentKey().Wrap(list); err == nil {
			t.Errorf("%s: wrapped", name)
		}
	}
	if _, err := (ContentKey{}).Wrap([]string{x}); err == nil {
		t.Error("no key was wrapped")
	}
}

func TestIdentityFilesThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"empty": "", "a recipient": "age1qqqq\n", "a password": "hunter2\n"} {
		path := filepath.Join(dir, "identities")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadIdentities(path); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := LoadIdentities(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// TestNoKeyIsWrittenWhereItIsPrinted (promise 7): not by any verb, nor in a log.
func TestNoKeyIsWrittenWhereItIsPrinted(t *testing.T) {
	key := NewContentKey()
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(&out, verb+"\n", key)
		fmt.Fprintf(&out, verb+"\n", struct{ K ContentKey }{key})
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("opened", "key", key)
	slog.New(slog.NewTextHandler(&out, nil)).Info("opened", "key", key)
	for _, secret := range []string{string(key[:]), fmt.Sprintf("%x", key[:8]), fmt.Sprint(key[:4])[1:8], fmt.Sprintf("%#v", key[:4])[7:20]} {
		if strings.Contains(strings.ToLower(out.String()), strings.ToLower(secret)) {
			t.Errorf("%q stands in %s", secret, out.String())
		}
	}
}

// TestAWriterNeedsTheHeadersKey: another one would make what nobody can open.
func TestAWriterNeedsTheHeadersKey(t *testing.T) {
	for name, key := range map[string]ContentKey{"none": {}, "another": NewContentKey()} {
		if _, err := NewTailWriter(secret.header, key); err == nil {
			t.Errorf("a tail with %s", name)
		}
		if err := NewPacker().Start(secret.header, key, secret.header.Chain()); err == nil {
			t.Errorf("a block with %s", name)
		}
	}
	if _, err := NewTailWriter(plain.header, ContentKey{}); err == nil {
		t.Error("a tail in clear without a veil")
	}
	if err := NewPacker().Start(plain.header, ContentKey{}, secret.header.Chain()); err == nil {
		t.Error("a block behind another recording's chain")
	}
	if _, err := NewHeader(sampleMeta, ContentKey{}, []byte("wrapped")); err == nil {
		t.Error("a header with a wrapped key and without it")
	}
	if _, err := NewHeader(Meta{Session: "../x"}, testKey, nil); err == nil {
		t.Error("a header of a session that is a path")
	}
}

// TestNoNonceIsUsedTwice: two blocks of the same frames, as after a write that
// failed, share nothing.
func TestNoNonceIsUsedTwice(t *testing.T) {
	a, _ := recOf(&Packer{}, secret, stored(sample()), 100)
	b, _ := recOf(&Packer{}, secret, stored(sample()), 100)
	from := int(secret.header.Size()) + BlockHeaderSize
	if bytes.Equal(a[from:from+nonceSize], b[from:from+nonceSize]) || bytes.Equal(a[from+nonceSize:], b[from+nonceSize:]) {
		t.Error("two blocks are alike")
	}
}
