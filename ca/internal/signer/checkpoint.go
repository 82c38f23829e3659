package signer

import (
	"crypto"
	"fmt"
	"math"
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// checkpointMsg asks for the note of a tree. Proof is that it begins with the
// tree of size Old, which is what this process has signed last: hashes, one after
// the other.
type checkpointMsg struct {
	ID        uint32
	Origin    string
	Old, Size uint64
	Root      []byte
	Proof     []byte
}

type noteMsg struct {
	ID   uint32
	Note []byte
}

type lastSizeMsg struct {
	ID   uint32
	Size uint64
}

func encodeCheckpoint(requestID uint32, old int64, c audit.Checkpoint, proof audit.Proof) []byte {
	m := checkpointMsg{ID: requestID, Origin: c.Origin, Old: uint64(old), Size: uint64(c.Size), Root: c.Root[:]}
	for _, h := range proof {
		m.Proof = append(m.Proof, h[:]...)
	}
	return appendFrame(nil, msgSignCheckpoint, &m)
}

func decodeCheckpoint(data []byte) (requestID uint32, old int64, c audit.Checkpoint, proof audit.Proof, err error) {
	var m checkpointMsg
	if err := unmarshal(data, &m); err != nil {
		return 0, 0, c, nil, err
	}
	if len(m.Root) != tlog.HashSize || len(m.Proof)%tlog.HashSize != 0 || m.Old > math.MaxInt64 || m.Size > math.MaxInt64 {
		return 0, 0, c, nil, &violation{"a malformed checkpoint"}
	}
	for p := m.Proof; len(p) > 0; p = p[tlog.HashSize:] {
		proof = append(proof, audit.Hash(p))
	}
	return m.ID, int64(m.Old), audit.Checkpoint{Origin: m.Origin, Size: int64(m.Size), Root: audit.Hash(m.Root)}, proof, nil
}

// logKey signs the states of one audit log, each of which begins with the one
// before. What it has signed it remembers for as long as the process lives:
// somebody who takes the CA over cannot have two histories signed without ending
// this process first, which the CA's log tells. Witnesses remember for longer.
//
// A tree that does not begin with the last one is refused, and does not end the
// process as a violation of the table does: a new process would remember nothing,
// and sign it.
type logKey struct {
	origin string
	key    crypto.Signer

	mu   sync.Mutex
	last audit.Checkpoint // the zero Checkpoint is none
}

func newLogKey(source KeySource) (*logKey, error) {
	origin, public, err := audit.ParseVerifierKey(source.Public().Log)
	if err != nil {
		return nil, fault.New(fault.Invalid, fault.ConfigInvalid, "the audit log's key: %v", err)
	}
	key, err := source.Log()
	if err != nil {
		return nil, fmt.Errorf("open the audit log's key: %w", err)
	}
	if !public.Equal(key.Public()) {
		return nil, fault.New(fault.Invalid, fault.ConfigInvalid, "the audit log's private key does not belong to its public one")
	}
	return &logKey{origin: origin, key: key}, nil
}

// sign returns the note of next, or refuses. note is nil, without an error, where
// old is not the size that was signed last, which is returned: the CA then proves
// from there, or finds that its log is smaller. (Several CAs have one signer, and
// one may be a moment behind, or have stopped between a signature and its
// storage.)
func (l *logKey) sign(old int64, next audit.Checkpoint, proof audit.Proof) (note []byte, last int64, err error) {
	if next.Origin != l.origin {
		return nil, 0, damaged("this key signs checkpoints of %s, and not of %q", l.origin, next.Origin)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last != (audit.Checkpoint{}) {
		if next.Size < l.last.Size || old != l.last.Size && next.Size > l.last.Size {
			return nil, l.last.Size, nil
		}
		if err := next.CheckConsistency(l.last, proof); err != nil {
			return nil, 0, damaged("%v", err)
		}
	}
	if note, err = next.Sign(l.key); err != nil {
		return nil, 0, damaged("%v", err)
	}
	l.last = next
	return note, next.Size, nil
}

func damaged(format string, args ...any) *fault.Error {
	return fault.New(fault.Conflict, fault.LogDamaged, "the signer refuses: "+format, args...)
}
