package recording

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
)

// Veil covers what was typed at a terminal until the node has echoed it, so that
// a password pasted at a prompt stands nowhere in clear. It is a keystream: no
// byte is added, and a piece of it can be lifted later (KindReveal).
//
// It is for one goroutine at a time.
type Veil struct {
	block   cipher.Block
	counter [aes.BlockSize]byte
	stream  [aes.BlockSize]byte
}

// Veil returns k's veil.
func (k ContentKey) Veil() *Veil {
	block, err := aes.NewCipher(k.derive(labelVeil))
	if err != nil {
		panic("recording: " + err.Error())
	}
	return &Veil{block: block}
}

// Apply veils or unveils b, the payload of frame number, in place: AES-256-CTR
// whose counter block is the frame's number and then a count of 16-byte blocks.
// A number is never used twice within a recording, so no keystream is.
func (v *Veil) Apply(number uint64, b []byte) {
	binary.BigEndian.PutUint64(v.counter[:], number)
	for i := uint64(0); len(b) > 0; i++ {
		binary.BigEndian.PutUint64(v.counter[8:], i)
		v.block.Encrypt(v.stream[:], v.counter[:])
		n := subtle.XORBytes(b, b, v.stream[:])
		b = b[n:]
	}
}
