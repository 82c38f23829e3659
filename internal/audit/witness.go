package audit

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// algCosignature is the type of a witness's key (C2SP signed-note, signature
// type 0x04: timestamped Ed25519 cosignatures).
const algCosignature = 4

// Witness is somebody who signs checkpoints of a log only as long as each extends
// the one before. It is a note.Verifier of cosignature/v1 (C2SP tlog-cosignature).
type Witness struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

// Cosignature is a witness's word, and when it gave it.
type Cosignature struct {
	Witness string
	At      int64 // Unix seconds, by the witness's clock
}

// ParseWitness reads a witness's verifier key: name, hash, and a key of type 4.
func ParseWitness(vkey string) (*Witness, error) {
	bad := fmt.Errorf("%q is no verifier key of a witness: it looks like witness.example.org+1a2b3c4d+BAbCd...", vkey)
	name, rest, _ := strings.Cut(vkey, "+")
	hash, text, _ := strings.Cut(rest, "+")
	if CheckOrigin(name) != nil {
		return nil, bad
	}
	key, err := decodeBase64(text)
	if err != nil || len(key) != 1+ed25519.PublicKeySize || key[0] != algCosignature {
		return nil, bad
	}
	// C2SP signed-note: the first four bytes of SHA-256(name, newline, type, key).
	sum := sha256.Sum256(append([]byte(name+"\n"), key...))
	w := &Witness{name: name, hash: binary.BigEndian.Uint32(sum[:]), key: key[1:]}
	if fmt.Sprintf("%08x", w.hash) != hash {
		return nil, errors.New("the hash in it is not its own: " + bad.Error())
	}
	return w, nil
}

// Name is the witness's name.
func (w *Witness) Name() string { return w.name }

// KeyHash is by what its signatures are found.
func (w *Witness) KeyHash() uint32 { return w.hash }

// Verify says whether sig, a time and a signature, is the witness's over text.
func (w *Witness) Verify(text, sig []byte) bool {
	at, ok := cosignedAt(sig)
	return ok && ed25519.Verify(w.key, cosigned(text, at), sig[8:])
}

// cosigned is what a witness signs.
func cosigned(text []byte, at uint64) []byte {
	return append([]byte("cosignature/v1\ntime "+strconv.FormatUint(at, 10)+"\n"), text...)
}

// cosignedAt reads the time before the signature. One that does not fit int64 is
// no time.
func cosignedAt(sig []byte) (uint64, bool) {
	if len(sig) != 8+ed25519.SignatureSize {
		return 0, false
	}
	at := binary.BigEndian.Uint64(sig)
	return at, at <= math.MaxInt64
}

func (w *Witness) cosignature(sig note.Signature) Cosignature {
	raw, _ := base64.StdEncoding.DecodeString(sig.Base64) // note.Open has decoded it
	at, _ := cosignedAt(raw[4:])
	return Cosignature{w.name, int64(at)}
}

// Cosign takes what a witness answered, one or more signature lines, to the note
// that it was asked about, and returns the line that is w's and good: anything
// else in the answer is left out. err says why there is none.
func (w *Witness) Cosign(signed, answer []byte) (line string, c Cosignature, err error) {
	if len(answer) > MaxNote {
		return "", c, malformed("the witness's answer is larger than %d bytes", MaxNote)
	}
	text, _, ok := strings.Cut(string(signed), "\n\n")
	if !ok {
		return "", c, malformed("this is no signed checkpoint")
	}
	n, err := note.Open(append([]byte(text+"\n\n"), answer...), note.VerifierList(w))
	var invalid *note.InvalidSignatureError
	switch {
	case errors.As(err, &invalid):
		return "", c, damage(WrongKey, "the cosignature is not %s's, or not of this checkpoint", w.name)
	case err != nil:
		return "", c, malformed("the answer holds no cosignature of %s", w.name)
	}
	sig := n.Sigs[0]
	return fmt.Sprintf("— %s %s\n", sig.Name, sig.Base64), w.cosignature(sig), nil
}
