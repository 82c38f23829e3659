//go:build linux

package signer

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
)

func TestInitMakesThreeKeysOfAKind(t *testing.T) {
	for kind, want := range map[KeyKind]string{"": ssh.KeyAlgoED25519, P256: ssh.KeyAlgoECDSA256} {
		dir := filepath.Join(t.TempDir(), "new", "keys")
		public, err := Init(dir, []byte(testPassphrase), kind, testOrigin)
		if err != nil {
			t.Fatal(err)
		}
		files, err := OpenFiles(dir, []byte(testPassphrase))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := authorities(files); err != nil {
			t.Error(err)
		}
		for _, p := range cert.Profiles() {
			if keys := public.Of(p); len(keys) != 1 || keys[0].Type() != want {
				t.Errorf("kind %q gives %d keys of type %s for %s certificates", kind, len(keys), keys[0].Type(), p)
			}
		}
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("the key folder has mode %v, %v", info.Mode(), err)
		}
	}
	if _, err := Init(t.TempDir(), []byte(testPassphrase), "rsa", testOrigin); fault.ReasonOf(err) != fault.BadRequest {
		t.Errorf("RSA: %v", err)
	}
}

func TestInitWritesNothingOver(t *testing.T) {
	c := keyFolder(t)
	before := read(t, filepath.Join(c.Keys, "user-ca.age"))
	if _, err := Init(c.Keys, []byte(testPassphrase), Ed25519, testOrigin); fault.Of(err).Kind != fault.Conflict {
		t.Errorf("got %v", err)
	}
	// Not even a folder in which one public key is left.
	dir := t.TempDir()
	write(t, filepath.Join(dir, "host-ca.pub"), "precious")
	if _, err := Init(dir, []byte(testPassphrase), Ed25519, testOrigin); fault.Of(err).Kind != fault.Conflict {
		t.Errorf("got %v", err)
	}
	if read(t, filepath.Join(c.Keys, "user-ca.age")) != before || read(t, filepath.Join(dir, "host-ca.pub")) != "precious" {
		t.Error("keys were written over")
	}
}

// TestARotationIsTwoLines: the second line of a .pub is trusted, the first signs.
func TestARotationIsTwoLines(t *testing.T) {
	c := keyFolder(t)
	next := newKey25519(t)
	path := filepath.Join(c.Keys, "session-ca.pub")
	write(t, path, "# the next one is trusted from today\n"+read(t, path)+string(ssh.MarshalAuthorizedKey(next)))
	client := start(t, c)
	keys := client.Keys()
	if len(keys.SessionCA) != 2 {
		t.Fatalf("%d session CA keys", len(keys.SessionCA))
	}
	got, err := client.Sign(t.Context(), sessionRequest(newKey25519(t)))
	if err != nil {
		t.Fatal(err)
	}
	if string(got.SignatureKey.Marshal()) != string(keys.SessionCA[0].Marshal()) {
		t.Error("the second key signed")
	}
	if n := strings.Count(string(keys.TrustedUserCAKeys()), "\n"); n != 2 {
		t.Errorf("TrustedUserCAKeys has %d lines", n)
	}
	if lines := string(keys.KnownHosts("*.example.com")); !strings.HasPrefix(lines, "@cert-authority *.example.com ssh-ed25519 ") || strings.Count(lines, "\n") != 1 {
		t.Errorf("known_hosts has %q", lines)
	}
}

// TestNodesAreToldOfTheSessionCAAlone: the one line that must never name the
// user CA, whose certificates would then open nodes directly.
func TestNodesAreToldOfTheSessionCAAlone(t *testing.T) {
	keys, err := ReadPublicKeys(keyFolder(t).Keys)
	if err != nil {
		t.Fatal(err)
	}
	text := string(keys.TrustedUserCAKeys())
	for _, other := range append(keys.UserCA, keys.HostCA...) {
		if strings.Contains(text, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(other)))) {
			t.Errorf("TrustedUserCAKeys names another CA:\n%s", text)
		}
	}
	if !strings.Contains(text, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(keys.SessionCA[0])))) {
		t.Errorf("TrustedUserCAKeys does not name the session CA:\n%s", text)
	}
}

func TestPublicKeysAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"garbage":             "not a key\n",
		"a key with options":  `command="id" ` + string(ssh.MarshalAuthorizedKey(newKey25519(t))),
		"an RSA key":          string(ssh.MarshalAuthorizedKey(rsaKey(t))),
		"the same key twice":  strings.Repeat(string(ssh.MarshalAuthorizedKey(newKey25519(t))), 2),
		"nothing":             "",
		"more than a file is": strings.Repeat("# \n", 64<<10),
	} {
		c := keyFolder(t)
		write(t, filepath.Join(c.Keys, "host-ca.pub"), text)
		if _, err := ReadPublicKeys(c.Keys); err == nil {
			t.Errorf("%s is read", name)
		}
	}
	if _, err := ReadPublicKeys(t.TempDir()); fault.Of(err).Kind != fault.Missing || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no keys: %v", err)
	}
}

func TestTheZeroValuesHaveNoKeys(t *testing.T) {
	var files Files
	if _, err := files.Signer(cert.LoginProfile); err == nil {
		t.Error("zero Files sign")
	}
	if _, err := authorities(&files); err == nil {
		t.Error("zero Files are authorities")
	}
	var client Client
	if _, err := client.Sign(t.Context(), loginRequest(newKey25519(t))); fault.ReasonOf(err) != fault.SignerAway {
		t.Errorf("the zero Client: %v", err)
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	if keys := (PublicKeys{}).Of("x"); keys != nil {
		t.Error("an unknown profile has keys")
	}
}
