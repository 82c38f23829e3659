package people

import (
	"net/http"
	"strings"

	"github.com/sallyport-ssh/sallyport/ca/internal/door"
	"github.com/sallyport-ssh/sallyport/ca/internal/keep"
	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// recording sends what there is of a session's recording now; of one that still
// runs, too. It is encrypted as it is: who reads it needs a key. Nobody gets it
// before the log has that they did.
func (p *people) recording(w http.ResponseWriter, c *call) error {
	s, err := p.session(c)
	if err != nil {
		return err
	}
	if s.Recording.Deleted > 0 {
		return keep.Gone(s)
	}
	r, err := p.Keep.Open(c.Context(), s.ID)
	if fault.ReasonOf(err) == fault.NotFound {
		return keep.Gone(s)
	}
	if err != nil {
		return err
	}
	defer r.Close()
	if err := p.Store.Append(c.Context(), c.Caller.touched(audit.RecordingRead, s)); err != nil {
		return err
	}
	_, err = r.WriteTo(door.Stream(w, "application/vnd.sallyport.recording"))
	return err
}

// touched is what the log says where the caller did something with s's recording.
func (c Caller) touched(kind audit.Kind, s wire.Session) audit.Event {
	by := c.actor()
	return audit.Event{
		Kind: kind, Outcome: audit.Success, Actor: by.Name, Client: by.Client,
		Identity: s.Identity, Login: s.Login, Node: s.Node, NodeID: s.NodeID, Proxy: s.Proxy, Session: s.ID,
	}
}

// recordingKey gives an auditor the content key of one recording, which the CA's
// own identity opens. The log says so first.
func (p *people) recordingKey(c *call) (wire.RecordingKey, error) {
	none := wire.RecordingKey{}
	if err := auditor(c); err != nil {
		return none, err
	}
	s, err := p.session(c)
	if err != nil {
		return none, err
	}
	if s.Recording.Deleted > 0 {
		return none, keep.Gone(s)
	}
	key, err := p.Keep.Key(c.Context(), s.ID)
	if fault.ReasonOf(err) == fault.NotFound {
		return none, keep.Gone(s)
	}
	if err != nil {
		return none, err
	}
	if err := p.Store.Append(c.Context(), c.Caller.touched(audit.RecordingOpened, s)); err != nil {
		return none, err
	}
	return wire.RecordingKey{Key: key[:]}, nil
}

// maxReason is how long the reason of a hold may be, in bytes.
const maxReason = 1000

// hold puts a recording under legal hold. The database minds it at once, the
// storage within a minute (keep.Keep.Run).
func (p *people) hold(c *call, in wire.SetHold) (wire.Session, error) {
	name, err := p.holdable(c)
	if err != nil {
		return wire.Session{}, err
	}
	reason := strings.TrimSpace(in.Reason)
	if reason == "" || len(reason) > maxReason || strings.ContainsFunc(reason, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return wire.Session{}, badRequest("a hold has a reason: one line of up to %d bytes", maxReason)
	}
	if err := p.Store.Hold(c.Context(), c.Caller.actor(), name, reason); err != nil {
		return wire.Session{}, err
	}
	return p.Store.Session(c.Context(), name)
}

// release ends a legal hold.
func (p *people) release(c *call) (wire.Session, error) {
	name, err := p.holdable(c)
	if err != nil {
		return wire.Session{}, err
	}
	if err := p.Store.Release(c.Context(), c.Caller.actor(), name); err != nil {
		return wire.Session{}, err
	}
	return p.Store.Session(c.Context(), name)
}

// holdable: holds are for admins and auditors.
func (p *people) holdable(c *call) (id.Session, error) {
	if !c.Caller.Admin && !c.Caller.Auditor {
		return "", fault.New(fault.Denied, fault.NotAuditor, "holds are for auditors and admins")
	}
	name, err := id.ParseSession(c.PathValue("id"))
	if err != nil {
		return "", badRequest("%v", err)
	}
	return name, nil
}
