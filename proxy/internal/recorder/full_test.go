//go:build linux

package recorder

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// TestADiskThatIsFullAtAnyFrame ends the session there: what Append accepted is
// in the finished recording, and nothing else was delivered. The disk is full by
// RLIMIT_FSIZE, to the byte, in a process of its own.
func TestADiskThatIsFullAtAnyFrame(t *testing.T) {
	const inner = "SALLYPORT_RECORDER_FULL"
	if os.Getenv(inner) == "" {
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(exe, "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), inner+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	signal.Ignore(syscall.SIGXFSZ) // EFBIG instead
	for n := range uint64(24) {
		for _, into := range []int64{0, 1, recording.RecordHeaderSize, recording.RecordHeaderSize + 5} {
			fullAt(t, n, into)
		}
	}
}

// fullAt fills the disk when so many bytes of frame n+1 are written.
func fullAt(t *testing.T, n uint64, into int64) {
	t.Helper()
	dir := t.TempDir()
	d, _, err := OpenDir(Config{Path: dir, Seal: p1.seal})
	if err != nil {
		t.Fatal(err)
	}
	r := open(t, d)
	for i := range n {
		if err := r.Append(recording.KindOutput, 1, payload(i+1)); err != nil {
			t.Fatal(err)
		}
	}
	unlimited := limit(t, r.size+into)
	if err := r.Append(recording.KindOutput, 1, payload(n+1)); fault.ReasonOf(err) != fault.RecorderFailed {
		t.Fatalf("frame %d, %d bytes: %v", n+1, into, err)
	}
	unlimited()
	// There is room again; this session has ended all the same.
	if err := r.Append(recording.KindOutput, 1, []byte("x")); fault.ReasonOf(err) != fault.RecorderFailed {
		t.Fatalf("after the first error: %v", err)
	}
	if err := r.Requested(1, recording.Request{Type: "exec"}); fault.ReasonOf(err) != fault.RecorderFailed {
		t.Fatalf("after the first error: %v", err)
	}
	// The finished part does not fit at first, either.
	unlimited = limit(t, 100)
	if _, err := r.Close(recording.End{Reason: string(fault.RecorderFailed)}); fault.ReasonOf(err) != fault.RecorderFailed {
		t.Fatalf("close on a full disk: %v", err)
	}
	unlimited()
	d.pay()
	d.Close()
	only(t, dir, string(session)+recording.SuffixRec)
	got, _ := ann.verified(t, dir, session)
	if uint64(len(got)) != n+2 {
		t.Fatalf("%d frames were accepted, %d are recorded", n, len(got)-2)
	}
	for i, f := range got[1 : n+1] {
		if !bytes.Equal(f.Payload, payload(uint64(i+1))) {
			t.Fatalf("frame %d is not what was sent", f.Number)
		}
	}
	var end recording.End
	if err := got[n+1].Decode(&end); err != nil || end.Reason != string(fault.RecorderFailed) {
		t.Fatalf("end: %s, %v", got[n+1].Payload, err)
	}
}

// limit lets files of this process grow to n bytes, until the function that it
// returns is called.
func limit(t *testing.T, n int64) func() {
	t.Helper()
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: uint64(n), Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAFullFileSystemLosesNothingThatWasDelivered uses a real one of 1 MiB, that
// grows again.
func TestAFullFileSystemLosesNothingThatWasDelivered(t *testing.T) {
	dir, resize := tmpfs(t, "1m")
	d := openDir(t, dir)
	r := open(t, d)
	n := uint64(0)
	var err error
	for err == nil {
		// Noise, so that compressing it wins no room.
		if err = r.Append(recording.KindOutput, 1, noise(n+1)); err == nil {
			n++
		}
	}
	if fault.ReasonOf(err) != fault.RecorderFailed || !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, io.ErrShortWrite) || n < 100 {
		t.Fatalf("after %d frames: %v", n, err)
	}
	if _, err := d.Open(recording.Meta{Session: "7kq2-m9x4e", Login: "x"}, ann.order); fault.ReasonOf(err) != fault.RecorderFailed {
		t.Errorf("a session that could not be recorded was begun: %v", err)
	}
	_, closed := r.Close(recording.End{Reason: string(fault.RecorderFailed)})
	resize("8m")
	if closed != nil {
		d.pay()
	}
	got, _ := ann.verified(t, dir, session)
	if uint64(len(got)) != n+2 {
		t.Fatalf("%d frames were accepted, %d are recorded (close: %v)", n, len(got)-2, closed)
	}
	for i, f := range got[1 : n+1] {
		if !bytes.Equal(f.Payload, noise(uint64(i+1))) {
			t.Fatalf("frame %d is not what was sent", f.Number)
		}
	}
}

func noise(seed uint64) []byte {
	b := make([]byte, 3000)
	x := seed*2654435761 + 1
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return b
}
