package krl

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/crypto/ssh"
)

// Numbers of PROTOCOL.krl.
const (
	magic         = 0x5353484b524c0a00 // "SSHKRL\n\0"
	formatVersion = 1

	sectionCertificates = 1

	certSerialList   = 0x20
	certSerialRange  = 0x21
	certSerialBitmap = 0x22
)

// What it costs to write serials, in bits.
const (
	costSection = 8 * (1 + 4)                // its kind and length
	costSerial  = 8 * 8                      // in a list
	costRange   = costSection + 2*costSerial // one to a section
	costBitmap  = costSection + 8*(8+4+1+1)  // offset, length, sign byte, and what the last byte wastes
	costNever   = 1 << 62
)

// maxBitmap is OpenSSH's limit for the number that a bitmap is, in bits
// (SSHBUF_MAX_BIGNUM). A longer bitmap makes the list invalid.
const maxBitmap = 16384

// header stands first in the file.
type header struct {
	Magic         uint64
	FormatVersion uint32
	Version       uint64
	Generated     uint64
	Flags         uint64
	Reserved      string
	Comment       string
	Sections      []byte `ssh:"rest"`
}

// Marshal writes l. The CAs stand in l's order, so that equal lists have equal
// bytes.
func (l List) Marshal() ([]byte, error) {
	if err := l.check(); err != nil {
		return nil, fmt.Errorf("write revocation list: %w", err)
	}
	b := ssh.Marshal(header{
		Magic: magic, FormatVersion: formatVersion,
		Version: l.Version, Generated: l.Generated, Comment: l.Comment,
	})
	for _, a := range l.Revoked {
		runs, err := merge(a.Serials)
		if err != nil {
			return nil, fmt.Errorf("write revocation list: %w", err)
		}
		if len(runs) == 0 {
			continue
		}
		section := ssh.Marshal(struct{ CA, Reserved []byte }{a.CA.Marshal(), nil})
		b = appendSection(b, sectionCertificates, appendSerials(section, runs))
	}
	if len(b) > MaxSize {
		return nil, fmt.Errorf("write revocation list: %d bytes are more than %d", len(b), MaxSize)
	}
	return b, nil
}

func appendSection(b []byte, kind byte, data []byte) []byte {
	b = binary.BigEndian.AppendUint32(append(b, kind), uint32(len(data)))
	return append(b, data...)
}

// form is how a run of serials is written.
type form byte

const (
	asList form = iota
	asRange
	asBitmap
	forms
)

// plan finds for each run the form with which the whole takes the fewest bits.
// A run's cost depends on its own form and on the form of the run before, whose
// section it may continue; so one pass with the best way to end in each form is
// enough (Viterbi). Bitmaps are cut at maxBitmap afterwards, which costs 19 bytes
// in 2 KiB.
func plan(runs []Range) []form {
	own := func(f, before form, i int) uint64 {
		length := runs[i].Last - runs[i].First + 1
		continues := f == before && i > 0
		switch {
		case f == asRange:
			return costRange
		case length > maxBitmap:
			return costNever // worth a range
		case f == asList && continues:
			return costSerial * length
		case f == asList:
			return costSection + costSerial*length
		case continues:
			return min(gap(runs, i), costBitmap) + length
		}
		return costBitmap + length
	}
	var cost [forms]uint64
	from := make([][forms]form, len(runs))
	for i := range runs {
		var next [forms]uint64
		for f := range forms {
			next[f] = costNever
			for before := range forms {
				if c := cost[before] + own(f, before, i); c < next[f] {
					next[f], from[i][f] = c, before
				}
			}
		}
		cost = next
	}
	best := asList
	for f := range forms {
		if cost[f] < cost[best] {
			best = f
		}
	}
	out := make([]form, len(runs))
	for i := len(runs) - 1; i >= 0; i-- {
		out[i], best = best, from[i][best]
	}
	return out
}

// gap is how many serials lie between run i and the one before.
func gap(runs []Range, i int) uint64 { return runs[i].First - runs[i-1].Last - 1 }

// appendSerials writes runs, sorted and apart, by their plan.
func appendSerials(b []byte, runs []Range) []byte {
	forms := plan(runs)
	for i := 0; i < len(runs); {
		j := i + 1
		for j < len(runs) && forms[j] == forms[i] && forms[i] != asRange &&
			(forms[i] == asList || gap(runs, j) <= costBitmap && runs[j].Last-runs[i].First < maxBitmap) {
			j++
		}
		switch forms[i] {
		case asList:
			b = appendSection(b, certSerialList, list(runs[i:j]))
		case asRange:
			b = appendSection(b, certSerialRange, ssh.Marshal(runs[i]))
		case asBitmap:
			b = appendSection(b, certSerialBitmap, bitmap(runs[i:j]))
		}
		i = j
	}
	return b
}

func list(runs []Range) []byte {
	var b []byte
	for _, r := range runs {
		for n := r.First; ; n++ {
			b = binary.BigEndian.AppendUint64(b, n)
			if n == r.Last {
				break
			}
		}
	}
	return b
}

// bitmap writes runs, which span at most maxBitmap serials, as an offset and an
// mpint (RFC 4251, section 5) whose bit n stands for the serial offset+n.
func bitmap(runs []Range) []byte {
	offset := runs[0].First
	bits := make([]byte, (runs[len(runs)-1].Last-offset)/8+1)
	for _, r := range runs {
		for n := r.First - offset; n <= r.Last-offset; n++ {
			bits[len(bits)-1-int(n/8)] |= 1 << (n % 8)
		}
	}
	if bits[0]&0x80 != 0 {
		bits = append([]byte{0}, bits...)
	}
	return ssh.Marshal(struct {
		Offset uint64
		Bits   []byte
	}{offset, bits})
}
