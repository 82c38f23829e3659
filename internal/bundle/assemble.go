package bundle

import (
	"fmt"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// Assemble makes a bundle of a sealed recording and what the CA tells of it. It
// checks that they are of session, and nothing else: Verify does. A recording
// that is not sealed (the session lives, or its proxy has not come back) is
// not_found.
func Assemble(session id.Session, r Section, told wire.Evidence) (*Bundle, error) {
	damaged := fault.New(fault.Internal, fault.RecordingDamaged, "the recording of session %s is not whole", session)
	opened, err := recording.OpenAt(r, r.Size(), nil)
	if err != nil {
		return nil, damaged.Because(err)
	}
	meta := opened.Meta()
	seal, err := opened.Seal()
	switch {
	case err != nil:
		return nil, damaged.Because(err)
	case seal == nil:
		return nil, fault.New(fault.Missing, fault.NotFound, "the recording of session %s is not sealed yet", session).
			Then("wait until the session has ended, and its proxy has told")
	}
	if meta.Session != session || told.Session.ID != session {
		return nil, fault.New(fault.Internal, fault.RecordingDamaged, "the CA sent the recording of session %s for %s", meta.Session, session)
	}
	b := &Bundle{
		Session: session, Recording: r,
		LoginCertificate: meta.LoginCertificate, SessionCertificate: meta.SessionCertificate, HostCertificate: seal.Certificate,
		Checkpoint: told.Checkpoint, Trust: NewTrust(told.Trust, told.Log),
	}
	for _, p := range told.Proofs {
		e := Entry{Index: p.Entry.Index, Event: p.Entry.Event, Hashes: []audit.Hash{}}
		for _, h := range p.Hashes {
			if len(h) != len(audit.Hash{}) {
				return nil, fault.New(fault.Internal, fault.LogDamaged, "the CA sent a proof that is none").Because(fmt.Errorf("a hash of %d bytes", len(h)))
			}
			e.Hashes = append(e.Hashes, audit.Hash(h))
		}
		b.Entries = append(b.Entries, e)
	}
	return b, nil
}
