package proxy

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// hostileNode is a node whose sshd is x/crypto's server, with which serve does
// as it likes.
func (w *world) hostileNode(name id.NodeName, serve func(*ssh.ServerConn, <-chan ssh.NewChannel, <-chan *ssh.Request)) {
	w.t.Helper()
	key, node := rig.NewKey(w.t, ""), id.NewNode()
	w.mu.Lock()
	c := w.sign(cert.Host{Name: name, Node: node, Principals: []string{string(name)}, Key: key.PublicKey(), Serial: w.next()}, w.authority.host)
	w.mu.Unlock()
	config := &ssh.ServerConfig{PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, nil }}
	config.AddHostKey(must(ssh.NewCertSigner(c, key)))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	var all sync.WaitGroup
	w.t.Cleanup(func() { l.Close(); all.Wait() })
	go func() {
		for {
			tcp, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				conn, channels, requests, err := ssh.NewServerConn(tcp, config)
				if err == nil {
					serve(conn, channels, requests)
					conn.Close()
				}
			})
		}
	}()
	w.with(func(a *authority) {
		a.nodes[name] = wire.Target{Node: node, Name: name, Addr: l.Addr().String()}
		a.grants["deploy@"+string(name)] = everything()
	})
}

// program answers a session channel: run gets it after the start was answered.
func program(nc ssh.NewChannel, run func(ssh.Channel)) {
	ch, requests, err := nc.Accept()
	if err != nil {
		return
	}
	for r := range requests {
		r.Reply(true, nil)
		if r.Type == "exec" || r.Type == "shell" {
			go func() { run(ch); ch.Close() }()
		}
	}
}

func exitStatus(ch ssh.Channel, status uint32) {
	ch.SendRequest("exit-status", false, ssh.Marshal(struct{ S uint32 }{status}))
}

func TestANodeGetsNothingThatNobodyAskedFor(t *testing.T) {
	w := newWorld(t)
	type try struct {
		kind string
		data []byte
	}
	port := ssh.Marshal(struct {
		Addr       string
		Port       uint32
		OriginAddr string
		OriginPort uint32
	}{"127.0.0.1", 8080, "192.0.2.1", 1})
	tries := []try{
		{"auth-agent@openssh.com", nil}, {"x11", nil}, {"session", nil}, {"direct-tcpip", port}, {"forwarded-tcpip", port}, {"forwarded-tcpip", nil},
		{"forwarded-streamlocal@openssh.com", ssh.Marshal(struct{ A, B string }{"/run/x", ""})}, {"tun@openssh.com", nil}, {"unknown", random(100)},
	}
	got := make(chan string, 100)
	w.hostileNode("evil-1", func(conn *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
		go ssh.DiscardRequests(requests)
		for nc := range channels {
			go program(nc, func(ch ssh.Channel) {
				for _, try := range tries {
					if _, _, err := conn.OpenChannel(try.kind, try.data); err == nil {
						got <- "channel " + try.kind
					}
				}
				for _, kind := range []string{"hostkeys-00@openssh.com", "tcpip-forward", "unknown", "x\xffy"} {
					if ok, _, err := conn.SendRequest(kind, true, random(50)); ok || err != nil {
						got <- "request " + kind
					}
				}
				for _, kind := range []string{"exec", "shell", "pty-req", "auth-agent-req@openssh.com", "unknown"} {
					if ok, err := ch.SendRequest(kind, true, random(50)); ok || err != nil {
						got <- "channel request " + kind
					}
				}
				exitStatus(ch, 0)
				close(got)
			})
		}
	})
	// A client that would give the node anything.
	signer := must(ssh.NewCertSigner(w.you.certificate, w.you.key))
	tcp, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	conn, channels, requests, err := ssh.NewClientConn(tcp, "", &ssh.ClientConfig{
		User: "deploy@evil-1", Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() {
		for r := range requests {
			t.Errorf("request %q reached the client", r.Type)
			r.Reply(true, nil)
		}
	}()
	go func() {
		for nc := range channels {
			t.Errorf("channel %q reached the client", nc.ChannelType())
			nc.Accept()
		}
	}()
	ch, chRequests, err := conn.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := ch.SendRequest("exec", true, ssh.Marshal(struct{ C string }{"x"})); !ok || err != nil {
		t.Fatalf("%v, %v", ok, err)
	}
	for r := range chRequests {
		if r.Type != "exit-status" {
			t.Errorf("channel request %q reached the client", r.Type)
		}
	}
	for what := range got {
		t.Errorf("the node got %s", what)
	}
	conn.Close()
	var refused int
	for _, f := range w.recorded(w.last()) {
		if f.Kind == recording.KindAnswer && strings.Contains(string(f.Payload), `"from":"p"`) {
			refused++
		}
	}
	if want := len(tries) + 3 + 5; refused < want {
		t.Errorf("%d refusals were recorded, want %d", refused, want)
	}
}

func TestWhatANodeSendsLastArrives(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	data := random(1 << 20)
	w.hostileNode("odd-1", func(conn *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
		go ssh.DiscardRequests(requests)
		for nc := range channels {
			go program(nc, func(ch ssh.Channel) {
				exitStatus(ch, 7) // before the output, which the protocol allows
				ch.Write(data)
				ch.Stderr().Write(data)
			})
		}
	})
	for range 20 {
		c, err := w.you.dial("deploy@odd-1")
		if err != nil {
			t.Fatal(err)
		}
		ch, requests, err := c.OpenChannel("session", nil)
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := ch.SendRequest("exec", true, ssh.Marshal(struct{ C string }{"x"})); !ok || err != nil {
			t.Fatalf("%v, %v", ok, err)
		}
		var out, errs []byte
		var both sync.WaitGroup
		both.Go(func() { out, _ = io.ReadAll(ch) })
		both.Go(func() { errs, _ = io.ReadAll(ch.Stderr()) })
		status := false
		for r := range requests {
			status = status || r.Type == "exit-status" && r.Payload[3] == 7
		}
		both.Wait()
		if len(out) != len(data) || len(errs) != len(data) || !status {
			t.Fatalf("%d and %d bytes of %d arrived, status %v", len(out), len(errs), len(data), status)
		}
		c.Close()
	}
}

func TestAnExitStatusDoesNotWaitForWhatStaysSilent(t *testing.T) {
	w := newWorld(t)
	hold := make(chan struct{})
	w.hostileNode("odd-1", func(conn *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
		go ssh.DiscardRequests(requests)
		for nc := range channels {
			go program(nc, func(ch ssh.Channel) {
				io.WriteString(ch, "early")
				exitStatus(ch, 3)
				<-hold // a daemon keeps the output open
			})
		}
	})
	c, err := w.you.dial("deploy@odd-1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	defer close(hold)
	ch, requests, err := c.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := ch.SendRequest("exec", true, ssh.Marshal(struct{ C string }{"x"})); !ok || err != nil {
		t.Fatalf("%v, %v", ok, err)
	}
	var early [5]byte
	if _, err := io.ReadFull(ch, early[:]); err != nil {
		t.Fatal(err)
	}
	select {
	case r := <-requests:
		if r == nil || r.Type != "exit-status" {
			t.Errorf("%v", r)
		}
	case <-time.After(10 * time.Second):
		t.Error("no exit status")
	}
}

func TestSignalsAndKeepalivesPass(t *testing.T) {
	w := newWorld(t)
	seen := make(chan string, 10)
	w.hostileNode("odd-1", func(conn *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
		go func() {
			for r := range requests {
				if r.Type == "keepalive@openssh.com" {
					seen <- "keepalive"
				}
				r.Reply(r.Type == "keepalive@openssh.com", nil)
			}
		}()
		for nc := range channels {
			ch, chRequests, err := nc.Accept()
			if err != nil {
				return
			}
			go func() {
				for r := range chRequests {
					r.Reply(true, nil)
					switch r.Type {
					case "signal", "break":
						seen <- r.Type
					case "exec":
						go func() {
							// sshd's ClientAliveInterval
							if ok, err := ch.SendRequest("keepalive@openssh.com", true, nil); !ok && err == nil {
								seen <- "answered"
							}
							io.Copy(io.Discard, ch)
							ch.SendRequest("exit-signal", false, ssh.Marshal(struct {
								Signal    string
								Core      bool
								Text, Tag string
							}{"KILL", true, "gone", "en"}))
							ch.Close()
						}()
					}
				}
			}()
		}
	})
	c, err := w.you.dial("deploy@odd-1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	in := must(s.StdinPipe())
	if err := s.Start("x"); err != nil {
		t.Fatal(err)
	}
	if ok, _, err := c.SendRequest("keepalive@openssh.com", true, nil); !ok || err != nil {
		t.Errorf("the node's answer to a keepalive: %v, %v", ok, err)
	}
	s.Signal(ssh.SIGUSR1)
	s.SendRequest("break", true, ssh.Marshal(struct{ N uint32 }{500}))
	for range 4 {
		select {
		case <-seen:
		case <-time.After(10 * time.Second):
			t.Fatal("something did not pass")
		}
	}
	in.Close()
	err = s.Wait()
	if exit, ok := err.(*ssh.ExitError); !ok || exit.Signal() != "KILL" || exit.Msg() != "gone" {
		t.Errorf("%v", err)
	}
}
