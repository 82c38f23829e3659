package recording

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// RecordHeaderSize is the size of what stands in clear before each record of a
// tail, in bytes.
const RecordHeaderSize = 24

// RecordSize is what a frame takes in a tail beside its payload, at most.
const RecordSize = RecordHeaderSize + innerSize + len(Tag{})

// innerSize is the size of a frame's own head: time, channel, kind.
const innerSize = 13

// Layout of a record (RECORDING.md, "Tail"):
//
//	 0  8  number of the frame
//	 8  4  length of the body
//	12  4  mark of the recording
//	16  4  CRC-32C of the body
//	20  4  CRC-32C of bytes 0 to 19
//	24     body
//
// The body is, in clear or under AES-256-GCM:
//
//	 0  8  time since the start, microseconds
//	 8  4  channel
//	12  1  kind
//	13     payload
//	 +  16 the tag, where it is encrypted
//
// The header's checksum is apart from the body's so that a damaged length is
// told from a frame that ends early.

// TailWriter makes the records of a recording's tails, one after another, across
// all of them. It numbers the frames, which is what keeps a nonce from being
// used twice: a record that could not be written is not made again, and its
// recording ends. It is for one goroutine at a time.
type TailWriter struct {
	keys  keyring
	next  uint64
	veil  *Veil
	tag   Tag // of the last record
	bond  bond
	nonce [12]byte
}

// NewTailWriter returns the writer of a new recording. key must be the one that
// h was made with; of a recording in clear it is for the veil alone.
func NewTailWriter(h Header, key ContentKey) (*TailWriter, error) {
	if key == (ContentKey{}) {
		return nil, errors.New("there is no content key")
	}
	if h.Encrypted() && key.commitment() != h.Commitment {
		return nil, errors.New("the content key is not the header's")
	}
	return &TailWriter{keys: newKeyring(h, key), next: 1, veil: key.Veil()}, nil
}

// Next is the number of the frame that Append makes next.
func (w *TailWriter) Next() uint64 { return w.next }

// Tag is the tag of the last frame; zero in clear, and before the first.
func (w *TailWriter) Tag() Tag { return w.tag }

// Append appends the record of f to dst, and gives f its number. The payload of
// a KindVeiled is given in clear, and veiled here. It is at most MaxPayload.
// Where dst has room for the payload and RecordSize, nothing is allocated.
func (w *TailWriter) Append(dst []byte, f *Frame) []byte {
	f.Number = w.next
	w.next++
	start := len(dst)
	body := start + RecordHeaderSize
	var head [RecordHeaderSize + innerSize]byte
	binary.BigEndian.PutUint64(head[RecordHeaderSize:], uint64(f.At/time.Microsecond))
	binary.BigEndian.PutUint32(head[RecordHeaderSize+8:], f.Channel)
	head[RecordHeaderSize+12] = byte(f.Kind)
	dst = append(dst, head[:]...)
	dst = append(dst, f.Payload...)
	if f.Kind == KindVeiled {
		w.veil.Apply(f.Number, dst[body+innerSize:])
	}
	size := len(dst) - body
	if w.keys.encrypted {
		size += len(Tag{})
	}
	binary.BigEndian.PutUint64(dst[start:], f.Number)
	binary.BigEndian.PutUint32(dst[start+8:], uint32(size))
	if w.keys.encrypted {
		binary.BigEndian.PutUint64(w.nonce[4:], f.Number)
		dst = w.keys.tail.Seal(dst[:body], w.nonce[:], dst[body:], w.bond.data(&w.keys.digest, dst[start:], &w.tag))
		w.tag = tagOf(dst)
	}
	binary.BigEndian.PutUint32(dst[start+12:], w.keys.mark)
	binary.BigEndian.PutUint32(dst[start+16:], Checksum(dst[body:]))
	binary.BigEndian.PutUint32(dst[start+20:], Checksum(dst[start:start+20]))
	return dst
}

// bond is the additional data of a record: D_0, the record's number and length,
// and the tag of the record before, by which each frame is bound to it.
type bond [len(Digest{}) + 12 + len(Tag{})]byte

// data is for the record that begins with head, behind the one with tag before.
func (b *bond) data(d *Digest, head []byte, before *Tag) []byte {
	copy(b[:], d[:])
	copy(b[len(d):], head[:12])
	copy(b[len(d)+12:], before[:])
	return b[:]
}

// tagOf is the tag of an encrypted record.
func tagOf(record []byte) Tag { return Tag(record[len(record)-len(Tag{}):]) }

// recordOpener opens records.
type recordOpener struct {
	keys  *keyring
	bond  bond
	nonce [12]byte
	last  time.Duration
	plain []byte
}

// open returns the frame of a record that recordHead.parse let pass, behind the
// one with tag before; its payload is valid until the next call. what is why not.
func (o *recordOpener) open(record []byte, before *Tag) (f Frame, how Damage, what string) {
	f.Number = binary.BigEndian.Uint64(record)
	body := record[RecordHeaderSize:]
	if o.keys.encrypted {
		copy(o.nonce[4:], record[:8])
		var err error
		o.plain, err = o.keys.tail.Open(o.plain[:0], o.nonce[:], body, o.bond.data(&o.keys.digest, record, before))
		if err != nil {
			return f, Changed, "it does not open: it or the frame before it was changed"
		}
		body = o.plain
	}
	at, ok := micros(binary.BigEndian.Uint64(body))
	f.At, f.Channel, f.Kind, f.Payload = at, binary.BigEndian.Uint32(body[8:]), Kind(body[12]), body[innerSize:]
	switch {
	case f.Kind == 0:
		return f, Malformed, "it has no kind"
	case !ok || at < o.last:
		return f, Malformed, "its time is before that of the frame before"
	}
	o.last = at
	return f, "", ""
}

// recordHead is what a record's header says.
type recordHead struct {
	number uint64
	size   int // of the body
	sum    uint32
}

// parse reads a record's header, which must be of frame next; what is why not.
func (h *recordHead) parse(b []byte, keys *keyring, next uint64) (how Damage, what string) {
	if binary.BigEndian.Uint32(b[20:]) != Checksum(b[:20]) {
		return Changed, "the checksum of its header is wrong"
	}
	h.number = binary.BigEndian.Uint64(b)
	h.size = int(binary.BigEndian.Uint32(b[8:]))
	h.sum = binary.BigEndian.Uint32(b[16:])
	least := innerSize
	if keys.encrypted {
		least += len(Tag{})
	}
	switch {
	case binary.BigEndian.Uint32(b[12:]) != keys.mark:
		return Foreign, "it is of another recording"
	case h.number > next:
		return Removed, fmt.Sprintf("frame %d stands in its place", h.number)
	case h.number < next:
		return Repeated, fmt.Sprintf("frame %d stands in its place", h.number)
	case h.size < least || h.size > least+MaxPayload:
		return Malformed, "it is of a size that no frame has"
	}
	return "", ""
}

// micros reads a time; ten years is more than any session lasts, and far from
// where a time.Duration overflows.
func micros(n uint64) (time.Duration, bool) {
	const most = uint64(10 * 366 * 24 * time.Hour / time.Microsecond)
	return time.Duration(min(n, most)) * time.Microsecond, n <= most
}
