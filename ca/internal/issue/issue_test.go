package issue_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/ca/internal/issue"
	"github.com/sallyport-ssh/sallyport/ca/internal/testca"
	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/store"
)

func request(t *testing.T) cert.Host {
	after, before := cert.Window(time.Now(), time.Hour)
	return cert.Host{Name: "web-1", Node: id.NewNode(), Principals: []string{"web-1"}, Key: testca.Key(t).PublicKey(), ValidAfter: after, ValidBefore: before}
}

var errBroken = errors.New("broken")

// faults is the signer and the store with one step that fails; "after" has done
// its work and loses the answer.
type faults struct {
	*testca.CA
	step, when string
	signed     int
}

func (f *faults) at(step string, work func() error) error {
	if f.step == step && f.when == "before" {
		return errBroken
	}
	err := work()
	if err == nil && f.step == step && f.when == "after" {
		err = errBroken
	}
	return err
}

func (f *faults) Sign(ctx context.Context, r cert.Request) (c *ssh.Certificate, err error) {
	err = f.at("sign", func() error {
		if c, err = f.CA.Sign(ctx, r); err == nil {
			f.signed++
		}
		return err
	})
	return c, err
}

func (f *faults) Complete(ctx context.Context, serial id.Serial, blob []byte) error {
	return f.at("complete", func() error { return f.Store.Complete(ctx, serial, blob) })
}

func (f *faults) reserve(ctx context.Context, intents []store.Intent) (serials []id.Serial, err error) {
	err = f.at("reserve", func() (err error) {
		serials, err = f.Store.Reserve(ctx, store.Actor{}, intents...)
		return err
	})
	return serials, err
}

// After each step has failed, and has failed but persisted, every invariant is
// checked in full (after sunlight's TestSequenceErrors).
func TestAnyStepMayFail(t *testing.T) {
	for _, step := range []string{"", "reserve", "sign", "complete"} {
		for _, when := range []string{"before", "after"} {
			if step == "" && when == "after" {
				continue
			}
			t.Run(step+" fails "+when, func(t *testing.T) {
				f := &faults{CA: testca.New(t), step: step, when: when}
				out, err := issue.New(f, f).Issue(t.Context(), f.reserve, request(t), request(t))
				if (err != nil) != (step != "") {
					t.Fatalf("got %v", err)
				}
				checkInvariants(t, f, out)

				// The next one goes well, with serials of its own.
				f.step = ""
				again, err := issue.New(f, f).Issue(t.Context(), f.reserve, request(t))
				if err != nil {
					t.Fatal(err)
				}
				checkInvariants(t, f, append(out, again...))
			})
		}
	}
}

func checkInvariants(t *testing.T, f *faults, handedOut []issue.Certificate) {
	t.Helper()
	seen := map[id.Serial]bool{}
	for _, c := range handedOut {
		if c.Serial == 0 || seen[c.Serial] {
			t.Errorf("serial %d is handed out twice, or zero", c.Serial)
		}
		seen[c.Serial] = true
		record, err := f.Store.Certificate(t.Context(), c.Serial)
		if err != nil || string(record.Blob) != string(c.Blob) {
			t.Errorf("certificate %d was handed out and is not on record: %v", c.Serial, err)
		}
		parsed, err := cert.Lint(cert.HostProfile, c.Blob, f.Keys[cert.HostProfile].PublicKey())
		if err != nil || parsed.Serial != uint64(c.Serial) || record.KeyPrint != ssh.FingerprintSHA256(parsed.Key) ||
			record.ValidBefore != int64(parsed.ValidBefore) || record.ValidAfter != int64(parsed.ValidAfter) || record.Subject != "web-1" {
			t.Errorf("certificate %d is not what its record says: %v, %+v", c.Serial, err, record)
		}
	}
	records := 0
	for serial := id.Serial(1); ; serial++ {
		if _, err := f.Store.Certificate(t.Context(), serial); err != nil {
			break
		}
		records++
	}
	if f.signed > records {
		t.Errorf("%d certificates were signed and %d are on record", f.signed, records)
	}
}

func TestWhatItsProfileRefusesCostsNoSerial(t *testing.T) {
	f := &faults{CA: testca.New(t)}
	bad := request(t)
	bad.ValidBefore += 365 * 86400
	if _, err := issue.New(f, f).Issue(t.Context(), f.reserve, request(t), bad); fault.ReasonOf(err) != fault.ProfileRefused {
		t.Errorf("got %v", err)
	}
	if _, err := f.Store.Certificate(t.Context(), 1); fault.ReasonOf(err) != fault.NotFound {
		t.Errorf("a serial is gone: %v", err)
	}
}

func TestTheZeroIssuerRefuses(t *testing.T) {
	f := &faults{CA: testca.New(t)}
	if _, err := new(issue.Issuer).Issue(t.Context(), f.reserve, request(t)); fault.ReasonOf(err) != fault.SignerAway {
		t.Errorf("got %v", err)
	}
}
