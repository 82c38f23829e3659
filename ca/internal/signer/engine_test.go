//go:build linux

package signer

import (
	"bytes"
	"io"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
)

func newTestEngine(t testing.TB) *engine {
	t.Helper()
	c := keyFolder(t)
	source, err := OpenFiles(c.Keys, []byte(testPassphrase))
	if err != nil {
		t.Fatal(err)
	}
	e, err := newEngine(source, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestTheSignerRefuses: what a taken-over CA would like to have signed. Such a
// CA skips Client.Sign's own checks, so the rows go to the engine.
func TestTheSignerRefuses(t *testing.T) {
	e := newTestEngine(t)
	now := time.Unix(1_800_000_000, 0)
	e.now = func() time.Time { return now }
	key := newKey25519(t)
	at := func(r cert.Login, from, to time.Duration) cert.Login {
		r.ValidAfter, r.ValidBefore = now.Add(from).Unix(), now.Add(to).Unix()
		return r
	}
	login := at(loginRequest(key), -time.Minute, 8*time.Hour)
	session := sessionRequest(key)
	session.ValidAfter, session.ValidBefore = cert.Window(now, time.Minute)
	host := hostRequest(key)
	host.ValidAfter, host.ValidBefore = cert.Window(now, cert.MaxHost)
	wide := session
	wide.SourceAddress = nil
	long := session
	long.ValidBefore++
	nobody := host
	nobody.Principals = nil
	for _, test := range []struct {
		name   string
		r      cert.Request
		reason fault.Reason // "" is signed
	}{
		{"a login for now is signed", fresh(login), ""},
		{"a login that waited for 20 seconds is signed", fresh(at(login, -80*time.Second, time.Hour)), ""},
		{"a login to the end of its day is signed", fresh(at(login, -time.Minute, cert.MaxLogin)), ""},
		{"a session for now is signed", session, ""},
		{"a host for a week is signed", host, ""},

		{"a zero request", cert.Login{}, fault.ProfileRefused},
		{"a login for tomorrow", fresh(at(login, 24*time.Hour, 25*time.Hour)), fault.ProfileRefused},
		{"a login that begins in a second", fresh(at(login, time.Second, time.Hour)), fault.ProfileRefused},
		{"a login of yesterday", fresh(at(login, -25*time.Hour, -24*time.Hour)), fault.ProfileRefused},
		{"a login that ends as it is signed", fresh(at(login, -time.Minute, 0)), fault.ProfileRefused},
		{"a login that is backdated by two minutes", fresh(at(login, -2*time.Minute, time.Hour)), fault.ProfileRefused},
		{"a login to beyond its day, for it began late", fresh(at(login, 0, cert.MaxLogin+30*time.Second)), fault.ProfileRefused},
		{"a session from anywhere", wide, fault.ProfileRefused},
		{"a session of more than a minute", long, fault.ProfileRefused},
		{"a host without names", nobody, fault.ProfileRefused},
		{"a serial a second time", session, fault.ProfileRefused},
		{"a serial a second time, for another profile", func() cert.Login { r := login; r.Serial = host.Serial; return r }(), fault.ProfileRefused},
		{"a login for a host's kind of key", func() cert.Login { r := fresh(login); r.Key = rsaKey(t); return r }(), fault.KeyRefused},
	} {
		blob, err := e.sign(test.r)
		if fault.ReasonOf(err) != test.reason {
			t.Errorf("%s: got %v, want reason %q", test.name, err, test.reason)
		}
		if (blob == nil) != (err != nil) {
			t.Errorf("%s: a certificate came with %v", test.name, err)
		}
	}
}

func fresh(r cert.Login) cert.Login { r.Serial = newSerial(); return r }

func TestARefusedRequestDoesNotUseUpItsSerial(t *testing.T) {
	e := newTestEngine(t)
	r := loginRequest(newKey25519(t))
	bad := r
	bad.Identity = "*"
	if _, err := e.sign(bad); err == nil {
		t.Fatal("signed")
	}
	if _, err := e.sign(r); err != nil {
		t.Error(err)
	}
}

// TestARefusalReachesTheCAAndTheProcessLives: over the wire, and the next
// request is served.
func TestARefusalReachesTheCAAndTheProcessLives(t *testing.T) {
	client := start(t, keyFolder(t))
	r := loginRequest(newKey25519(t))
	if _, err := client.Sign(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	_, err := client.Sign(t.Context(), r)
	if f := fault.Of(err); f.Kind != fault.Invalid || f.Reason != fault.ProfileRefused {
		t.Errorf("a serial twice: %v", err)
	}
	r.Serial = newSerial()
	if _, err := client.Sign(t.Context(), r); err != nil {
		t.Errorf("after a refusal: %v", err)
	}
	r.Identity = ""
	if _, err := client.Sign(t.Context(), r); fault.ReasonOf(err) != fault.ProfileRefused {
		t.Errorf("nobody: %v", err)
	}
}

func TestASerialIsUsedOnce(t *testing.T) {
	for _, test := range []struct {
		name   string
		use    []uint64
		serial uint64
		ok     bool
	}{
		{"zero", nil, 0, false},
		{"the first", nil, 1, true},
		{"the same", []uint64{1}, 1, false},
		{"one that was overtaken", []uint64{10}, 9, true},
		{"the same after one that overtook it", []uint64{9, 10}, 9, false},
		{"the oldest in the window", []uint64{serialWindow + 4}, 5, true},
		{"one before the window", []uint64{serialWindow + 4}, 4, false},
		{"one whose place in the ring was another's", []uint64{5, serialWindow + 4}, serialWindow + 5, true},
		{"one after a jump over the whole window", []uint64{1, 2, 3, 5 * serialWindow}, 5*serialWindow - 3, true},
		{"the same after that jump", []uint64{1, 5 * serialWindow}, 5 * serialWindow, false},
		{"one in the middle of a jump", []uint64{1, 1000}, 500, true},
		{"the last", []uint64{1}, math.MaxUint64, true},
		{"the last again", []uint64{math.MaxUint64}, math.MaxUint64, false},
	} {
		s := new(serials)
		for _, n := range test.use {
			if err := s.use(n); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.use(test.serial); (err == nil) != test.ok {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// TestSerialsAgreeWithASet: the ring against the obvious thing.
func TestSerialsAgreeWithASet(t *testing.T) {
	s, seen, highest := new(serials), map[uint64]bool{}, uint64(0)
	n := uint64(1)
	for i := range uint64(200_000) {
		n = n*6364136223846793005 + 1442695040888963407
		serial := 1 + i*20 + n>>33%(1<<17)
		want := !seen[serial] && (serial > highest || highest-serial < serialWindow)
		if err := s.use(serial); (err == nil) != want {
			t.Fatalf("serial %d after %d: %v, want ok %v", serial, highest, err, want)
		}
		seen[serial], highest = true, max(highest, serial)
	}
}

func TestOneOfManyGetsASerial(t *testing.T) {
	e := newTestEngine(t)
	r := loginRequest(newKey25519(t))
	var signed atomic.Int32
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if _, err := e.sign(r); err == nil {
				signed.Add(1)
			}
		})
	}
	all.Wait()
	if signed.Load() != 1 {
		t.Errorf("one serial was signed %d times", signed.Load())
	}
}

// FuzzDecode: no message brings the signer down or is read otherwise than it
// would be written, and what it signs is linted.
func FuzzDecode(f *testing.F) {
	key := newKey25519(f)
	for _, r := range []cert.Request{loginRequest(key), sessionRequest(key), hostRequest(key)} {
		frame, err := encodeRequest(nil, 1, r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(frame[4], frame[5:])
	}
	e := newTestEngine(f)
	f.Fuzz(func(t *testing.T, k byte, data []byte) {
		decode := map[kind]func([]byte) (uint32, cert.Request, error){
			msgSignLogin: decodeLogin, msgSignSession: decodeSession, msgSignHost: decodeHost,
		}[kind(k)]
		if decode == nil {
			return
		}
		requestID, r, err := decode(data)
		if err != nil {
			return
		}
		if _, err := r.Derive(); err == nil {
			again, err := encodeRequest(nil, requestID, r)
			if err != nil || !bytes.Equal(again[5:], data) {
				t.Fatalf("read %x, would write %x (%v)", data, again, err)
			}
		}
		blob, err := e.sign(r)
		if err != nil {
			return
		}
		if _, err := cert.Check(r, blob, e.public.Of(r.Profile())[0]); err != nil {
			t.Fatalf("signed what is not linted: %v", err)
		}
	})
}

func BenchmarkEngine(b *testing.B) {
	e := newTestEngine(b)
	key := newKey25519(b)
	for b.Loop() {
		frame, err := encodeRequest(nil, 1, loginRequest(key))
		if err != nil {
			b.Fatal(err)
		}
		_, r, err := decodeLogin(frame[5:])
		if err != nil {
			b.Fatal(err)
		}
		if _, err := e.sign(r); err != nil {
			b.Fatal(err)
		}
	}
}
