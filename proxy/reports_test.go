package proxy

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// sealed waits until the CA has the seal of session, and checks it.
func (w *world) sealed(session id.Session) (wire.EndRequest, *recording.Seal) {
	w.t.Helper()
	var end wire.EndRequest
	rig.Eventually(w.t, 20*time.Second, "the CA has the seal of session "+string(session), func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		end = w.ended[session]
		return end.Seal != nil
	})
	seal, err := recording.ParseSeal(end.Seal)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := recording.CheckSeal(seal, []ssh.PublicKey{w.host.PublicKey()}); err != nil {
		w.t.Fatal(err)
	}
	if seal.Session != session || seal.Proxy != "p-1" {
		w.t.Errorf("it is the seal of session %s by %s", seal.Session, seal.Proxy)
	}
	return end, seal
}

// notes are the files that say what the CA has not been told.
func (w *world) notes() []string {
	list, err := filepath.Glob(filepath.Join(w.config.Data, "recordings", "*.note"))
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

func TestTheCAIsToldOfEachRecordingFromItsBeginningToItsSeal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	where := w.web.Login + "@web-1"
	if r := w.you.ssh(where, "echo hello"); r.stdout != "hello\n" {
		t.Fatalf("%+v", r)
	}
	session := w.last()
	end, seal := w.sealed(session)
	w.mu.Lock()
	begun, told := w.begun[session], w.told[session]
	w.mu.Unlock()
	if !slices.Equal(told, []string{"begun", "ended"}) || string(begun.Header) != string(seal.Header) {
		t.Errorf("it was told %v", told)
	}
	if end.End != recording.EndClosed || !end.Accepted || end.Lost || end.Commands != 1 || end.Bytes <= seal.Bytes {
		t.Errorf("ended with %+v", end)
	}
	if age := time.Since(time.UnixMicro(begun.Started)); age < 0 || age > time.Minute {
		t.Errorf("it began %s ago", age)
	}
	rig.Eventually(t, 5*time.Second, "there is nothing left to be told", func() bool { return len(w.notes()) == 0 })
}

func TestWhatADeadProxyCouldNotTellItsSuccessorTells(t *testing.T) {
	w := newWorld(t)
	where := w.web.Login + "@web-1"
	p := w.process()
	if r := w.you.ssh(where, "true"); r.status != 0 { // so that it has told of its start
		t.Fatalf("%+v", r)
	}
	first := w.last()
	w.sealed(first)

	cmd := w.you.command(where, "echo begun; cat")
	in := must(cmd.StdinPipe())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var session id.Session
	rig.Eventually(t, 10*time.Second, "the session runs", func() bool {
		session = w.last()
		return session != first && content(w.frames(session), recording.KindOutput) == "begun\n"
	})
	w.with(func(a *authority) { a.away = true })
	in.Close()
	cmd.Wait()
	rig.Eventually(t, 10*time.Second, "a note says what is to be told", func() bool { return len(w.notes()) == 1 })
	rig.Eventually(t, 10*time.Second, "the recording is finished", func() bool {
		files, _ := filepath.Glob(filepath.Join(w.config.Data, "recordings", string(session)+".*"))
		return len(files) == 2 // with the note
	})
	p.Kill()
	w.with(func(a *authority) { a.away = false; a.told[session] = nil })

	p = w.process()
	end, _ := w.sealed(session)
	w.mu.Lock()
	told := w.told[session]
	w.mu.Unlock()
	if !slices.Equal(told, []string{"begun", "ended"}) || end.End != recording.EndClosed || !end.Accepted {
		t.Errorf("it was told %v, %+v", told, end)
	}
	rig.Eventually(t, 5*time.Second, "there is nothing left to be told", func() bool { return len(w.notes()) == 0 })
	p.Stop(5 * time.Second)
}

func TestARecordingThatACrashCutIsSealedAsCutAndTold(t *testing.T) {
	w := newWorld(t)
	where := w.web.Login + "@web-1"
	p := w.process()
	cmd := w.you.command(where, "echo begun; cat")
	in := must(cmd.StdinPipe())
	defer in.Close()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	var session id.Session
	rig.Eventually(t, 10*time.Second, "the session runs", func() bool {
		w.mu.Lock()
		n := len(w.begun)
		w.mu.Unlock()
		if n == 0 {
			return false
		}
		session = w.last()
		return content(w.frames(session), recording.KindOutput) == "begun\n"
	})
	p.Cmd.Process.Signal(syscall.SIGKILL)
	<-p.Done()
	p = w.process()
	end, seal := w.sealed(session)
	if !seal.Cut() || end.End != recording.EndCut || end.Lost {
		t.Errorf("ended with %+v; sealed with %+v", end, seal.End)
	}
	if r := w.you.ssh(where, "true"); r.status != 0 {
		t.Errorf("%+v", r)
	}
	p.Stop(5 * time.Second)
}

func TestReportsThatTheCARefusesAreKeptForTheNextStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	where := w.web.Login + "@web-1"
	w.with(func(a *authority) { a.refuse = fault.New(fault.Denied, fault.SealRefused, "no") })
	w.you.ssh(where, "true")
	session := w.last()
	rig.Eventually(t, 10*time.Second, "it was told", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.ended[session].Seal != nil
	})
	w.end()
	if len(w.notes()) != 1 {
		t.Fatalf("notes: %v", w.notes())
	}
	w.with(func(a *authority) { a.refuse, a.ended = nil, map[id.Session]wire.EndRequest{} })
	w.start()
	w.sealed(session)
	rig.Eventually(t, 5*time.Second, "there is nothing left to be told", func() bool { return len(w.notes()) == 0 })
}

func TestWithoutAValidCertificateTheSealIsOwed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	where := w.web.Login + "@web-1"
	c := w.server.follower.trust().host.PublicKey().(*ssh.Certificate)
	was := w.server.now
	w.server.now = func() time.Time { return time.Unix(int64(c.ValidBefore), 0) }
	x := recording.Statement{Version: 2, Session: "7kq2-m9x4d"}
	if _, err := w.server.seal(x); err == nil || !strings.Contains(err.Error(), "not valid") {
		t.Errorf("sealed with an expired certificate: %v", err)
	}
	w.server.now = func() time.Time { return time.Unix(int64(c.ValidAfter)-1, 0) }
	if _, err := w.server.seal(x); err == nil {
		t.Error("sealed with a certificate of tomorrow")
	}
	w.server.now = was
	_ = where
}

func TestWithoutRoomNobodyIsAskedForASession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Reserve = 1 << 60 })
	r := w.you.ssh(w.web.Login+"@web-1", "true")
	if r.status != 254 || !strings.Contains(r.stderr, "sallyport: this proxy has no room to keep another recording: ") ||
		!strings.Contains(r.stderr, "try again later, and tell whoever runs the proxy") {
		t.Errorf("%+v", r)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.asked) != 0 {
		t.Error("the CA was asked")
	}
	if _, err := os.Stat(filepath.Join(w.config.Data, "recordings")); err != nil {
		t.Error(err)
	}
}
