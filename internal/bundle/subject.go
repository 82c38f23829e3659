package bundle

import (
	"crypto/sha256"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// subject is what a sealed recording says of itself, in clear, and its
// certificates, read back.
type subject struct {
	recording.Meta
	seal    *recording.Seal
	login   cert.Login
	session cert.Session
	host    cert.Host
}

// newSubject reads the certificates of a recording whose seal was verified: so
// they are what their profiles allow.
func newSubject(m recording.Meta, s *recording.Seal) (subject, error) {
	about := subject{Meta: m, seal: s}
	for _, c := range []struct {
		profile cert.Profile
		blob    []byte
	}{{cert.LoginProfile, m.LoginCertificate}, {cert.SessionProfile, m.SessionCertificate}, {cert.HostProfile, s.Certificate}} {
		parsed, err := cert.Parse(c.blob)
		if err != nil {
			return subject{}, err
		}
		r, err := cert.Read(c.profile, parsed)
		if err != nil {
			return subject{}, err
		}
		switch r := r.(type) {
		case cert.Login:
			about.login = r
		case cert.Session:
			about.session = r
		case cert.Host:
			about.host = r
		}
	}
	return about, nil
}

func (s subject) started() time.Time { return time.UnixMicro(s.Started) }

// sealDigest is by what the log names the seal.
func (s subject) sealDigest() []byte {
	d := sha256.Sum256(s.seal.Encode())
	return d[:]
}

// sealedBy is the fingerprint of the proxy's key.
func (s subject) sealedBy() string { return ssh.FingerprintSHA256(s.host.Key) }
