package sshsig

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/rig"
)

const namespace = "request@sallyport"

var text = []byte("open web-1 as deploy")

// keys makes one private key of each kind that people log in with.
func keys(t testing.TB) map[string]crypto.Signer {
	t.Helper()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]crypto.Signer{"ed25519": ed, "p256": ec, "rsa": rs}
}

func signerOf(t testing.TB, key crypto.Signer) ssh.Signer {
	t.Helper()
	signer, err := ssh.NewSignerFromSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// armour is the form that ssh-keygen reads and writes (PROTOCOL.sshsig, "Armored
// format").
func armour(sig []byte) []byte {
	const begin, end = "-----BEGIN SSH SIGNATURE-----\n", "-----END SSH SIGNATURE-----\n"
	var b strings.Builder
	b.WriteString(begin)
	for encoded := base64.StdEncoding.EncodeToString(sig); encoded != ""; {
		n := min(70, len(encoded))
		b.WriteString(encoded[:n] + "\n")
		encoded = encoded[n:]
	}
	return []byte(b.String() + end)
}

func unarmour(t testing.TB, data []byte) []byte {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	sig, err := base64.StdEncoding.DecodeString(strings.Join(lines[1:len(lines)-1], ""))
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func TestSSHKeygenVerifiesWhatWeSign(t *testing.T) {
	keygen := rig.Need(t, "ssh-keygen", "openssh-client")
	for name, key := range keys(t) {
		t.Run(name, func(t *testing.T) {
			signer, dir := signerOf(t, key), t.TempDir()
			sig, err := Sign(signer, namespace, text)
			if err != nil {
				t.Fatal(err)
			}
			allowed := append([]byte("you@example.com "), ssh.MarshalAuthorizedKey(signer.PublicKey())...)
			write(t, filepath.Join(dir, "allowed"), allowed)
			write(t, filepath.Join(dir, "sig"), armour(sig))
			verify := func(namespace string, text []byte) error {
				cmd := exec.Command(keygen, "-Y", "verify", "-f", filepath.Join(dir, "allowed"), "-I", "you@example.com", "-n", namespace, "-s", filepath.Join(dir, "sig"))
				cmd.Stdin = bytes.NewReader(text)
				out, err := cmd.CombinedOutput()
				t.Logf("%s", out)
				return err
			}
			if err := verify(namespace, text); err != nil {
				t.Errorf("ssh-keygen refuses it: %v", err)
			}
			if verify("login@sallyport", text) == nil {
				t.Error("ssh-keygen takes it for another namespace")
			}
			if verify(namespace, append(text, '.')) == nil {
				t.Error("ssh-keygen takes it for another text")
			}
		})
	}
}

func TestVerifyTakesWhatSSHKeygenSigns(t *testing.T) {
	keygen := rig.Need(t, "ssh-keygen", "openssh-client")
	for name, key := range keys(t) {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			block, err := ssh.MarshalPrivateKey(key, "")
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "key"), pem.EncodeToMemory(block))
			write(t, filepath.Join(dir, "text"), text)
			run := func(hash string) []byte {
				sig := filepath.Join(dir, "text.sig")
				os.Remove(sig)
				out, err := exec.Command(keygen, "-Y", "sign", "-f", filepath.Join(dir, "key"), "-n", namespace, "-O", "hashalg="+hash, filepath.Join(dir, "text")).CombinedOutput()
				if err != nil {
					t.Fatalf("ssh-keygen: %v\n%s", err, out)
				}
				data, err := os.ReadFile(sig)
				if err != nil {
					t.Fatal(err)
				}
				return unarmour(t, data)
			}
			public := signerOf(t, key).PublicKey()
			if err := Verify(run("sha512"), public, namespace, text); err != nil {
				t.Error(err)
			}
			if Verify(run("sha256"), public, namespace, text) == nil {
				t.Error("a message hash other than SHA-512 passes")
			}
		})
	}
}

// rebuild takes sig apart, changes it and puts it together again.
func rebuild(t *testing.T, sig []byte, change func(*blob)) []byte {
	t.Helper()
	var b blob
	if err := ssh.Unmarshal(sig[len(magic):], &b); err != nil {
		t.Fatal(err)
	}
	change(&b)
	return append([]byte(magic), ssh.Marshal(b)...)
}

func TestVerifyRefuses(t *testing.T) {
	made := keys(t)
	signer, other := signerOf(t, made["ed25519"]), signerOf(t, made["p256"])
	sig, err := Sign(signer, namespace, text)
	if err != nil {
		t.Fatal(err)
	}
	public := signer.PublicKey()
	if err := Verify(sig, public, namespace, text); err != nil {
		t.Fatalf("the signature that the rows vary is bad itself: %v", err)
	}
	certificate := &ssh.Certificate{Key: public, CertType: ssh.UserCert}
	if err := certificate.SignCert(rand.Reader, other); err != nil {
		t.Fatal(err)
	}
	inner := func(change func(*ssh.Signature)) []byte {
		return rebuild(t, sig, func(b *blob) {
			var s ssh.Signature
			if err := ssh.Unmarshal(b.Signature, &s); err != nil {
				t.Fatal(err)
			}
			change(&s)
			b.Signature = ssh.Marshal(s)
		})
	}
	type row struct {
		sig       []byte
		key       ssh.PublicKey
		namespace string
		text      []byte
	}
	for name, r := range map[string]row{
		"no signature":                    {nil, public, namespace, text},
		"no key":                          {sig, nil, namespace, text},
		"a certificate as the key":        {sig, certificate, namespace, text},
		"another key":                     {sig, other.PublicKey(), namespace, text},
		"another text":                    {sig, public, namespace, []byte("open web-2 as deploy")},
		"another namespace":               {sig, public, "login@sallyport", text},
		"no namespace":                    {sig, public, "", text},
		"no namespace on either side":     {rebuild(t, sig, func(b *blob) { b.Namespace = "" }), public, "", text},
		"a namespace that was exchanged":  {rebuild(t, sig, func(b *blob) { b.Namespace = "login@sallyport" }), public, "login@sallyport", text},
		"a public key that was exchanged": {rebuild(t, sig, func(b *blob) { b.PublicKey = other.PublicKey().Marshal() }), other.PublicKey(), namespace, text},
		"a later version":                 {rebuild(t, sig, func(b *blob) { b.Version = 2 }), public, namespace, text},
		"version zero":                    {rebuild(t, sig, func(b *blob) { b.Version = 0 }), public, namespace, text},
		"the name of another hash":        {rebuild(t, sig, func(b *blob) { b.Hash = "sha256" }), public, namespace, text},
		"a reserved field that is used":   {rebuild(t, sig, func(b *blob) { b.Reserved = "x" }), public, namespace, text},
		"a signature of another format":   {inner(func(s *ssh.Signature) { s.Format = ssh.KeyAlgoECDSA256 }), public, namespace, text},
		"an empty inner signature":        {rebuild(t, sig, func(b *blob) { b.Signature = nil }), public, namespace, text},
		"trailing bytes":                  {append(bytes.Clone(sig), 0), public, namespace, text},
		"trailing bytes inside":           {inner(func(s *ssh.Signature) { s.Rest = []byte{1, 0, 0, 0, 1} }), public, namespace, text},
		"a short one":                     {sig[:len(sig)-1], public, namespace, text},
		"another magic":                   {append([]byte("SSHSIX"), sig[6:]...), public, namespace, text},
		"ssh-keygen's armour":             {armour(sig), public, namespace, text},
		"one that is too large":           {append(bytes.Clone(sig), make([]byte, MaxSize)...), public, namespace, text},
	} {
		t.Run(name, func(t *testing.T) {
			if Verify(r.sig, r.key, r.namespace, r.text) == nil {
				t.Error("verifies")
			}
		})
	}
	t.Run("any flipped bit", func(t *testing.T) {
		for i := range sig {
			for bit := range 8 {
				flipped := bytes.Clone(sig)
				flipped[i] ^= 1 << bit
				if Verify(flipped, public, namespace, text) == nil {
					t.Errorf("bit %d of byte %d", bit, i)
				}
			}
		}
	})
}

// sha1Signer is what an RSA key of the library is, if one calls its Sign.
type sha1Signer struct{ ssh.Signer }

func TestSHA1IsNeitherMadeNorTaken(t *testing.T) {
	signer := signerOf(t, keys(t)["rsa"])
	if _, err := Sign(sha1Signer{signer}, namespace, text); err == nil {
		t.Error("signed by a key that has only SHA-1")
	}
	weak, err := signer.Sign(rand.Reader, message(namespace, text))
	if err != nil {
		t.Fatal(err)
	}
	sig := append([]byte(magic), ssh.Marshal(blob{version, signer.PublicKey().Marshal(), namespace, "", hash, ssh.Marshal(weak)})...)
	if err := Verify(sig, signer.PublicKey(), namespace, text); err == nil || !strings.Contains(err.Error(), "SHA-1") {
		t.Errorf("got %v", err)
	}
}

func TestSignRefusesAnEmptyNamespace(t *testing.T) {
	if _, err := Sign(signerOf(t, keys(t)["ed25519"]), "", text); err == nil {
		t.Error("signed")
	}
}

// securityKey signs as a FIDO2 authenticator does (PROTOCOL.u2f, "SSH U2F
// signatures"); touched is its user-presence flag.
type securityKey struct {
	key     ed25519.PrivateKey
	touched bool
}

func (s securityKey) PublicKey() ssh.PublicKey {
	key, err := ssh.ParsePublicKey(ssh.Marshal(struct {
		Type        string
		Key         []byte
		Application string
	}{ssh.KeyAlgoSKED25519, s.key.Public().(ed25519.PublicKey), "ssh:"}))
	if err != nil {
		panic(err)
	}
	return key
}

func (s securityKey) Sign(_ io.Reader, data []byte) (*ssh.Signature, error) {
	var flags byte
	if s.touched {
		flags = 1
	}
	rest := binary.BigEndian.AppendUint32([]byte{flags}, 7)
	app, msg := sha256.Sum256([]byte("ssh:")), sha256.Sum256(data)
	signed := append(append(app[:], rest...), msg[:]...)
	return &ssh.Signature{Format: ssh.KeyAlgoSKED25519, Blob: ed25519.Sign(s.key, signed), Rest: rest}, nil
}

func TestASecurityKeyHasToBeTouched(t *testing.T) {
	key := keys(t)["ed25519"].(ed25519.PrivateKey)
	for _, touched := range []bool{true, false} {
		signer := securityKey{key, touched}
		sig, err := Sign(signer, namespace, text)
		if err != nil {
			t.Fatal(err)
		}
		if err := Verify(sig, signer.PublicKey(), namespace, text); (err == nil) != touched {
			t.Errorf("touched %v: %v", touched, err)
		}
	}
}

// FuzzVerify: nothing but the one signature verifies, and nothing panics.
func FuzzVerify(f *testing.F) {
	signer := signerOf(f, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32)))
	sig, err := Sign(signer, namespace, text)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sig)
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, got []byte) {
		if Verify(got, signer.PublicKey(), namespace, text) == nil && !bytes.Equal(got, sig) {
			t.Fatalf("verifies: %x", got)
		}
	})
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
