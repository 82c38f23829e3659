package proxy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// talk is a channel on which sftp runs, as a test leads it.
type talk struct {
	ssh.Channel
	said chan string // stderr, at its end
	exit chan uint32 // closed without one where there was none
}

func talkSFTP(t *testing.T, c *ssh.Client) talk {
	t.Helper()
	ch, requests, err := c.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	k := talk{ch, make(chan string, 1), make(chan uint32, 1)}
	go func() {
		b, _ := io.ReadAll(ch.Stderr())
		k.said <- string(b)
	}()
	go func() {
		defer close(k.exit)
		for r := range requests {
			var m struct{ Status uint32 }
			if r.Type == "exit-status" && ssh.Unmarshal(r.Payload, &m) == nil {
				k.exit <- m.Status
			}
		}
	}()
	if ok, err := ch.SendRequest("subsystem", true, ssh.Marshal(struct{ Name string }{"sftp"})); !ok || err != nil {
		t.Fatal(ok, err)
	}
	return k
}

const (
	sftpInit = "\x00\x00\x00\x05\x01\x00\x00\x00\x03"
	// sftpGuess writes to a handle that the node never gave.
	sftpGuess = "\x00\x00\x00\x1a\x06\x00\x00\x00\x01\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01x"
)

func TestSFTPThatCannotBeFollowedEndsItsChannelAlone(t *testing.T) {
	for _, test := range []struct{ name, say string }{
		{"no SFTP at all", "GET / HTTP/1.0\r\n\r\n"},
		{"a length that lies", sftpInit + "\xff\xff\xff\xff\x11"},
		{"a handle that is guessed", sftpInit + sftpGuess},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			c, err := w.you.dial(w.web.Login + "@web-1")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			k := talkSFTP(t, c)
			io.WriteString(k, test.say)
			io.Copy(io.Discard, k)
			if status := <-k.exit; status != 254 {
				t.Errorf("exit status %d", status)
			}
			if said := <-k.said; !strings.Contains(said, "sallyport: what your file transfer sends cannot be followed") {
				t.Errorf("said %q", said)
			}
			other := must(c.NewSession())
			if out, err := other.Output("echo lives"); string(out) != "lives\n" {
				t.Errorf("another channel: %q, %v", out, err)
			}
			c.Close()
			frames := w.recorded(w.last())
			_, transfers := carried(t, frames)
			// The two channels end when they end.
			slices.SortFunc(transfers, func(a, b recording.Transfer) int { return strings.Compare(b.Tool, a.Tool) })
			if len(transfers) != 2 || transfers[0].Tool != "sftp" || transfers[0].Reason != string(fault.SFTPMalformed) || transfers[0].Unfollowed == "" {
				t.Errorf("%+v", transfers)
			}
			if !strings.Contains(content(frames, recording.KindNotice), "cannot be followed") || !strings.Contains(content(frames, recording.KindInput), test.say) {
				t.Error("not recorded")
			}
		})
	}
}

func TestAFileThatIsCutOffIsTold(t *testing.T) {
	w := newWorld(t)
	c, err := w.you.dial(w.web.Login + "@web-1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	k := talkSFTP(t, c)
	open := "\x03\x00\x00\x00\x01\x00\x00\x00\x03cut\x00\x00\x00\x1a\x00\x00\x00\x00"
	io.WriteString(k, sftpInit+fmt.Sprintf("\x00\x00\x00%c", len(open))+open)
	buf := make([]byte, 64<<10)
	for got := []byte{}; !bytes.Contains(got, []byte("\x66\x00\x00\x00\x01\x00\x00\x00\x04\x00\x00\x00\x00")); { // the handle
		n, err := k.Read(buf)
		if err != nil {
			t.Fatalf("no handle in %q: %v", got, err)
		}
		got = append(got, buf[:n]...)
	}
	io.WriteString(k, "\x00\x00\x80\x19\x06\x00\x00\x00\x02\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x00half of it")
	rig.Eventually(t, 5*time.Second, "it is recorded", func() bool {
		return strings.Contains(content(w.frames(w.last()), recording.KindInput), "half of it")
	})
	c.Close()
	ops, transfers := carried(t, w.recorded(w.last()))
	if op := find(t, ops, "write", "cut"); !op.Open || op.SHA256 != nil || op.Unhashed != "unclosed" || op.Write != 0 {
		t.Errorf("%+v", op)
	}
	if len(transfers) != 1 || transfers[0].Files != 1 {
		t.Errorf("%+v", transfers)
	}
}

// sftpRemove asks to remove a file that is not there.
func sftpRemove(id uint32) []byte {
	b := []byte("\x00\x00\x00\x10\x0d\x00\x00\x00\x00\x00\x00\x00\x07nothing")
	binary.BigEndian.PutUint32(b[5:], id)
	return b
}

// answers reads n packets.
func answers(t *testing.T, from io.Reader, n int) {
	t.Helper()
	r := bufio.NewReader(from)
	for i := range n {
		var length [4]byte
		if _, err := io.ReadFull(r, length[:]); err != nil {
			t.Fatalf("answer %d of %d: %v", i, n, err)
		}
		if _, err := r.Discard(int(binary.BigEndian.Uint32(length[:]))); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnOperationIsRecordedBeforeItsAnswerIsDelivered(t *testing.T) {
	w := newWorld(t)
	c, err := w.you.dial(w.web.Login + "@web-1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	k := talkSFTP(t, c)
	io.WriteString(k, sftpInit)
	answers(t, k, 1)
	for id := range uint32(20) {
		k.Write(sftpRemove(id))
		answers(t, k, 1)
		if ops, _ := carried(t, w.frames(w.last())); len(ops) != int(id)+1 {
			t.Fatalf("%d answers came, %d operations are recorded", id+1, len(ops))
		}
	}
}

func TestHundredThousandRequestsThatNobodyReadsTheAnswersOf(t *testing.T) {
	w := newWorld(t)
	c, err := w.you.dial(w.web.Login + "@web-1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	k := talkSFTP(t, c)
	io.WriteString(k, sftpInit)
	const requests = 100_000
	var all bytes.Buffer
	for id := range uint32(requests) {
		all.Write(sftpRemove(id))
	}
	before := allocated()
	if _, err := k.Write(all.Bytes()); err != nil { // before any answer is read
		t.Fatal(err)
	}
	if now := allocated(); now > before+100<<20 {
		t.Errorf("%d MiB more", (now-before)>>20)
	}
	answers(t, k, 1+requests)
	c.Close()
	if ops, _ := carried(t, w.recorded(w.last())); len(ops) != requests {
		t.Errorf("%d operations are told", len(ops))
	}
}
