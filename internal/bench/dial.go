package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/crypto/ssh"
)

// dialer opens connections to the proxy as ann, without the cost of a client
// process: the proxy is what is measured.
type dialer struct {
	addr   string
	config *ssh.ClientConfig
}

func (b *bench) dialer() (*dialer, error) {
	dir := filepath.Join(b.ann.Dir, ".ssh", "sallyport")
	pem, err := os.ReadFile(filepath.Join(dir, "id_ed25519"))
	if err != nil {
		return nil, err
	}
	key, err := ssh.ParsePrivateKey(pem)
	if err != nil {
		return nil, err
	}
	line, err := os.ReadFile(filepath.Join(dir, "id_ed25519-cert.pub"))
	if err != nil {
		return nil, err
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey(line)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.NewCertSigner(public.(*ssh.Certificate), key)
	if err != nil {
		return nil, err
	}
	return &dialer{b.world.Proxy, &ssh.ClientConfig{
		User: b.node.Login + "@bench-node", Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), // the client's check is not what is measured
		Config:          ssh.Config{Ciphers: []string{cipher}},
		Timeout:         20 * time.Second,
	}}, nil
}

func (d *dialer) dial() (*ssh.Client, error) {
	conn, err := net.DialTimeout("tcp", d.addr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	c, chans, reqs, err := ssh.NewClientConn(conn, d.addr, d.config)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return ssh.NewClient(c, chans, reqs), nil
}

// once opens a session, runs true and closes it.
func (d *dialer) once() error {
	c, err := d.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	s, err := c.NewSession()
	if err != nil {
		return err
	}
	if out, err := s.CombinedOutput("true"); err != nil {
		return fmt.Errorf("true: %w: %s", err, out)
	}
	return nil
}

// shell opens an interactive session and leaves it idle.
func (d *dialer) shell() (end func(), err error) {
	c, err := d.dial()
	if err != nil {
		return nil, err
	}
	s, err := c.NewSession()
	if err == nil {
		err = s.RequestPty("xterm", 24, 80, nil)
	}
	if err == nil {
		err = s.Shell()
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return func() { c.Close() }, nil
}
