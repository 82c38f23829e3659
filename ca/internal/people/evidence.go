package people

import (
	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// mostLeaves bounds what is proven of one session. Its recording may be read more
// often than that; the first are those that tell what happened in it.
const mostLeaves = 1000

// evidence is what stands in the log about a session: its own events, and the
// login whose certificate opened it, all under one checkpoint.
func (p *people) evidence(c *call) (wire.Evidence, error) {
	s, err := p.session(c)
	if err != nil {
		return wire.Evidence{}, err
	}
	entries, _, err := p.Store.Events(c.Context(), wire.AuditFilter{Session: s.ID, Oldest: true, Limit: mostLeaves})
	if err != nil {
		return wire.Evidence{}, err
	}
	if len(entries) > 0 {
		login, err := p.loginOf(c, entries[0])
		if err != nil {
			return wire.Evidence{}, err
		}
		entries = append(login, entries...)
	}
	out := wire.Evidence{Session: s, Proofs: []wire.AuditProof{}, Trust: p.Discovery.Trust, Log: p.Discovery.Log}
	if len(entries) == 0 {
		return out, nil // it is older than the log
	}
	under, err := p.AuditLog.Holding(c.Context(), entries[len(entries)-1].Index)
	if err != nil {
		return out, err
	}
	out.Checkpoint = string(under.Note)
	for _, e := range entries {
		proof, err := p.prove(c.Context(), under, e)
		if err != nil {
			return out, err
		}
		out.Proofs = append(out.Proofs, proof)
	}
	return out, nil
}

// loginOf finds the login behind a session's grant: the last one before it that
// was given the certificate's serial.
func (p *people) loginOf(c *call, grant audit.Entry) ([]audit.Entry, error) {
	event, err := grant.Event()
	if err != nil || event.Certificate == nil {
		return nil, err
	}
	who, serial := event.Identity, event.Certificate.LoginSerial
	return p.findLogin(c, who, serial, grant.Index)
}

// logins is how many logins are looked at, newest first. A certificate lives for
// a day at most.
const logins = 1000

func (p *people) findLogin(c *call, who id.Identity, serial id.Serial, before int64) ([]audit.Entry, error) {
	if before == 0 || serial == 0 {
		return nil, nil
	}
	list, _, err := p.Store.Events(c.Context(), wire.AuditFilter{
		Identity: who, Kind: []string{string(audit.LoginGranted)}, Before: before, Limit: logins,
	})
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		login, err := e.Event()
		if err != nil {
			return nil, err
		}
		if login.Certificate != nil && login.Certificate.Serial == serial {
			return []audit.Entry{e}, nil
		}
	}
	return nil, nil
}
