package signer

import (
	"crypto/rand"
	"log/slog"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// patience is how long a request may have waited between the CA that fixed its
// validity and this process.
const patience = 30 * time.Second

// engine signs. It is shared by all connections.
type engine struct {
	public  PublicKeys
	cas     map[cert.Profile]authority
	serials serials
	tree    *logKey
	now     func() time.Time
	log     *slog.Logger
}

func newEngine(source KeySource, log *slog.Logger) (*engine, error) {
	cas, err := authorities(source)
	if err != nil {
		return nil, err
	}
	key, err := newLogKey(source)
	if err != nil {
		return nil, err
	}
	return &engine{public: source.Public(), cas: cas, tree: key, now: time.Now, log: log}, nil
}

// sign makes the certificate that r asks for, in its wire form, or refuses. It is one straight
// procedure; nothing after step 3 can be reached with a request that a step
// before would have refused.
func (e *engine) sign(r cert.Request) ([]byte, error) {
	// 1. The key of the request's profile, and no other.
	ca, ok := e.cas[r.Profile()]
	if !ok {
		return nil, refusal("no CA signs %s certificates", r.Profile())
	}
	// 2. Derive, write the bytes, lint the bytes.
	nonce := make([]byte, 32)
	rand.Read(nonce) // never fails since Go 1.24
	draft, err := cert.Prepare(r, nonce, ca.public)
	if err != nil {
		return nil, err
	}
	// 3. The time, by our own clock.
	if err := e.checkTime(draft); err != nil {
		return nil, err
	}
	// 4. The serial is used up, whatever happens now.
	if err := e.serials.use(draft.Serial()); err != nil {
		return nil, err
	}
	// 5. Sign what was linted.
	return draft.Sign(func(data []byte) (*ssh.Signature, error) {
		return ca.signer.Sign(rand.Reader, data)
	})
}

// checkTime refuses a certificate for another time than now. Derive has seen to
// its length; without this, a taken-over CA could have a minute of every day of
// the next year signed today.
func (e *engine) checkTime(d *cert.Draft) error {
	now := e.now()
	after, before := d.Validity()
	switch {
	case now.Before(after):
		return refusal("it would not be valid before %v from now", after.Sub(now).Round(time.Second))
	case now.Add(-cert.Backdate - patience).After(after):
		return refusal("it is backdated by %v", now.Sub(after).Round(time.Second))
	case !before.After(now):
		return refusal("it would have ended before it is signed")
	case before.After(now.Add(d.Limit() + time.Second)): // validity is in whole seconds
		return refusal("it would end in %v, later than %v", before.Sub(now).Round(time.Second), d.Limit())
	}
	return nil
}

func refusal(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, fault.ProfileRefused, "the signer refuses: "+format, args...)
}
