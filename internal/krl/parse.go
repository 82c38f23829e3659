package krl

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"
)

// Parse reads a list that Marshal or ssh-keygen -k wrote. It refuses an empty
// one, one that is cut or has bytes more, and everything of PROTOCOL.krl beyond
// certificates by CA and serial.
func Parse(data []byte) (List, error) {
	l, err := parse(data)
	if err == nil {
		err = l.check()
	}
	if err != nil {
		return List{}, fmt.Errorf("read revocation list: %w", err)
	}
	return l, nil
}

func parse(data []byte) (List, error) {
	if len(data) == 0 {
		return List{}, errors.New("it is empty, which would revoke nothing")
	}
	if len(data) > MaxSize {
		return List{}, fmt.Errorf("%d bytes are more than %d", len(data), MaxSize)
	}
	var h header
	if err := ssh.Unmarshal(data, &h); err != nil {
		return List{}, errors.New("its header is cut")
	}
	switch {
	case h.Magic != magic:
		return List{}, errors.New("it is no revocation list")
	case h.FormatVersion != formatVersion:
		return List{}, fmt.Errorf("format %d is not understood", h.FormatVersion)
	case h.Flags != 0 || h.Reserved != "":
		return List{}, errors.New("it has flags that are not understood")
	}
	l := List{Version: h.Version, Generated: h.Generated, Comment: h.Comment}
	for rest := h.Sections; len(rest) > 0; {
		kind, body, after, err := section(rest)
		if err != nil {
			return List{}, err
		}
		if kind != sectionCertificates {
			return List{}, fmt.Errorf("a section of kind %d is not understood", kind)
		}
		a, err := certificates(body)
		if err != nil {
			return List{}, err
		}
		l.Revoked, rest = append(l.Revoked, a), after
	}
	return l, nil
}

// section cuts the next section, a byte and a string, from data.
func section(data []byte) (kind byte, body, rest []byte, err error) {
	if len(data) < 5 {
		return 0, nil, nil, errors.New("a section is cut")
	}
	n := uint64(binary.BigEndian.Uint32(data[1:]))
	if n > uint64(len(data)-5) {
		return 0, nil, nil, errors.New("a section is cut")
	}
	return data[0], data[5 : 5+n], data[5+n:], nil
}

func certificates(data []byte) (Authority, error) {
	var w struct {
		CA       []byte
		Reserved string
		Rest     []byte `ssh:"rest"`
	}
	if err := ssh.Unmarshal(data, &w); err != nil {
		return Authority{}, errors.New("a section of certificates is cut")
	}
	if w.Reserved != "" {
		return Authority{}, errors.New("a section of certificates has options that are not understood")
	}
	// An empty key would stand for every CA.
	ca, err := ssh.ParsePublicKey(w.CA)
	if err != nil {
		return Authority{}, fmt.Errorf("a section of certificates has no CA: %w", err)
	}
	var all []Range
	for rest := w.Rest; len(rest) > 0; {
		kind, body, after, err := section(rest)
		if err != nil {
			return Authority{}, err
		}
		if all, err = serials(all, kind, body); err != nil {
			return Authority{}, err
		}
		rest = after
	}
	all, err = merge(all)
	return Authority{CA: ca, Serials: all}, err
}

// serials appends what one section revokes.
func serials(all []Range, kind byte, data []byte) ([]Range, error) {
	switch kind {
	case certSerialList:
		if len(data) == 0 || len(data)%8 != 0 {
			return nil, errors.New("a list of serials is cut")
		}
		for ; len(data) > 0; data = data[8:] {
			n := binary.BigEndian.Uint64(data)
			all = append(all, Range{n, n})
		}
		return all, nil
	case certSerialRange:
		var r Range
		if err := ssh.Unmarshal(data, &r); err != nil {
			return nil, errors.New("a range of serials is cut")
		}
		return append(all, r), nil
	case certSerialBitmap:
		return bitmapSerials(all, data)
	}
	return nil, fmt.Errorf("revocation by kind %#x is not understood", kind)
}

func bitmapSerials(all []Range, data []byte) ([]Range, error) {
	var w struct {
		Offset uint64
		Bits   []byte
	}
	if err := ssh.Unmarshal(data, &w); err != nil {
		return nil, errors.New("a bitmap of serials is cut")
	}
	bits := w.Bits
	if len(bits) > 0 && bits[0]&0x80 != 0 {
		return nil, errors.New("a bitmap of serials is negative")
	}
	if len(bits) > 0 && bits[0] == 0 {
		bits = bits[1:]
	}
	if len(bits) == 0 || bits[0] == 0 || len(bits) > maxBitmap/8 {
		return nil, errors.New("a bitmap of serials is empty, too long or not in its canonical form")
	}
	for n := range uint64(len(bits)) * 8 {
		if bits[uint64(len(bits))-1-n/8]&(1<<(n%8)) == 0 {
			continue
		}
		serial := w.Offset + n
		if serial < w.Offset {
			return nil, errors.New("a bitmap of serials goes beyond the last one")
		}
		if k := len(all); k > 0 && all[k-1].Last+1 == serial && serial != 0 {
			all[k-1].Last = serial
		} else {
			all = append(all, Range{serial, serial})
		}
	}
	return all, nil
}
