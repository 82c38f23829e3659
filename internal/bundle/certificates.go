package bundle

import (
	"slices"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
)

// maxSkew is how far the proxy's clock, which tells when a session began, may be
// from the CA's, which tells until when its certificates are valid.
const maxSkew = 2 * time.Minute

// certificates are the three of a session, read back.
type certificates struct {
	login   cert.Login
	session cert.Session
	host    cert.Host
}

// checkCertificates says whether three certificates are what their profiles
// allow, by the CAs that are trusted. ok is false where one could not be read:
// then nothing can be compared with it.
func (f *findings) checkCertificates(login, session, host []byte, keys caKeys) (c certificates, ok bool) {
	l, okLogin := f.lint("login certificate", cert.LoginProfile, login, keys.user)
	s, okSession := f.lint("session certificate", cert.SessionProfile, session, keys.session)
	h, okHost := f.lint("proxy's host certificate", cert.HostProfile, host, keys.host)
	if !okLogin || !okSession || !okHost {
		return certificates{}, false
	}
	return certificates{l.(cert.Login), s.(cert.Session), h.(cert.Host)}, true
}

// caKeys are the CAs' public keys, parsed.
type caKeys struct{ user, session, host []ssh.PublicKey }

func (t Trust) caKeys() (k caKeys, err error) {
	for _, l := range []struct {
		lines []string
		keys  *[]ssh.PublicKey
	}{{t.UserCA, &k.user}, {t.SessionCA, &k.session}, {t.HostCA, &k.host}} {
		if *l.keys, err = parseKeys(l.lines); err != nil {
			return caKeys{}, err
		}
	}
	return k, nil
}

// lint checks one certificate. One that is in its form and by another CA is
// returned all the same: what it says is still worth comparing.
func (f *findings) lint(where string, p cert.Profile, blob []byte, cas []ssh.PublicKey) (cert.Request, bool) {
	c, err := cert.Parse(blob)
	if err != nil {
		f.add(where, Damaged, "%s", fault.Of(err).Text)
		return nil, false
	}
	r, err := cert.Read(p, c)
	if err != nil {
		f.add(where, Foreign, "%s", fault.Of(err).Text)
		return nil, false
	}
	known := slices.ContainsFunc(cas, func(ca ssh.PublicKey) bool { return string(ca.Marshal()) == string(c.SignatureKey.Marshal()) })
	if !known {
		f.add(where, Foreign, "it is signed by %s, which is none of the %d keys that you trust for it", ssh.FingerprintSHA256(c.SignatureKey), len(cas))
	} else if _, err := cert.Lint(p, blob, c.SignatureKey); err != nil {
		f.add(where, Foreign, "%s", fault.Of(err).Text)
	}
	return r, true
}

// within adds a finding unless moment lies in a certificate's validity.
func (f *findings) within(where string, after, before int64, moment time.Time, what string) {
	from, to := time.Unix(after, 0), time.Unix(before, 0)
	if moment.Before(from.Add(-maxSkew)) || moment.After(to.Add(maxSkew)) {
		f.add(where, Untimely, "it is valid from %s to %s, and %s %s", stamp(from), stamp(to), what, stamp(moment))
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// agree compares what the certificates say with each other and with the
// recording.
func (f *findings) agree(c certificates, s subject) {
	const login, session, host = "login certificate", "session certificate", "proxy's host certificate"
	f.same(login, "identity", c.login.Identity, s.Identity, "the recording")
	f.same(session, "identity", c.session.Identity, s.Identity, "the recording")
	f.same(session, "session", c.session.Session, s.Session, "the recording")
	f.same(session, "login", c.session.Login, s.Login, "the recording")
	f.same(session, "node id", c.session.Node, s.NodeID, "the recording")
	f.same(session, "policy", c.session.Revision, s.Revision, "the recording")
	f.same(host, "proxy", c.host.Proxy, s.Proxy, "the recording")
	f.same(host, "node", c.host.Node, id.Node(""), "a proxy's own")
	f.within(login, c.login.ValidAfter, c.login.ValidBefore, s.Started, "the session began")
	f.within(session, c.session.ValidAfter, c.session.ValidBefore, s.Started, "the session began")
}
