package signer

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"

	"golang.org/x/crypto/ssh"
)

// A frame is a uint32 length, a byte kind, and a body of length-1 bytes in the
// encoding of RFC 4251, section 5.

const (
	protocolVersion = 2
	maxFrame        = 64 << 10 // a host certificate's names, twice
)

// kind is what a frame is. Requests are odd, and each answer follows its
// request.
type kind byte

const (
	msgHello       kind = 1
	msgHelloReply  kind = 2
	msgKeys        kind = 3
	msgKeysReply   kind = 4
	msgSignLogin   kind = 5
	msgSignSession kind = 7
	msgSignHost    kind = 9
	msgCertificate kind = 10
	msgRefusal     kind = 12
	msgFailed      kind = 14 // instead of any answer: there will be no signer

	msgSignCheckpoint kind = 15
	msgNote           kind = 16
	msgLastSize       kind = 18 // instead of a note: what was signed last
)

// appendFrame adds a frame to b; a nil body is an empty one.
func appendFrame(b []byte, k kind, body any) []byte {
	var data []byte
	if body != nil {
		data = ssh.Marshal(body)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(1+len(data)))
	b = append(b, byte(k))
	return append(b, data...)
}

// readFrame reads one frame. An end of stream between frames is io.EOF.
func readFrame(r *bufio.Reader) (kind, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:4]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[:4])
	if n < 1 || n > maxFrame {
		return 0, nil, &violation{fmt.Sprintf("a frame of %d bytes", n)}
	}
	data := make([]byte, n)
	if _, err := io.ReadFull(r, data); err != nil {
		return 0, nil, io.ErrUnexpectedEOF
	}
	return kind(data[0]), data[1:], nil
}
