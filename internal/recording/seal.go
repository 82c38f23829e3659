package recording

import (
	"encoding/binary"
	"encoding/json"
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/sshsig"
)

// SealNamespace is the SSHSIG namespace of seals.
const SealNamespace = "recording-seal@sallyport"

// Limits of a seal's parts, in bytes.
const (
	maxStatement   = 16 << 10
	maxCertificate = 16 << 10
)

// Statement is what a proxy says of a recording that it has finished.
type Statement struct {
	Version int        `json:"version"` // of the format
	Session id.Session `json:"session"`
	Proxy   id.Proxy   `json:"proxy"`
	Header  []byte     `json:"header"` // D_0
	Chain   []byte     `json:"chain"`  // D_n, of the last block
	Blocks  uint64     `json:"blocks"` // n
	// Frames counts the frames that are stored, and frame 0.
	Frames uint64 `json:"frames"`
	Bytes  int64  `json:"bytes"` // of the file before the seal
	// End is the last frame's payload. Its reason is EndCut where the proxy that
	// seals is not the process that recorded; such a recording may have an end
	// frame all the same, which that proxy could not read.
	End    End    `json:"end"`
	Sealed int64  `json:"sealed"` // Unix microseconds
	Counts Counts `json:"counts"`
}

// Counts are what a list of sessions shows; a proxy that has no key any more
// says 0.
type Counts struct {
	Commands int64 `json:"commands,omitempty"`
	Files    int64 `json:"files,omitempty"`
}

// Cut says whether a crash ended the recording.
func (s *Statement) Cut() bool { return s.End.Reason == EndCut }

// Statement begins the statement of a recording whose blocks are all written:
// Session, Proxy, End, Sealed and Counts are the caller's to fill in.
func (c Chain) Statement() Statement {
	return Statement{
		Version: version, Header: c.Header[:], Chain: c.Digest[:],
		Blocks: c.Blocks, Frames: c.Frames, Bytes: c.Bytes,
	}
}

// Seal is the last record of a finished part: a statement, signed.
type Seal struct {
	Statement
	Text        []byte // the statement as it was signed: JSON
	Signature   []byte // SSHSIG, by the key that Certificate is for
	Certificate []byte // the proxy's host certificate, SSH wire form
}

// Sign makes the seal. signer is the proxy's plain host key, and certificate is
// for it.
func (s Statement) Sign(signer ssh.Signer, certificate *ssh.Certificate) (*Seal, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode statement: %w", err)
	}
	signature, err := sshsig.Sign(signer, SealNamespace, text)
	if err != nil {
		return nil, fmt.Errorf("sign statement: %w", err)
	}
	// What comes back has been through the parser that others will use.
	return ParseSeal((&Seal{Text: text, Signature: signature, Certificate: certificate.Marshal()}).Encode())
}

// Encode returns the seal as it stands in the file: each of the three parts
// after its length in four bytes.
func (s *Seal) Encode() []byte {
	var b []byte
	for _, part := range [][]byte{s.Text, s.Signature, s.Certificate} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(part)))
		b = append(b, part...)
	}
	return b
}

// FileSize is how large the file is that ends with s, in bytes.
func (s *Seal) FileSize() int64 {
	return s.Bytes + int64(BlockHeaderSize+len(s.Encode())+trailerSize)
}

// ParseSeal reads what Encode wrote. It proves nothing: see CheckSeal.
func ParseSeal(b []byte) (*Seal, error) {
	refuse := func(what string, err error) (*Seal, error) {
		return nil, &DamageError{How: Malformed, Where: "seal", What: what, Err: err}
	}
	var s Seal
	for _, part := range []struct {
		to    *[]byte
		limit uint32
	}{{&s.Text, maxStatement}, {&s.Signature, sshsig.MaxSize}, {&s.Certificate, maxCertificate}} {
		if len(b) < 4 {
			return refuse("it is cut short", nil)
		}
		n := binary.BigEndian.Uint32(b)
		if n > part.limit || uint64(n) > uint64(len(b)-4) {
			return refuse("one of its parts is too long", nil)
		}
		*part.to, b = b[4:4+n:4+n], b[4+n:]
	}
	if len(b) > 0 {
		return refuse("something follows its parts", nil)
	}
	if err := json.Unmarshal(s.Text, &s.Statement); err != nil {
		return refuse("its statement is malformed", err)
	}
	if s.Version != version {
		return refuse("its statement is of another version", nil)
	}
	return &s, nil
}

// Append appends s, which is of this chain, to dst as the last record of the
// finished part. c is not changed.
func (s *Seal) Append(dst []byte, h Header, c Chain) ([]byte, error) {
	if err := s.of(h, c); err != nil {
		return nil, err
	}
	body := s.Encode()
	b := block{kind: blockSeal, stored: uint32(len(body)), body: uint32(len(body)), first: c.Frames, start: c.Last, last: c.Last}
	start := len(dst)
	dst = append(dst, make([]byte, BlockHeaderSize)...)
	dst = append(dst, body...)
	keys := newKeyring(h, ContentKey{})
	b.fixed(dst[start:], &keys)
	return c.put(dst, start, &b), nil
}

// of says whether s is the seal of the finished part that c goes over.
func (s *Seal) of(h Header, c Chain) error {
	refuse := func(how Damage, what string) error {
		return &DamageError{How: how, Where: "seal", Offset: c.Bytes, What: what}
	}
	switch {
	case s.Session != h.Session || string(s.Header) != string(c.Header[:]):
		return refuse(Foreign, "it is the seal of another recording")
	case s.Frames > c.Frames || s.Blocks > c.Blocks || s.Bytes > c.Bytes:
		return refuse(Removed, fmt.Sprintf("it is over %d frames, and %d are there", s.Frames, c.Frames))
	case s.Frames < c.Frames || s.Blocks < c.Blocks || s.Bytes < c.Bytes:
		return refuse(AfterEnd, fmt.Sprintf("it is over %d frames, and %d are there", s.Frames, c.Frames))
	case string(s.Chain) != string(c.Digest[:]):
		return refuse(Changed, "its digest is not that of the blocks")
	}
	return nil
}
