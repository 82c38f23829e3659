// Package preamble is the one line that `sallyport connect` writes before the
// first byte of SSH, so that the proxy knows which node is meant and can ask the
// CA for its decision while the key exchange still runs:
//
//	SALLYPORT/1 <base64url of JSON {node, login, certificate, ticket}>\n
//
// # What it is worth
//
// Nothing. It is a hint, sent in clear and signed by nobody, and the proxy opens
// nothing by it. Who listens on the network learns the node, the login and the
// login certificate, and so the identity's name (RFC 4253 would have hidden the
// last two); a certificate without its private key opens nothing. Who stands in
// the middle and changes the line gets nowhere either:
//
//   - another node: the host certificate that the proxy then shows is for
//     another name than the one that was typed, and ssh refuses it;
//   - another login, or another certificate: what is authenticated later inside
//     SSH, signed over the session identifier (RFC 4252, section 7), is what
//     counts. The proxy drops a connection where the two differ, and what it had
//     asked for with it;
//   - another ticket: it is signed over node, login and time, and the CA
//     verifies it.
//
// # Promises
//
// Parse accepts exactly what Write writes, byte for byte: no second spelling of
// the same line exists that one reader takes and another does not. The package
// is pure.
package preamble

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/sallyport-ssh/sallyport/internal/id"
)

// Prefix starts the line, as "SSH-" starts an SSH connection (RFC 4253,
// section 4.2). A proxy tells the two apart by their first two bytes.
const Prefix = "SALLYPORT/1 "

// MaxLine bounds the line in bytes, its newline included. A reader that has seen
// so many bytes without a newline closes the connection.
const MaxLine = 24 << 10

// Preamble says what the connection that follows wants to be. Node, Login and
// Certificate are always there.
type Preamble struct {
	Node        id.NodeName `json:"node"`
	Login       id.Login    `json:"login"`
	Certificate []byte      `json:"certificate"`      // the login certificate, SSH wire blob; to be parsed by who reads it
	Ticket      []byte      `json:"ticket,omitempty"` // see wire.OpenRequest; no client makes one yet
}

// encoding is base64url without padding; strict, so that the unused bits of the
// last character are zero.
var encoding = base64.RawURLEncoding.Strict()

// Write writes the line of p in one call to w, so that it leaves in one packet.
func Write(w io.Writer, p Preamble) error {
	line, err := encode(p)
	if err != nil {
		return fmt.Errorf("write preamble: %w", err)
	}
	if _, err := w.Write(line); err != nil {
		return fmt.Errorf("write preamble: %w", err)
	}
	return nil
}

// Parse reads a line, with or without its newline.
func Parse(line []byte) (Preamble, error) {
	p, err := parse(line)
	if err != nil {
		return Preamble{}, fmt.Errorf("parse preamble: %w", err)
	}
	return p, nil
}

func parse(line []byte) (p Preamble, err error) {
	if len(line) > MaxLine {
		return p, fmt.Errorf("longer than %d bytes", MaxLine)
	}
	line = bytes.TrimSuffix(line, []byte("\n"))
	encoded, ok := bytes.CutPrefix(line, []byte(Prefix))
	if !ok {
		return p, errors.New("another protocol or version")
	}
	body, err := encoding.AppendDecode(nil, encoded)
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return p, err
	}
	// Writing it again and comparing refuses at one stroke unknown, doubled and
	// differently spelled fields, and the line breaks that base64 tolerates.
	canonical, err := encode(p)
	if err != nil {
		return p, err
	}
	if !bytes.Equal(canonical[:len(canonical)-1], line) {
		return p, errors.New("not in canonical form")
	}
	return p, nil
}

// encode returns the line of p with its newline.
func encode(p Preamble) ([]byte, error) {
	if _, err := id.ParseNodeName(string(p.Node)); err != nil {
		return nil, err
	}
	if _, err := id.ParseLogin(string(p.Login)); err != nil {
		return nil, err
	}
	if len(p.Certificate) == 0 {
		return nil, errors.New("no certificate")
	}
	body, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	line := encoding.AppendEncode([]byte(Prefix), body)
	line = append(line, '\n')
	if len(line) > MaxLine {
		return nil, fmt.Errorf("longer than %d bytes", MaxLine)
	}
	return line, nil
}
