package recording

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/cert"
)

// whole is a sealed recording in each form that a proxy leaves.
func whole(t testing.TB) map[string]struct {
	form
	file  []byte
	chain Chain
} {
	t.Helper()
	files := map[string]struct {
		form
		file  []byte
		chain Chain
	}{}
	for _, f := range forms {
		add := func(name string, rec []byte, c Chain) {
			files[f.name+", "+name] = struct {
				form
				file  []byte
				chain Chain
			}{f, sealed(f, rec, c, EndClosed), c}
		}
		rec, c := recOf(NewPacker(), f, stored(sample()), 11)
		add("compressed", rec, c)
		rec, c = recOf(&Packer{}, f, stored(sample())[:12], 6)
		add("plain blocks, without an end", rec, c)
		rec, c = rawOf(f, sample(), 16)
		add("recovered without the key", rec, c)
	}
	return files
}

// verified says how the file is damaged, to somebody with public keys alone, and
// to somebody who can open it.
func verified(t testing.TB, f form, file []byte) []*DamageError {
	t.Helper()
	var list []*DamageError
	for _, o := range []Opener{nil, f.opener} {
		_, err := Verify(bytes.NewReader(file), int64(len(file)), trust, o)
		var damage *DamageError
		if err != nil && !errors.As(err, &damage) {
			t.Fatalf("an error that names no damage: %v", err)
		}
		if damage != nil && (damage.Where == "" || damage.What == "" || damage.How == "") {
			t.Fatalf("damage that is not named: %+v", damage)
		}
		list = append(list, damage)
	}
	return list
}

// TestPromise5AChangeInARecordingDoesNotGoUnnoticed is DESIGN, section 7: every
// byte of a sealed recording is changed, every length cut to, and blocks are
// taken out, exchanged, doubled and taken from elsewhere. Whoever verifies with
// the public keys is told what was done and where.
func TestPromise5AChangeInARecordingDoesNotGoUnnoticed(t *testing.T) {
	for name, w := range whole(t) {
		if list := verified(t, w.form, w.file); list[0] != nil || list[1] != nil {
			t.Fatalf("%s, as it was sealed: %v", name, list)
		}
		t.Run(name+", every byte changed", func(t *testing.T) {
			b := bytes.Clone(w.file)
			for i := range b {
				flip := byte(1) << (i % 8)
				b[i] ^= flip
				for _, damage := range verified(t, w.form, b) {
					if damage == nil {
						t.Fatalf("byte %d of %d, by %#x: verified", i, len(b), flip)
					}
				}
				b[i] ^= flip
			}
		})
		t.Run(name+", cut at every length", func(t *testing.T) {
			for n := range w.file {
				for _, damage := range verified(t, w.form, w.file[:n]) {
					if damage == nil || damage.How != Truncated && damage.How != Unsealed {
						t.Fatalf("cut at %d of %d: %v", n, len(w.file), damage)
					}
				}
			}
		})
		t.Run(name+", blocks moved", func(t *testing.T) { moved(t, w.form, w.file) })
	}
}

// pieces cuts a finished part into header, blocks and seal.
func pieces(t testing.TB, f form, file []byte) (list [][]byte) {
	t.Helper()
	r, err := joined(nil, file)
	if err != nil || r.index.seal == nil {
		t.Fatal(err)
	}
	from := f.header.Size()
	list = append(list, file[:from])
	for _, p := range append(r.index.places, *r.index.seal) {
		list = append(list, file[p.offset:p.offset+p.size()])
	}
	return list
}

func moved(t *testing.T, f form, file []byte) {
	list := pieces(t, f, file)
	n := len(list)
	// The same session and the same frames, recorded at another time.
	m := sampleMeta
	m.Started++
	twin := newForm("", m, f.header.Wrapped)
	rec, c := recOf(NewPacker(), twin, stored(sample()), 11)
	other := pieces(t, twin, sealed(twin, rec, c, EndClosed))
	// The same header, with frames of somebody's own making: only the key can.
	forged := stored(sample())
	forged[9].Payload = []byte("# ")
	rec, c = recOf(NewPacker(), f, forged, 11)
	mine := pieces(t, f, sealed(f, rec, c, EndClosed))
	same, c2 := recOf(&Packer{}, f, stored(sample())[:9], 5)
	cut := pieces(t, f, sealed(f, same, c2, EndCut))

	file2 := func(list ...[]byte) []byte { return bytes.Join(list, nil) }
	without := func(i int) []byte { return file2(append(append([][]byte{}, list[:i]...), list[i+1:]...)...) }
	with := func(i int, piece []byte) []byte {
		changed := append([][]byte{}, list...)
		changed[i] = piece
		return file2(changed...)
	}
	for _, test := range []struct {
		name string
		file []byte
		how  []Damage
	}{
		{"the first block removed", without(1), []Damage{Removed}},
		{"the last block removed", without(n - 2), []Damage{Removed}},
		{"the seal removed", without(n - 1), []Damage{Unsealed}},
		{"all blocks removed", file2(list[0], list[n-1]), []Damage{Removed}},
		{"two blocks exchanged", file2(append([][]byte{list[0], list[2], list[1]}, list[3:]...)...), []Damage{Reordered}},
		{"a block doubled", file2(append([][]byte{list[0], list[1], list[1]}, list[2:]...)...), []Damage{Repeated}},
		{"the last block doubled", file2(append(append([][]byte{}, list[:n-1]...), list[n-2], list[n-1])...), []Damage{Repeated}},
		{"the seal before the last block", file2(append(append([][]byte{}, list[:n-2]...), list[n-1], list[n-2])...), []Damage{AfterEnd, Removed, Reordered}},
		{"a block of a recording of the same session", with(1, other[1]), []Damage{Foreign}},
		{"the seal of a recording of the same session", with(n-1, other[len(other)-1]), []Damage{Foreign}},
		{"the header of a recording of the same session", with(0, other[0]), []Damage{Foreign}},
		{"the seal of other frames under this header", with(n-1, cut[len(cut)-1]), []Damage{Removed, AfterEnd, Changed, Repeated}},
		{"a second seal", append(bytes.Clone(file), list[n-1]...), []Damage{SecondEnd}},
		{"a second seal, of a recording of the same session", append(bytes.Clone(file), other[len(other)-1]...), []Damage{SecondEnd}},
		{"a block behind the seal", append(bytes.Clone(file), list[1]...), []Damage{AfterEnd}},
		{"a byte behind the seal", append(bytes.Clone(file), 0), []Damage{AfterEnd}},
		{"another recording behind the seal", append(bytes.Clone(file), file...), []Damage{AfterEnd}},
	} {
		for _, damage := range verified(t, f, test.file) {
			if damage == nil || !contains(test.how, damage.How) {
				t.Errorf("%s: %v (%+v)", test.name, damage, damage)
			}
		}
	}
	// A block that somebody with the content key has made anew.
	if file := file2(append([][]byte{mine[0], mine[1]}, list[2:]...)...); len(mine) == len(list) {
		for _, damage := range verified(t, f, file) {
			if damage == nil {
				t.Error("a block that was made anew: verified")
			}
		}
	}
}

func contains(list []Damage, how Damage) bool {
	for _, d := range list {
		if d == how {
			return true
		}
	}
	return false
}

// TestASealIsBelievedOnlyFromTheProxyItself are seals that are whole, and say
// what is there, and were signed by somebody.
func TestASealIsBelievedOnlyFromTheProxyItself(t *testing.T) {
	change := func(f func(*cert.Host)) *ssh.Certificate {
		h := proxyHost
		f(&h)
		return certificate(h, hostCA)
	}
	for _, f := range forms {
		rec, c := recOf(NewPacker(), f, stored(sample()), 11)
		good := statement(f, c, EndClosed)
		for _, test := range []struct {
			name   string
			state  func(*Statement)
			signer ssh.Signer
			by     *ssh.Certificate
			how    Damage
			what   string
		}{
			{"the proxy's", nil, proxyKey, certificate(proxyHost, hostCA), "", ""},
			{"another CA's certificate", nil, proxyKey, certificate(proxyHost, sessionCA), Forged, "another CA"},
			{"another key than the certificate's", nil, personKey, certificate(proxyHost, hostCA), Forged, "another key"},
			{"another proxy's certificate", nil, proxyKey, change(func(h *cert.Host) { h.Proxy = "p-2" }), Forged, "not proxy"},
			{"a node's certificate", nil, proxyKey, change(func(h *cert.Host) { h.Proxy, h.Name, h.Node = "", "web-1", "n-0123456789ab" }), Forged, "not proxy"},
			{"a certificate under a node's name", nil, proxyKey, change(func(h *cert.Host) {
				h.Name, h.Node, h.ValidBefore = "web-1", "n-0123456789ab", h.ValidAfter+600
			}), Forged, "not proxy"},
			{"a login certificate", nil, personKey, mustParse(sampleMeta.LoginCertificate), Forged, "no host certificate"},
			{"sealed before the certificate", func(s *Statement) { s.Sealed = started.Add(-time.Hour).UnixMicro() }, proxyKey, certificate(proxyHost, hostCA), Forged, "not yet valid"},
			{"sealed after the certificate", func(s *Statement) { s.Sealed = started.Add(48 * time.Hour).UnixMicro() }, proxyKey, certificate(proxyHost, hostCA), Forged, "ended"},
			{"another proxy named", func(s *Statement) { s.Proxy = "p-2" }, proxyKey, certificate(proxyHost, hostCA), Forged, "not proxy"},
			{"no proxy named", func(s *Statement) { s.Proxy = "" }, proxyKey, certificate(proxyHost, hostCA), Forged, "not proxy"},
		} {
			s := good
			if test.state != nil {
				test.state(&s)
			}
			seal, err := s.Sign(test.signer, test.by)
			if err != nil {
				t.Fatal(err)
			}
			file, err := seal.Append(bytes.Clone(rec), f.header, c)
			if err != nil {
				t.Fatal(err)
			}
			for _, damage := range verified(t, f, file) {
				switch {
				case test.how == "" && damage != nil:
					t.Errorf("%s: %v", test.name, damage)
				case test.how != "" && (damage == nil || damage.How != test.how || !strings.Contains(damage.Error(), test.what)):
					t.Errorf("%s: %v", test.name, damage)
				}
			}
		}
		// What does not fit its chain is not even written.
		for name, change := range map[string]func(*Statement){
			"of another session":      func(s *Statement) { s.Session = "7kq2-m9x4e" },
			"of another header":       func(s *Statement) { s.Header = make([]byte, 32) },
			"of another end":          func(s *Statement) { s.Chain = make([]byte, 32) },
			"of fewer frames":         func(s *Statement) { s.Frames-- },
			"of more frames":          func(s *Statement) { s.Frames++ },
			"of fewer blocks":         func(s *Statement) { s.Blocks-- },
			"of fewer bytes":          func(s *Statement) { s.Bytes-- },
			"of a digest that is cut": func(s *Statement) { s.Chain = s.Chain[:16] },
		} {
			s := good
			change(&s)
			seal, err := s.Sign(proxyKey, certificate(proxyHost, hostCA))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := seal.Append(nil, f.header, c); err == nil {
				t.Errorf("a seal %s was written", name)
			}
		}
		own := certificate(proxyHost, hostCA)
		if seal, err := good.Sign(certSigner{proxyKey, own}, own); err != nil || CheckSeal(seal, trust.HostCA) == nil {
			t.Errorf("a certificate signed: %v", err)
		}
	}
	if _, err := Verify(bytes.NewReader(nil), 0, Trust{}, nil); err == nil {
		t.Error("nothing was verified")
	}
	for name, w := range whole(t) {
		var damage *DamageError
		if _, err := Verify(bytes.NewReader(w.file), int64(len(w.file)), Trust{}, nil); !errors.As(err, &damage) || damage.How != Forged {
			t.Errorf("%s, without a host CA: %v", name, err)
		}
	}
}

// certSigner signs as a certificate, not as its key.
type certSigner struct {
	ssh.Signer
	c *ssh.Certificate
}

func (s certSigner) PublicKey() ssh.PublicKey { return s.c }

func mustParse(b []byte) *ssh.Certificate {
	c, err := parseCertificate(b)
	if err != nil {
		panic(err)
	}
	return c
}

// TestMetaIsHeldToItsCertificates: a proxy that names somebody needs what the CAs
// have signed of them.
func TestMetaIsHeldToItsCertificates(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Meta)
		what   string
	}{
		{"as it was", func(*Meta) {}, ""},
		{"another identity", func(m *Meta) { m.Identity = "somebody@example.com" }, "it is of you@example.com"},
		{"another login", func(m *Meta) { m.Login = "root" }, "session certificate"},
		{"another node", func(m *Meta) { m.NodeID = "n-ba9876543210" }, "session certificate"},
		{"another revision of the policy", func(m *Meta) { m.Revision++ }, "session certificate"},
		{"no login certificate", func(m *Meta) { m.LoginCertificate = nil }, "login certificate"},
		{"no session certificate", func(m *Meta) { m.SessionCertificate = nil }, "session certificate"},
		{"a plain key", func(m *Meta) { m.LoginCertificate = personKey.PublicKey().Marshal() }, "plain key"},
		{"the session certificate in the login certificate's place", func(m *Meta) { m.LoginCertificate = m.SessionCertificate }, "login certificate"},
		{"long after both", func(m *Meta) { m.Started += int64(24 * time.Hour / time.Microsecond) }, "ended"},
		{"long before both", func(m *Meta) { m.Started -= int64(24 * time.Hour / time.Microsecond) }, "not yet valid"},
		{"a client without an address", func(m *Meta) { m.Client = "somewhere" }, "client's address"},
	} {
		m := sampleMeta
		test.change(&m)
		f := newForm("", m, nil)
		rec, c := recOf(NewPacker(), f, stored(sample()), 11)
		for i, damage := range verified(t, f, sealed(f, rec, c, EndClosed)) {
			switch {
			case test.what == "" && damage != nil:
				t.Errorf("%s: %v", test.name, damage)
			case test.what != "" && (damage == nil || damage.How != Misnamed || !strings.Contains(damage.Error(), test.what)):
				t.Errorf("%s, %d: %v", test.name, i, damage)
			}
		}
	}
	// The CAs' keys are the other half.
	w := whole(t)["in clear, compressed"]
	for name, keys := range map[string]Trust{
		"another user CA":    {HostCA: trust.HostCA, UserCA: publics(sessionCA)},
		"another session CA": {HostCA: trust.HostCA, SessionCA: publics(userCA)},
	} {
		var damage *DamageError
		if _, err := Verify(bytes.NewReader(w.file), int64(len(w.file)), keys, nil); !errors.As(err, &damage) || damage.How != Misnamed {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAReportTellsWhatWasVerified, and without the key no less than with it, but
// for the contents.
func TestAReportTellsWhatWasVerified(t *testing.T) {
	for name, w := range whole(t) {
		for _, o := range []Opener{nil, w.opener} {
			report, err := Verify(bytes.NewReader(w.file), int64(len(w.file)), trust, o)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			opened := !w.header.Encrypted() || o != nil
			if report.Opened != opened || report.Encrypted != w.header.Encrypted() || report.Meta.Identity != "you@example.com" {
				t.Errorf("%s: %+v", name, report)
			}
			if report.Chain != w.chain && !strings.Contains(name, "recovered") {
				t.Errorf("%s: chain %+v, want %+v", name, report.Chain, w.chain)
			}
			if s := report.Seal; s == nil || s.Cut() || s.Frames != report.Chain.Frames || s.Counts.Commands != 2 || fmt.Sprintf("%x", s.Statement.Chain) != fmt.Sprintf("%x", report.Chain.Digest) {
				t.Errorf("%s: %+v", name, s)
			}
			if opened && report.Lasted == 0 {
				t.Errorf("%s: it lasted no time", name)
			}
		}
	}
}

// TestACutRecordingIsValidUpToTheCut, whichever record a crash has cut, and ends
// with an end that the seal tells.
func TestACutRecordingIsValidUpToTheCut(t *testing.T) {
	frames, want := sample(), stored(sample())
	for _, f := range forms {
		for n := 2; n < len(frames)-1; n++ {
			tail := append(tailOf(f, frames, 1, n), tailOf(f, frames, n, n+1)[f.header.Size():][:30]...)
			r, err := joined(nil, nil, tail)
			if err != nil {
				t.Fatal(err)
			}
			file := r.Header().Append(nil)
			chain, err := r.Rest(new(Packer), func(b []byte) error { file = append(file, b...); return nil })
			if err != nil || r.Torn() != 30 {
				t.Fatalf("%d frames: torn %d, %v", n, r.Torn(), err)
			}
			s := statement(f, chain, EndCut)
			s.End.Dropped = r.Torn()
			seal, err := s.Sign(proxyKey, certificate(proxyHost, hostCA))
			if err != nil {
				t.Fatal(err)
			}
			if file, err = seal.Append(file, f.header, chain); err != nil {
				t.Fatal(err)
			}
			if list := verified(t, f, file); list[0] != nil || list[1] != nil {
				t.Fatalf("%s, %d frames: %v", f.name, n, list)
			}
			got, err := join(f.opener, file)
			if err != nil || len(got) != n+1 || !equal(got[:n], want[:n]) {
				t.Fatalf("%s: %d frames of %d: %v", f.name, len(got), n, err)
			}
			var end End
			if last := got[n]; last.Kind != KindEnd || last.At != got[n-1].At || last.Decode(&end) != nil || end.Reason != EndCut || end.Dropped != 30 {
				t.Fatalf("%s: %+v", f.name, last)
			}
		}
	}
}
