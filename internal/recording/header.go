package recording

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/id"
)

// HeaderSize is the size of a header's fixed part, in bytes; the preface and its
// checksum follow (Header.Size).
const HeaderSize = 104

// version of the format that this package writes, and the only one it reads.
const version = 2

// Ciphers.
const (
	cipherNone = 0
	cipherGCM  = 1 // AES-256-GCM under keys that are derived from the content key
)

// Limits of a preface, in bytes. 256 KiB hold a content key wrapped to more than
// a hundred hybrid recipients.
const (
	MaxMeta    = 64 << 10
	MaxWrapped = 256 << 10
)

// Magic numbers. As in PNG, the first byte is no ASCII and the end catches line
// ends that somebody translated.
var (
	magicRec  = []byte("\x89SPR\r\n\x1a\n")
	magicTail = []byte("\x89SPT\r\n\x1a\n")
)

// domain begins what D_0 is the digest of, so that it is a digest of nothing else.
const domain = "sallyport recording, version 2\n"

// Digest is SHA-256.
type Digest [sha256.Size]byte

// Tag is the authentication tag of an encrypted record.
type Tag [16]byte

// Header opens each of a recording's files. All files of a session carry the
// same one, but for Tail, First and Before.
type Header struct {
	Session id.Session
	Started time.Time // zero of the frames' times; whole microseconds
	// First is the number of the first frame of a tail; 0 in a finished part.
	First uint64
	// Tail says that frames follow one by one; otherwise blocks do.
	Tail bool
	// Before is the tag of the frame before the first one of an encrypted tail;
	// zero before the first of all.
	Before Tag
	// Commitment names the content key without telling it; zero in clear.
	Commitment [32]byte
	// Meta is frame 0's payload: JSON, in clear also where the rest is not.
	Meta []byte
	// Wrapped is the content key, encrypted to the recipients: an age file. Empty
	// is a recording in clear.
	Wrapped []byte
}

// NewHeader returns the header of the finished part of m's recording. wrapped is
// key.Wrap's, or empty for a recording in clear. m.Session and m.Started count.
func NewHeader(m Meta, key ContentKey, wrapped []byte) (Header, error) {
	meta, err := json.Marshal(m)
	if err != nil {
		return Header{}, fmt.Errorf("encode meta: %w", err)
	}
	if _, err := id.ParseSession(string(m.Session)); err != nil {
		return Header{}, err
	}
	if len(meta) > MaxMeta || len(wrapped) > MaxWrapped {
		return Header{}, fmt.Errorf("meta of %d bytes and wrapped key of %d are larger than the format allows", len(meta), len(wrapped))
	}
	h := Header{Session: m.Session, Started: time.UnixMicro(m.Started).UTC(), Meta: meta, Wrapped: wrapped}
	if h.Encrypted() {
		if key == (ContentKey{}) {
			return Header{}, errors.New("there is no content key")
		}
		h.Commitment = key.commitment()
	}
	return h, nil
}

// Encrypted says whether frames are encrypted.
func (h Header) Encrypted() bool { return len(h.Wrapped) > 0 }

// ForTail returns the header of a tail of the same recording that begins with
// frame first. before is the tag of the frame before it (TailWriter.Tag), zero
// in clear and where first is 1.
func (h Header) ForTail(first uint64, before Tag) Header {
	h.Tail, h.First, h.Before = true, first, before
	return h
}

// ForRec returns the header of the finished part.
func (h Header) ForRec() Header {
	h.Tail, h.First, h.Before = false, 0, Tag{}
	return h
}

// Size is that of the header with its preface, in bytes.
func (h Header) Size() int64 { return HeaderSize + int64(len(h.Meta)+len(h.Wrapped)) + 4 }

// Layout (RECORDING.md, "Header"):
//
//	  0  8  magic
//	  8  2  version
//	 10  2  cipher      0 none, 1 AES-256-GCM
//	 12  4  length of the meta
//	 16 16  session, padded with zeros
//	 32  8  start, Unix microseconds
//	 40  8  number of the first frame
//	 48  4  length of the wrapped key
//	 52 16  tag of the frame before the first, in an encrypted tail
//	 68 32  commitment to the content key
//	100  4  CRC-32C of bytes 0 to 99
//	104     meta, wrapped key
//	  +  4  CRC-32C of all before
//
// Numbers are big-endian, as SSH's are (RFC 4251, section 5).

// Append appends the header's bytes and the preface to b.
func (h Header) Append(b []byte) []byte {
	start := len(b)
	magic, suite := magicRec, uint16(cipherNone)
	if h.Tail {
		magic = magicTail
	}
	if h.Encrypted() {
		suite = cipherGCM
	}
	b = append(b, magic...)
	b = binary.BigEndian.AppendUint16(b, version)
	b = binary.BigEndian.AppendUint16(b, suite)
	b = binary.BigEndian.AppendUint32(b, uint32(len(h.Meta)))
	var session [16]byte
	copy(session[:], h.Session)
	b = append(b, session[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(h.Started.UnixMicro()))
	b = binary.BigEndian.AppendUint64(b, h.First)
	b = binary.BigEndian.AppendUint32(b, uint32(len(h.Wrapped)))
	b = append(b, h.Before[:]...)
	b = append(b, h.Commitment[:]...)
	b = binary.BigEndian.AppendUint32(b, Checksum(b[start:]))
	b = append(b, h.Meta...)
	b = append(b, h.Wrapped...)
	return binary.BigEndian.AppendUint32(b, Checksum(b[start:]))
}

// Digest is D_0, with which the chain begins. It is the same for all files of a
// recording, and covers the preface.
func (h Header) Digest() Digest {
	return sha256.Sum256(h.ForRec().Append([]byte(domain)))
}

// mark is what frames and blocks carry to say of which recording they are.
func (d Digest) mark() uint32 { return binary.BigEndian.Uint32(d[:]) }

// readHeader reads a header of either kind, with its preface, from r.
func readHeader(r io.Reader) (Header, error) {
	var fixed [HeaderSize]byte
	if err := readFull(r, fixed[:]); err != nil {
		return Header{}, err
	}
	h, meta, wrapped, err := parseHeader(fixed[:])
	if err != nil {
		return Header{}, err
	}
	preface := make([]byte, meta+wrapped+4)
	if err := readFull(r, preface); err != nil {
		return Header{}, err
	}
	sum := crc32.Update(Checksum(fixed[:]), castagnoli, preface[:meta+wrapped])
	if binary.BigEndian.Uint32(preface[meta+wrapped:]) != sum {
		return Header{}, refuseHeader(Changed, "the checksum of its preface is wrong")
	}
	h.Meta, h.Wrapped = preface[:meta:meta], preface[meta:meta+wrapped:meta+wrapped]
	if _, err := h.decodeMeta(); err != nil {
		return Header{}, err
	}
	return h, nil
}

// readFull reads all of b; an end before is damage that is io.ErrUnexpectedEOF.
func readFull(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return &DamageError{How: Truncated, Where: "header", What: "it is cut short", Err: io.ErrUnexpectedEOF}
	}
	return err
}

func refuseHeader(how Damage, what string) error {
	return &DamageError{How: how, Where: "header", What: what}
}

// parseHeader reads the fixed part, and says how long the preface's parts are.
func parseHeader(b []byte) (h Header, meta, wrapped int, err error) {
	refuse := func(how Damage, what string) (Header, int, int, error) {
		return Header{}, 0, 0, refuseHeader(how, what)
	}
	switch magic := b[:8]; {
	case bytes.Equal(magic, magicTail):
		h.Tail = true
	case !bytes.Equal(magic, magicRec):
		return refuse(Malformed, "this is no recording")
	}
	// Version 1 had its checksum elsewhere; it is named before any is looked at.
	if v := binary.BigEndian.Uint16(b[8:]); v == 1 {
		return refuse(OldVersion, "it is of version 1, which was never released")
	}
	if binary.BigEndian.Uint32(b[100:]) != Checksum(b[:100]) {
		return refuse(Changed, "its checksum is wrong")
	}
	if binary.BigEndian.Uint16(b[8:]) != version {
		return refuse(Malformed, "it is of a later version")
	}
	suite := binary.BigEndian.Uint16(b[10:])
	size, sizeWrapped := binary.BigEndian.Uint32(b[12:]), binary.BigEndian.Uint32(b[48:])
	h.First = binary.BigEndian.Uint64(b[40:])
	copy(h.Before[:], b[52:])
	copy(h.Commitment[:], b[68:])
	switch {
	case suite > cipherGCM:
		return refuse(Malformed, "its cipher is unknown")
	case size == 0 || size > MaxMeta || sizeWrapped > MaxWrapped:
		return refuse(Malformed, "its preface is of a size that none has")
	case (suite == cipherNone) != (sizeWrapped == 0):
		return refuse(Malformed, "it has a cipher without a key, or a key without a cipher")
	case suite == cipherNone && (h.Before != Tag{} || !allZero(h.Commitment[:])):
		return refuse(Malformed, "it is in clear and names a key")
	case !h.Tail && (h.First != 0 || h.Before != Tag{}):
		return refuse(Malformed, "a finished part begins with frame 0")
	case h.Tail && h.First == 0:
		return refuse(Malformed, "no tail begins with frame 0")
	}
	name, padding, _ := bytes.Cut(b[16:32], []byte{0})
	session, err := id.ParseSession(string(name))
	if err != nil || !allZero(padding) {
		return refuse(Malformed, "its session is malformed")
	}
	h.Session = session
	h.Started = time.UnixMicro(int64(binary.BigEndian.Uint64(b[32:]))).UTC()
	return h, int(size), int(sizeWrapped), nil
}

// decodeMeta reads frame 0's payload, and holds it to the header.
func (h Header) decodeMeta() (Meta, error) {
	var m Meta
	if err := json.Unmarshal(h.Meta, &m); err != nil {
		return Meta{}, &DamageError{How: Malformed, Where: "header", What: "its meta is malformed", Err: err}
	}
	if m.Session != h.Session || m.Started != h.Started.UnixMicro() {
		return Meta{}, refuseHeader(Malformed, "its meta is of another session or start")
	}
	return m, nil
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
