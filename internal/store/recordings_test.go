package store

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// sealedOf is a seal over what session recorded.
func sealedOf(session string) *Sealed {
	header, digest := sha256.Sum256([]byte(session)), sha256.Sum256([]byte(session+" end"))
	return &Sealed{
		Header: header[:], Digest: digest[:], Seal: []byte("seal of " + session), SealedBy: "SHA256:key",
		Frames: 7, Bytes: 700, Commands: 2, Files: 1, At: 160,
	}
}

// recorded is a session whose recording must be kept until retain.
func recorded(t *testing.T, s *Store, name string, retain int64) id.Session {
	t.Helper()
	o := opening(newSession(name, 100), intent(ProfileSession, "you@example.com"))
	o.Recording = wire.RecordingOrder{Recipients: []string{"age1x"}, Retain: retain}
	must(s.OpenSession(t.Context(), o))(t)
	return id.Session(name)
}

// sealed is one that has ended and is sealed.
func sealed(t *testing.T, s *Store, name string, retain int64) id.Session {
	t.Helper()
	x := recorded(t, s, name, retain)
	ok(t, s.EndSession(t.Context(), x, wire.EndRequest{End: "closed"}, sealedOf(name), 150))
	ok(t, s.Stored(t.Context(), x, false))
	return x
}

// told lists what the log says of recordings.
func told(t *testing.T, s *Store, x id.Session) []audit.Kind {
	t.Helper()
	var kinds []audit.Kind
	for _, e := range events(t, s) {
		if e.Session == x && e.Kind != audit.SessionGranted && e.Kind != audit.SessionEnded {
			kinds = append(kinds, e.Kind)
		}
	}
	return kinds
}

func toldIs(t *testing.T, s *Store, x id.Session, want ...audit.Kind) {
	t.Helper()
	if got := told(t, s, x); !slices.Equal(got, want) {
		t.Errorf("the log says %v of %s, want %v", got, x, want)
	}
}

func state(t *testing.T, s *Store, x id.Session, want string) wire.Recording {
	t.Helper()
	r := must(s.Session(t.Context(), x))(t).Recording
	if r.State != want {
		t.Errorf("the recording of %s is %s, want %s", x, r.State, want)
	}
	return r
}

// at sets the store's clock.
func at(s *Store, now int64) { s.clock = func() time.Time { return time.Unix(now, 0) } }

var recordingPromises = []promise{
	{"a recording's beginning and seal are stored and told, once", func(t *testing.T, s *Store) {
		x := recorded(t, s, "aaaa-aaaaa", 5000)
		state(t, s, x, "live")
		want := sealedOf(string(x))
		for range 2 {
			ok(t, s.StartRecording(t.Context(), "p-1", x, wire.RecordingStarted{Header: want.Header, Started: 101e6}))
		}
		ok(t, s.EndSession(t.Context(), x, wire.EndRequest{End: "closed"}, nil, 150))
		state(t, s, x, "unsealed")
		for range 2 {
			ok(t, s.EndSession(t.Context(), x, wire.EndRequest{End: "closed"}, want, 170))
		}
		r := state(t, s, x, "sealed")
		if !bytes.Equal(r.Digest, want.Digest) || r.Frames != 7 || r.Commands != 2 || r.Files != 1 || r.Retain != 5000 || r.Sealed != 160 ||
			!slices.Equal(r.Recipients, []string{"age1x"}) {
			t.Errorf("it is %+v", r)
		}
		if got := must(s.Seal(t.Context(), x))(t); !bytes.Equal(got, want.Seal) {
			t.Errorf("its seal is %q", got)
		}
		toldIs(t, s, x, audit.RecordingStarted, audit.RecordingSealed)
		list := events(t, s)
		last := list[len(list)-1]
		sum := sha256.Sum256(want.Seal)
		if c := last.Recording; !bytes.Equal(c.Digest, want.Digest) || !bytes.Equal(c.Header, want.Header) || !bytes.Equal(c.Seal, sum[:]) ||
			c.SealedBy != want.SealedBy || c.Frames != 7 || c.Bytes != 700 || last.Identity != "you@example.com" || last.Actor != "proxy:p-1" {
			t.Errorf("the event is %+v, %+v", last, c)
		}
	}},
	{"another beginning is refused", func(t *testing.T, s *Store) {
		x := recorded(t, s, "aaaa-aaaaa", 0)
		ok(t, s.StartRecording(t.Context(), "p-1", x, wire.RecordingStarted{Header: sealedOf("x").Header}))
		refused(t, s.StartRecording(t.Context(), "p-1", x, wire.RecordingStarted{Header: sealedOf("y").Header}), fault.SealRefused)
		refused(t, s.EndSession(t.Context(), x, wire.EndRequest{End: "closed"}, sealedOf("y"), 150), fault.SealRefused)
		// What was refused has not ended the session either.
		state(t, s, x, "live")
		toldIs(t, s, x, audit.RecordingStarted)
	}},
	{"another proxy's recording is not found", func(t *testing.T, s *Store) {
		x := recorded(t, s, "aaaa-aaaaa", 0)
		refused(t, s.StartRecording(t.Context(), "p-2", x, wire.RecordingStarted{Header: sealedOf("x").Header}), fault.NotFound)
		refused(t, s.StartRecording(t.Context(), "p-1", "zzzz-zzzzz", wire.RecordingStarted{Header: sealedOf("x").Header}), fault.NotFound)
	}},
	{"a second seal that differs is refused, and the first stands", func(t *testing.T, s *Store) {
		x := sealed(t, s, "aaaa-aaaaa", 0)
		for _, change := range []func(*Sealed){
			func(w *Sealed) { w.Digest = sealedOf("other").Digest },
			func(w *Sealed) { w.Seal = []byte("another") },
			func(w *Sealed) { w.Header = sealedOf("other").Header },
		} {
			other := sealedOf(string(x))
			change(other)
			refused(t, s.EndSession(t.Context(), x, wire.EndRequest{End: "closed"}, other, 170), fault.SealRefused)
		}
		if r := state(t, s, x, "sealed"); !bytes.Equal(r.Digest, sealedOf(string(x)).Digest) {
			t.Errorf("its digest is %x", r.Digest)
		}
		toldIs(t, s, x, audit.RecordingSealed)
	}},
	{"a recording that is lost is told, once, and may turn up", func(t *testing.T, s *Store) {
		x := recorded(t, s, "aaaa-aaaaa", 0)
		for range 2 {
			ok(t, s.EndSession(t.Context(), x, wire.EndRequest{End: "recorder_failed", Lost: true}, nil, 150))
		}
		state(t, s, x, "lost")
		cut := sealedOf(string(x))
		cut.Cut = true
		ok(t, s.EndSession(t.Context(), x, wire.EndRequest{End: "cut"}, cut, 170))
		state(t, s, x, "cut")
		ok(t, s.EndSession(t.Context(), x, wire.EndRequest{End: "lost", Lost: true}, nil, 180))
		state(t, s, x, "cut")
		toldIs(t, s, x, audit.RecordingLost, audit.RecordingSealed)
	}},
	{"what is held is not deleted, whatever its time", func(t *testing.T, s *Store) {
		x := sealed(t, s, "aaaa-aaaaa", 200)
		at(s, 1000)
		ok(t, s.Hold(t.Context(), ada, x, "case 7"))
		if r := state(t, s, x, "sealed"); r.Held != "case 7" {
			t.Errorf("it is held for %q", r.Held)
		}
		if over := must(s.Over(t.Context(), 10))(t); len(over) > 0 {
			t.Errorf("over are %v", over)
		}
		refused(t, s.BeginDelete(t.Context(), x), fault.RecordingHeld)
		ok(t, s.Release(t.Context(), ada, x))
		refused(t, s.Release(t.Context(), ada, x), fault.NotFound)
		if over := must(s.Over(t.Context(), 10))(t); !slices.Equal(over, []id.Session{x}) {
			t.Errorf("over are %v", over)
		}
		toldIs(t, s, x, audit.RecordingSealed, audit.RecordingHeld, audit.RecordingReleased)
	}},
	{"a hold wins until the deletion has begun, and not after", func(t *testing.T, s *Store) {
		x := sealed(t, s, "aaaa-aaaaa", 200)
		at(s, 1000)
		ok(t, s.BeginDelete(t.Context(), x))
		ok(t, s.BeginDelete(t.Context(), x)) // another process goes on
		refused(t, s.Hold(t.Context(), ada, x, "too late"), fault.RecordingDeleted)
		ok(t, s.CancelDelete(t.Context(), x)) // the storage would not
		if over := must(s.Over(t.Context(), 10))(t); len(over) > 0 {
			t.Errorf("over are %v", over)
		}
		at(s, 1000+86401)
		ok(t, s.Hold(t.Context(), ada, x, "in time"))
		refused(t, s.FinishDelete(t.Context(), x), fault.RecordingHeld)
		refused(t, s.BeginDelete(t.Context(), x), fault.RecordingHeld)
		state(t, s, x, "sealed")
	}},
	{"what is deleted leaves its digest, and cannot come back", func(t *testing.T, s *Store) {
		x := sealed(t, s, "aaaa-aaaaa", 200)
		at(s, 1000)
		ok(t, s.BeginDelete(t.Context(), x))
		if over := must(s.Over(t.Context(), 10))(t); !slices.Equal(over, []id.Session{x}) {
			t.Errorf("what a crash left is not taken up: %v", over)
		}
		for range 2 {
			ok(t, s.FinishDelete(t.Context(), x))
		}
		if r := state(t, s, x, "deleted"); r.Deleted != 1000 || !bytes.Equal(r.Digest, sealedOf(string(x)).Digest) {
			t.Errorf("it is %+v", r)
		}
		refused(t, s.BeginDelete(t.Context(), x), fault.RecordingHeld)
		refused(t, s.Hold(t.Context(), ada, x, "too late"), fault.RecordingDeleted)
		if over := must(s.Over(t.Context(), 10))(t); len(over) > 0 {
			t.Errorf("over are %v", over)
		}
		toldIs(t, s, x, audit.RecordingSealed, audit.RecordingDeleted)
		list := events(t, s)
		if last := list[len(list)-1]; last.Actor != "ca" || !bytes.Equal(last.Recording.Digest, sealedOf(string(x)).Digest) {
			t.Errorf("the event is %+v", last)
		}
	}},
	{"what its proxy has not brought yet is waited for", func(t *testing.T, s *Store) {
		x, y := recorded(t, s, "aaaa-aaaaa", 200), recorded(t, s, "bbbb-bbbbb", 200)
		ok(t, s.EndSession(t.Context(), x, wire.EndRequest{End: "lost"}, nil, 150))
		ok(t, s.EndSession(t.Context(), y, wire.EndRequest{End: "closed"}, sealedOf(string(y)), 150))
		at(s, 200+30*86400-1)
		if over := must(s.Over(t.Context(), 10))(t); len(over) > 0 {
			t.Errorf("over are %v", over)
		}
		ok(t, s.Missed(t.Context(), y))
		at(s, 200+30*86400)
		if over := must(s.Over(t.Context(), 10))(t); len(over) != 2 {
			t.Errorf("over are %v", over)
		}
	}},
	{"what does not come to the storage is looked for less and less", func(t *testing.T, s *Store) {
		x := recorded(t, s, "aaaa-aaaaa", 0)
		ok(t, s.EndSession(t.Context(), x, wire.EndRequest{End: "closed"}, sealedOf(string(x)), 150)) // sealed at 160
		for _, row := range []struct {
			now  int64
			want int
		}{{1000, 1}, {1060, 1}, {160 + 86400, 1}, {160 + 86460, 0}, {160 + 86400 + 3600, 1}} {
			at(s, row.now)
			list := must(s.Unstored(t.Context(), 10))(t)
			if len(list) != row.want {
				t.Errorf("at %d there are %d", row.now, len(list))
			}
			if len(list) > 0 {
				ok(t, s.Missed(t.Context(), x))
			}
		}
	}},
	{"nothing is over that lives, or is kept for ever or for longer", func(t *testing.T, s *Store) {
		live := recorded(t, s, "aaaa-aaaaa", 200)
		forever := sealed(t, s, "bbbb-bbbbb", 0)
		longer := sealed(t, s, "cccc-ccccc", 1001)
		at(s, 1000)
		if over := must(s.Over(t.Context(), 10))(t); len(over) > 0 {
			t.Errorf("over are %v", over)
		}
		for _, x := range []id.Session{live, forever, longer, "zzzz-zzzzz"} {
			refused(t, s.BeginDelete(t.Context(), x), fault.RecordingHeld)
		}
	}},
	{"the storage is told once of what is kept, and of each hold", func(t *testing.T, s *Store) {
		x := recorded(t, s, "aaaa-aaaaa", 5000)
		ok(t, s.EndSession(t.Context(), x, wire.EndRequest{End: "closed"}, sealedOf("aaaa-aaaaa"), 150))
		recorded(t, s, "bbbb-bbbbb", 5000)
		if got := must(s.Unstored(t.Context(), 10))(t); !slices.Equal(got, []Kept{{Session: x, Bytes: 700, Sealed: 160, Retain: 5000}}) {
			t.Errorf("unstored are %+v", got)
		}
		ok(t, s.Hold(t.Context(), ada, x, "case 7"))
		ok(t, s.Stored(t.Context(), x, false))
		if got := must(s.Unstored(t.Context(), 10))(t); len(got) > 0 {
			t.Errorf("unstored are %+v", got)
		}
		want := Kept{Session: x, Bytes: 700, Sealed: 160, Retain: 5000, Held: true}
		if got := must(s.Untold(t.Context(), 10))(t); !slices.Equal(got, []Kept{want}) {
			t.Errorf("untold are %+v", got)
		}
		ok(t, s.Stored(t.Context(), x, true))
		if got := must(s.Untold(t.Context(), 10))(t); len(got) > 0 {
			t.Errorf("untold are %+v", got)
		}
		ok(t, s.Release(t.Context(), ada, x))
		want.Held = false
		if got := must(s.Untold(t.Context(), 10))(t); !slices.Equal(got, []Kept{want}) {
			t.Errorf("untold are %+v", got)
		}
	}},
	{"one deletes at a time, and a clock that jumps is not believed", func(t *testing.T, s *Store) {
		const day = 86400
		take := func(holder string, now, steady int64, mine bool) {
			t.Helper()
			at(s, now)
			got, yes, err := s.TakeRetention(t.Context(), holder, time.Hour)
			if err != nil || yes != mine || mine && got != steady {
				t.Errorf("%s at %d: steady %d, mine %v, %v; want %d, %v", holder, now, got, yes, err, steady, mine)
			}
		}
		const start = 1000 * day
		take("a", start, start, true)
		take("b", start+10, 0, false)
		take("a", start+20, start, true)
		take("b", start+3700, start, true) // a is gone
		take("a", start+3800, 0, false)
		for n := int64(1); n < 40; n++ {
			take("b", start+n*day, start, true)
		}
		// Ten years ahead, and back.
		take("a", start+3650*day, start+3650*day, true)
		take("b", start+40*day, start+40*day, true)
		take("b", start+41*day, start+40*day, true)
	}},
}

func TestRecordingsOfASessionThatAnEarlierReleaseOpened(t *testing.T) {
	s := open(t, sqliteURL(t))
	x := recorded(t, s, "aaaa-aaaaa", 0)
	ok(t, s.alone(t.Context(), func(t *tx) error {
		_, err := t.exec(`DROP TRIGGER recordings_delete_refused`)
		if err == nil {
			_, err = t.exec(`DELETE FROM recordings`)
		}
		return err
	}))
	state(t, s, x, "live")
	ok(t, s.EndSession(t.Context(), x, wire.EndRequest{End: "closed"}, sealedOf(string(x)), 150))
	state(t, s, x, "sealed")
}
