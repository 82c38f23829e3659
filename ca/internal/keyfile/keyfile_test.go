package keyfile

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

var pass = Passphrase("correct horse battery staple")

func TestAKeyComesBack(t *testing.T) {
	dir := t.TempDir()
	f, err := Create(dir, pass)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Write("a", ed, []byte("public a\n")); err != nil {
		t.Fatal(err)
	}
	if err := f.Write("b", ec, []byte("public b\n")); err != nil {
		t.Fatal(err)
	}

	again, err := Open(dir, pass)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := again.Read("a"); err != nil || !ed.Equal(a) {
		t.Errorf("a: %v", err)
	}
	if b, err := again.Read("b"); err != nil || !ec.Equal(b) {
		t.Errorf("b: %v", err)
	}
	if text, err := Public(dir, "b"); err != nil || string(text) != "public b\n" {
		t.Errorf("b.pub is %q, %v", text, err)
	}

	// A key is not written over, not by itself either.
	if err := f.Write("a", ed, nil); err == nil {
		t.Error("a key was written over")
	}
	if _, err := Create(dir, pass); fault.Of(err).Kind != fault.Conflict {
		t.Errorf("a folder was made over another: %v", err)
	}

	// Only owners read what is private, and nothing private is in clear.
	for name, mode := range map[string]os.FileMode{"data.age": 0o600, "a.age": 0o600, "a.pub": 0o644} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s has mode %v, %v", name, info.Mode(), err)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, ed.Seed()) || bytes.Contains(text, []byte("PRIVATE KEY")) || bytes.Contains(text, []byte("AGE-SECRET-KEY")) {
			t.Errorf("%s holds a key in clear", file)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".new-*")); len(left) > 0 {
		t.Errorf("temporary files stay: %v", left)
	}

	// One byte changed, or one key in another's place.
	for _, name := range []string{"a.age", "data.age"} {
		path := filepath.Join(dir, name)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text[len(text)-1] ^= 1
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := again.Read("a"); err == nil {
		t.Error("a key file that was changed is read")
	}
	if _, err := Open(dir, pass); err == nil {
		t.Error("a data key that was changed is read")
	}
}

func TestAFolderIsNotOpened(t *testing.T) {
	dir := t.TempDir()
	if _, err := Create(dir, pass); err != nil {
		t.Fatal(err)
	}
	for name, wrong := range map[string]Passphrase{
		"another passphrase": Passphrase("another horse battery staple"),
		"none":               nil,
		"a short one":        Passphrase("short"),
	} {
		_, err := Open(dir, wrong)
		if fault.ReasonOf(err) != fault.ConfigInvalid {
			t.Errorf("%s: %v", name, err)
		}
		if len(wrong) > 0 && strings.Contains(fmt.Sprint(err), string(wrong)) {
			t.Errorf("%s: the error tells it: %v", name, err)
		}
		if _, err := Create(t.TempDir(), wrong); name != "another passphrase" && err == nil {
			t.Errorf("%s: a folder was made", name)
		}
	}
	if _, err := Open(t.TempDir(), pass); fault.Of(err).Kind != fault.Missing {
		t.Errorf("no folder: %v", err)
	}
	var zero Folder
	if _, err := zero.Read("a"); err == nil {
		t.Error("the zero Folder reads")
	}
	if err := zero.Write("a", nil, nil); err == nil {
		t.Error("the zero Folder writes")
	}
}

// TestAFileDoesNotChooseItsWork: a header that asks for 2^22 rounds would take
// 4 GiB before it is known to be ours.
func TestAFileDoesNotChooseItsWork(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data.age")
	to, err := age.NewScryptRecipient(string(pass))
	if err != nil {
		t.Fatal(err)
	}
	to.SetWorkFactor(workFactor + 2)
	if err := write(path, to, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := readUnderPassphrase(path, pass); err == nil {
		t.Error("it was read")
	}
}

func TestAPassphraseComesFromAFileAndDoesNotPrint(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, Credential)
	for text, ok := range map[string]bool{
		"correct horse battery staple":     true,
		"correct horse battery staple\n":   true,
		"correct horse battery staple\r\n": true,
		"  with spaces that count  ":       true,
		"":                                 false,
		"\n":                               false,
		"short\n":                          false,
		"two lines\nof a passphrase\n":     false,
		"a zero byte \x00 in the middle":   false,
		strings.Repeat("x", maxFile+1):     false,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := ReadPassphrase(path)
		if (err == nil) != ok {
			t.Errorf("%.40q: %v", text, err)
		}
		if ok && string(p) != strings.TrimRight(text, "\r\n") {
			t.Errorf("%q became %q", text, string(p))
		}
	}
	if _, err := ReadPassphrase(""); fault.ReasonOf(err) != fault.ConfigInvalid {
		t.Errorf("no file: %v", err)
	}
	systemd := func(name string) string {
		if name == "CREDENTIALS_DIRECTORY" {
			return dir
		}
		return ""
	}
	if got := PassphraseFile("", systemd); got != path {
		t.Errorf("systemd's credential is %q", got)
	}
	if got := PassphraseFile("/a/file", systemd); got != "/a/file" {
		t.Errorf("a configured file is %q", got)
	}
	if got := PassphraseFile("", func(string) string { return "" }); got != "" {
		t.Errorf("neither is %q", got)
	}

	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "pass", pass)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "pass", pass)
	encoded, err := json.Marshal(struct{ P Passphrase }{pass})
	if err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprintf("%v %s %q %+v %#v %s %s", pass, pass, pass, pass, pass, encoded, log.String())
	if strings.Contains(all, "horse") {
		t.Errorf("it prints: %s", all)
	}
}

func TestTheDoorKeyServesTLS(t *testing.T) {
	dir := t.TempDir()
	if err := CreateDoorKey(dir, pass); err != nil {
		t.Fatal(err)
	}
	if err := CreateDoorKey(dir, pass); err == nil {
		t.Error("the door key was written over")
	}
	if _, err := LoadDoorKey(dir, Passphrase("another horse battery staple")); fault.ReasonOf(err) != fault.ConfigInvalid {
		t.Errorf("another passphrase: %v", err)
	}
	key, err := LoadDoorKey(dir, pass)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{key}, MinVersion: tls.VersionTLS13})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		if conn, err := listener.Accept(); err == nil {
			conn.(*tls.Conn).Handshake()
			conn.Close()
		}
	}()
	conn, err := tls.Dial("tcp", listener.Addr().String(), &tls.Config{
		InsecureSkipVerify: true, // parts pin the key instead
		MinVersion:         tls.VersionTLS13,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	shown := conn.ConnectionState().PeerCertificates[0]
	if !bytes.Equal(shown.RawSubjectPublicKeyInfo, key.Leaf.RawSubjectPublicKeyInfo) {
		t.Error("another key was shown")
	}
	if shown.NotAfter.Before(time.Now().AddDate(100, 0, 0)) {
		t.Errorf("the certificate ends %v", shown.NotAfter)
	}
}
