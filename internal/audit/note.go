package audit

import (
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// MaxNote bounds a signed checkpoint with all its cosignatures, in bytes.
const MaxNote = 16 << 10

// VerifierKey is the text by which the world knows the log's key: the origin,
// a hash of both, and the key (C2SP signed-note).
func VerifierKey(origin string, key ed25519.PublicKey) (string, error) {
	if err := CheckOrigin(origin); err != nil {
		return "", err
	}
	return note.NewEd25519VerifierKey(origin, key)
}

// ParseVerifierKey reads what VerifierKey writes. origin is the log's name.
func ParseVerifierKey(vkey string) (origin string, key ed25519.PublicKey, err error) {
	v, err := parseLogKey(vkey)
	if err != nil {
		return "", nil, err
	}
	// x/mod does not give the key out. Its form is name+hash+base64(type, key).
	parts := strings.SplitN(vkey, "+", 3)
	raw, err := decodeBase64(parts[len(parts)-1])
	if err != nil || len(raw) != 1+ed25519.PublicKeySize {
		return "", nil, fmt.Errorf("%q is no verifier key of a log", vkey)
	}
	return v.Name(), raw[1:], nil
}

func parseLogKey(vkey string) (note.Verifier, error) {
	v, err := note.NewVerifier(vkey)
	parts := strings.SplitN(vkey, "+", 3) // base64 has + itself
	if err == nil {
		_, err = decodeBase64(parts[len(parts)-1])
	}
	if err != nil {
		return nil, fmt.Errorf("%q is no verifier key of a log: it looks like access.example.com/log+1a2b3c4d+AbCd...", vkey)
	}
	return v, CheckOrigin(v.Name())
}

// noteKey signs notes with an Ed25519 key that may live anywhere.
type noteKey struct {
	note.Verifier
	key crypto.Signer
}

func (k noteKey) Sign(text []byte) ([]byte, error) { return k.key.Sign(nil, text, crypto.Hash(0)) }

// Sign makes the signed note of c with the log's Ed25519 key. The same checkpoint
// always gives the same note, so that it does not matter which CA asked for it.
func (c Checkpoint) Sign(key crypto.Signer) ([]byte, error) {
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("sign checkpoint: a log's key is Ed25519, and not %T", key.Public())
	}
	vkey, err := VerifierKey(c.Origin, public)
	if err != nil {
		return nil, fmt.Errorf("sign checkpoint: %w", err)
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, fmt.Errorf("sign checkpoint: %w", err)
	}
	text := c.Text()
	if _, err := ParseCheckpoint(text); err != nil {
		return nil, fmt.Errorf("sign checkpoint: %w", err)
	}
	return note.Sign(&note.Note{Text: text}, noteKey{v, key})
}

// Trust is by what a checkpoint is known. Make it with NewTrust; the zero Trust
// trusts no key and opens nothing.
type Trust struct {
	origin    string
	keys      []note.Verifier
	witnesses []*Witness
	quorum    int
}

// NewTrust takes the log's verifier keys, all of one origin, and the witnesses of
// whom at least quorum must have cosigned.
func NewTrust(keys []string, witnesses []string, quorum int) (*Trust, error) {
	t := &Trust{quorum: quorum}
	if len(keys) == 0 {
		return nil, errors.New("no verifier key of the log is known")
	}
	for _, text := range keys {
		v, err := parseLogKey(text)
		if err != nil {
			return nil, err
		}
		if t.origin == "" {
			t.origin = v.Name()
		}
		if v.Name() != t.origin {
			return nil, fmt.Errorf("the keys are of two logs, %s and %s", t.origin, v.Name())
		}
		t.keys = append(t.keys, v)
	}
	seen := map[string]bool{}
	for _, text := range witnesses {
		w, err := ParseWitness(text)
		if err != nil {
			return nil, err
		}
		// A witness that is listed twice would be its own quorum; under two names
		// as well.
		if id := string(w.key); seen[id] {
			return nil, fmt.Errorf("witness %s is listed twice", w.Name())
		} else {
			seen[id] = true
		}
		t.witnesses = append(t.witnesses, w)
	}
	if quorum < 0 || quorum > len(t.witnesses) {
		return nil, fmt.Errorf("a quorum of %d cannot be had of %d witnesses", quorum, len(t.witnesses))
	}
	return t, nil
}

// Origin is the log's name.
func (t *Trust) Origin() string { return t.origin }

// Quorum is of how many witnesses a checkpoint must have cosignatures.
func (t *Trust) Quorum() int { return t.quorum }

// Witnesses are those who are trusted.
func (t *Trust) Witnesses() []*Witness { return t.witnesses }

// Signed is a checkpoint whose signatures were verified.
type Signed struct {
	Checkpoint
	Note      []byte        // as it was signed, with its cosignatures
	Witnesses []Cosignature // of those who are trusted
}

// Open verifies a signed note: that a key of the log has signed it, that it is a
// checkpoint of this log, and that every cosignature in it of a trusted witness
// is one, and that they are enough.
func (t *Trust) Open(signed []byte) (Signed, error) {
	s, err := t.OpenUnwitnessed(signed)
	if err == nil && len(s.Witnesses) < t.quorum {
		return Signed{}, damage(Unwitnessed, "the checkpoint of %d events has cosignatures of %d witnesses, and not of %d", s.Size, len(s.Witnesses), t.quorum)
	}
	return s, err
}

// OpenUnwitnessed is Open for checkpoints that need not have their quorum, such
// as the newest one of a CA that is asking its witnesses at this moment.
func (t *Trust) OpenUnwitnessed(signed []byte) (Signed, error) {
	if t == nil || len(t.keys) == 0 {
		return Signed{}, damage(WrongKey, "no key of the log is known")
	}
	if len(signed) > MaxNote {
		return Signed{}, malformed("the checkpoint is larger than %d bytes", MaxNote)
	}
	known := append([]note.Verifier(nil), t.keys...)
	for _, w := range t.witnesses {
		known = append(known, w)
	}
	n, err := note.Open(signed, note.VerifierList(known...))
	if err != nil {
		return Signed{}, t.unopened(err)
	}
	s := Signed{Note: signed}
	byLog := false
	for _, sig := range n.Sigs {
		if w := t.witness(sig); w != nil {
			s.Witnesses = append(s.Witnesses, w.cosignature(sig))
		} else {
			byLog = true
		}
	}
	if !byLog {
		return Signed{}, damage(WrongKey, "no trusted key of %s has signed the checkpoint", t.origin)
	}
	if s.Checkpoint, err = ParseCheckpoint(n.Text); err != nil {
		return Signed{}, err
	}
	if s.Origin != t.origin {
		return Signed{}, damage(WrongKey, "this is a checkpoint of %s, and not of %s", s.Origin, t.origin)
	}
	return s, nil
}

func (t *Trust) witness(sig note.Signature) *Witness {
	for _, w := range t.witnesses {
		if w.Name() == sig.Name && w.KeyHash() == sig.Hash {
			return w
		}
	}
	return nil
}

// unopened names what note.Open found.
func (t *Trust) unopened(err error) error {
	var invalid *note.InvalidSignatureError
	var unverified *note.UnverifiedNoteError
	switch {
	case errors.As(err, &invalid):
		return damage(Changed, "the checkpoint is not what %s signed", invalid.Name)
	case errors.As(err, &unverified):
		by := "nobody"
		if sigs := unverified.Note.UnverifiedSigs; len(sigs) > 0 {
			by = fmt.Sprintf("%s with key %08x", sigs[0].Name, sigs[0].Hash)
		}
		return damage(WrongKey, "no trusted key of %s has signed the checkpoint: it is signed by %s", t.origin, by)
	}
	return malformed("this is no signed checkpoint")
}
