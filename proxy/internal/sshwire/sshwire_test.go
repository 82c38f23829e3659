package sshwire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/preamble"
)

// tape is a connection that says what it was given, and keeps what it is told.
type tape struct {
	net.Conn
	in  io.Reader
	out bytes.Buffer
}

func (t *tape) Read(b []byte) (int, error)  { return t.in.Read(b) }
func (t *tape) Write(b []byte) (int, error) { return t.out.Write(b) }

func TestGreet(t *testing.T) {
	long := strings.Repeat("A", preamble.MaxLine)
	for _, test := range []struct {
		name, in   string
		line, rest string
		err        error
	}{
		{"plain SSH is given back whole", "SSH-2.0-OpenSSH_9.2p1\r\n\x00\x00", "", "SSH-2.0-OpenSSH_9.2p1\r\n\x00\x00", nil},
		{"a preamble is taken off", "SALLYPORT/1 abc\nSSH-2.0-X\r\n", "SALLYPORT/1 abc\n", "SSH-2.0-X\r\n", nil},
		{"a preamble alone waits for nothing more", "SALLYPORT/1 abc\n", "SALLYPORT/1 abc\n", "", nil},
		{"a web browser is not SSH", "GET / HTTP/1.1\r\n", "", "", ErrNotSSH},
		{"TLS is not SSH", "\x16\x03\x01\x02", "", "", ErrNotSSH},
		{"another version of the preamble is refused", "SALLYPORT/2 abc\n", "", "", ErrNotSSH},
		{"lower case is refused", "ssh-2.0-x\n", "", "", ErrNotSSH},
		{"a preamble without an end is refused", "SALLYPORT/1 " + long, "", "", ErrTooLong},
		{"a client that leaves is told apart", "SALLYP", "", "", io.EOF},
		{"a client that says nothing and leaves", "", "", "", io.EOF},
	} {
		for _, cut := range []struct {
			name string
			read func(io.Reader) io.Reader
		}{{"at once", func(r io.Reader) io.Reader { return r }}, {"byte by byte", iotest.OneByteReader}} {
			t.Run(test.name+", "+cut.name, func(t *testing.T) {
				c := &tape{in: cut.read(strings.NewReader(test.in))}
				g, line, err := Greet(c)
				if !errors.Is(err, test.err) {
					t.Fatalf("error %v, want %v", err, test.err)
				}
				if c.out.String() != Version+"\r\n" {
					t.Errorf("sent %q before anything else", c.out.String())
				}
				if err != nil {
					return
				}
				if string(line) != test.line {
					t.Errorf("line %q, want %q", line, test.line)
				}
				rest, err := io.ReadAll(g)
				if err != nil || string(rest) != test.rest {
					t.Errorf("left for SSH: %q (%v), want %q", rest, err, test.rest)
				}
			})
		}
	}
}

func TestIdentification(t *testing.T) {
	for _, test := range []struct {
		name, in, line string
		err            error
	}{
		{"a line with CR LF", "SSH-2.0-OpenSSH_9.2p1\r\nrest", "SSH-2.0-OpenSSH_9.2p1", nil},
		{"a line with LF alone", "SSH-2.0-X\nrest", "SSH-2.0-X", nil},
		{"behind a preamble", "SALLYPORT/1 abc\nSSH-2.0-X\r\nrest", "SSH-2.0-X", nil},
		{"something else behind a preamble", "SALLYPORT/1 abc\nGET / HTTP/1.1\r", "", ErrNotSSH},
		{"a line without an end", "SSH-2.0-" + strings.Repeat("x", 300), "", ErrNotSSH},
		{"a client that leaves", "SSH-2.0", "", io.EOF},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := &tape{in: iotest.OneByteReader(strings.NewReader(test.in))}
			g, line, err := Greet(c)
			if err != nil {
				t.Fatal(err)
			}
			got, err := g.Identification()
			if string(got) != test.line || !errors.Is(err, test.err) {
				t.Fatalf("%q, %v, want %q, %v", got, err, test.line, test.err)
			}
			if rest, _ := io.ReadAll(g); err == nil && string(line)+string(rest) != test.in {
				t.Errorf("%q is left of %q", rest, test.in)
			}
		})
	}
}

func TestTheIdentificationLineIsSentOnce(t *testing.T) {
	for _, writes := range [][]string{
		{Version + "\r\n", "rest"},
		{Version, "\r\n", "rest"},
		{Version + "\r\nrest"},
	} {
		c := &tape{in: strings.NewReader("SSH-2.0-X\r\n")}
		g, _, err := Greet(c)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range writes {
			if n, err := g.Write([]byte(w)); n != len(w) || err != nil {
				t.Errorf("write %q: %d, %v", w, n, err)
			}
		}
		if got := c.out.String(); got != Version+"\r\nrest" {
			t.Errorf("%q was sent for writes %q", got, writes)
		}
	}
}

// x/crypto's client reads the packet: its parser is not ours.
func TestDisconnectIsReadByAnSSHClient(t *testing.T) {
	for _, text := range []string{"", "x", "sallyport: no node is called web-9; run: sallyport ls", strings.Repeat("é", 100)} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			server, err := l.Accept()
			if err != nil {
				return
			}
			defer server.Close()
			if _, _, err := Greet(server); err != nil {
				return
			}
			Disconnect(server, TooManyConnections, text)
			server.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, server)
		}()
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _, _, err = ssh.NewClientConn(client, "", &ssh.ClientConfig{HostKeyCallback: ssh.InsecureIgnoreHostKey()})
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("ssh: disconnect, reason 12: %q", text)) {
			t.Errorf("client says %v for %q", err, text)
		}
		client.Close()
		l.Close()
	}
}

func FuzzGreet(f *testing.F) {
	for _, seed := range []string{"SSH-2.0-OpenSSH_9.2\r\n", "SALLYPORT/1 YWJj\nSSH-2.0-X\r\n", "SALLYPORT/1", "GET /", "\n\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		g, line, err := Greet(&tape{in: bytes.NewReader(in)})
		if err != nil {
			return
		}
		rest, _ := io.ReadAll(g)
		if !bytes.Equal(append(line, rest...), in) {
			t.Errorf("%q and %q are not %q", line, rest, in)
		}
	})
}
