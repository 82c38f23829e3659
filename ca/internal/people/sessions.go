package people

import (
	"errors"
	"io/fs"
	"net/http"

	"github.com/sallyport-ssh/sallyport/ca/internal/door"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
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

// recording sends what there is of a session's recording now; of one that still
// runs, too.
func (p *people) recording(w http.ResponseWriter, c *call) error {
	s, err := p.session(c)
	if err != nil {
		return err
	}
	r, err := recording.OpenDir(p.Recordings, s.ID, nil) // as it is: WriteTo needs no key
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.Missing, fault.NotFound, "the recording of %s is not on this CA", s.ID).
			Then("it lies where proxy %s records", s.Proxy)
	}
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = r.WriteTo(door.Stream(w, "application/vnd.sallyport.recording"))
	return err
}
