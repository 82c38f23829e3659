package bundle

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sallyport-ssh/sallyport/internal/id"
)

// Read reads a bundle of size bytes. It reads all but the recording, which is
// read from r when the Bundle is verified. Errors are *DamageError, or r's.
func Read(r io.ReaderAt, size int64) (*Bundle, error) {
	a := archive{r: r, size: size}
	parts := map[string][]byte{}
	b := &Bundle{read: map[string][32]byte{}}
	for _, m := range members {
		content, err := a.next(m)
		if err != nil {
			return nil, err
		}
		if m.name == memberRecording {
			b.Recording = content
			continue
		}
		data := make([]byte, content.Size())
		if err := a.fill(data, content); err != nil {
			return nil, err
		}
		parts[m.name], b.read[m.name] = data, sha256.Sum256(data)
	}
	if err := a.end(); err != nil {
		return nil, err
	}
	b.Session = a.session
	return b, b.parse(parts)
}

// archive walks over a tar that must be as Write makes it.
type archive struct {
	r       io.ReaderAt
	size    int64
	at      int64
	session id.Session // from the first member; "" before
}

// next returns the content of the next member, which must be m.
func (a *archive) next(m member) (*io.SectionReader, error) {
	start := a.at
	var block [blockSize]byte
	if err := a.take(block[:]); err != nil {
		return nil, wrapCut(err, m.name, start, "it is missing: the file ends before it")
	}
	refuse := func(what string, args ...any) (*io.SectionReader, error) {
		return nil, &DamageError{Member: m.name, Offset: start, What: fmt.Sprintf(what, args...)}
	}
	if block == [blockSize]byte{} {
		return refuse("it is missing: the archive ends before it")
	}
	h, err := tar.NewReader(bytes.NewReader(block[:])).Next()
	if err != nil && start == 0 {
		return nil, &DamageError{What: "this is no bundle, or its beginning was changed"}
	}
	if err != nil {
		return refuse("its tar header cannot be read")
	}
	folder, name, _ := strings.Cut(h.Name, "/")
	if a.session == "" {
		session, err := id.ParseSession(folder)
		if err != nil {
			return nil, &DamageError{Offset: start, What: fmt.Sprintf("its folder %q is not named as a session", folder)}
		}
		a.session = session
	}
	switch {
	case name != m.name && place(name) >= 0 && place(name) < place(m.name):
		return nil, &DamageError{Member: name, Offset: start, What: "it is there twice, or out of place"}
	case name != m.name && place(name) >= 0:
		return refuse("it is missing: %s stands in its place", name)
	case name != m.name:
		return nil, &DamageError{Offset: start, What: fmt.Sprintf("%q is no part of a bundle", h.Name)}
	case folder != string(a.session):
		return refuse("it lies in folder %q, and others in %q", folder, a.session)
	case h.Typeflag != tar.TypeReg:
		return refuse("it is no plain file")
	case h.Size < 0 || h.Size > m.limit:
		return refuse("%d bytes are more than it may have (%d)", h.Size, m.limit)
	case h.Size+padding(h.Size) > a.size-a.at:
		return refuse("it is cut short: %d bytes of %d are there", max(a.size-a.at, 0), h.Size)
	}
	// One spelling: whatever else a header can say, ours does not.
	if want, err := header(a.session, m.name, h.Size); err != nil || !bytes.Equal(want, block[:]) {
		return refuse("its tar header is not as a bundle's is")
	}
	content := io.NewSectionReader(a.r, a.at, h.Size)
	a.at += h.Size
	pad := make([]byte, padding(h.Size))
	padAt := a.at
	if err := a.take(pad); err != nil {
		return nil, wrapCut(err, m.name, padAt, "it is cut short")
	}
	if i := nonZero(pad); i >= 0 {
		return nil, &DamageError{Member: m.name, Offset: padAt + int64(i), What: "what fills it up to a whole block is not zero"}
	}
	return content, nil
}

// end refuses anything but the two blocks of zeros with which a tar ends.
func (a *archive) end() error {
	start := a.at
	var block [endSize]byte
	if err := a.take(block[:]); err != nil {
		return wrapCut(err, "", start, "the archive's end is cut off")
	}
	if i := nonZero(block[:]); i >= 0 {
		return &DamageError{Offset: start + int64(i), What: "something stands where the archive should end"}
	}
	if a.at != a.size {
		return &DamageError{Offset: a.at, What: fmt.Sprintf("%d bytes follow its end", a.size-a.at)}
	}
	return nil
}

// take reads the next bytes; where there are too few, io.ErrUnexpectedEOF.
func (a *archive) take(b []byte) error {
	if int64(len(b)) > a.size-a.at {
		return io.ErrUnexpectedEOF
	}
	if err := readFull(a.r, b, a.at); err != nil {
		return err
	}
	a.at += int64(len(b))
	return nil
}

func (a *archive) fill(b []byte, from *io.SectionReader) error { return readFull(from, b, 0) }

func readFull(r io.ReaderAt, b []byte, at int64) error {
	n, err := r.ReadAt(b, at)
	switch {
	case n == len(b):
		return nil
	case err == io.EOF:
		return io.ErrUnexpectedEOF
	}
	return err
}

func wrapCut(err error, name string, offset int64, what string) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return &DamageError{Member: name, Offset: offset, What: what}
	}
	return err
}

// place of a member in the file; -1 where name is none.
func place(name string) int {
	for i, m := range members {
		if m.name == name {
			return i
		}
	}
	return -1
}

// nonZero is the index of the first byte that is not zero; -1 without one.
func nonZero(b []byte) int {
	for i, c := range b {
		if c != 0 {
			return i
		}
	}
	return -1
}
