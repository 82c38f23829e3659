package recording

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"filippo.io/age"
)

// ContentKey is what a recording's keys are derived from. It is drawn for each
// session and lives in the proxy's memory; what is written is wrapped to the
// auditors' keys. A recording in clear has one too, for its veil, and that is
// written nowhere. The zero ContentKey is none.
type ContentKey [32]byte

// NewContentKey draws a key.
func NewContentKey() ContentKey {
	var k ContentKey
	rand.Read(k[:]) // never fails (crypto/rand)
	return k
}

// Format keeps a key out of logs and error texts, whatever the verb.
func (ContentKey) Format(s fmt.State, _ rune) { s.Write([]byte("content key")) }

// MarshalText keeps a key out of JSON and structured logs.
func (ContentKey) MarshalText() ([]byte, error) { return []byte("content key"), nil }

// Labels of the derived keys (RFC 5869, "info"). Apart, so that no two uses
// share nonces: frames count theirs, blocks draw them.
const (
	labelTail   = "sallyport recording v2 tail"
	labelBlock  = "sallyport recording v2 block"
	labelVeil   = "sallyport recording v2 veil"
	labelCommit = "sallyport recording v2 commitment"
)

func (k ContentKey) derive(label string) []byte {
	b, err := hkdf.Key(sha256.New, k[:], nil, label, 32)
	if err != nil {
		panic("recording: " + err.Error()) // the length is constant
	}
	return b
}

// commitment names the key. AES-GCM does not commit to its key: without this,
// somebody could make a recording that opens to one thing under one key and to
// something else under another.
func (k ContentKey) commitment() [32]byte { return [32]byte(k.derive(labelCommit)) }

func (k ContentKey) aead(label string) cipher.AEAD {
	block, err := aes.NewCipher(k.derive(label))
	if err != nil {
		panic("recording: " + err.Error())
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("recording: " + err.Error())
	}
	return aead
}

// ParseRecipients reads age recipients: X25519 (age1...) and the hybrid
// post-quantum kind (age1pq1...). An empty list is an empty list.
func ParseRecipients(list []string) ([]age.Recipient, error) {
	var all []age.Recipient
	for _, s := range list {
		var (
			r   age.Recipient
			err error
		)
		switch {
		case strings.HasPrefix(s, "age1pq1"):
			r, err = age.ParseHybridRecipient(s)
		default:
			r, err = age.ParseX25519Recipient(s)
		}
		if err != nil {
			return nil, fmt.Errorf("read recipient %q: %w", s, err)
		}
		all = append(all, r)
	}
	return all, nil
}

// Wrap encrypts k to all of recipients, as an age file. Each of them alone opens
// it. No recipients are an error: a recording in clear has no wrapped key.
func (k ContentKey) Wrap(recipients []string) ([]byte, error) {
	list, err := ParseRecipients(recipients)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 || k == (ContentKey{}) {
		return nil, errors.New("wrap content key: there is no key, or nobody to open it")
	}
	// age refuses to mix kinds, as the weaker one decides for the file. Here an
	// operator who names an auditor with an old key means it; RECORDING.md says
	// what it costs.
	for i, r := range list {
		list[i] = plainRecipient{r}
	}
	var b bytes.Buffer
	w, err := age.Encrypt(&b, list...)
	if err == nil {
		if _, err = w.Write(k[:]); err == nil {
			err = w.Close()
		}
	}
	if err == nil && b.Len() > MaxWrapped {
		err = errors.New("too many recipients")
	}
	if err != nil {
		return nil, fmt.Errorf("wrap content key: %w", err)
	}
	return b.Bytes(), nil
}

// plainRecipient has a recipient's Wrap alone, without the label that keeps age
// from putting it beside another kind.
type plainRecipient struct{ r age.Recipient }

func (p plainRecipient) Wrap(fileKey []byte) ([]*age.Stanza, error) { return p.r.Wrap(fileKey) }
