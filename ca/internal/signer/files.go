package signer

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/ca/internal/keyfile"
	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// KeyKind is what kind of CA keys Init makes.
type KeyKind string

const (
	Ed25519 KeyKind = "ed25519" // also the zero KeyKind
	P256    KeyKind = "p256"    // where FIPS 186-4 or an old KMS decides
)

// fileNames of the CA keys in the key folder, without their endings.
var fileNames = map[cert.Profile]string{
	cert.LoginProfile:   "user-ca",
	cert.SessionProfile: "session-ca",
	cert.HostProfile:    "host-ca",
}

// logFile is the name of the audit log's key in the key folder.
const logFile = "log"

// Init makes the three CA keys, the key of the parts' door and that of the audit
// log called origin in dir, encrypted under pass, and returns the public keys. A
// folder that holds keys is refused with kind Conflict.
func Init(dir string, pass keyfile.Passphrase, kind KeyKind, origin string) (PublicKeys, error) {
	if kind != "" && kind != Ed25519 && kind != P256 {
		return PublicKeys{}, fault.New(fault.Invalid, fault.BadRequest, "no kind of CA key is called %q", string(kind)).
			Then("use %s or %s", Ed25519, P256)
	}
	if err := audit.CheckOrigin(origin); err != nil {
		return PublicKeys{}, fault.New(fault.Invalid, fault.BadRequest, "%v", err)
	}
	folder, err := keyfile.Create(dir, pass)
	if err != nil {
		return PublicKeys{}, err
	}
	for _, p := range cert.Profiles() {
		key, err := newKey(kind)
		if err != nil {
			return PublicKeys{}, fmt.Errorf("make CA key for %s certificates: %w", p, err)
		}
		public, err := ssh.NewPublicKey(key.Public())
		if err != nil {
			return PublicKeys{}, fmt.Errorf("make CA key for %s certificates: %w", p, err)
		}
		name := fileNames[p]
		if err := folder.Write(name, key, cert.AuthorizedKeys("sallyport-"+name, public)); err != nil {
			return PublicKeys{}, err
		}
	}
	if err := keyfile.CreateDoorKey(dir, pass); err != nil {
		return PublicKeys{}, err
	}
	if err := writeLogKey(folder, origin); err != nil {
		return PublicKeys{}, err
	}
	return ReadPublicKeys(dir)
}

// HasAllButLogKey says that dir was made before there was an audit log.
func HasAllButLogKey(dir string) bool {
	_, errCA := keyfile.Public(dir, fileNames[cert.HostProfile])
	_, errLog := keyfile.Public(dir, logFile)
	return errCA == nil && fault.Of(errLog).Kind == fault.Missing
}

// AddLogKey makes the key of the audit log called origin in a folder that has all
// the others, and returns the public keys.
func AddLogKey(dir string, pass keyfile.Passphrase, origin string) (PublicKeys, error) {
	if err := audit.CheckOrigin(origin); err != nil {
		return PublicKeys{}, fault.New(fault.Invalid, fault.BadRequest, "%v", err)
	}
	folder, err := keyfile.Open(dir, pass)
	if err != nil {
		return PublicKeys{}, err
	}
	if err := writeLogKey(folder, origin); err != nil {
		return PublicKeys{}, err
	}
	return ReadPublicKeys(dir)
}

// writeLogKey makes an Ed25519 key whatever the CA keys are: witnesses and other
// readers of C2SP know no other.
func writeLogKey(folder *keyfile.Folder, origin string) error {
	key, err := newKey(Ed25519)
	if err != nil {
		return fmt.Errorf("make the log's key: %w", err)
	}
	vkey, err := audit.VerifierKey(origin, key.Public().(ed25519.PublicKey))
	if err != nil {
		return fmt.Errorf("make the log's key: %w", err)
	}
	return folder.Write(logFile, key, []byte(vkey+"\n"))
}

func newKey(kind KeyKind) (crypto.Signer, error) {
	if kind == P256 {
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return key, err
}

// ReadPublicKeys reads the public CA keys in dir. It takes no passphrase.
func ReadPublicKeys(dir string) (PublicKeys, error) {
	var keys PublicKeys
	for p, list := range map[cert.Profile]*[]ssh.PublicKey{
		cert.LoginProfile: &keys.UserCA, cert.SessionProfile: &keys.SessionCA, cert.HostProfile: &keys.HostCA,
	} {
		text, err := keyfile.Public(dir, fileNames[p])
		if err != nil {
			return PublicKeys{}, err
		}
		if *list, err = parseLines(text); err != nil {
			return PublicKeys{}, fmt.Errorf("read %s.pub: %w", fileNames[p], err)
		}
	}
	text, err := keyfile.Public(dir, logFile)
	if err != nil {
		return PublicKeys{}, err
	}
	keys.Log = strings.TrimSuffix(string(text), "\n")
	return keys, keys.check()
}

func parseLines(text []byte) ([]ssh.PublicKey, error) {
	var keys []ssh.PublicKey
	for text = bytes.TrimSpace(text); len(text) > 0; text = bytes.TrimSpace(text) {
		key, _, options, rest, err := ssh.ParseAuthorizedKey(text)
		if err != nil {
			return nil, err
		}
		if len(options) > 0 {
			return nil, fmt.Errorf("key %s has options", ssh.FingerprintSHA256(key))
		}
		keys, text = append(keys, key), rest
	}
	return keys, nil
}

// Files is the KeySource of a key folder. The zero Files has no keys.
type Files struct {
	public PublicKeys
	keys   map[cert.Profile]crypto.Signer
	log    crypto.Signer
}

// OpenFiles decrypts the CA keys in dir.
func OpenFiles(dir string, pass keyfile.Passphrase) (*Files, error) {
	public, err := ReadPublicKeys(dir)
	if err != nil {
		return nil, err
	}
	folder, err := keyfile.Open(dir, pass)
	if err != nil {
		return nil, err
	}
	f := &Files{public: public, keys: map[cert.Profile]crypto.Signer{}}
	for p, name := range fileNames {
		if f.keys[p], err = folder.Read(name); err != nil {
			return nil, err
		}
	}
	f.log, err = folder.Read(logFile)
	return f, err
}

func (f *Files) Public() PublicKeys { return f.public }

func (f *Files) Log() (crypto.Signer, error) {
	if f.log == nil {
		return nil, errors.New("no key signs checkpoints")
	}
	return f.log, nil
}

func (f *Files) Signer(p cert.Profile) (crypto.Signer, error) {
	if key := f.keys[p]; key != nil {
		return key, nil
	}
	return nil, fmt.Errorf("no key signs %s certificates", p)
}
