// Package krl writes and reads OpenSSH key revocation lists (PROTOCOL.krl), of
// the one kind that Sallyport needs: certificates by CA and serial.
//
// # Promises
//
// What Marshal writes is never empty, never revokes serial 0 (OpenSSH takes a
// list with it for invalid as a whole, and then refuses every login), and is
// small: each stretch of serials is written as a list, a range or a bitmap,
// whichever takes the fewest bytes. Parse refuses what it does not understand
// whole; a list that revokes less than its author meant is worse than the last
// good one. It does not prove who wrote a list: KRLs carry no signature that
// sshd would check, so whoever distributes one authenticates the connection.
//
// The package is pure: no files, no clock.
package krl

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/ssh"
)

// MaxSize is the largest list that is written or read, in bytes. sshd reads it
// at every login.
const MaxSize = 1 << 20

// List is a revocation list. The zero List revokes nothing, and its file is a
// valid one: sshd takes a zero-byte file for the same, and cannot tell that
// from a disk that was full.
type List struct {
	Version   uint64 // rises with every change
	Generated uint64 // Unix seconds
	Comment   string
	Revoked   []Authority // each CA once
}

// Authority is a CA and those of its serials that are revoked.
type Authority struct {
	CA      ssh.PublicKey
	Serials []Range // in rising order after Parse; in any order for Marshal
}

// Range is the serials from First to Last, both included; never 0.
type Range struct{ First, Last uint64 }

// Serials makes Ranges of single serials.
func Serials(list ...uint64) []Range {
	out := make([]Range, len(list))
	for i, n := range list {
		out[i] = Range{n, n}
	}
	return out
}

// Revokes says whether l revokes what ca signed with serial.
func (l List) Revokes(ca ssh.PublicKey, serial uint64) bool {
	if ca == nil {
		return false
	}
	for _, a := range l.Revoked {
		if a.CA == nil || !bytes.Equal(a.CA.Marshal(), ca.Marshal()) {
			continue
		}
		for _, r := range a.Serials {
			if r.First <= serial && serial <= r.Last {
				return true
			}
		}
	}
	return false
}

// check refuses what cannot be a list.
func (l List) check() error {
	seen := map[string]bool{}
	for _, a := range l.Revoked {
		if a.CA == nil {
			return errors.New("a CA is missing")
		}
		if _, ok := a.CA.(*ssh.Certificate); ok {
			return errors.New("a certificate is named as CA")
		}
		blob := string(a.CA.Marshal())
		if seen[blob] {
			return fmt.Errorf("CA %s is there twice", ssh.FingerprintSHA256(a.CA))
		}
		seen[blob] = true
	}
	return nil
}

// merge sorts serials and joins those that touch or overlap.
func merge(serials []Range) ([]Range, error) {
	for _, r := range serials {
		if r.First == 0 {
			return nil, errors.New("serial 0 cannot be revoked")
		}
		if r.Last < r.First {
			return nil, fmt.Errorf("serials %d to %d are none", r.First, r.Last)
		}
	}
	sorted := slices.SortedFunc(slices.Values(serials), func(a, b Range) int { return cmp.Compare(a.First, b.First) })
	out := sorted[:0]
	for _, r := range sorted {
		if n := len(out); n > 0 && (r.First <= out[n-1].Last || r.First == out[n-1].Last+1) {
			out[n-1].Last = max(out[n-1].Last, r.Last)
			continue
		}
		out = append(out, r)
	}
	return out, nil
}
