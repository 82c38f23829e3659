package proxy

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/config"
	"github.com/sallyport-ssh/sallyport/internal/preamble"
	"github.com/sallyport-ssh/sallyport/internal/rig"
)

func TestSilentClientsAreLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) {
		c.Limits = Limits{Unauthenticated: 5, PerAddress: 3, LoginTime: config.Duration(5 * time.Second)}
	})
	var silent []net.Conn
	for range 3 {
		c, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		silent = append(silent, c)
	}
	rig.Eventually(t, 5*time.Second, "three are in", func() bool { return w.server.gate.Inside() == 3 })
	t.Run("ssh prints why it is turned away", func(t *testing.T) {
		r := w.you.ssh(w.web.Login+"@web-1", "true")
		if r.status != 255 || !strings.Contains(r.stderr, "sallyport: too many logins from your address at once; try again in a moment") {
			t.Errorf("%+v", r)
		}
	})
	t.Run("who is in is not counted", func(t *testing.T) {
		silent[0].Close()
		rig.Eventually(t, 5*time.Second, "one has left", func() bool { return w.server.gate.Inside() == 2 })
		for range 4 { // more than the limit, one after the other
			c, err := w.you.dial(w.web.Login + "@web-1")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
		}
	})
	t.Run("who says nothing is closed", func(t *testing.T) {
		silent[1].SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.Copy(io.Discard, silent[1]); err != nil {
			t.Errorf("still open: %v", err)
		}
		rig.Eventually(t, 5*time.Second, "nobody is left", func() bool { return w.server.gate.Inside() == 0 })
	})
}

func TestSlowClientsHaveALimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Limits.LoginTime = config.Duration(5 * time.Second) })
	for _, test := range []struct{ name, sends string }{
		{"half an identification", "SSH-2.0-Open"},
		{"an identification and no more", "SSH-2.0-OpenSSH_9.2\r\n"},
		{"half a preamble", preamble.Prefix + "eyJ"},
		{"half a packet", "SSH-2.0-OpenSSH_9.2\r\n\x00\x00\x05"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, err := net.Dial("tcp", w.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			io.WriteString(c, test.sends)
			c.SetReadDeadline(time.Now().Add(15 * time.Second))
			if _, err := io.Copy(io.Discard, c); err != nil {
				t.Errorf("still open: %v", err)
			}
		})
	}
}

func TestGarbage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	// A real client's first flight, to be bent.
	hello := "SSH-2.0-OpenSSH_9.2\r\n"
	for _, test := range []struct {
		name  string
		sends []byte
	}{
		{"another protocol", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")},
		{"zeros", make([]byte, 1<<20)},
		{"random bytes", random(1 << 20)},
		{"a preamble without an end", []byte(preamble.Prefix + strings.Repeat("A", 1<<20))},
		{"a preamble of nonsense", []byte(preamble.Prefix + "!!!!\n" + hello)},
		{"a packet of four gigabytes", []byte(hello + "\xff\xff\xff\xff\xff")},
		{"a packet of nothing", []byte(hello + "\x00\x00\x00\x00\x00")},
		{"a packet of padding", []byte(hello + "\x00\x00\x00\x0c\x0b" + strings.Repeat("\x00", 11))},
		{"random bytes for a key exchange", append([]byte(hello), random(1<<16)...)},
		{"an identification of a megabyte", []byte("SSH-2.0-" + strings.Repeat("x", 1<<20))},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := net.Dial("tcp", w.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			go c.Write(test.sends)
			c.SetReadDeadline(time.Now().Add(farewellTime + 10*time.Second))
			if n, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") || n > 4096 {
				t.Errorf("after %d bytes: %v", n, err)
			}
		})
	}
	rig.Eventually(t, 5*time.Second, "nobody is left", func() bool { return w.server.gate.Inside() == 0 })
	t.Run("in the middle of a session", func(t *testing.T) {
		raw, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		signer := must(ssh.NewCertSigner(w.you.certificate, w.you.key))
		conn, channels, requests, err := ssh.NewClientConn(raw, "", &ssh.ClientConfig{
			User: w.web.Login + "@web-1", Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
		})
		if err != nil {
			t.Fatal(err)
		}
		c := ssh.NewClient(conn, channels, requests)
		if _, err := c.NewSession(); err != nil {
			t.Fatal(err)
		}
		raw.Write(random(1 << 16))
		c.Wait()
		rig.Eventually(t, 10*time.Second, "the session has ended", func() bool { return len(w.server.register.sessions()) == 0 })
	})
	if r := w.you.ssh(w.web.Login+"@web-1", "echo ok"); r.stdout != "ok\n" {
		t.Errorf("afterwards: %+v", r)
	}
}

func TestWhatNobodyKnowsIsRefused(t *testing.T) {
	w := newWorld(t)
	c, err := w.you.dial(w.web.Login + "@web-1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"unknown@example.com", "", "hostkeys-prove-00@openssh.com", "session", "x\xffy", strings.Repeat("long", 1000)} {
		if ok, _, err := c.SendRequest(kind, true, random(100)); ok || err != nil {
			t.Errorf("global request %.20q: %v, %v", kind, ok, err)
		}
		if ok, err := s.SendRequest(kind, true, random(100)); ok || err != nil {
			t.Errorf("channel request %.20q: %v, %v", kind, ok, err)
		}
		if kind == "session" {
			continue
		}
		if _, _, err := c.OpenChannel(kind, random(100)); err == nil {
			t.Errorf("channel %.20q was opened", kind)
		}
	}
	for _, malformed := range []string{"exec", "subsystem"} {
		if ok, err := s.SendRequest(malformed, true, []byte{0, 0, 0, 9}); ok || err != nil {
			t.Errorf("malformed %s: %v, %v", malformed, ok, err)
		}
	}
	for _, malformed := range []string{"tcpip-forward", "cancel-tcpip-forward", "streamlocal-forward@openssh.com"} {
		if ok, _, err := c.SendRequest(malformed, true, []byte{0, 0, 0, 9}); ok || err != nil {
			t.Errorf("malformed %s: %v, %v", malformed, ok, err)
		}
	}
	if ok, _, err := c.SendRequest("keepalive@openssh.com", true, nil); ok || err != nil { // sshd refuses, and that is the answer
		t.Errorf("keepalive: %v, %v", ok, err)
	}
	if out, err := s.Output("echo ok"); string(out) != "ok\n" {
		t.Errorf("afterwards: %q, %v", out, err)
	}
	if _, _, err := c.SendRequest("no-more-sessions@openssh.com", false, nil); err != nil {
		t.Fatal(err)
	}
	c.SendRequest("keepalive@openssh.com", true, nil) // answered in order, and so after it
	if _, err := c.NewSession(); err == nil {
		t.Error("a session after no-more-sessions")
	}
	c.Close()
	var refused int
	for _, f := range w.recorded(w.last()) {
		if strings.Contains(string(f.Payload), "channel_not_allowed") {
			refused++
		}
	}
	if refused < 15 {
		t.Errorf("%d refusals were recorded", refused)
	}
}

func TestAChannelThatIsNeverRead(t *testing.T) {
	w := newWorld(t)
	c, err := w.you.dial(w.web.Login + "@web-1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const channels = 20
	begun := allocated()
	for i := range channels {
		ch, requests, err := c.OpenChannel("session", nil)
		if err != nil {
			t.Fatal(err)
		}
		go ssh.DiscardRequests(requests)
		if ok, err := ch.SendRequest("exec", true, ssh.Marshal(struct{ C string }{"cat /dev/zero"})); !ok || err != nil {
			t.Fatalf("channel %d: %v, %v", i, ok, err)
		}
	}
	// Each holds a window of 2 MiB in the proxy and one in this test's own client,
	// in packets that Go rounds up by a quarter, and a flow's buffer.
	const most = 6 << 20
	before := allocated()
	rig.Eventually(t, 30*time.Second, "memory rests", func() bool {
		now := allocated()
		rests := now <= before+(1<<20) && now+(1<<20) >= before
		before = now
		return rests
	})
	if each := (before - begun) / channels; before > begun && each > most {
		t.Errorf("%d KiB for each channel that nobody reads", each>>10)
	}
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := s.Output("echo beside"); string(out) != "beside\n" {
		t.Errorf("%q, %v", out, err)
	}
}

func TestTooManyChannels(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, err := w.you.dial(w.web.Login + "@web-1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	echo := echoServer(t)
	var opened int
	for range 600 {
		conn, err := c.Dial("tcp", echo)
		if err != nil {
			if !strings.Contains(err.Error(), "no more channels") {
				t.Errorf("%v", err)
			}
			break
		}
		defer conn.Close()
		opened++
	}
	if opened != 500 {
		t.Errorf("%d channels were opened", opened)
	}
}
