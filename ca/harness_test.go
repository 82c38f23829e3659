package ca

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/ca/internal/signer"
	"github.com/sallyport-ssh/sallyport/ca/internal/testissuer"
	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/sshsig"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// The test's own binary is also the program under test: `ca` and `signer` are
// its first arguments as they are sallyport's. So the CA runs as a process that
// can be killed, and finds its signer the way it does in production.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		run := map[string]cli.Run{"ca": Main, "signer": SignerMain}[os.Args[1]]
		if run != nil {
			env := cli.OS()
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			status := cli.Report(env, run(ctx, env, os.Args[2:]))
			stop()
			os.Exit(status)
		}
	}
	os.Exit(m.Run())
}

// installation is a CA's files, and the process that runs on them.
type installation struct {
	t      testing.TB
	dir    string
	config string // path
	url    string
	parts  string // host:port
	issuer string
	run    *rig.Process
	trust  signer.PublicKeys
}

// install writes a configuration, with more YAML lines at its end, and makes keys.
func install(t testing.TB, issuer string, more ...string) *installation {
	t.Helper()
	in := configure(t, issuer, more...)
	in.must("init")
	keys, err := signer.ReadPublicKeys(filepath.Join(in.dir, "data", "keys"))
	if err != nil {
		t.Fatal(err)
	}
	in.trust = keys
	return in
}

// configure is install without keys.
func configure(t testing.TB, issuer string, more ...string) *installation {
	t.Helper()
	dir := t.TempDir()
	listen, parts := rig.FreeAddr(t), rig.FreeAddr(t)
	in := &installation{t: t, dir: dir, config: filepath.Join(dir, "ca.yaml"), url: "http://" + listen, parts: parts, issuer: issuer}
	text := fmt.Sprintf("url: %s\nlisten: %s\nparts:\n  listen: %s\ndata: %s\n", in.url, listen, parts, filepath.Join(dir, "data"))
	if !strings.Contains(strings.Join(more, "\n"), "oidc:") {
		more = append(more, oidcYAML(issuer))
	}
	text += strings.Join(more, "\n") + "\n"
	if err := os.WriteFile(in.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return in
}

func oidcYAML(issuer string) string {
	return "oidc:\n  issuer: " + issuer + "\n  client_id: sallyport\n  device: true\nadmins:\n  groups: [platform]\nauditors:\n  groups: [security]"
}

// must runs a command of the CA in this process and returns what it prints.
func (in *installation) must(args ...string) string {
	in.t.Helper()
	var out bytes.Buffer
	env := cli.Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Getenv: func(string) string { return "" }}
	if err := Main(in.t.Context(), env, append(args, "--config", in.config)); err != nil {
		in.t.Fatalf("ca %v: %v\n%s", args, err, &out)
	}
	return out.String()
}

// start runs the CA as a process and waits until it is ready.
func (in *installation) start() *installation {
	in.t.Helper()
	in.run = in.spawn()
	in.ready(in.run)
	return in
}

func (in *installation) spawn() *rig.Process {
	cmd := exec.Command(os.Args[0], "ca", "run", "--config", in.config)
	return rig.Start(in.t, cmd)
}

func (in *installation) ready(p *rig.Process) {
	in.t.Helper()
	rig.Eventually(in.t, 30*time.Second, "the CA is ready", func() bool {
		select {
		case <-p.Done():
			in.t.Fatalf("the CA ended:\n%s", p.Log)
		default:
		}
		return strings.Contains(p.Log.String(), "ca ready")
	})
}

func (in *installation) client() *wire.Client {
	in.t.Helper()
	c, err := wire.NewClient(in.url)
	if err != nil {
		in.t.Fatal(err)
	}
	return c
}

// person is somebody with a login key.
type person struct {
	key  ssh.Signer
	salt []byte
	cert []byte // their login certificate, once they have one
}

func newPerson(t testing.TB) *person {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return &person{key: key, salt: freshSalt()}
}

func freshSalt() []byte {
	salt := make([]byte, wire.NonceSaltSize)
	rand.Read(salt)
	return salt
}

func (p *person) public() []byte { return p.key.PublicKey().Marshal() }
func (p *person) nonce() string  { return wire.Nonce(p.public(), p.salt) }

// request is a login with a token that was made for p.nonce().
func (p *person) request(t testing.TB, token string) wire.LoginRequest {
	t.Helper()
	proof, err := sshsig.Sign(p.key, wire.NamespaceLogin, wire.LoginProof(token))
	if err != nil {
		t.Fatal(err)
	}
	return wire.LoginRequest{IDToken: token, PublicKey: p.public(), NonceSalt: p.salt, Proof: proof}
}

// login is a whole login at the test's issuer, with changed claims.
func (in *installation) login(i *testissuer.Issuer, change map[string]any) *person {
	in.t.Helper()
	p := newPerson(in.t)
	token := i.Sign(testissuer.With(i.Claims(p.nonce()), change))
	var out wire.LoginResponse
	if err := in.client().Do(in.t.Context(), "POST", wire.PathLogin, p.request(in.t, token), &out); err != nil {
		in.t.Fatalf("login: %v", err)
	}
	p.cert = out.Certificate
	return p
}

// as is a client whose requests p proves.
func (in *installation) as(p *person) *wire.Client { return in.client().WithProof(p.key, p.cert) }

func (in *installation) ctx() context.Context { return in.t.Context() }
