package bundle

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"filippo.io/age"
	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// facts are how a session is recorded, sealed and told. A test changes one thing
// of them.
type facts struct {
	login   cert.Login
	session cert.Session
	host    cert.Host
	meta    recording.Meta
	proxy   ssh.Signer // whose key seals
	end     recording.End
	auditor *age.X25519Identity // nil: in clear
	more    []recording.Frame   // content before the rest
	// story changes what is told to the log.
	story func([]audit.Event) []audit.Event
}

func newFacts(t testing.TB) *facts {
	t.Helper()
	proxy, person, connection := newKey(t), newKey(t).PublicKey(), newKey(t).PublicKey()
	return &facts{
		login: loginRequest(person), session: sessionRequest(connection), host: hostRequest(proxy.PublicKey()), proxy: proxy,
		meta: recording.Meta{
			Session: testSession, Identity: testIdentity, Login: "postgres", Node: "db-1", NodeID: testNode, NodeAddr: "10.0.0.9:22",
			Proxy: "p-2", Client: "10.0.4.7:51022", Way: "connect", Roles: []string{"db-oncall"}, Revision: 61, Started: began.UnixMicro(),
		},
		end: recording.End{Reason: recording.EndClosed},
	}
}

// record makes the recording of f, by certificates of h.
func (h *house) record(f *facts) []byte {
	h.t.Helper()
	f.meta.LoginCertificate = issue(h.t, f.login, h.user)
	f.meta.SessionCertificate = issue(h.t, f.session, h.session)
	must := func(err error) {
		h.t.Helper()
		if err != nil {
			h.t.Fatal(err)
		}
	}
	var key recording.ContentKey
	var wrapped []byte
	if f.auditor != nil {
		var err error
		key = recording.NewContentKey()
		wrapped, err = key.Wrap([]string{f.auditor.Recipient().String()})
		must(err)
	}
	head, err := recording.NewHeader(f.meta, key, wrapped)
	must(err)
	out := head.Append(nil)
	packer := recording.NewPacker()
	must(packer.Start(head, key, head.Chain()))
	payload := func(v any) []byte {
		text, err := json.Marshal(v)
		must(err)
		return text
	}
	frames := []recording.Frame{
		{Channel: 1, Kind: recording.KindOpen, Payload: payload(recording.Open{From: recording.Client, Type: "session"})},
		{Channel: 1, Kind: recording.KindAnswer, Payload: payload(recording.Answer{From: recording.Node, To: "open", OK: true})},
		{Channel: 1, Kind: recording.KindRequest, Payload: payload(recording.Request{From: recording.Client, Type: "exec", Data: append([]byte{0, 0, 0, 2}, "id"...)})},
		{Channel: 1, Kind: recording.KindOutput, Payload: []byte("uid=114(postgres)\n")},
		{Channel: 1, Kind: recording.KindStderr, Payload: []byte("a warning\n")},
		{Channel: 1, Kind: recording.KindClose, Payload: []byte("n")},
		{Channel: 1, Kind: recording.KindClose, Payload: []byte("c")},
		{Kind: recording.KindEnd, Payload: payload(f.end)},
	}
	for i, frame := range append(f.more, frames...) {
		frame.Number, frame.At = uint64(i+1), time.Duration(i)*time.Minute
		if full := packer.Add(frame); full || i == 3 { // two blocks at least
			out = packer.Block(out)
		}
	}
	out = packer.Block(out)
	chain := packer.Chain()
	statement := chain.Statement()
	statement.Session, statement.Proxy, statement.End = f.meta.Session, f.meta.Proxy, f.end
	statement.Sealed, statement.Counts = began.Add(22*time.Minute).UnixMicro(), recording.Counts{Commands: 41, Files: 1}
	key2, err := ssh.ParsePublicKey(issue(h.t, f.host, h.host))
	must(err)
	seal, err := statement.Sign(f.proxy, key2.(*ssh.Certificate))
	must(err)
	out, err = seal.Append(out, head, chain)
	must(err)
	return out
}

// evidence records f, tells it to h's log between other events, and makes the
// bundle.
func (h *house) evidence(f *facts) *Bundle {
	h.t.Helper()
	file := h.record(f)
	opened, err := recording.OpenAt(bytes.NewReader(file), int64(len(file)), nil)
	if err != nil {
		h.t.Fatal(err)
	}
	seal, err := opened.Seal()
	if err != nil {
		h.t.Fatal(err)
	}
	s, err := newSubject(opened.Meta(), seal)
	if err != nil {
		h.t.Fatal(err)
	}
	told := story(s)
	if f.story != nil {
		told = f.story(told)
	}
	noise := audit.Event{Kind: audit.LoginRefused, At: micros(-time.Hour), Outcome: audit.Refused, Reason: "token_expired"}
	var indexes []int64
	for _, e := range told {
		noise.At = e.At
		h.tell(noise)
		indexes = append(indexes, h.tell(e))
		h.tell(noise)
	}
	size := int64(len(h.leaves))
	return &Bundle{
		Session: f.meta.Session, Recording: bytes.NewReader(file),
		LoginCertificate: f.meta.LoginCertificate, SessionCertificate: f.meta.SessionCertificate, HostCertificate: seal.Certificate,
		Entries: h.entries(size, indexes...), Checkpoint: h.checkpoint(size), Trust: h.trust(),
	}
}
