// Package sshwire speaks the few bytes of SSH that golang.org/x/crypto/ssh keeps
// to itself: the identification line, sent before the client has said anything;
// the preamble of `sallyport connect` in front of the client's; and
// SSH_MSG_DISCONNECT with a sentence, before there is a key.
//
// # Why
//
// The host key that the proxy shows depends on the node, and so on the
// preamble; x/crypto wants the host keys before it reads the first byte. And a
// client that is turned away for want of room deserves a reason that ssh prints
// ("Received disconnect from ...: sallyport: ..."), which must not cost a key
// exchange.
//
// # Promises
//
// Greet reads no more than one line of at most preamble.MaxLine bytes, and never
// beyond what it needs to tell what the connection is. What it read and is not
// the preamble, it gives back. It parses nothing of the preamble.
package sshwire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"

	"github.com/sallyport-ssh/sallyport/internal/preamble"
)

// Version is the proxy's identification (RFC 4253, section 4.2), without line
// end. It names no version: whoever looks for a hole learns nothing, and
// OpenSSH's table of other people's bugs has no entry for it.
const Version = "SSH-2.0-Sallyport"

// Conn is a connection of which both sides' first line may have gone by. Give it
// to ssh.NewServerConn with ServerVersion set to Version.
type Conn struct {
	net.Conn
	unread  []byte // read by Greet, not yet by x/crypto
	swallow int    // bytes of x/crypto's own identification line that were sent by Greet
}

// maxIdentification is RFC 4253's limit of an identification line, with its end.
const maxIdentification = 255

// Errors of Greet and Identification that are not the network's.
var (
	ErrNotSSH   = errors.New("the client speaks neither SSH nor the preamble")
	ErrTooLong  = fmt.Errorf("the preamble is longer than %d bytes", preamble.MaxLine)
	sshPrefix   = []byte("SSH-")
	helloPrefix = []byte(preamble.Prefix)
)

// Greet sends the identification line (some clients wait for it, and none is
// hindered) and reads until it knows what the client is. line is the preamble
// with its newline, or nil. The caller limits the time, by closing c.
func Greet(c net.Conn) (g *Conn, line []byte, err error) {
	if _, err := c.Write([]byte(Version + "\r\n")); err != nil {
		return nil, nil, fmt.Errorf("send identification: %w", err)
	}
	g = &Conn{Conn: c, swallow: len(Version) + len("\r\n")}
	buf := make([]byte, 0, 2048) // a preamble with an Ed25519 certificate has about 1,000 bytes
	for {
		if len(buf) == cap(buf) {
			grown := make([]byte, len(buf), min(2*cap(buf), preamble.MaxLine))
			copy(grown, buf)
			buf = grown
		}
		n, err := c.Read(buf[len(buf):cap(buf)])
		seen := len(buf)
		buf = buf[:seen+n]
		switch {
		case bytes.HasPrefix(buf, sshPrefix):
			g.unread = buf
			return g, nil, nil
		case bytes.HasPrefix(buf, helloPrefix):
			if end := bytes.IndexByte(buf[seen:], '\n'); end >= 0 {
				end += seen + 1
				g.unread = buf[end:]
				return g, buf[:end:end], nil
			}
			if len(buf) >= preamble.MaxLine {
				return nil, nil, ErrTooLong
			}
		case !couldBe(buf, sshPrefix) && !couldBe(buf, helloPrefix):
			return nil, nil, ErrNotSSH
		}
		if err != nil {
			return nil, nil, fmt.Errorf("read identification: %w", err)
		}
	}
}

// Identification waits for the client's identification line (RFC 4253, section
// 4.2) and returns it without its end. It stays to be read.
func (g *Conn) Identification() ([]byte, error) {
	for {
		if end := bytes.IndexByte(g.unread, '\n'); end >= 0 {
			return bytes.TrimSuffix(g.unread[:end], []byte("\r")), nil
		}
		if n := len(g.unread); n > maxIdentification || n >= len(sshPrefix) && !bytes.HasPrefix(g.unread, sshPrefix) {
			return nil, ErrNotSSH
		}
		var more [256]byte
		n, err := g.Conn.Read(more[:])
		g.unread = append(g.unread[:len(g.unread):len(g.unread)], more[:n]...)
		if err != nil && n == 0 {
			return nil, fmt.Errorf("read identification: %w", err)
		}
	}
}

// couldBe says whether more bytes could make b start with prefix.
func couldBe(b, prefix []byte) bool { return len(b) < len(prefix) && bytes.HasPrefix(prefix, b) }

// Read returns first what Greet had read.
func (g *Conn) Read(b []byte) (int, error) {
	if len(g.unread) > 0 {
		n := copy(b, g.unread)
		if g.unread = g.unread[n:]; len(g.unread) == 0 {
			g.unread = nil
		}
		return n, nil
	}
	return g.Conn.Read(b)
}

// Write leaves out x/crypto's identification line, which is Version and was
// sent. x/crypto writes it alone, before it starts any goroutine.
func (g *Conn) Write(b []byte) (int, error) {
	if g.swallow == 0 {
		return g.Conn.Write(b)
	}
	skip := min(g.swallow, len(b))
	g.swallow -= skip
	if skip == len(b) {
		return skip, nil
	}
	n, err := g.Conn.Write(b[skip:])
	return skip + n, err
}

// Reasons for a disconnect (RFC 4253, section 11.1).
const (
	ServiceNotAvailable uint32 = 7
	ByApplication       uint32 = 11
	TooManyConnections  uint32 = 12
)

// Disconnect tells text to a client that has seen our identification line and
// with which no key was exchanged. OpenSSH prints it and exits with 255. The
// caller closes c.
func Disconnect(c net.Conn, reason uint32, text string) error {
	_, err := c.Write(disconnect(reason, text))
	return err
}

// disconnect is an unencrypted binary packet (RFC 4253, section 6): length,
// length of the padding, payload, padding; all of it a multiple of 8, with at
// least 4 bytes of padding.
func disconnect(reason uint32, text string) []byte {
	const msgDisconnect = 1
	payload := []byte{msgDisconnect}
	payload = binary.BigEndian.AppendUint32(payload, reason)
	for _, s := range []string{text, "en"} {
		payload = binary.BigEndian.AppendUint32(payload, uint32(len(s)))
		payload = append(payload, s...)
	}
	padding := 8 - (5+len(payload))%8
	if padding < 4 {
		padding += 8
	}
	packet := binary.BigEndian.AppendUint32(nil, uint32(1+len(payload)+padding))
	packet = append(packet, byte(padding))
	packet = append(packet, payload...)
	return append(packet, make([]byte, padding)...)
}
