// Package keep is the CA's side of recordings: what it orders of a session's
// recording, where it finds one, with which key it can open it, and when it is
// deleted (worker.go).
//
// # Promises
//
// A recording is deleted when its retention is over and nobody holds it, and at
// no other time; one worker at a time does it, over all CAs. The database decides
// before the storage is asked, so that a hold either stands or is refused, and what
// a crash leaves half done is finished. The digest stays, here and in the audit log.
//
// The CA reads what is encrypted only where its operator gave it a key of its own
// (key_file). Then that key is a recipient of every recording from there on.
//
// A clock that jumps deletes nothing: after a difference of more than store.Jump
// between two turns of the worker it waits for Quarantine, and says so in the log at
// each turn; then it goes on, with so many recordings in a turn and no more.
package keep

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/sallyport-ssh/sallyport/internal/config"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/policy"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/storage"
	"github.com/sallyport-ssh/sallyport/internal/store"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// Config says where recordings are and how long they stay.
type Config struct {
	Store   *store.Store
	Storage storage.Store
	// Live is the directory in which proxies on this machine record; "" is none.
	Live string
	// Recipients are age recipients of every recording.
	Recipients []string
	// Retain is how long recordings are kept at least; 0 is for ever.
	Retain time.Duration
	// KeyFile holds age identities of the CA's own; "" is none.
	KeyFile string
	Holder  string // names this process among the CAs
	Now     func() time.Time
	Log     *slog.Logger
}

// Keep knows where recordings are. Make it with New.
type Keep struct {
	Config
	opener     recording.Opener // nil without a key file
	recipients []string         // those of the configuration, and the CA's own
	own        []string         // the CA's own
}

// New reads the key file.
func New(c Config) (*Keep, error) {
	k := &Keep{Config: c}
	if c.KeyFile != "" {
		var err error
		if k.opener, k.own, err = readKey(c.KeyFile); err != nil {
			return nil, err
		}
	}
	for _, r := range slices.Concat(c.Recipients, k.own) {
		if !slices.Contains(k.recipients, r) {
			k.recipients = append(k.recipients, r)
		}
	}
	return k, nil
}

// readKey reads the CA's own identities and says to whom they belong.
func readKey(path string) (recording.Opener, []string, error) {
	wrong := fault.New(fault.Invalid, fault.ConfigInvalid, "the file %s holds no age identity", path).
		Then("make one: age-keygen -o %s", path)
	secret, err := config.ReadSecret(path)
	if err != nil {
		return nil, nil, err
	}
	list, err := age.ParseIdentities(strings.NewReader(string(secret)))
	if err != nil {
		return nil, nil, wrong // the library's error may quote what stands there
	}
	var own []string
	for _, i := range list {
		switch i := i.(type) {
		case *age.X25519Identity:
			own = append(own, i.Recipient().String())
		case *age.HybridIdentity:
			own = append(own, i.Recipient().String())
		default:
			return nil, nil, wrong
		}
	}
	opener, err := recording.LoadIdentities(path)
	if err != nil {
		return nil, nil, wrong
	}
	return opener, own, nil
}

// CheckKey says what is wrong with a key file.
func CheckKey(path string) error {
	_, _, err := readKey(path)
	return err
}

// Own are the recipients of the CA's own key; none without one. Whoever reads the
// log is to see by whom recordings can be opened.
func (k *Keep) Own() []string { return slices.Clone(k.own) }

// Order is how a session that g grants is recorded, when it begins now.
func (k *Keep) Order(g policy.Grant) wire.RecordingOrder {
	rules := g.Recording()
	o := wire.RecordingOrder{Recipients: slices.Clone(k.recipients), RecordingRules: rules}
	for _, r := range rules.Recipients {
		if !slices.Contains(o.Recipients, r) {
			o.Recipients = append(o.Recipients, r)
		}
	}
	o.RecordingRules.Recipients = nil // they stand above
	if k.Retain > 0 {
		seconds := max(int64(k.Retain/time.Second), rules.RetainSeconds)
		o.Retain = k.Now().Unix() + seconds
	}
	return o
}

// Open opens what there is of a session's recording now, with the CA's own key,
// if it has one; else a recording that is encrypted is opened locked. The caller
// closes it. not_found is for one that is not here, recording_away for a storage
// that does not answer, recording_damaged for one that cannot be read.
func (k *Keep) Open(ctx context.Context, session id.Session) (*recording.Recording, error) {
	// What lies on this machine is at least as long.
	if k.Live != "" {
		r, err := recording.OpenDir(k.Live, session, k.opener)
		if !errors.Is(err, fs.ErrNotExist) {
			return r, named(session, err)
		}
	}
	there, err := k.Storage.Open(ctx, session)
	if err != nil {
		return nil, err
	}
	r, err := recording.OpenAt(there, there.Size(), k.opener)
	if err == nil && r.Short() {
		// Pieces end where they end, and the last block is still on its way. Whether a
		// recording is all that was sealed is not for its reader to say, but for verify.
		r, err = recording.OpenAt(there, r.Finished(), k.opener)
	}
	if err != nil {
		there.Close()
		return nil, named(session, err)
	}
	r.Owns(there)
	return r, nil
}

// named gives an error of the format its reason.
func named(session id.Session, err error) error {
	var damage *recording.DamageError
	if !errors.As(err, &damage) {
		return err
	}
	return fault.New(fault.Internal, fault.RecordingDamaged, "the recording of session %s is damaged: %v", session, damage).
		Then("sallyport recording verify says where").Because(err)
}

// Key opens a recording's content key with the CA's own; recording_locked where
// it has none, or was no recipient.
func (k *Keep) Key(ctx context.Context, session id.Session) (recording.ContentKey, error) {
	none := recording.ContentKey{}
	r, err := k.Open(ctx, session)
	if err != nil {
		return none, err
	}
	defer r.Close()
	if !r.Encrypted() {
		return none, fault.New(fault.Conflict, fault.BadRequest, "the recording of session %s is in clear", session)
	}
	key, ok := r.ContentKey()
	if !ok {
		return none, fault.New(fault.Denied, fault.RecordingLocked, "this CA has no key to the recording of session %s", session).
			Then("open it with an auditor's key: --identity FILE")
	}
	return key, nil
}

// Gone says why there is no recording to be read, for one that is not there.
func Gone(s wire.Session) *fault.Error {
	switch s.Recording.State {
	case "deleted":
		return fault.New(fault.Missing, fault.RecordingDeleted, "the recording of %s was deleted on %s, when its retention was over; its digest was %x",
			s.ID, time.Unix(s.Recording.Deleted, 0).UTC().Format(time.DateOnly), s.Recording.Digest)
	case "lost":
		return fault.New(fault.Missing, fault.NotFound, "the recording of %s is lost: proxy %s has nothing to seal", s.ID, s.Proxy)
	}
	return fault.New(fault.Missing, fault.NotFound, "the recording of %s is not here yet", s.ID).
		Then("it lies where proxy %s records, and comes from there", s.Proxy)
}
