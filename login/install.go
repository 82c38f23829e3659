package login

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/wire"
	"github.com/sallyport-ssh/sallyport/login/internal/home"
	"github.com/sallyport-ssh/sallyport/login/internal/loginkey"
	"github.com/sallyport-ssh/sallyport/login/internal/signin"
	"github.com/sallyport-ssh/sallyport/login/internal/sshconf"
)

// install writes what a login or a renewal gave, and completes s. The caller
// holds the lock. Nothing is written if the CA sent what ssh must not read; then
// the refresh token comes first, because many issuers take it once, and one that
// is lost costs the person a sign-in.
func (p *person) install(ctx context.Context, s *home.State, key loginkey.Key, g *grant, t signin.Tokens, agent *loginkey.Agent) error {
	files, err := p.sshFiles(*s, g.answer.Nodes)
	if err != nil {
		return err
	}
	if s.Refresh, err = p.dir.SaveRefresh(ctx, s.URL, t.Refresh); err != nil {
		return err
	}
	s.RefreshUntil = 0
	if !t.RefreshUntil.IsZero() {
		s.RefreshUntil = t.RefreshUntil.Unix()
	}
	s.Identity, s.Groups, s.Tried, s.Trouble = g.answer.Identity, g.answer.Groups, 0, ""

	if err := p.writeSSH(files); err != nil {
		return err
	}
	comment := "sallyport " + string(s.Identity)
	if err := p.writeKey(key, comment); err != nil {
		return err
	}
	if err := p.dir.Write(home.Certificate, loginkey.Line(g.certificate, comment)); err != nil {
		return err
	}
	if err := p.dir.SaveState(*s); err != nil {
		return err
	}
	// Files are enough for ssh; an agent that does not play is the person's to mend.
	if err := agent.Add(key, g.certificate, comment, p.now()); err != nil {
		fmt.Fprintf(p.env.Stderr, "sallyport: %v; ssh takes the key from its file\n", err)
	}
	return nil
}

// writeKey writes a fresh key. The certificate of the one before goes first, so
// that no ssh, nor a crash in between, finds one that is not for the key beside
// it: check then waits for the lock. A security key has no file of ours.
func (p *person) writeKey(key loginkey.Key, comment string) error {
	if key.Private == nil {
		return errors.Join(p.dir.Remove(home.Key), p.dir.Remove(home.PublicKey))
	}
	private, public, err := key.Files(comment)
	if err != nil {
		return err
	}
	if old, err := p.dir.Read(home.PublicKey); err == nil && bytes.Equal(old, public) {
		return nil // a renewal keeps its key
	}
	if err := p.dir.Remove(home.Certificate); err != nil {
		return err
	}
	if err := p.dir.Write(home.Key, private); err != nil {
		return err
	}
	return p.dir.Write(home.PublicKey, public)
}

// sshFile is a file that ssh reads.
type sshFile struct {
	file home.File
	data []byte
}

// sshFiles makes known_hosts and config for what s may reach.
func (p *person) sshFiles(s home.State, nodes []wire.ReachableNode) ([]sshFile, error) {
	names := make([]id.NodeName, len(nodes))
	for i, n := range nodes {
		names[i] = n.Name
	}
	hosts, err := sshconf.HostsOf(s.Discovery, names)
	if err != nil {
		return nil, err
	}
	self, err := program()
	if err != nil {
		return nil, err
	}
	config, err := sshconf.Config(hosts, sshconf.Paths{
		Program: self, Key: s.Key, Certificate: p.dir.Path(home.Certificate), KnownHosts: p.dir.Path(home.KnownHosts),
	})
	if err != nil {
		return nil, err
	}
	authorities, err := parseKeys(s.Discovery.Trust.HostCA)
	if err != nil {
		return nil, err
	}
	// known_hosts first: config is what leads ssh there.
	return []sshFile{{home.KnownHosts, sshconf.KnownHosts(hosts, authorities)}, {home.Config, config}}, nil
}

// writeSSH writes the files that differ.
func (p *person) writeSSH(files []sshFile) error {
	for _, f := range files {
		if old, err := p.dir.Read(f.file); err == nil && bytes.Equal(old, f.data) {
			continue
		}
		if err := p.dir.Write(f.file, f.data); err != nil {
			return err
		}
	}
	return nil
}

// include puts the one line into the person's ssh_config and says so. The error
// of a file that cannot be changed says how to do it by hand; the certificate is
// there already.
func (p *person) include() error {
	added, err := sshconf.InstallFile(p.dir)
	switch {
	case err != nil:
		return fmt.Errorf("set up ssh: %w", err)
	case added:
		fmt.Fprintf(p.out, "Wrote %s and one Include line in %s.   Undo: sallyport logout\n",
			p.dir.Show(p.dir.Path(home.Config)), p.dir.Show(p.dir.UserConfig()))
	}
	return nil
}

// certificate is the login certificate that stands in the file, and whether it is
// worth anything now.
func (p *person) certificate() (*certificate, error) {
	data, err := p.dir.Read(home.Certificate)
	if err != nil {
		return nil, home.ErrNotLoggedIn
	}
	c, err := loginkey.ReadCertificate(data)
	if err != nil {
		return nil, home.ErrNotLoggedIn.Because(err)
	}
	return &certificate{c, time.Unix(int64(c.ValidAfter), 0), time.Unix(int64(c.ValidBefore), 0)}, nil
}
