package people

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/sallyport-ssh/sallyport/ca/internal/keep"
	"github.com/sallyport-ssh/sallyport/ca/internal/testca"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/policy"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/storage"
	"github.com/sallyport-ssh/sallyport/internal/store"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// archive is a world with recordings. Eve is its auditor, ada its admin.
type archive struct {
	*world
	ann, eve, ada *testca.Person
	storage       *storage.Local
	live          string // where a proxy on this machine records
	key           string // file of the CA's own identity
}

func newArchive(t *testing.T, withKey bool) *archive {
	t.Helper()
	a := &archive{live: t.TempDir(), storage: storage.NewLocal(t.TempDir(), time.Now)}
	own, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	a.key = filepath.Join(t.TempDir(), "recordings.age")
	if err := os.WriteFile(a.key, []byte("# made by a test\n"+own.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a.world = newWorld(t)
	a.people.Keep = a.CA.Keep("", func(c *keep.Config) {
		c.Storage, c.Live = a.storage, a.live
		if withKey {
			c.KeyFile = a.key
		}
	})
	a.ann, a.eve, a.ada = a.Login("ann@example.com", "eng"), a.Login("eve@example.com"), a.Login("ada@example.com", "platform")
	return a
}

// session opens one of ann's.
func (a *archive) session() id.Session {
	a.t.Helper()
	x, now := id.NewSession(), time.Now().Unix()
	_, err := a.Store.OpenSession(a.t.Context(), store.Opening{
		Session: wire.Session{
			ID: x, Identity: a.ann.Name, Login: "deploy", Node: "web-1", NodeID: id.NewNode(), Proxy: "p1",
			Client: "192.0.2.1:1", Way: wire.WayConnect, Role: "r", Revision: 1, LoginSerial: a.ann.Serial, Started: now,
		},
		Recording: a.people.Keep.Order(policy.Grant{}),
		Intent:    store.Intent{Profile: store.ProfileSession, Subject: string(a.ann.Name), KeyPrint: "SHA256:x", ValidAfter: now, ValidBefore: now + 60},
	})
	if err != nil {
		a.t.Fatal(err)
	}
	return x
}

// recorded is the file of x's recording, in which output stands, for recipients; a
// block for each line of it.
func (a *archive) recorded(x id.Session, output string, recipients []string) (file []byte, key recording.ContentKey) {
	a.t.Helper()
	var wrapped []byte
	key = recording.NewContentKey()
	if len(recipients) > 0 {
		var err error
		if wrapped, err = key.Wrap(recipients); err != nil {
			a.t.Fatal(err)
		}
	}
	h, err := recording.NewHeader(recording.Meta{Session: x, Identity: a.ann.Name, Started: time.Now().UnixMicro()}, key, wrapped)
	if err != nil {
		a.t.Fatal(err)
	}
	p := recording.NewPacker()
	if err := p.Start(h, key, h.Chain()); err != nil {
		a.t.Fatal(err)
	}
	file = h.Append(nil)
	for n, line := range strings.Split(output, "\n") {
		p.Add(recording.Frame{Number: uint64(n + 1), Channel: 1, Kind: recording.KindOutput, Payload: []byte(line)})
		file = p.Block(file)
	}
	return file, key
}

func (a *archive) put(x id.Session, file []byte) {
	a.t.Helper()
	if err := a.storage.Put(a.t.Context(), x, 0, file); err != nil {
		a.t.Fatal(err)
	}
}

func at(path string, x id.Session) string { return strings.Replace(path, "{id}", string(x), 1) }

// download is what p gets of x's recording.
func (a *archive) download(p *testca.Person, x id.Session) ([]byte, error) {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), "GET", a.url+at(wire.PathRecording, x), nil)
	if err != nil {
		a.t.Fatal(err)
	}
	if err := wire.Prove(r, nil, p.Key, p.Certificate, time.Now()); err != nil {
		a.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if answer.StatusCode != http.StatusOK {
		var problem wire.Problem
		if err := wire.Decode(bytes.NewReader(b), 1<<16, &problem); err != nil {
			a.t.Fatal(err)
		}
		return nil, &fault.Error{Reason: fault.Reason(problem.Reason), Text: problem.Detail}
	}
	return b, err
}

// told is what the log says was done with x's recording, "kind by whom".
func (a *archive) told(x id.Session) string {
	a.t.Helper()
	entries, _, err := a.Store.Events(a.t.Context(), wire.AuditFilter{Session: x, Oldest: true})
	if err != nil {
		a.t.Fatal(err)
	}
	var list []string
	for _, entry := range entries[1:] { // the first is that it was granted
		e, err := entry.Event()
		if err != nil {
			a.t.Fatal(err)
		}
		list = append(list, strings.TrimSpace(string(e.Kind)+" by "+e.Actor+" "+e.Text))
	}
	return strings.Join(list, ", ")
}

func TestARecordingIsReadFromItsStorageAndTheLogSaysSo(t *testing.T) {
	a := newArchive(t, false)
	x := a.session()
	file, _ := a.recorded(x, "hello from the storage", nil)
	a.put(x, file)
	for _, p := range []*testca.Person{a.ann, a.eve} {
		if b, err := a.download(p, x); err != nil || !bytes.Equal(b, file) {
			t.Errorf("%s got %d bytes, %v", p.Name, len(b), err)
		}
	}
	bob := a.Login("bob@example.com", "eng")
	for _, p := range []*testca.Person{bob, a.ada} {
		if _, err := a.download(p, x); fault.ReasonOf(err) != fault.NotFound {
			t.Errorf("%s got it, or %v", p.Name, err)
		}
	}
	if got := a.told(x); got != "recording_read by ann@example.com, recording_read by eve@example.com" {
		t.Errorf("the log says: %s", got)
	}
}

func TestWhatAProxyOnThisMachineStillWritesIsReadLive(t *testing.T) {
	a := newArchive(t, false)
	x := a.session()
	old, _ := a.recorded(x, "the beginning", nil)
	a.put(x, old)
	file, _ := a.recorded(x, "the beginning and more", nil)
	if err := os.WriteFile(filepath.Join(a.live, string(x)+recording.SuffixRec), file, 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := a.download(a.ann, x); err != nil || !bytes.Equal(b, file) {
		t.Errorf("got %d bytes, %v", len(b), err)
	}
}

// Pieces end where they end: of a session that runs the last block may be there
// in part.
func TestOfWhatIsStillOnItsWayTheWholeBlocksAreRead(t *testing.T) {
	a := newArchive(t, false)
	x := a.session()
	file, _ := a.recorded(x, "the beginning\nand more", nil)
	a.put(x, file[:len(file)-7])
	b, err := a.download(a.ann, x)
	if err != nil {
		t.Fatal(err)
	}
	r, err := recording.OpenAt(bytes.NewReader(b), int64(len(b)), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Next()
	if f, err := r.Next(); err != nil || string(f.Payload) != "the beginning" {
		t.Errorf("it reads %q, %v", f.Payload, err)
	}
	if f, err := r.Next(); err != io.EOF {
		t.Errorf("then it reads %q, %v", f.Payload, err)
	}
}

func TestNoRecordingIsToldApart(t *testing.T) {
	a := newArchive(t, false)
	away, damaged, lost := a.session(), a.session(), a.session()
	if _, err := a.download(a.ann, away); fault.ReasonOf(err) != fault.NotFound || !strings.Contains(err.Error(), "not here yet") {
		t.Errorf("one that is not here yet: %v", err)
	}
	a.put(damaged, []byte("garbage"))
	if _, err := a.download(a.ann, damaged); fault.ReasonOf(err) != fault.RecordingDamaged {
		t.Errorf("one that is damaged: %v", err)
	}
	if err := a.Store.EndSession(t.Context(), lost, wire.EndRequest{End: "recorder_failed", Lost: true}, nil, time.Now().Unix()); err != nil {
		t.Fatal(err)
	}
	if _, err := a.download(a.ann, lost); fault.ReasonOf(err) != fault.NotFound || !strings.Contains(err.Error(), "is lost") {
		t.Errorf("one that is lost: %v", err)
	}
	for _, x := range []id.Session{away, damaged} {
		if got := a.told(x); got != "" {
			t.Errorf("the log tells of a read: %s", got)
		}
	}
}

func TestTheCAOpensARecordingForAuditorsAloneAndTheLogSaysSo(t *testing.T) {
	a := newArchive(t, true)
	x := a.session()
	order := a.people.Keep.Order(policy.Grant{})
	if len(order.Recipients) != 1 {
		t.Fatalf("the CA's own key is no recipient: %v", order.Recipients)
	}
	file, key := a.recorded(x, "hello", order.Recipients)
	a.put(x, file)
	var out wire.RecordingKey
	for _, p := range []*testca.Person{a.ann, a.ada} {
		if err := a.do(p, "POST", at(wire.PathRecordingKey, x), nil, &out); fault.ReasonOf(err) != fault.NotAuditor {
			t.Errorf("%s got it, or %v", p.Name, err)
		}
	}
	if got := a.told(x); strings.Contains(got, "recording_opened") {
		t.Errorf("the log says: %s", got)
	}
	if err := a.do(a.eve, "POST", at(wire.PathRecordingKey, x), nil, &out); err != nil || !bytes.Equal(out.Key, key[:]) {
		t.Errorf("the auditor got %d bytes, %v", len(out.Key), err)
	}
	if got := a.told(x); !strings.HasSuffix(got, "recording_opened by eve@example.com") {
		t.Errorf("the log says: %s", got)
	}
	if text := a.log.String(); strings.Contains(text, string(key[:])) || strings.Contains(text, "AGE-SECRET") {
		t.Error("a key is in the log")
	}
}

func TestWhatTheCACannotOpenItSaysSo(t *testing.T) {
	a := newArchive(t, false)
	auditor, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	locked, clear := a.session(), a.session()
	file, _ := a.recorded(locked, "hello", []string{auditor.Recipient().String()})
	a.put(locked, file)
	open, _ := a.recorded(clear, "hello", nil)
	a.put(clear, open)
	err = a.do(a.eve, "POST", at(wire.PathRecordingKey, locked), nil, &wire.RecordingKey{})
	if fault.ReasonOf(err) != fault.RecordingLocked {
		t.Errorf("locked: %v", err)
	}
	err = a.do(a.eve, "POST", at(wire.PathRecordingKey, clear), nil, &wire.RecordingKey{})
	if fault.ReasonOf(err) != fault.BadRequest {
		t.Errorf("in clear: %v", err)
	}
	// It travels all the same: the auditor opens it.
	if b, err := a.download(a.eve, locked); err != nil || !bytes.Equal(b, file) {
		t.Errorf("got %d bytes, %v", len(b), err)
	}
}

func TestHoldsAreForAdminsAndAuditorsWithAReason(t *testing.T) {
	a := newArchive(t, false)
	x := a.session()
	path := at(wire.PathAdminHold, x)
	for name, row := range map[string]struct {
		who    *testca.Person
		reason string
		want   fault.Reason
	}{
		"whose it is":        {a.ann, "mine", fault.NotAuditor},
		"without a reason":   {a.ada, " ", fault.BadRequest},
		"of two lines":       {a.ada, "a\nb", fault.BadRequest},
		"longer than a line": {a.ada, strings.Repeat("x", 1001), fault.BadRequest},
	} {
		if err := a.do(row.who, "PUT", path, wire.SetHold{Reason: row.reason}, nil); fault.ReasonOf(err) != row.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := a.do(a.ada, "PUT", at(wire.PathAdminHold, id.NewSession()), wire.SetHold{Reason: "case 7"}, nil); fault.ReasonOf(err) != fault.NotFound {
		t.Errorf("of no session: %v", err)
	}
	var s wire.Session
	if err := a.do(a.eve, "PUT", path, wire.SetHold{Reason: "case 7"}, &s); err != nil || s.Recording.Held != "case 7" {
		t.Errorf("held is %+v, %v", s.Recording, err)
	}
	if err := a.do(a.ann, "DELETE", path, nil, nil); fault.ReasonOf(err) != fault.NotAuditor {
		t.Errorf("released by whose it is: %v", err)
	}
	if err := a.do(a.ada, "DELETE", path, nil, &s); err != nil {
		t.Errorf("released: %v", err)
	}
	if err := a.do(a.ada, "DELETE", path, nil, nil); fault.ReasonOf(err) != fault.NotFound {
		t.Errorf("released twice: %v", err)
	}
	got := a.told(x)
	for _, want := range []string{"recording_held by eve@example.com case 7", "recording_released by ada@example.com"} {
		if !strings.Contains(got, want) {
			t.Errorf("the log says: %s", got)
		}
	}
}

func TestAKeyFileThatIsNoneIsRefusedWithoutShowingIt(t *testing.T) {
	a := newArchive(t, false)
	for name, text := range map[string]string{
		"empty":                "",
		"a recipient":          "age1lvyvwawkr0mcnnnncaghunadrqkmuf9e6507x9y920xxpp866cnql7dp2z\n",
		"a key with a mistake": "AGE-SECRET-KEY-1SOMETHINGSECRET\n",
	} {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := keep.New(keep.Config{Store: a.Store, Storage: a.storage, KeyFile: path, Now: time.Now})
		if fault.ReasonOf(err) != fault.ConfigInvalid || strings.Contains(err.Error(), "SOMETHINGSECRET") {
			t.Errorf("%s: %v", name, err)
		}
	}
	path := filepath.Join(t.TempDir(), "open")
	if err := os.WriteFile(path, []byte("AGE-SECRET-KEY-1X\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := keep.New(keep.Config{Store: a.Store, Storage: a.storage, KeyFile: path, Now: time.Now}); fault.ReasonOf(err) != fault.ConfigInvalid {
		t.Errorf("one that others can read: %v", err)
	}
}
