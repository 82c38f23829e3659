package recording

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/cert"
)

// started is when the sample's session began.
var started = time.UnixMicro(1772460131123456).UTC()

// The keys that the sample's parties have: always the same, so that what fuzzers
// find can be read again.
var (
	hostCA     = signerFrom("host CA")
	userCA     = signerFrom("user CA")
	sessionCA  = signerFrom("session CA")
	proxyKey   = signerFrom("proxy p-1")
	personKey  = signerFrom("person")
	connection = signerFrom("connection")

	testKey = ContentKey(bytes.Repeat([]byte{0x5a}, 32))
	trust   = Trust{HostCA: publics(hostCA), UserCA: publics(userCA), SessionCA: publics(sessionCA)}
)

func signerFrom(name string) ssh.Signer {
	seed := make([]byte, ed25519.SeedSize)
	copy(seed, name)
	s, err := ssh.NewSignerFromSigner(ed25519.NewKeyFromSeed(seed))
	if err != nil {
		panic(err)
	}
	return s
}

func publics(list ...ssh.Signer) (keys []ssh.PublicKey) {
	for _, s := range list {
		keys = append(keys, s.PublicKey())
	}
	return keys
}

// certificate makes the certificate that r asks for, of ca.
func certificate(r cert.Request, ca ssh.Signer) *ssh.Certificate {
	c, err := r.Derive()
	if err == nil {
		err = c.SignCert(rand.Reader, ca)
	}
	if err != nil {
		panic(err)
	}
	return c
}

var proxyHost = cert.Host{Proxy: "p-1", Principals: []string{"proxy.example.com"}, Key: proxyKey.PublicKey(), Serial: 7,
	ValidAfter: started.Unix() - 60, ValidBefore: started.Unix() + 86400}

// sampleMeta is who the sample is about, with certificates that prove it.
var sampleMeta = Meta{
	Session: "7kq2-m9x4d", Identity: "you@example.com", Login: "deploy", Node: "web-1", NodeID: "n-0123456789ab",
	Proxy: "p-1", Client: "192.0.2.7:51234", Way: "connect", Roles: []string{"web-deploy"}, Revision: 61, Started: started.UnixMicro(),
	LoginCertificate: certificate(cert.Login{Identity: "you@example.com", LoginID: "0123456789ab", Key: personKey.PublicKey(), Serial: 5,
		ValidAfter: started.Unix() - 60, ValidBefore: started.Unix() + 3600}, userCA).Marshal(),
	SessionCertificate: certificate(cert.Session{Session: "7kq2-m9x4d", Identity: "you@example.com", Revision: 61, Login: "deploy", Node: "n-0123456789ab",
		Key: connection.PublicKey(), Serial: 6, ValidAfter: started.Unix() - 60, ValidBefore: started.Unix() + 60,
		SourceAddress: []netip.Prefix{netip.MustParsePrefix("10.0.0.7/32")}, PTY: true}, sessionCA).Marshal(),
}

// form is one of the ways in which the sample is written.
type form struct {
	name   string
	header Header
	key    ContentKey
	opener Opener
}

var (
	plain  = newForm("in clear", sampleMeta, nil)
	secret = newForm("encrypted", sampleMeta, []byte("an age file"))
	forms  = []form{plain, secret}
)

func newForm(name string, m Meta, wrapped []byte) form {
	h, err := NewHeader(m, testKey, wrapped)
	if err != nil {
		panic(err)
	}
	return form{name, h, testKey, Holding(testKey)}
}

// sample is a small session with every kind of frame.
func sample() []Frame {
	list := []Frame{{Kind: KindSession, Payload: plain.header.Meta}}
	add := func(kind Kind, channel uint32, payload any) {
		b, ok := payload.([]byte)
		if !ok {
			b, _ = json.Marshal(payload)
		}
		n := uint64(len(list))
		list = append(list, Frame{Number: n, At: time.Duration(n*n) * 137 * time.Microsecond, Channel: channel, Kind: kind, Payload: b})
	}
	add(KindNotice, 0, []byte("This session is recorded.\n"))
	add(KindRequest, 0, Request{From: Client, Type: "tcpip-forward", WantReply: true, Data: wireData("0.0.0.0", 8080)})
	add(KindAnswer, 0, Answer{From: Proxy, To: "tcpip-forward", Reason: "channel_not_allowed"})
	add(KindOpen, 1, Open{From: Client, Type: "session"})
	add(KindAnswer, 1, Answer{From: Node, To: "open", OK: true})
	add(KindRequest, 1, Request{From: Client, Type: "pty-req", WantReply: true, Data: wireData("xterm-256color", 120, 36, 0, 0, "")})
	add(KindAnswer, 1, Answer{From: Node, To: "pty-req", OK: true})
	add(KindRequest, 1, Request{From: Client, Type: "shell", WantReply: true})
	add(KindOutput, 1, []byte("$ "))
	add(KindVeiled, 1, []byte("é"[:1]))
	add(KindVeiled, 1, []byte("é"[1:]))
	add(KindOutput, 1, []byte("é\xff\r\n"))
	add(KindReveal, 1, AppendReveal(nil, []Run{{Frame: 10, Bytes: []byte("é"[:1])}, {Frame: 11, Bytes: []byte("é"[1:])}}))
	add(KindVeiled, 1, []byte("secret\r"))
	add(KindRequest, 1, Request{From: Client, Type: "window-change", Data: wireData(80, 24, 0, 0)})
	add(KindOpen, 2, Open{From: Client, Type: "session"})
	add(KindRequest, 2, Request{From: Client, Type: "exec", WantReply: true, Data: wireData("tar c /srv")})
	add(KindInput, 2, []byte("y"))
	add(KindOutput, 2, bytes.Repeat([]byte("0123456789abcdef"), 40))
	add(KindStderr, 2, []byte("tar: removing leading /\n"))
	add(KindBulk, 2, Bulk{Of: KindOutput, Kept: 640, Bytes: 640, SHA256: make([]byte, 32), Ahead: 1 << 20})
	add(KindBulk, 2, Bulk{Of: KindOutput, Kept: 640, Bytes: 5000, SHA256: bytes.Repeat([]byte{7}, 32), Final: true})
	add(KindEOF, 2, []byte(Node))
	add(KindRequest, 2, Request{From: Node, Type: "exit-status", Data: wireData(3)})
	add(KindTransfer, 2, Transfer{Tool: "exec", Input: 1, Output: 5000, Stderr: 24})
	add(KindClose, 2, []byte(Node))
	add(KindClose, 2, []byte(Client))
	add(KindContent, 2, Content{From: Client, File: 1, Bytes: []byte("kept")}.Append(nil))
	add(KindFile, 2, FileOp{Op: "write", Path: []byte("/srv/x"), Write: 4, Kept: 4, File: 1})
	add(Kind(200), 1, []byte("of a later version"))
	add(KindOutput, 1, []byte{})
	add(KindEnd, 0, End{Reason: EndClosed})
	return list
}

// stored is how a reader of frames returns them: veiled as they were written.
func stored(frames []Frame) []Frame {
	veil := testKey.Veil()
	out := make([]Frame, len(frames))
	for i, f := range frames {
		out[i] = f
		if f.Kind == KindVeiled {
			out[i].Payload = bytes.Clone(f.Payload)
			veil.Apply(f.Number, out[i].Payload)
		}
	}
	return out
}

// wireData encodes strings and uint32s as SSH does.
func wireData(fields ...any) []byte {
	var b []byte
	for _, f := range fields {
		switch f := f.(type) {
		case string:
			b = binary.BigEndian.AppendUint32(b, uint32(len(f)))
			b = append(b, f...)
		case int:
			b = binary.BigEndian.AppendUint32(b, uint32(f))
		}
	}
	return b
}

// tailOf is a tail that holds frames from..to of the sample; frame 0 is in its
// header.
func tailOf(f form, frames []Frame, from, to int) []byte {
	w, err := NewTailWriter(f.header, f.key)
	if err != nil {
		panic(err)
	}
	from = max(from, 1)
	var b []byte
	for i, frame := range frames[1:to] {
		if i+1 == from {
			b = f.header.ForTail(uint64(from), w.Tag()).Append(nil)
		}
		b = w.Append(b, &frame)
	}
	if from >= to {
		b = f.header.ForTail(uint64(from), w.Tag()).Append(nil)
	}
	return b
}

// recOf is a finished part that holds these frames, so many in a block, and how
// far it goes. Frames must be as they are stored.
func recOf(p *Packer, f form, frames []Frame, each int) ([]byte, Chain) {
	b := f.header.Append(nil)
	if err := p.Start(f.header, f.key, f.header.Chain()); err != nil {
		panic(err)
	}
	for i, frame := range frames {
		if p.Empty() && i%4 == 2 {
			p.SetScreens([]Screen{{Channel: 1, Columns: 120, Rows: 36, ANSI: []byte("\x1b[H$ ")}})
		}
		p.Add(frame)
		if ((i+1)%each == 0 || i == len(frames)-1) && !p.Empty() {
			b = p.Block(b)
		}
	}
	return b, p.Chain()
}

// rawOf is the same, but made from a tail without the key.
func rawOf(f form, frames []Frame, each int) ([]byte, Chain) {
	keys := newKeyring(f.header, ContentKey{})
	p := rawPacker{keys: &keys, chain: f.header.Chain()}
	b := f.header.Append(nil)
	tail := tailOf(f, frames, 1, len(frames))
	t := newTailReader(bytes.NewReader(tail[f.header.Size():]), f.header.ForTail(1, Tag{}), &keys)
	for i := 1; i < len(frames); i++ {
		if err := t.read(); err != nil {
			panic(err)
		}
		p.add(t.record, t.before)
		if i%each == 0 || i == len(frames)-1 {
			b = p.block(b)
		}
	}
	return b, p.chain
}

// statement is what the sample's proxy says of a chain.
func statement(f form, c Chain, reason string) Statement {
	s := c.Statement()
	s.Session, s.Proxy = f.header.Session, "p-1"
	s.End, s.Sealed, s.Counts = End{Reason: reason}, started.Add(time.Minute).UnixMicro(), Counts{Commands: 2, Files: 1}
	return s
}

// sealed is rec with a seal.
func sealed(f form, rec []byte, c Chain, reason string) []byte {
	s, err := statement(f, c, reason).Sign(proxyKey, certificate(proxyHost, hostCA))
	if err == nil {
		rec, err = s.Append(bytes.Clone(rec), f.header, c)
	}
	if err != nil {
		panic(err)
	}
	return rec
}

// drain reads all frames; the error is nil where they ended with io.EOF.
func drain(r Frames) ([]Frame, error) {
	var list []Frame
	for {
		f, err := r.Next()
		if err == io.EOF {
			return list, nil
		}
		if err != nil {
			return list, err
		}
		f.Payload = bytes.Clone(f.Payload)
		list = append(list, f)
	}
}

func same(t testing.TB, got, want []Frame) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.Transformer("payload", func(f Frame) any {
		return [...]any{f.Number, f.At, f.Channel, f.Kind, string(f.Payload)}
	})); diff != "" {
		t.Fatalf("frames differ (-want +got):\n%s", diff)
	}
}

// equal is same without a report.
func equal(a, b []Frame) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, y := a[i], b[i]
		if x.Number != y.Number || x.At != y.At || x.Channel != y.Channel || x.Kind != y.Kind || !bytes.Equal(x.Payload, y.Payload) {
			return false
		}
	}
	return true
}

func at(b []byte) io.ReaderAt {
	if b == nil {
		return nil
	}
	return bytes.NewReader(b)
}

// joined opens these files together.
func joined(o Opener, rec []byte, tails ...[]byte) (*Recording, error) {
	files := make([]io.ReaderAt, len(tails))
	for i, t := range tails {
		files[i] = at(t)
	}
	return Join(o, at(rec), files...)
}

// join reads the frames of these files together.
func join(o Opener, rec []byte, tails ...[]byte) ([]Frame, error) {
	r, err := joined(o, rec, tails...)
	if err != nil {
		return nil, err
	}
	return drain(r)
}
