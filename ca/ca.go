// Package ca is the control plane: it verifies who logs in, decides who may open
// which session, and has certificates issued for both. `sallyport ca run` serves
// it behind two doors (see internal/wire): the people's, and the parts'.
//
// This package is configuration and wiring. What it wires stands in ca/internal:
// idtoken (who a token speaks of), issue (the one way to a certificate), signer
// (the process with the keys), holder (who holds a login certificate), directory
// (policy, nodes and proxies in memory), people and parts (the doors' tables).
//
// # Security model
//
// The CA trusts its database, its configuration, and its issuers' published keys.
// It trusts nobody who stands before its doors:
//
//   - A person is whom a fresh ID token names, whose nonce commits to their SSH
//     key, and who holds that key. Stolen tokens certify nobody else's key; a
//     token works once.
//   - After that a person is a login certificate of which this CA has the record,
//     and a signature by its key over each request. There are no cookies and no
//     bearer tokens.
//   - A part is a TLS key that was pinned when a join token was used up. An agent
//     speaks for its node alone. A proxy can open what policy grants to somebody
//     whose valid certificate it shows, from its own address, for a minute each.
//     A taken-over proxy can thus open sessions of people who are connected to
//     it; it cannot make people up, and cannot keep what it got.
//
// It cannot sign: the keys are the signer's, another process, which derives what
// it signs. Somebody who takes the CA process over can have certificates made
// within the profiles while they are there, each with its record; they do not
// leave with a key. Somebody who takes the database over can change nodes and
// policy, and so who gets in; they still hold no key.
//
// Whoever takes either over cannot unsay what was logged before without being
// found: the audit log is a signed tree, of which others hold copies and
// checkpoints (internal/audit).
//
// What is missing refuses: no policy denies everybody, an issuer or database that
// is away makes logins and sessions fail with a clear sentence, and a state older
// than a few seconds decides nothing. The CA has no state outside the database
// and its keys, so any number may run on one PostgreSQL.
package ca

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/sallyport-ssh/sallyport/ca/internal/auditlog"
	"github.com/sallyport-ssh/sallyport/ca/internal/directory"
	"github.com/sallyport-ssh/sallyport/ca/internal/holder"
	"github.com/sallyport-ssh/sallyport/ca/internal/idtoken"
	"github.com/sallyport-ssh/sallyport/ca/internal/issue"
	"github.com/sallyport-ssh/sallyport/ca/internal/keep"
	"github.com/sallyport-ssh/sallyport/ca/internal/keyfile"
	"github.com/sallyport-ssh/sallyport/ca/internal/outlet"
	"github.com/sallyport-ssh/sallyport/ca/internal/parts"
	"github.com/sallyport-ssh/sallyport/ca/internal/people"
	"github.com/sallyport-ssh/sallyport/ca/internal/refusals"
	"github.com/sallyport-ssh/sallyport/ca/internal/signer"
	"github.com/sallyport-ssh/sallyport/internal/config"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/store"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// CA is a control plane that is ready to serve. Make it with Open; Close it.
type CA struct {
	config    Config
	process   string // its name among the CAs on one database
	log       *slog.Logger
	store     *store.Store
	signer    *signer.Client
	audit     *auditlog.Log
	directory *directory.Directory
	tokens    *idtoken.Verifier
	doors     []*server
	outlets   []*outlet.Outlet

	recordings *keep.Keep
	refusals   *refusals.Log
}

// Open starts the signer, opens the database and takes the doors' addresses. The
// issuers may be away; nothing else may. c is complete and checked.
func Open(ctx context.Context, c Config, log *slog.Logger) (_ *CA, err error) {
	ca := &CA{config: c, log: log, process: processName()}
	defer func() {
		if err != nil {
			ca.Close()
		}
	}()
	doorKey, err := ca.unlock(ctx)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, fault.New(fault.Unavailable, fault.ConfigInvalid, "the directory %s cannot be made", c.Data).Because(err)
	}
	if ca.store, err = store.Open(ctx, store.Config{URL: c.Database, Log: log}); err != nil {
		return nil, err
	}
	if ca.directory, err = directory.Open(ctx, ca.store, time.Now, log); err != nil {
		return nil, err
	}
	if ca.tokens, err = c.verifier(log); err != nil {
		return nil, err
	}
	if err := ca.openOutlets(); err != nil {
		return nil, err
	}
	if err := ca.openRecordings(); err != nil {
		return nil, err
	}
	ca.refusals = refusals.New(ca.store, log)
	if err := ca.openDoors(doorKey); err != nil {
		return nil, err
	}
	return ca, ca.logStart(ctx)
}

// unlock starts the signer and opens the key of the parts' door. Each has to
// stretch the passphrase, so they do it at the same time.
func (ca *CA) unlock(ctx context.Context) (wire.Identity, error) {
	k := ca.config.Keys
	type opened struct {
		key tls.Certificate
		err error
	}
	door := make(chan opened, 1)
	go func() {
		pass, err := keyfile.ReadPassphrase(k.PassphraseFile)
		if err != nil {
			door <- opened{err: err}
			return
		}
		defer clear(pass)
		key, err := keyfile.LoadDoorKey(k.Dir, pass)
		door <- opened{key, err}
	}()
	client, err := signer.Start(context.WithoutCancel(ctx), signer.Config{
		Keys: k.Dir, PassphraseFile: k.PassphraseFile, RequireFence: k.RequireFence,
		Socket: k.Socket, SocketUser: k.SocketUser, Log: ca.log,
	})
	ca.signer = client
	got := <-door
	if err == nil {
		err = got.err
	}
	return wire.Identity{TLS: got.key}, err
}

func (ca *CA) openDoors(doorKey wire.Identity) error {
	c, keys := ca.config, ca.signer.Keys()
	issuer := issue.New(ca.signer, ca.store)
	holders := holder.New(ca.store, keys.UserCA, time.Now)
	discovery, err := c.discovery(trust(keys), doorKey)
	if err != nil {
		return err
	}
	if discovery.Log, err = ca.openLog(keys.Log); err != nil {
		return err
	}
	address, err := url.Parse(c.URL)
	if err != nil {
		return err
	}
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	forPeople, err := people.New(people.Config{
		Store: ca.store, Directory: ca.directory, Issuer: issuer, Tokens: ca.tokens, Holders: holders, Refusals: ca.refusals,
		SessionCA: keys.SessionCA, URL: address, BehindProxy: c.BehindProxy, Discovery: discovery,
		Admins: people.Named(c.Admins), Auditors: people.Named(c.Auditors),
		AuditLog: ca.audit, AnyoneReads: c.Audit.Entries == "anyone",
		LoginLifetime: c.Certificates.Login.Std(), RenewWithin: c.Certificates.Renew.Std(),
		SourceAddress: c.Certificates.SourceAddress,
		Keep:          ca.recordings, PolicyDir: c.PolicyDir, Search: c.Search.Index, Executable: executable,
		Now: time.Now, Log: ca.log.With("door", "people"),
	})
	if err != nil {
		return err
	}
	forParts, err := parts.New(parts.Config{
		Store: ca.store, Directory: ca.directory, Issuer: issuer, Holders: holders, Refusals: ca.refusals,
		Trust: trust(keys), SessionCA: keys.SessionCA, HostCA: keys.HostCA, Order: ca.recordings.Order, HostLifetime: c.Certificates.Host.Std(),
		Now: time.Now, Log: ca.log.With("door", "parts"),
	})
	if err != nil {
		return err
	}
	peopleTLS, err := c.TLS.config()
	if err != nil {
		return err
	}
	for _, d := range []struct {
		addr    string
		tls     *tls.Config
		handler http.Handler
	}{
		{c.Listen, peopleTLS, forPeople},
		{c.Parts.Listen, wire.PartsTLS(doorKey), forParts},
	} {
		s, err := newServer(d.addr, d.tls, d.handler, ca.log)
		if err != nil {
			return err
		}
		ca.doors = append(ca.doors, s)
	}
	return nil
}

// discovery is what does not change while the CA runs.
func (c *Config) discovery(trust wire.Trust, doorKey wire.Identity) (wire.Discovery, error) {
	d := wire.Discovery{
		Name:  c.Name,
		OIDC:  wire.OIDC{Issuer: c.OIDC.Issuer, ClientID: c.OIDC.ClientID, Scopes: c.OIDC.Scopes},
		Trust: trust, Names: c.Names, SecurityKeyRequired: c.Certificates.SecurityKeyRequired,
		CertificateSeconds: c.Certificates.Login.Seconds(),
		Parts:              wire.PartsDoor{URL: c.Parts.URL, Pin: hex.EncodeToString(doorKey.Pin())},
	}
	if f := c.OIDC.ClientSecretFile; f != "" {
		secret, err := config.ReadSecret(f)
		if err != nil {
			return d, err
		}
		d.OIDC.ClientSecret = string(secret)
	}
	return d, nil
}

func (c *Config) verifier(log *slog.Logger) (*idtoken.Verifier, error) {
	v := idtoken.Config{Log: log, Now: time.Now, People: idtoken.People{
		Issuer: c.OIDC.Issuer, ClientID: c.OIDC.ClientID,
		NameClaim: c.OIDC.Claims.Name, GroupsClaim: c.OIDC.Claims.Groups,
		UnverifiedEmail: c.OIDC.UnverifiedEmail, Userinfo: idtoken.Userinfo(c.OIDC.Userinfo),
		MaxAge: c.OIDC.MaxAge.Std(), Device: c.OIDC.Device,
	}}
	for _, w := range c.Workloads {
		name, err := idtoken.ParseTemplate(w.Name)
		if err != nil {
			return nil, err
		}
		rules := map[string][]string{}
		for claim, values := range w.Rules {
			rules[claim] = values
		}
		v.Workloads = append(v.Workloads, idtoken.Workload{
			Issuer: w.Issuer, Audience: w.Audience, Name: name, Rules: rules, Groups: w.Groups,
		})
		v.People.Prefixes = append(v.People.Prefixes, name.Prefix())
	}
	return idtoken.New(v), nil
}

// Serve works until ctx ends, and then finishes what was begun.
func (ca *CA) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var background sync.WaitGroup
	telling, told := context.WithCancel(context.WithoutCancel(ctx)) // until the doors are closed
	defer func() { cancel(nil); told(); background.Wait() }()

	background.Go(func() { ca.directory.Run(ctx) })
	background.Go(func() { ca.tokens.Run(ctx) })
	background.Go(func() { ca.audit.Run(ctx) })
	background.Go(func() { outlet.RunAll(ctx, ca.outlets) })
	background.Go(func() { ca.recordings.Run(ctx) })
	if ca.config.Search.Index {
		background.Go(func() { ca.indexer().Run(ctx) })
	}
	background.Go(func() { ca.refusals.Run(telling) })
	if ca.config.PolicyDir != "" {
		background.Go(func() { ca.watchPolicy(ctx) })
	}
	var doors sync.WaitGroup
	for _, d := range ca.doors {
		doors.Go(func() {
			if err := d.serve(); err != nil {
				cancel(err)
			}
		})
	}
	ca.log.Info("ca ready", "url", ca.config.URL, "listen", ca.doors[0].addr(), "parts", ca.doors[1].addr(),
		"policy_dir", ca.config.PolicyDir, "database", databaseName(ca.config.Database))

	<-ctx.Done()
	ca.directory.Close() // lets go of long polls, which would not end by themselves
	ca.audit.Close()
	for _, d := range ca.doors {
		d.stop()
	}
	doors.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// Close ends the signer and the database. What Open could not open is skipped.
func (ca *CA) Close() {
	for _, d := range ca.doors {
		d.listener.Close()
	}
	if ca.signer != nil {
		ca.signer.Close()
	}
	if ca.store != nil {
		ca.store.Close()
	}
}

// databaseName is a database URL without its query, for the log.
func databaseName(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host + u.Path
}
