package recording

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"filippo.io/age"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// Opener opens content keys. A nil Opener opens none, and with it only
// recordings in clear can be read.
type Opener interface {
	// OpenKey returns the content key that wrapped, a header's, holds. Where it
	// cannot, it returns a fault of reason recording_locked.
	OpenKey(wrapped []byte) (ContentKey, error)
}

// Holding returns an Opener of one recording, whose key somebody has released.
// Of another recording it opens nothing: the key does not fit its commitment.
func Holding(k ContentKey) Opener { return holding{k} }

type holding struct{ key ContentKey }

func (h holding) OpenKey([]byte) (ContentKey, error) {
	if h.key == (ContentKey{}) {
		return ContentKey{}, locked(nil)
	}
	return h.key, nil
}

// LoadIdentities reads a file of age identities (AGE-SECRET-KEY-...), one a line
// as age-keygen writes them. Each of them is tried.
func LoadIdentities(path string) (Opener, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	list, err := age.ParseIdentities(io.LimitReader(f, 1<<20))
	if err != nil {
		// The library's error names the line and not what stands there.
		return nil, fmt.Errorf("read identities %q: %w", path, err)
	}
	return identities(list), nil
}

type identities []age.Identity

func (list identities) OpenKey(wrapped []byte) (ContentKey, error) {
	r, err := age.Decrypt(bytes.NewReader(wrapped), list...)
	if err != nil {
		return ContentKey{}, locked(err)
	}
	var k ContentKey
	if _, err := io.ReadFull(r, k[:]); err != nil {
		return ContentKey{}, locked(err)
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		return ContentKey{}, locked(errors.New("the wrapped key is not 32 bytes"))
	}
	return k, nil
}

func locked(cause error) error {
	return fault.New(fault.Denied, fault.RecordingLocked, "none of the keys at hand opens this recording").Because(cause)
}

// openKey opens h's content key and checks that it is the one that h was made
// with.
func openKey(h Header, o Opener) (ContentKey, error) {
	if o == nil {
		return ContentKey{}, locked(errors.New("no key was given"))
	}
	k, err := o.OpenKey(h.Wrapped)
	if err != nil {
		return ContentKey{}, err
	}
	if k == (ContentKey{}) || k.commitment() != h.Commitment {
		return ContentKey{}, locked(&DamageError{How: WrongKey, Where: "header", What: "the key is of another recording"})
	}
	return k, nil
}
