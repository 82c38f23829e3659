package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// Verify says what holds of b, by keys alone: nothing in b is believed because it
// is there. o opens the content as well; nil leaves it closed. An error is one of
// reading; what is wrong with the evidence is in the report.
func Verify(b *Bundle, keys Trust, o recording.Opener) (Report, error) {
	r := Report{Session: b.Session}
	var f findings
	sums := b.sumRecording()
	s, err := f.checkRecording(&r, b.Recording, keys, o)
	recorded := <-sums
	if err = errors.Join(err, recorded.err); err != nil {
		return Report{}, err
	}
	if s != nil {
		f.checkMembers(b, *s)
		r.Log = f.checkLog(b, keys, *s)
	}
	f.checkSums(b, recorded.digest)
	r.Findings = f
	return r.shown(), nil
}

// VerifyRecording says what holds of a recording alone. That the log knows it is
// not checked.
func VerifyRecording(recorded Section, keys Trust, o recording.Opener) (Report, error) {
	var r Report
	var f findings
	if _, err := f.checkRecording(&r, recorded, keys, o); err != nil {
		return Report{}, err
	}
	r.Findings = f
	r.Unchecked = append(r.Unchecked, "whether the audit log knows this recording, and no other of this session; a bundle shows that")
	return r.shown(), nil
}

// Broken is the report of a file that Read refused.
func Broken(e *DamageError) Report {
	where := e.Member
	if where == "" {
		where = "bundle"
	}
	d := *e
	d.Member = ""
	return Report{Findings: []Finding{{Where: where, Flaw: Damaged, What: trimHead(d.Error(), "bundle is damaged: ")}}}.shown()
}

// shown is r as JSON should have it: lists are lists.
func (r Report) shown() Report {
	if r.Findings == nil {
		r.Findings = []Finding{}
	}
	if r.Unchecked == nil {
		r.Unchecked = []string{}
	}
	return r
}

// checkRecording verifies chain, seal and certificates, and fills in what r can
// say of them. It returns nil where there is no seal to compare with.
func (f *findings) checkRecording(r *Report, file Section, keys Trust, o recording.Opener) (*subject, error) {
	cas, err := keys.caKeys()
	if err != nil {
		return nil, err
	}
	for _, l := range []struct {
		use  string
		keys []ssh.PublicKey
	}{{"user CA", cas.user}, {"session CA", cas.session}, {"host CA", cas.host}} {
		if len(l.keys) == 0 {
			f.add("keys", Foreign, "there is no key of the %s to check with", l.use)
		}
	}
	verified, err := recording.Verify(file, file.Size(), recording.Trust{HostCA: cas.host, UserCA: cas.user, SessionCA: cas.session}, o)
	if err = f.damage(err); err != nil {
		return nil, fmt.Errorf("read recording: %w", err)
	}
	meta, seal := verified.Meta, verified.Seal
	if meta.Session == "" {
		return nil, nil
	}
	if r.Session != "" && r.Session != meta.Session {
		f.add("recording", Mixed, "it is of session %s, and the bundle is named %s", meta.Session, r.Session)
	}
	r.Session = meta.Session
	if seal == nil {
		return nil, nil
	}
	s, err := newSubject(meta, seal)
	if err != nil {
		return nil, nil // said already: recording.Verify reads them, too
	}
	r.Recording = s.tell()
	r.Recording.Lasted, r.Recording.Opened = verified.Lasted.Seconds(), verified.Opened
	r.Recording.Encrypted = verified.Encrypted
	return &s, nil
}

// damage turns what recording found into a finding, and returns any other error.
func (f *findings) damage(err error) error {
	var d *recording.DamageError
	if !errors.As(err, &d) {
		return err
	}
	flaw := Damaged
	switch d.How {
	case recording.Forged, recording.Misnamed:
		flaw = Foreign
	case recording.Foreign:
		flaw = Mixed
	}
	f.add("recording", flaw, "%s", trimHead(d.Error(), "recording is damaged: "))
	return nil
}

func trimHead(s, head string) string {
	if len(s) > len(head) && s[:len(head)] == head {
		return s[len(head):]
	}
	return s
}

// tell is what s says of itself.
func (s subject) tell() *Recording {
	st := s.seal.Statement
	return &Recording{
		Identity: s.Identity, Login: s.Login, Node: s.Node, NodeID: s.NodeID, Client: s.Client, Way: s.Way,
		Roles: s.Roles, Revision: s.Revision, LoginSerial: s.login.Serial, Serial: s.session.Serial,
		Proxy: st.Proxy, SealedBy: s.sealedBy(), Started: s.started().UTC(), Sealed: time.UnixMicro(st.Sealed).UTC(),
		End: st.End.Reason, Cut: st.Cut(), Frames: st.Frames, Bytes: st.Bytes,
		Commands: st.Counts.Commands, Files: st.Counts.Files, Digest: st.Chain,
	}
}

// checkMembers says whether the certificates beside the recording are those in
// it, which were verified.
func (f *findings) checkMembers(b *Bundle, s subject) {
	for _, m := range []struct {
		name      string
		got, want []byte
	}{
		{memberLogin, b.LoginCertificate, s.LoginCertificate},
		{memberSession, b.SessionCertificate, s.SessionCertificate},
		{memberHost, b.HostCertificate, s.seal.Certificate},
	} {
		if !bytes.Equal(m.got, m.want) {
			f.add(m.name, Mixed, "it is not the certificate that is sealed in the recording")
		}
	}
	if b.Session != s.seal.Session {
		f.add("recording", Mixed, "it is sealed as session %s, and the bundle is named %s", s.seal.Session, b.Session)
	}
}

// summed is the digest of the recording's file.
type summed struct {
	digest [32]byte
	err    error
}

// sumRecording sums the file up while it is verified. Of a bundle that was not
// read from a file there is nothing to compare with.
func (b *Bundle) sumRecording() <-chan summed {
	done := make(chan summed, 1)
	go func() {
		var s summed
		if b.sums != nil {
			s.digest, s.err = sum(b.Recording)
		}
		done <- s
	}()
	return done
}

// checkSums finds what nothing else covers: README, trust.json, signatures in the
// checkpoint by keys that nobody knows. Where something else is wrong already, the
// sums have nothing to add.
func (f *findings) checkSums(b *Bundle, recorded [32]byte) {
	if b.sums == nil || len(*f) > 0 {
		return
	}
	for _, m := range members {
		if m.name == memberSums {
			continue
		}
		got := b.read[m.name]
		if m.name == memberRecording {
			got = recorded
		}
		if got != b.sums[m.name] {
			f.add(m.name, Transport, "it is not what SHA256SUMS says")
		}
	}
}
