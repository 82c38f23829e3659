// Package bundle is the evidence bundle: one file that holds a session's
// recording and all that is needed to check it, for an outside auditor who
// trusts neither the operators nor their database, on a machine with nothing of
// ours but the binary.
//
// # The file
//
// A bundle is an uncompressed tar that any tool opens. All members lie in one
// folder, which is named as the session; there are exactly these, in this order:
//
//	README.txt        what this is, how to check it, what that proves
//	SHA256SUMS        of all other members, for sha256sum -c
//	checkpoint        the log's signed note (C2SP tlog-checkpoint), with cosignatures
//	host-cert.pub     of the proxy that sealed the recording
//	log.json          the log's entries about the session, each with its inclusion proof
//	login-cert.pub    by which the person came
//	recording.rec     the recording (internal/recording, RECORDING.md)
//	session-cert.pub  by which the proxy opened the node
//	trust.json        the public keys that the house says are its own
//
// Certificates are in OpenSSH's one-line form, for ssh-keygen -L. Two exports of
// one session under one checkpoint are the same bytes: owner, time and mode are
// constants.
//
// # Promises
//
// Read returns what Write wrote, or names the member that is missing, doubled,
// unknown, out of place, too large or changed. There is one spelling of a bundle,
// so that no byte of it can change without Read or Verify saying so: each tar
// header must be the very bytes that Write makes for its member, padding is zero,
// nothing follows the end. No length that the file claims makes Read allocate
// beyond the limits below; a recording is never held in memory.
//
// Verify believes only keys that its caller brings. That trust.json came along
// proves nothing: whoever made the file up made up the keys, too. The README and
// SHA256SUMS are not evidence either; the sums find damage, not fraud.
//
// The package is pure: no network, no database, no clock.
package bundle

import (
	"fmt"
	"io"

	"github.com/sallyport-ssh/sallyport/internal/id"
)

// Suffix of a bundle's file name; before it stands the session.
const Suffix = ".bundle"

// Bundle is what a bundle holds.
type Bundle struct {
	Session id.Session
	// Recording is read as it is needed. It is nil only in the zero Bundle, which
	// is written by nobody.
	Recording Section
	// Certificates as SSH wire blobs.
	LoginCertificate   []byte
	SessionCertificate []byte
	HostCertificate    []byte // of the proxy that sealed
	Entries            []Entry
	Checkpoint         string // signed note, under which all proofs of Entries lie
	// Trust is what came along, and not to be trusted for that.
	Trust Trust

	sums map[string][32]byte // as SHA256SUMS has them; nil before Read
	read map[string][32]byte // of what was read, but not of the recording
}

// Section is a part of a file, or a file.
type Section interface {
	io.ReaderAt
	Size() int64
}

// DamageError says that a file is no bundle as Write makes them, and where.
type DamageError struct {
	Member string // "" is the archive itself
	Offset int64  // in bytes from the start of the file; 0 where it is of no use
	What   string
	Err    error // may be nil
}

func (e *DamageError) Error() string {
	s := "bundle is damaged: "
	if e.Member != "" {
		s += e.Member + ": "
	}
	s += e.What
	if e.Offset > 0 {
		s += fmt.Sprintf(" (at byte %d)", e.Offset)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *DamageError) Unwrap() error { return e.Err }
