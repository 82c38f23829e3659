package siem

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-ssh/sallyport/internal/audit"
)

var golden = flag.Bool("update", false, "write the golden files anew")

// sample is one event of every kind, with the fields that its kind has.
func sample(k audit.Kind) audit.Event {
	e := audit.Event{
		Kind: k, At: 1_795_478_400_000_000 + int64(len(k)), Outcome: audit.Success,
		Actor: "you@example.com", Client: "10.0.4.7:50122", Identity: "you@example.com",
		Login: "deploy", Node: "web-1", NodeID: "n-0123456789ab", Proxy: "p-2", Session: "7kq2-m9x4d",
		Way: "connect", Roles: []string{"web-deploy", "eng-readonly"}, Groups: []string{"eng", "db-oncall"}, Revision: 61,
		Certificate: &audit.Certificate{
			Serial: 88213, Profile: "session", KeyID: "session=7kq2-m9x4d identity=you@example.com policy=61",
			Key: "SHA256:Jx0D4Yk4", ValidAfter: 1_795_478_340, ValidBefore: 1_795_478_460, LoginSerial: 88002,
		},
	}
	switch k {
	case audit.LoginRefused, audit.SessionDenied, audit.EnrolmentRefused, audit.PolicyRefused, audit.AdminRefused:
		e.Outcome, e.Reason, e.Text, e.Certificate = audit.Refused, "no_role", "no role gives you root on web-1", nil
	case audit.CAStarted:
		e = audit.Event{Kind: k, At: e.At, Outcome: audit.Success, Actor: "ca", Settings: map[string]string{"database": "sqlite"}}
	case audit.LogDamaged:
		e = audit.Event{Kind: k, At: e.At, Outcome: audit.Failed, Actor: "ca", Reason: "log_damaged", Text: "tile 0/12 differs"}
	case audit.RecordingSealed, audit.RecordingDeleted:
		e.Certificate, e.Recording = nil, &audit.Recording{Digest: bytes.Repeat([]byte{7}, 32), Frames: 6214, Bytes: 439_639}
	case audit.PolicyApplied:
		e = audit.Event{
			Kind: k, At: e.At, Outcome: audit.Success, Actor: "admin@example.com", Client: "2001:db8::7",
			Policy: &audit.Policy{Revision: 61, SHA256: bytes.Repeat([]byte{9}, 32), Files: 3},
		}
	case audit.TokenMade, audit.TokenRemoved:
		e = audit.Event{
			Kind: k, At: e.At, Outcome: audit.Success, Actor: "admin@example.com", Client: "10.0.4.9",
			Token: &audit.Token{ID: "k3v9", Part: "agent", Names: []string{"web-*"}, Uses: 10},
		}
	}
	return e
}

func entry(t testing.TB, index int64, e audit.Event) audit.Entry {
	t.Helper()
	leaf, err := e.Leaf()
	if err != nil {
		t.Fatal(err)
	}
	return audit.Entry{Index: index, Leaf: leaf}
}

// samples are one event of every kind, and one of a kind that nobody knows yet.
func samples(t testing.TB) (all []audit.Entry) {
	for i, k := range append(audit.Kinds(), "brand_new") {
		all = append(all, entry(t, int64(i), sample(k)))
	}
	return all
}

func TestLinesAreWhatTheyWere(t *testing.T) {
	for _, format := range Formats() {
		var got []byte
		for _, e := range samples(t) {
			var err error
			if got, err = (Encoder{format, "access.example.com/log", "1.0.0"}).Encode(got, e); err != nil {
				t.Fatal(err)
			}
		}
		path := filepath.Join("testdata", "golden."+string(format))
		if *golden {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")); diff != "" {
			t.Errorf("%s has changed (-want +got), which breaks what people have built on it:\n%s", format, diff)
		}
	}
}

func TestEveryKindHasAMeaning(t *testing.T) {
	for _, k := range audit.Kinds() {
		if _, ok := meanings[k]; !ok {
			t.Errorf("%s has none", k)
		}
	}
	if len(meanings) != len(audit.Kinds()) {
		t.Errorf("%d meanings for %d kinds", len(meanings), len(audit.Kinds()))
	}
}

func TestTheLogsOwnFormIsTheLeaf(t *testing.T) {
	web := sample(audit.SessionDenied)
	web.Text = "<a href='x'> & more"
	for _, e := range append(samples(t), entry(t, 99, web)) {
		line, err := Encoder{Format: JSON}.Encode(nil, e)
		if err != nil {
			t.Fatal(err)
		}
		var got struct{ Event json.RawMessage }
		if err := json.Unmarshal(line, &got); err != nil || !bytes.Equal(got.Event, e.Leaf) {
			t.Fatalf("%s is not the leaf %s (%v)", got.Event, e.Leaf, err)
		}
	}
}

func TestAnUnknownFormatWritesNothing(t *testing.T) {
	for _, format := range []Format{"", "leef"} {
		if line, err := (Encoder{Format: format}).Encode(nil, samples(t)[0]); err == nil || len(line) > 0 {
			t.Errorf("%q wrote %q", format, line)
		}
	}
}

func TestALeafThatIsNoEventIsRefused(t *testing.T) {
	for _, format := range Formats() {
		if line, err := (Encoder{Format: format}).Encode(nil, audit.Entry{Leaf: []byte("{")}); err == nil || len(line) > 0 {
			t.Errorf("%s wrote %q", format, line)
		}
	}
}
