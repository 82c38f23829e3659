//go:build linux

package signer

import (
	"bufio"
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// hostile plays a signer that somebody took over: answer is given each request
// and returns what is sent back.
func hostile(t *testing.T, public PublicKeys, answer func(k kind, data []byte) []byte) (*link, error) {
	t.Helper()
	ours, theirs := net.Pipe()
	var served sync.WaitGroup
	t.Cleanup(func() { ours.Close(); theirs.Close(); served.Wait() })
	served.Go(func() {
		for in := bufio.NewReader(theirs); ; {
			k, data, err := readFrame(in)
			if err != nil {
				return
			}
			var out []byte
			switch k {
			case msgHello:
				out = appendFrame(nil, msgHelloReply, &helloMsg{protocolVersion})
			case msgKeys:
				out = appendFrame(nil, msgKeysReply, &keysReplyMsg{encodeKeys(public.UserCA), encodeKeys(public.SessionCA), encodeKeys(public.HostCA), public.Log})
			default:
				out = answer(k, data)
			}
			theirs.Write(out)
		}
	})
	l := newLink(ours, func() error { return nil })
	if err := l.greet(t.Context()); err != nil {
		return nil, err
	}
	served.Go(func() { l.live(context.Background()) })
	return l, nil
}

// TestTheCATakesNothingElseThanItAskedFor: DESIGN trusts the signer with its
// keys; a bug or a fault of memory in it is still found before a certificate
// leaves the CA.
func TestTheCATakesNothingElseThanItAskedFor(t *testing.T) {
	e := newTestEngine(t)
	key := newKey25519(t)
	signed := func(r cert.Request) []byte {
		blob, err := e.sign(r)
		if err != nil {
			t.Error(err)
		}
		return blob
	}
	reply := func(blob []byte) []byte { return appendFrame(nil, msgCertificate, &certificateMsg{1, blob}) }
	asked := sessionRequest(key)
	for _, test := range []struct {
		name   string
		answer func(k kind, data []byte) []byte
		reason fault.Reason // "" is accepted
	}{
		{"what was asked for", func(k kind, data []byte) []byte {
			_, r, _ := decodeSession(data)
			return reply(signed(r))
		}, ""},
		{"a certificate for another login", func(kind, []byte) []byte {
			r := asked
			r.Login, r.Serial = "postgres", newSerial()
			return reply(signed(r))
		}, fault.ProfileRefused},
		{"a certificate with another serial", func(kind, []byte) []byte {
			r := asked
			r.Serial = newSerial()
			return reply(signed(r))
		}, fault.ProfileRefused},
		{"a certificate of another profile", func(kind, []byte) []byte { return reply(signed(loginRequest(key))) }, fault.ProfileRefused},
		{"a signature by another of the CAs", func(kind, []byte) []byte {
			c, err := asked.Derive()
			if err != nil {
				t.Error(err)
			}
			if err := c.SignCert(zeros{}, e.cas[cert.LoginProfile].signer); err != nil {
				t.Error(err)
			}
			return reply(c.Marshal())
		}, fault.ProfileRefused},
		{"a signature that is wrong", func(k kind, data []byte) []byte {
			r := asked
			r.Serial = newSerial()
			blob := signed(r)
			blob[len(blob)-1] ^= 1
			return reply(blob)
		}, fault.ProfileRefused},
		{"garbage for a certificate", func(kind, []byte) []byte { return reply([]byte("garbage")) }, fault.ProfileRefused},
		{"a refusal", func(kind, []byte) []byte {
			return appendFrame(nil, msgRefusal, &refusalMsg{1, string(fault.KeyRefused), "no"})
		}, fault.KeyRefused},
		{"a refusal for a reason that no signer has", func(kind, []byte) []byte {
			return appendFrame(nil, msgRefusal, &refusalMsg{1, "no_role", "no"})
		}, fault.InternalError},
		{"an answer of no kind", func(kind, []byte) []byte { return appendFrame(nil, 99, nil) }, fault.SignerAway},
		{"half an answer", func(kind, []byte) []byte { return []byte{0, 0, 0, 3, byte(msgCertificate), 0, 0} }, fault.SignerAway},
		{"an answer of 4 GiB", func(kind, []byte) []byte { return []byte{0xff, 0xff, 0xff, 0xff} }, fault.SignerAway},
	} {
		t.Run(test.name, func(t *testing.T) {
			l, err := hostile(t, e.public, test.answer)
			if err != nil {
				t.Fatal(err)
			}
			client := &Client{link: l, keys: l.keys}
			got, err := client.Sign(t.Context(), asked)
			if fault.ReasonOf(err) != test.reason || (got == nil) != (err != nil) {
				t.Errorf("got %v, %v; want reason %q", got, err, test.reason)
			}
		})
	}
}

// zeros is a source of nonces.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestAnAnswerThatDoesNotComeIsNotWaitedForForEver(t *testing.T) {
	e := newTestEngine(t)
	l, err := hostile(t, e.public, func(kind, []byte) []byte {
		return appendFrame(nil, msgRefusal, &refusalMsg{77, "x", "an answer that nobody asked for"})
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	client := &Client{link: l, keys: l.keys}
	if _, err := client.Sign(ctx, loginRequest(newKey25519(t))); err != context.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
	if len(l.waiting) != 0 {
		t.Error("somebody who went away is still waited for")
	}
}

func TestTheCARefusesKeysThatAreNone(t *testing.T) {
	one, two, three := newKey25519(t), newKey25519(t), newKey25519(t)
	log := vkey(t, newKey25519(t))
	list := func(k ...ssh.PublicKey) []ssh.PublicKey { return k }
	for name, public := range map[string]PublicKeys{
		"none":                        {},
		"one with two jobs":           {list(one), list(one), list(two), log},
		"a CA without a key":          {list(one), list(two), nil, log},
		"an RSA key":                  {list(one), list(two), list(rsaKey(t)), log},
		"none of the log":             {list(one), list(two), list(three), ""},
		"one of the log that is none": {list(one), list(two), list(three), "access.example.com/log+00000000+AAAA"},
		"the log's, which is a CA's":  {list(one), list(two), list(three), vkey(t, one)},
	} {
		if _, err := hostile(t, public, nil); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
