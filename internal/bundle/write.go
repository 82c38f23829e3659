package bundle

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
)

// Write writes b as one file. It reads the recording twice: SHA256SUMS stands
// before it.
func Write(w io.Writer, b *Bundle) error {
	parts, err := b.render()
	if err != nil {
		return err
	}
	for _, m := range members {
		content := Section(b.Recording)
		if m.name != memberRecording {
			content = bytes.NewReader(parts[m.name])
		}
		if content.Size() > m.limit {
			return fmt.Errorf("write %s of the bundle: %d bytes are more than it may have (%d)", m.name, content.Size(), m.limit)
		}
		if err := writeMember(w, b, m.name, content); err != nil {
			return fmt.Errorf("write %s of the bundle: %w", m.name, err)
		}
	}
	if _, err := w.Write(make([]byte, endSize)); err != nil {
		return fmt.Errorf("write the bundle's end: %w", err)
	}
	return nil
}

func writeMember(w io.Writer, b *Bundle, name string, content Section) error {
	size := content.Size()
	head, err := header(b.Session, name, size)
	if err != nil {
		return err
	}
	if _, err := w.Write(head); err != nil {
		return err
	}
	switch n, err := io.Copy(w, io.NewSectionReader(content, 0, size)); {
	case err != nil:
		return err
	case n != size:
		return fmt.Errorf("it has %d bytes and not %d", n, size)
	}
	_, err = w.Write(make([]byte, padding(size)))
	return err
}

// sum is the SHA-256 of a section.
func sum(s Section) (digest [32]byte, err error) {
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(s, 0, s.Size())); err != nil {
		return digest, err
	}
	h.Sum(digest[:0])
	return digest, nil
}
