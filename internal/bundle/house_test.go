package bundle

import (
	"bytes"
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// house is somebody who runs Sallyport: three CAs and a log.
type house struct {
	t                   testing.TB
	user, session, host ssh.Signer
	log                 ed25519.PrivateKey
	origin              string
	leaves              [][]byte
	hashes              []tlog.Hash // stored, as tlog has them
}

func newHouse(t testing.TB) *house {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &house{t: t, user: newKey(t), session: newKey(t), host: newKey(t), log: key, origin: "access.example.com/log"}
}

func (h *house) trust() Trust {
	h.t.Helper()
	vkey, err := audit.VerifierKey(h.origin, h.log.Public().(ed25519.PublicKey))
	if err != nil {
		h.t.Fatal(err)
	}
	line := func(s ssh.Signer) []string {
		return []string{strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.PublicKey())))}
	}
	return Trust{UserCA: line(h.user), SessionCA: line(h.session), HostCA: line(h.host),
		Log: wire.LogTrust{Origin: h.origin, Keys: []string{vkey}}}
}

// ReadHashes implements tlog.HashReader.
func (h *house) ReadHashes(indexes []int64) (all []tlog.Hash, err error) {
	for _, i := range indexes {
		all = append(all, h.hashes[i])
	}
	return all, nil
}

// tell appends an event to the log and returns its index.
func (h *house) tell(e audit.Event) int64 {
	h.t.Helper()
	leaf, err := e.Leaf()
	if err != nil {
		h.t.Fatal(err)
	}
	index := int64(len(h.leaves))
	more, err := tlog.StoredHashes(index, leaf, h)
	if err != nil {
		h.t.Fatal(err)
	}
	h.hashes = append(h.hashes, more...)
	h.leaves = append(h.leaves, leaf)
	return index
}

// checkpoint is the log's signed note at this size.
func (h *house) checkpoint(size int64) string {
	h.t.Helper()
	root, err := tlog.TreeHash(size, h)
	if err != nil {
		h.t.Fatal(err)
	}
	note, err := audit.Checkpoint{Origin: h.origin, Size: size, Root: root}.Sign(h.log)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(note)
}

// entries proves events in the log of this size.
func (h *house) entries(size int64, indexes ...int64) (list []Entry) {
	h.t.Helper()
	for _, i := range indexes {
		proof, err := tlog.ProveRecord(size, i, h)
		if err != nil {
			h.t.Fatal(err)
		}
		list = append(list, Entry{Index: i, Event: bytes.Clone(h.leaves[i]), Hashes: proof})
	}
	return list
}

// micros is a moment of the tests' session as events have it.
func micros(after time.Duration) int64 { return began.Add(after).UnixMicro() }

// story is what the log says of the session of s, in order.
func story(s subject) []audit.Event {
	of := func(kind audit.Kind, after time.Duration) audit.Event {
		return audit.Event{Kind: kind, At: micros(after), Outcome: audit.Success,
			Identity: s.Identity, Login: s.Login, Node: s.Node, NodeID: s.NodeID, Proxy: s.Proxy, Session: s.Session}
	}
	login := audit.Event{Kind: audit.LoginGranted, At: micros(-time.Hour), Outcome: audit.Success, Identity: s.Identity,
		Certificate: &audit.Certificate{Serial: s.login.Serial, Profile: "login", Key: ssh.FingerprintSHA256(s.login.Key),
			ValidAfter: s.login.ValidAfter, ValidBefore: s.login.ValidBefore}}
	granted := of(audit.SessionGranted, 0)
	granted.Roles, granted.Revision = s.Roles, s.Revision
	granted.Certificate = &audit.Certificate{Serial: s.session.Serial, Profile: "session", Key: ssh.FingerprintSHA256(s.session.Key),
		ValidAfter: s.session.ValidAfter, ValidBefore: s.session.ValidBefore, LoginSerial: s.login.Serial}
	started := of(audit.RecordingStarted, time.Second)
	started.Recording = &audit.Recording{Header: s.seal.Header}
	ended := of(audit.SessionEnded, 22*time.Minute)
	sealed := of(audit.RecordingSealed, 22*time.Minute)
	sealed.Recording = &audit.Recording{Header: s.seal.Header, Digest: s.seal.Chain, Seal: s.sealDigest(), SealedBy: s.sealedBy(), Frames: s.seal.Frames, Bytes: s.seal.FileSize()}
	return []audit.Event{login, granted, started, ended, sealed}
}
