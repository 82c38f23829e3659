package proxy

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/config"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// Files under Config.Data. The private keys are made here and never leave.
const (
	identityFile = "identity.key" // TLS key, by which the CA knows this proxy
	hostKeyFile  = "host_key"     // SSH host key, Ed25519
	enrolledFile = "enrolled"     // JSON of membership; its presence says enrolled
)

// membership is what the proxy remembers of the CA, so that it can start, say
// who it is and refuse in clear words while the CA is away.
type membership struct {
	Door        wire.PartsDoor  `json:"door"`
	Certificate []byte          `json:"certificate"` // of the host key, for the proxy's own names
	State       wire.ProxyState `json:"state"`       // as it was last heard
}

// keys are the proxy's own. One SSH host key stands behind every name under
// which the proxy answers, so that a client without host certificates pins one.
type keys struct {
	identity wire.Identity
	host     ssh.Signer
}

// loadKeys reads the keys, and makes them at the first start.
func loadKeys(dir string) (keys, error) {
	identity, err := wire.LoadIdentity(filepath.Join(dir, identityFile))
	if err != nil {
		return keys{}, err
	}
	host, err := loadHostKey(filepath.Join(dir, hostKeyFile))
	return keys{identity, host}, err
}

func loadHostKey(path string) (ssh.Signer, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("make host key: %w", err)
		}
		block, err := ssh.MarshalPrivateKey(private, "")
		if err != nil {
			return nil, fmt.Errorf("encode host key: %w", err)
		}
		if err := writeFile(path, pem.EncodeToMemory(block)); err != nil {
			return nil, err
		}
	}
	text, err := config.ReadSecret(path)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	key, err := ssh.ParsePrivateKey(append(text, '\n'))
	if err != nil {
		return nil, fmt.Errorf("parse host key %s: %w", path, err)
	}
	if key.PublicKey().Type() != ssh.KeyAlgoED25519 {
		return nil, fault.New(fault.Invalid, fault.ConfigInvalid, "host key %s is no Ed25519 key", path).Then("remove it: the proxy makes another")
	}
	return key, nil
}

// writeFile puts data in the place of path as a whole, mode 0600.
func writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// loadMembership reads what enrol wrote; nil without error if it never did.
func loadMembership(dir string) (*membership, error) {
	path := filepath.Join(dir, enrolledFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read enrolment: %w", err)
	}
	m := &membership{}
	if err := wire.Decode(bytes.NewReader(data), 16<<20, m); err != nil {
		return nil, fault.New(fault.Invalid, fault.ConfigInvalid, "%s is damaged", path).Then("remove it and enrol again").Because(err)
	}
	return m, nil
}

func (m *membership) store(dir string) error {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("encode enrolment: %w", err)
	}
	return writeFile(filepath.Join(dir, enrolledFile), append(data, '\n'))
}

// enrol makes this machine a proxy of the CA, by a join token. The parts' door
// and its pin come from discovery, over the people's door, whose TLS the
// system's roots vouch for.
func enrol(ctx context.Context, c Config, k keys) (*membership, error) {
	if c.TokenFile == "" {
		return nil, fault.New(fault.Unauthentic, fault.NotEnrolled, "this proxy is not enrolled").
			Then("make a token (sallyport token create --part proxy --name %s), store it in a file and name that as token_file", c.Name)
	}
	token, err := config.ReadSecret(c.TokenFile)
	if err != nil {
		return nil, err
	}
	people, err := wire.NewClient(c.CA)
	if err != nil {
		return nil, err
	}
	var d wire.Discovery
	if err := people.Do(ctx, http.MethodGet, wire.PathDiscovery, nil, &d); err != nil {
		return nil, err
	}
	ca, err := wire.NewPartsClient(d.Parts, k.identity)
	if err != nil {
		return nil, err
	}
	var out wire.EnrollResponse
	err = ca.Do(ctx, http.MethodPost, wire.PathEnroll, wire.EnrollRequest{
		Token: string(token), Part: wire.PartProxy, Name: c.Name, Addr: c.Addr, Egress: c.Egress,
		HostKeys: []string{string(bytes.TrimSpace(ssh.MarshalAuthorizedKey(k.host.PublicKey())))},
		Rejoin:   true,
	}, &out)
	if err != nil {
		return nil, err
	}
	m := &membership{Door: d.Parts, State: wire.ProxyState{Trust: out.Trust}}
	if len(out.Certificates) > 0 {
		m.Certificate = out.Certificates[0].Certificate
	}
	return m, m.store(c.Data)
}
