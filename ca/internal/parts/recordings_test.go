package parts

import (
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/ca/internal/testca"
	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// sealer is a proxy that is enrolled, and seals.
type sealer struct {
	*client
	key         ssh.Signer
	certificate *ssh.Certificate
}

func (w *world) sealer(name string) *sealer {
	w.t.Helper()
	s := &sealer{client: w.stranger(), key: testca.Key(w.t)}
	in := w.enrollment(wire.PartProxy, name)
	in.HostKeys = []string{strings.TrimSpace(string(cert.AuthorizedKeys("", s.key.PublicKey())))}
	var out wire.EnrollResponse
	if err := s.do("POST", wire.PathEnroll, in, &out); err != nil {
		w.t.Fatal(err)
	}
	var err error
	if s.certificate, err = cert.Parse(out.Certificates[0].Certificate); err != nil {
		w.t.Fatal(err)
	}
	return s
}

func digest(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// statement is what an honest proxy p2 says of session.
func statement(session id.Session) recording.Statement {
	return recording.Statement{
		Version: 2, Session: session, Proxy: "p2", Header: digest("header"), Chain: digest("chain"),
		Blocks: 3, Frames: 40, Bytes: 5000, End: recording.End{Reason: recording.EndClosed},
		Sealed: time.Now().UnixMicro(), Counts: recording.Counts{Commands: 4, Files: 2},
	}
}

func (s *sealer) seal(t *testing.T, st recording.Statement) []byte {
	t.Helper()
	seal, err := st.Sign(s.key, s.certificate)
	if err != nil {
		t.Fatal(err)
	}
	return seal.Encode()
}

func (s *sealer) tell(path string, session id.Session, in any) error {
	return s.do("POST", strings.Replace(path, "{id}", string(session), 1), in, nil)
}

// events lists what the log says of session, "kind outcome reason".
func (s *stage) events(session id.Session) (list []string) {
	s.t.Helper()
	entries, _, err := s.Store.Events(s.t.Context(), wire.AuditFilter{Session: session, Oldest: true})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, entry := range entries {
		e, err := entry.Event()
		if err != nil {
			s.t.Fatal(err)
		}
		list = append(list, strings.TrimSpace(string(e.Kind)+" "+string(e.Outcome)+" "+e.Reason))
	}
	return list
}

// opened is a session that p2 has opened.
func opened(t *testing.T) (*stage, *sealer, wire.OpenResponse) {
	t.Helper()
	s := newStage(t)
	p := s.sealer("p2")
	var out wire.OpenResponse
	if err := p.do("POST", wire.PathProxyOpen, s.request(), &out); err != nil {
		t.Fatal(err)
	}
	return s, p, out
}

func TestASealIsTakenInOnce(t *testing.T) {
	s, p, x := opened(t)
	for range 2 {
		want(t, p.tell(wire.PathProxyStarted, x.Session, wire.RecordingStarted{Header: digest("header"), Started: time.Now().UnixMicro()}), "")
	}
	text := p.seal(t, statement(x.Session))
	for range 2 {
		want(t, p.tell(wire.PathProxyEnd, x.Session, wire.EndRequest{End: "closed", Accepted: true, Bytes: 5000, Seal: text}), "")
	}
	row, err := s.Store.Session(t.Context(), x.Session)
	if err != nil || row.Recording.State != "sealed" || row.Recording.Commands != 4 || row.Recording.Files != 2 || row.Recording.Frames != 40 ||
		string(row.Recording.Digest) != string(digest("chain")) {
		t.Errorf("the row is %+v, %v", row, err)
	}
	if parsed, err := recording.ParseSeal(text); err != nil || row.Bytes != parsed.FileSize() {
		t.Errorf("%d bytes, %v", row.Bytes, err)
	}
	got := strings.Join(s.events(x.Session), ", ")
	if got != "session_granted success, recording_started success, session_ended success closed, recording_sealed success" {
		t.Errorf("the log says: %s", got)
	}
}

func TestASealMayComeLate(t *testing.T) {
	s, p, x := opened(t)
	want(t, p.tell(wire.PathProxyEnd, x.Session, wire.EndRequest{End: "closed"}), "")
	st := statement(x.Session)
	st.End = recording.End{Reason: recording.EndCut}
	want(t, p.tell(wire.PathProxyEnd, x.Session, wire.EndRequest{End: "closed", Seal: p.seal(t, st)}), "")
	if row, err := s.Store.Session(t.Context(), x.Session); err != nil || row.Recording.State != "cut" {
		t.Errorf("the row is %+v, %v", row, err)
	}
}

func TestASealThatIsNotThisProxysOrSessionsIsRefusedAndLogged(t *testing.T) {
	s, p, x := opened(t)
	other := s.sealer("p3")
	want(t, p.tell(wire.PathProxyStarted, x.Session, wire.RecordingStarted{Header: digest("header")}), "")
	change := func(f func(*recording.Statement)) []byte {
		st := statement(x.Session)
		f(&st)
		return p.seal(t, st)
	}
	for name, text := range map[string][]byte{
		"is garbage":               []byte("garbage"),
		"is cut short":             p.seal(t, statement(x.Session))[:100],
		"is of another session":    change(func(st *recording.Statement) { st.Session = id.NewSession() }),
		"names another proxy":      change(func(st *recording.Statement) { st.Proxy = "p3" }),
		"began otherwise":          change(func(st *recording.Statement) { st.Header = digest("other") }),
		"has no digest":            change(func(st *recording.Statement) { st.Chain = nil }),
		"is of yesterday":          change(func(st *recording.Statement) { st.Sealed -= 86400e6 }),
		"is of tomorrow":           change(func(st *recording.Statement) { st.Sealed += 86400e6 }),
		"counts less than nothing": change(func(st *recording.Statement) { st.Counts.Commands = -1 }),
		"another proxy has signed": func() []byte {
			st := statement(x.Session)
			st.Proxy = "p3"
			return other.seal(t, st)
		}(),
		"another proxy has signed in this one's name": other.seal(t, statement(x.Session)),
		"a stranger's key has signed": func() []byte {
			forged := &sealer{key: testca.Key(t)}
			c := *p.certificate
			c.Key = forged.key.PublicKey()
			forged.certificate = s.Forge(testca.Key(t), c)
			return forged.seal(t, statement(x.Session))
		}(),
		"has a byte changed": func() []byte {
			b := p.seal(t, statement(x.Session))
			b[20] ^= 1
			return b
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			before := len(s.events(x.Session))
			want(t, p.tell(wire.PathProxyEnd, x.Session, wire.EndRequest{End: "closed", Seal: text}), fault.SealRefused)
			list := s.events(x.Session)
			if len(list) != before+1 || list[before] != "recording_sealed refused seal_refused" {
				t.Errorf("the log says %v", list[before:])
			}
			if row, err := s.Store.Session(t.Context(), x.Session); err != nil || row.Recording.State != "live" {
				t.Errorf("the row is %+v, %v", row, err)
			}
		})
	}
	first := p.seal(t, statement(x.Session))
	want(t, p.tell(wire.PathProxyEnd, x.Session, wire.EndRequest{End: "closed", Seal: first}), "")
	second := change(func(st *recording.Statement) { st.Chain = digest("another") })
	want(t, p.tell(wire.PathProxyEnd, x.Session, wire.EndRequest{End: "closed", Seal: second}), fault.SealRefused)
	if list := s.events(x.Session); list[len(list)-1] != "recording_sealed refused seal_refused" {
		t.Errorf("a second seal: the log says %v", list)
	}
	if row, err := s.Store.Session(t.Context(), x.Session); err != nil || string(row.Recording.Digest) != string(digest("chain")) {
		t.Errorf("the row is %+v, %v", row, err)
	}
}

func TestAnotherProxysRecordingIsNotFound(t *testing.T) {
	s, _, x := opened(t)
	other := s.sealer("p3")
	want(t, other.tell(wire.PathProxyStarted, x.Session, wire.RecordingStarted{Header: digest("header")}), fault.NotFound)
	want(t, other.tell(wire.PathProxyEnd, x.Session, wire.EndRequest{End: "closed"}), fault.NotFound)
}

func TestABeginningThatIsNoneIsRefused(t *testing.T) {
	_, p, x := opened(t)
	for _, in := range []wire.RecordingStarted{{}, {Header: []byte("short")}, {Header: digest("x"), Started: -1}} {
		want(t, p.tell(wire.PathProxyStarted, x.Session, in), fault.BadRequest)
	}
	want(t, p.tell(wire.PathProxyStarted, "x", wire.RecordingStarted{Header: digest("x")}), fault.BadRequest)
	want(t, p.tell(wire.PathProxyStarted, id.NewSession(), wire.RecordingStarted{Header: digest("x")}), fault.NotFound)
}
