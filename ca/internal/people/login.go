package people

import (
	"bytes"
	"context"
	"net/netip"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/ca/internal/door"
	"github.com/sallyport-ssh/sallyport/ca/internal/idtoken"
	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/policy"
	"github.com/sallyport-ssh/sallyport/internal/store"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// maxNodesAtLogin is up to how many nodes a login's answer lists those that the
// person may reach.
const maxNodesAtLogin = 300

// login certifies a key for whoever a fresh ID token speaks of.
func (p *people) login(c *call, in wire.LoginRequest) (wire.LoginResponse, error) {
	key, who, err := p.verify(c, in)
	if err != nil {
		return wire.LoginResponse{}, p.refusedLogin(c, idtoken.Refused(err), err)
	}
	return p.certify(c, who, key)
}

func (p *people) verify(c *call, in wire.LoginRequest) (key ssh.PublicKey, who idtoken.Who, err error) {
	if key, err = p.loginKey(in.PublicKey); err != nil {
		return nil, idtoken.Who{}, err
	}
	who, err = p.Tokens.Login(c.Context(), in, key)
	return key, who, err
}

// renew certifies the key of a login certificate again, which may have ended.
func (p *people) renew(c *call, in wire.RenewRequest) (wire.LoginResponse, error) {
	key, who, err := p.verifyRenewal(c, in)
	if err != nil {
		return wire.LoginResponse{}, p.refusedLogin(c, idtoken.Refused(err), err)
	}
	return p.certify(c, who, key)
}

func (p *people) verifyRenewal(c *call, in wire.RenewRequest) (ssh.PublicKey, idtoken.Who, error) {
	nobody := idtoken.Who{}
	key, err := p.loginKey(in.PublicKey)
	if err != nil {
		return nil, nobody, err
	}
	old, err := cert.Parse(in.Certificate)
	if err != nil {
		return nil, nobody, err
	}
	if !bytes.Equal(old.Key.Marshal(), in.PublicKey) {
		return nil, nobody, fault.New(fault.Denied, fault.TokenOtherIdentity, "the certificate to renew is for another key").Then("run: sallyport login")
	}
	h, err := p.Holders.CheckEnded(c.Context(), old, c.Caller.From, p.RenewWithin)
	if err != nil {
		return nil, nobody, err
	}
	who, err := p.Tokens.Renew(c.Context(), in.LoginRequest, key, h.Identity.Name)
	return key, who, err
}

// loginKey reads the key to certify. The profile says which types it may be of;
// here only what this CA demands on top.
func (p *people) loginKey(blob []byte) (ssh.PublicKey, error) {
	key, err := ssh.ParsePublicKey(blob)
	if err != nil || !bytes.Equal(key.Marshal(), blob) {
		return nil, fault.New(fault.Invalid, fault.KeyRefused, "the public key cannot be read").Because(err)
	}
	if err := cert.CheckKey(cert.LoginProfile, key); err != nil {
		return nil, err
	}
	if t := key.Type(); p.Discovery.SecurityKeyRequired && t != ssh.KeyAlgoSKED25519 && t != ssh.KeyAlgoSKECDSA256 {
		return nil, fault.New(fault.Denied, fault.KeyRefused, "this CA certifies security keys alone").
			Then("plug in a FIDO2 key and run: sallyport login --security-key")
	}
	return key, nil
}

// certify issues the login certificate. The token is used up, the identity is
// remembered and the serial is reserved in one transaction.
func (p *people) certify(c *call, who idtoken.Who, key ssh.PublicKey) (wire.LoginResponse, error) {
	now := p.Now()
	after, before := cert.Window(now, p.LoginLifetime)
	request := cert.Login{
		Identity: who.Name, LoginID: id.NewLoginID(), Key: key, ValidAfter: after, ValidBefore: before,
	}
	if p.SourceAddress {
		request.SourceAddress = []netip.Prefix{cert.Source(c.Caller.From)}
	}
	identity := store.Identity{
		Name: who.Name, Issuer: who.Issuer, Subject: who.Subject,
		Groups: who.Groups, Claims: who.Claims, Seen: now.Unix(),
	}
	reserve := func(ctx context.Context, intents []store.Intent) ([]id.Serial, error) {
		serial, err := p.Store.RecordLogin(ctx, store.Login{
			Identity: identity, Client: c.Caller.From.String(), Once: who.Once, Intent: intents[0],
		})
		return []id.Serial{serial}, err
	}
	issued, err := p.Issuer.Issue(c.Context(), reserve, request)
	if err != nil {
		return wire.LoginResponse{}, p.refusedLogin(c, who.Name, err)
	}
	nodes, err := p.nodesAtLogin(who)
	if err != nil {
		return wire.LoginResponse{}, err
	}
	return wire.LoginResponse{
		Certificate: issued[0].Blob, Identity: who.Name, Groups: who.Groups, ValidBefore: before, Nodes: nodes,
	}, nil
}

func (p *people) nodesAtLogin(who idtoken.Who) ([]wire.ReachableNode, error) {
	view, err := p.Directory.View()
	if err != nil || len(view.Nodes) > maxNodesAtLogin {
		return nil, err
	}
	return view.Reachable(view.Policy.For(policy.Subject{Identity: who.Name, Groups: who.Groups, Claims: who.Claims})), nil
}

// logout ends the certificate that the request was signed with.
func (p *people) logout(c *call) (door.Nothing, error) {
	return door.Nothing{}, p.Store.Revoke(c.Context(), c.Caller.actor(), c.Caller.Login.Serial)
}

// reachable lists the nodes that the caller may reach, and as whom.
func (p *people) reachable(c *call) ([]wire.ReachableNode, error) {
	view, err := p.Directory.View()
	if err != nil {
		return nil, err
	}
	return view.Reachable(view.Policy.For(c.Caller.Subject())), nil
}
