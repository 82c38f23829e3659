package people

import (
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// sessions lists sessions, newest first: everybody's for auditors, else the
// caller's own.
func (p *people) sessions(c *call) ([]wire.Session, error) {
	filter, err := wire.ParseSessionFilter(c.URL.Query())
	if err != nil {
		return nil, err
	}
	if !c.Caller.Auditor {
		if filter.Identity != "" && filter.Identity != c.Caller.Name() {
			return nil, fault.New(fault.Denied, fault.NotAuditor, "other people's sessions are for auditors")
		}
		filter.Identity = c.Caller.Name()
	}
	list, err := p.Store.Sessions(c.Context(), filter)
	if list == nil {
		list = []wire.Session{}
	}
	return list, err
}

// session returns one session that the caller may see. Whether another one
// exists is not for them to know.
func (p *people) session(c *call) (wire.Session, error) {
	name, err := id.ParseSession(c.PathValue("id"))
	if err != nil {
		return wire.Session{}, badRequest("%v", err)
	}
	s, err := p.Store.Session(c.Context(), name)
	if err != nil && fault.Of(err).Kind != fault.Missing {
		return wire.Session{}, err
	}
	if err != nil || !c.Caller.Auditor && s.Identity != c.Caller.Name() {
		return wire.Session{}, fault.New(fault.Missing, fault.NotFound, "there is no session %s, or it is not yours", name)
	}
	return s, nil
}
