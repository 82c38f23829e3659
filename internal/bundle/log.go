package bundle

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/audit"
)

// LogPlace is where the log holds a session.
type LogPlace struct {
	Origin    string   `json:"origin"`
	Granted   int64    `json:"granted"` // index of session_granted
	Sealed    int64    `json:"sealed"`  // index of recording_sealed
	Size      int64    `json:"size"`    // of the log under the checkpoint
	Witnesses []string `json:"witnesses,omitempty"`
	Entries   int      `json:"entries"` // so many were checked
}

// told is an entry whose event was read.
type told struct {
	audit.Event
	index int64
}

func (t told) where() string { return fmt.Sprintf("log entry %d (%s)", t.index, t.Kind) }

// checkLog says whether the log holds every entry of b, and whether they tell
// the session of s. It returns nil where the checkpoint is nobody's.
func (f *findings) checkLog(b *Bundle, keys Trust, s subject) *LogPlace {
	trust, err := audit.NewTrust(keys.Log.Keys, keys.Log.Witnesses, keys.Log.Quorum)
	if err != nil {
		f.add("checkpoint", Foreign, "there is nothing to check it with: %v", err)
		return nil
	}
	checkpoint, err := trust.Open([]byte(b.Checkpoint))
	if err != nil {
		f.add("checkpoint", Foreign, "%v", err)
		return nil
	}
	place := &LogPlace{Origin: checkpoint.Origin, Size: checkpoint.Size, Granted: -1, Sealed: -1, Entries: len(b.Entries)}
	for _, w := range checkpoint.Witnesses {
		place.Witnesses = append(place.Witnesses, w.Witness)
	}
	var story []told
	for _, e := range b.Entries {
		where := fmt.Sprintf("log entry %d", e.Index)
		if err := checkpoint.CheckInclusion(e.Index, e.Event, e.Hashes); err != nil {
			f.add(where, Unlogged, "%v", err)
			continue
		}
		event, err := audit.Entry{Index: e.Index, Leaf: e.Event}.Event()
		if err != nil {
			f.add(where, Unlogged, "it is no event: %v", err)
			continue
		}
		story = append(story, told{event, e.Index})
	}
	f.checkStory(story, place, s)
	return place
}

// checkStory says whether the entries tell one session, from its grant to its
// seal.
func (f *findings) checkStory(story []told, place *LogPlace, s subject) {
	// A proxy that told of a seal what could not be true sealed nothing.
	story = slices.DeleteFunc(story, func(e told) bool { return e.Kind == audit.RecordingSealed && e.Outcome == audit.Refused })
	count := map[audit.Kind]int{}
	for i, e := range story {
		count[e.Kind]++
		if i > 0 && e.At < story[i-1].At {
			f.add(e.where(), Disorder, "it is earlier than the entry before it")
		}
		if e.Kind == audit.LoginGranted {
			f.checkLoginGranted(e, s)
			continue
		}
		if e.Session != s.Session {
			f.add(e.where(), Mixed, "it is of session %q", e.Session)
			continue
		}
		switch e.Kind {
		case audit.SessionGranted:
			place.Granted = e.index
			f.checkSessionGranted(e, s)
		case audit.RecordingStarted:
			f.digest(e, "its recording begins with", recorded(e).Header, s.seal.Header)
		case audit.RecordingSealed:
			place.Sealed = e.index
			f.checkSealed(e, s)
		case audit.SessionEnded:
			f.checkWho(e, s)
		}
	}
	for _, kind := range []audit.Kind{audit.SessionGranted, audit.RecordingStarted, audit.RecordingSealed, audit.SessionEnded} {
		if n := count[kind]; n == 0 {
			f.add("log", Left, "no entry %s of this session is proven", kind)
		} else if n > 1 {
			f.add("log", Disorder, "there are %d entries %s of this session, and not one", n, kind)
		}
	}
	order := func(k audit.Kind) int { return slices.IndexFunc(story, func(t told) bool { return t.Kind == k }) }
	if g := order(audit.SessionGranted); g >= 0 {
		for _, later := range []audit.Kind{audit.RecordingStarted, audit.RecordingSealed, audit.SessionEnded} {
			if i := order(later); i >= 0 && i < g {
				f.add(story[i].where(), Disorder, "it stands before the session was granted")
			}
		}
	}
	if started, sealed := order(audit.RecordingStarted), order(audit.RecordingSealed); sealed >= 0 && sealed < started {
		f.add(story[sealed].where(), Disorder, "it stands before the recording began")
	}
}

// recorded is what an event says of the recording; never nil.
func recorded(e told) audit.Recording {
	if e.Recording == nil {
		return audit.Recording{}
	}
	return *e.Recording
}

// digest compares a digest in the log with the recording's own.
func (f *findings) digest(e told, what string, got, want []byte) {
	if len(got) == 0 || !bytes.Equal(got, want) {
		f.add(e.where(), Mixed, "%s %s, and the recording here has %s", what, short(got), short(want))
	}
}

func short(digest []byte) string {
	if len(digest) == 0 {
		return "nothing"
	}
	return fmt.Sprintf("%.6x...", digest)
}

// checkWho compares who, as whom, where to and by which proxy.
func (f *findings) checkWho(e told, s subject) {
	f.same(e.where(), "identity", e.Identity, s.Identity, "the recording")
	f.same(e.where(), "login", e.Login, s.Login, "the recording")
	f.same(e.where(), "node", e.Node, s.Node, "the recording")
	if e.NodeID != "" {
		f.same(e.where(), "node id", e.NodeID, s.NodeID, "the recording")
	}
	if e.Proxy != "" {
		f.same(e.where(), "proxy", e.Proxy, s.Proxy, "the recording")
	}
}

func (f *findings) checkSessionGranted(e told, s subject) {
	f.checkWho(e, s)
	f.same(e.where(), "roles", strings.Join(e.Roles, ", "), strings.Join(s.Roles, ", "), "the recording")
	f.same(e.where(), "policy", e.Revision, s.Revision, "the recording")
	if e.Certificate == nil {
		f.add(e.where(), Mixed, "it names no certificate")
		return
	}
	f.same(e.where(), "serial", e.Certificate.Serial, s.session.Serial, "the session certificate")
	f.same(e.where(), "key", e.Certificate.Key, ssh.FingerprintSHA256(s.session.Key), "the session certificate")
	f.same(e.where(), "beginning", e.Certificate.ValidAfter, s.session.ValidAfter, "the session certificate")
	f.same(e.where(), "end", e.Certificate.ValidBefore, s.session.ValidBefore, "the session certificate")
	f.same(e.where(), "login serial", e.Certificate.LoginSerial, s.login.Serial, "the login certificate")
	// By the log's clock, which is the CA's own.
	if at := time.UnixMicro(e.At).Unix(); at < s.session.ValidAfter || at > s.session.ValidBefore {
		f.add(e.where(), Untimely, "it was written %s, and the session certificate is valid from %s to %s",
			stamp(at), stamp(s.session.ValidAfter), stamp(s.session.ValidBefore))
	}
}

func (f *findings) checkLoginGranted(e told, s subject) {
	f.same(e.where(), "identity", e.Identity, s.login.Identity, "the login certificate")
	if e.Certificate == nil {
		f.add(e.where(), Mixed, "it names no certificate")
		return
	}
	f.same(e.where(), "serial", e.Certificate.Serial, s.login.Serial, "the login certificate")
	f.same(e.where(), "key", e.Certificate.Key, ssh.FingerprintSHA256(s.login.Key), "the login certificate")
	f.same(e.where(), "end", e.Certificate.ValidBefore, s.login.ValidBefore, "the login certificate")
}

func (f *findings) checkSealed(e told, s subject) {
	r := recorded(e)
	f.digest(e, "its recording ends with", r.Digest, s.seal.Chain)
	f.digest(e, "its seal is", r.Seal, s.sealDigest())
	if r.Header != nil {
		f.digest(e, "its recording begins with", r.Header, s.seal.Header)
	}
	f.same(e.where(), "sealed by", r.SealedBy, s.sealedBy(), "the recording")
	f.same(e.where(), "frames", r.Frames, s.seal.Frames, "the recording")
	f.same(e.where(), "bytes", r.Bytes, s.seal.FileSize(), "the recording")
}

func stamp(unix int64) string { return time.Unix(unix, 0).UTC().Format(time.RFC3339) }
