package recording

import (
	"bufio"
	"errors"
	"io"
)

// ErrTorn ends a tail whose last frame is shorter than its length says: the
// write was cut off, so it never returned, so its bytes were delivered to
// nobody. Everything before it is whole.
var ErrTorn = errors.New("the last frame of the tail was never fully written")

// tailReader reads the records of a tail in order. They can be checked and
// carried on without the key; frame opens the last one.
type tailReader struct {
	keys   *keyring
	opener recordOpener
	r      *bufio.Reader
	offset int64 // of the next record
	next   uint64
	record []byte // the last one
	tag    Tag    // its tag; zero in clear
	before Tag    // that of the one before it
	torn   int64
}

// newTailReader reads from r what follows the header h.
func newTailReader(r io.Reader, h Header, keys *keyring) *tailReader {
	t := &tailReader{keys: keys, opener: recordOpener{keys: keys}, offset: h.Size(), next: h.First, tag: h.Before}
	t.resume(r)
	return t
}

// resume goes on at offset, where r stands, after an end that was none.
func (t *tailReader) resume(r io.Reader) {
	if t.r == nil {
		t.r = bufio.NewReaderSize(r, 32<<10)
	}
	t.r.Reset(r)
	t.torn = 0
}

// read steps to the next record. At the end it returns io.EOF, or ErrTorn where
// part of a frame follows, and may be called again after resume; any other error
// is a *DamageError or the reader's own.
func (t *tailReader) read() error {
	var head [RecordHeaderSize]byte
	if n, err := io.ReadFull(t.r, head[:]); err != nil {
		return t.short(n, err)
	}
	if allZero(head[:]) {
		return t.zeros()
	}
	var h recordHead
	if how, what := h.parse(head[:], t.keys, t.next); what != "" {
		return t.damage(how, what)
	}
	size := RecordHeaderSize + h.size
	if cap(t.record) < size {
		t.record = make([]byte, 0, max(size, 4096))
	}
	t.record = append(t.record[:0], head[:]...)[:size]
	if n, err := io.ReadFull(t.r, t.record[RecordHeaderSize:]); err != nil {
		return t.short(RecordHeaderSize+n, err)
	}
	if Checksum(t.record[RecordHeaderSize:]) != h.sum {
		return t.damage(Changed, "the checksum of its body is wrong")
	}
	if t.before = t.tag; t.keys.encrypted {
		t.tag = tagOf(t.record)
	}
	t.offset += int64(size)
	t.next++
	return nil
}

// frame opens the record that read stepped to; its payload is valid until the
// next call.
func (t *tailReader) frame() (Frame, error) {
	f, how, what := t.opener.open(t.record, &t.before)
	if what != "" {
		return Frame{}, &DamageError{How: how, Where: "frame", Number: f.Number, Offset: t.offset - int64(len(t.record)), What: what}
	}
	return f, nil
}

// zeros accepts a tail that ends in nothing but zeros: some file systems leave
// them after a power cut, where the size was written and the data was not.
func (t *tailReader) zeros() error {
	var b [4096]byte
	t.torn = RecordHeaderSize
	for {
		n, err := t.r.Read(b[:])
		t.torn += int64(n)
		if !allZero(b[:n]) {
			return t.damage(Changed, "it is overwritten with zeros")
		}
		if err == io.EOF {
			return ErrTorn
		}
		if err != nil {
			return err
		}
	}
}

func (t *tailReader) damage(how Damage, what string) error {
	return &DamageError{How: how, Where: "frame", Number: t.next, Offset: t.offset, What: what}
}

// short names the end of input inside a record, of which n bytes are there.
func (t *tailReader) short(n int, err error) error {
	if err != io.ErrUnexpectedEOF && (err != io.EOF || n == 0) {
		return err
	}
	t.torn = int64(n)
	return ErrTorn
}
