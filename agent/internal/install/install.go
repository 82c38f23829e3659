// Package install puts a generation of files in place for sshd, and takes it
// back when anything goes wrong.
//
// # How
//
// A generation is a directory that is written once, whole, and never changed:
// the trusted keys, the KRL, the host certificates, and the drop-in that refers
// to them. The link `current` names the generation in force; turning it is the
// one step that changes what sshd reads, and turning it back is the whole
// rollback. The drop-in's place in sshd_config.d is a link through `current`.
//
//	/etc/ssh/sallyport/g7/...                 a generation
//	/etc/ssh/sallyport/g7/good                it was seen to work
//	/etc/ssh/sallyport/current -> g7
//	/etc/ssh/sshd_config.d/00-sallyport.conf -> ../sallyport/current/sshd.conf
//
// # Promises
//
// Whatever fails, at whatever step the process dies, and if the disk is full:
// sshd's configuration on disk is valid, sshd runs, and a login that worked
// before works after. The last generation that was seen to work stays on disk
// until the next one has been.
//
// sshd is never told to reload a configuration that `sshd -t` did not accept
// just before. Nothing of the admin's is changed, but for one line at the top of
// an sshd_config that does not include sshd_config.d.
package install

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/agent/internal/sshdconf"
	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// Sshd is what the procedure needs of the sshd on this node; package sshd has it.
type Sshd interface {
	// Test returns an error unless sshd would start with the configuration.
	Test(ctx context.Context, config string) error
	// Effective says what the configuration means.
	Effective(ctx context.Context, config, connection string) (sshdconf.Effective, error)
	// Reload has the running sshd read its configuration again; nil says no more
	// than that it was told to.
	Reload(ctx context.Context) error
	// Probe returns nil once the running sshd shows exactly these certificates.
	Probe(ctx context.Context, certificates []*ssh.Certificate) error
}

// Installer installs generations. All fields are required. Methods must not run
// at the same time, in this process or another: the caller holds a lock.
type Installer struct {
	Dir    string // the agent's directory
	Config string // sshd_config, no link
	DropIn string // in sshd_config.d
	Sshd   Sshd
	Disk   Disk
	Log    *slog.Logger
}

// Set is what a generation holds.
type Set struct {
	Sshd         sshdconf.DropIn // its Dir is the installer's to say
	Trust        []byte          // TrustedUserCAKeys
	KRL          []byte          // never empty: that would revoke nothing
	Certificates map[string]*ssh.Certificate
	Source       []byte // what the caller made the set from; Source() returns it
}

// Names of files in a generation, beside sshdconf's and the certificates.
const (
	dropInFile   = "sshd.conf"
	sourceFile   = "source.json"
	manifestFile = "manifest"
	goodFile     = "good"
)

// file is one file of a generation.
type file struct {
	name string
	data []byte
}

// files renders the set for sshd to find at dir, in a fixed order; the last is
// the manifest of the others.
func (s Set) files(dir string) []file {
	var all []file
	for _, name := range s.names() {
		all = append(all, file{name, ssh.MarshalAuthorizedKey(s.Certificates[name])})
	}
	all = append(all,
		file{sshdconf.TrustFile, s.Trust},
		file{sshdconf.KRLFile, s.KRL},
		file{dropInFile, s.dropIn(dir)},
		file{sourceFile, s.Source})
	var manifest strings.Builder
	for _, f := range all {
		sum := sha256.Sum256(f.data)
		fmt.Fprintf(&manifest, "%s  %s\n", hex.EncodeToString(sum[:]), f.name)
	}
	return append(all, file{manifestFile, []byte(manifest.String())})
}

func (s Set) names() []string {
	names := make([]string, 0, len(s.Certificates))
	for name := range s.Certificates {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (s Set) dropIn(dir string) []byte {
	s.Sshd.Dir, s.Sshd.HostCertificates = dir, s.names()
	return s.Sshd.Render()
}

func (s Set) certificates() []*ssh.Certificate {
	var all []*ssh.Certificate
	for _, name := range s.names() {
		all = append(all, s.Certificates[name])
	}
	return all
}

// check refuses what would let everybody or nobody in, whoever made it.
func (s Set) check() error {
	if len(s.Trust) == 0 || len(s.KRL) == 0 || len(s.Sshd.SessionCA) == 0 || s.Sshd.Node == "" || s.Sshd.CommandUser == "" {
		return fault.New(fault.Internal, fault.InternalError, "a generation without trust, KRL or node is not installed")
	}
	return nil
}

// Install puts set in force. When it returns an error, what was in force before
// is so again; the error says if even that could not be done.
func (in *Installer) Install(ctx context.Context, set Set) error {
	if err := set.check(); err != nil {
		return err
	}
	// 1. Whatever an earlier run left unfinished is finished or taken back.
	if err := in.Recover(ctx); err != nil {
		return err
	}
	before, err := in.look()
	if err != nil {
		return err
	}

	// 2. The generation is written, whole and durable. sshd knows nothing of it.
	next, err := in.write(set)
	if err != nil {
		return err
	}
	// 3. sshd tests a copy of the whole configuration as it will be.
	include, err := in.rehearse(ctx, set, next)
	if err != nil {
		return errors.Join(err, in.Disk.Remove(in.path(next)))
	}
	in.Log.Debug("rehearsed", "generation", next, "include", include)
	// 4. The link is turned. From here on sshd reads new keys and KRL. Whoever
	// wants to stop waits: every step has its limit, and going on is shorter than
	// going back.
	ctx = context.WithoutCancel(ctx)
	err = in.Disk.Link(next, in.path(currentLink))
	// 5. The drop-in and, if need be, the Include line are there.
	if err == nil {
		err = in.hook(include)
	}
	// 6. to 8. The very configuration is tested, reloaded, seen to work, marked.
	if err == nil {
		err = in.settle(ctx, next, set.certificates(), in.needsReload(before, next, include))
	}
	if err != nil {
		return errors.Join(err, in.rollback(ctx, before, next))
	}
	// 9. Older generations go.
	in.prune(next, before.generation)
	return nil
}

// settle tests what is on disk, tells sshd, looks, and marks the generation.
func (in *Installer) settle(ctx context.Context, generation string, certificates []*ssh.Certificate, reload bool) error {
	// The admin may have changed something since the rehearsal, and sshd ends
	// when it is told to reload a broken configuration.
	if err := in.Sshd.Test(ctx, in.Config); err != nil {
		return err
	}
	if reload {
		if err := in.Sshd.Reload(ctx); err != nil {
			return err
		}
	} else {
		// New keys and KRL change nothing about what sshd shows; what is wrong
		// with that must not keep a revocation out.
		certificates = nil
	}
	in.Log.Debug("configuration tested", "generation", generation, "reloaded", reload)
	if err := in.Sshd.Probe(ctx, certificates); err != nil {
		return err
	}
	in.Log.Debug("seen to work", "generation", generation)
	return in.Disk.Write(in.path(generation, goodFile), nil, 0o644)
}

// rollback makes it as it was in before. That sshd answers is enough then: the
// host keys may be other ones than the former certificates are for.
func (in *Installer) rollback(ctx context.Context, before state, failed string) error {
	ctx = context.WithoutCancel(ctx)
	if err := in.restore(before); err != nil {
		return stuck(err)
	}
	if err := in.Sshd.Test(ctx, in.Config); err != nil {
		return stuck(err)
	}
	if err := in.Sshd.Reload(ctx); err != nil {
		return stuck(err)
	}
	if err := in.Sshd.Probe(ctx, nil); err != nil {
		return stuck(err)
	}
	if failed != before.generation {
		in.remove(failed)
	}
	in.Log.Warn("rolled back", "generation", failed, "to", before.generation)
	return nil
}

func stuck(err error) error {
	return fault.New(fault.Internal, fault.ConfigInvalid, "the former configuration of sshd is not back in force").
		Then("run: sshd -t; then: sallyport agent check").Because(err)
}
