package parts

import (
	"crypto/sha256"
	"errors"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/ca/internal/door"
	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/store"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// started binds the beginning of a session's recording to the log.
func (p *parts) started(c *call, in wire.RecordingStarted) (door.Nothing, error) {
	name, err := id.ParseSession(c.PathValue("id"))
	if err != nil {
		return door.Nothing{}, badRequest("%v", err)
	}
	if len(in.Header) != sha256.Size || in.Started < 0 {
		return door.Nothing{}, badRequest("a recording begins with a SHA-256 and a time")
	}
	err = p.Store.StartRecording(c.Context(), c.Caller.Proxy.Name, name, in)
	if fault.ReasonOf(err) == fault.SealRefused {
		err = p.suspect(c, name, err)
	}
	return door.Nothing{}, err
}

// skew is how far a proxy's clock may differ from ours.
const skew = 5 * time.Minute

// seal reads the seal that a proxy reports of its session s, and holds it to what
// we know: the proxy's own host certificate, the session, and its time. That its
// beginning is the one that was reported, the store sees to. nil is no seal.
func (p *parts) seal(c *call, s wire.Session, text []byte) (*store.Sealed, error) {
	if len(text) == 0 {
		return nil, nil
	}
	refuse := func(cause error) error {
		return fault.New(fault.Conflict, fault.SealRefused, "the seal is not of session %s by proxy %s", s.ID, s.Proxy).Because(cause)
	}
	seal, err := recording.ParseSeal(text)
	if err != nil {
		return nil, refuse(err)
	}
	if err := recording.CheckSeal(seal, p.HostCA); err != nil {
		return nil, refuse(err)
	}
	at := time.UnixMicro(seal.Statement.Sealed)
	switch {
	case seal.Proxy != c.Caller.Proxy.Name:
		return nil, refuse(errors.New("it is of proxy " + string(seal.Proxy)))
	case seal.Session != s.ID:
		return nil, refuse(errors.New("it is of session " + string(seal.Session)))
	case len(seal.Header) != sha256.Size || len(seal.Chain) != sha256.Size || seal.Bytes < 0 || seal.Counts.Commands < 0 || seal.Counts.Files < 0:
		return nil, refuse(errors.New("its statement is malformed"))
	case at.Before(time.Unix(s.Started, 0).Add(-skew)) || at.After(p.Now().Add(skew)):
		// A key that was a proxy's once must not speak of today.
		return nil, refuse(errors.New("it is of " + at.UTC().Format(time.RFC3339)))
	}
	key, err := ssh.ParsePublicKey(seal.Certificate)
	if err != nil {
		return nil, refuse(err)
	}
	if certificate, ok := key.(*ssh.Certificate); ok {
		key = certificate.Key
	}
	return &store.Sealed{
		Header: seal.Header, Digest: seal.Chain, Seal: text, SealedBy: ssh.FingerprintSHA256(key),
		Frames: seal.Frames, Bytes: seal.FileSize(), Commands: seal.Counts.Commands, Files: seal.Counts.Files,
		Cut: seal.Cut(), At: seal.Statement.Sealed / 1e6,
	}, nil
}

// suspect logs that a proxy told of session what cannot be true, and returns why,
// or that it could not be logged.
func (p *parts) suspect(c *call, session id.Session, why error) error {
	f := fault.Of(why)
	err := p.Store.Append(c.Context(), audit.Event{
		Kind: audit.RecordingSealed, Outcome: audit.Refused, Reason: string(f.Reason), Text: f.Text,
		Actor: c.Caller.actor().Name, Client: c.Caller.actor().Client, Proxy: c.Caller.Proxy.Name, Session: session,
	})
	if err != nil {
		return err
	}
	return why
}
