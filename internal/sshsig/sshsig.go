// Package sshsig makes and checks SSH signatures over messages, in the format of
// OpenSSH's PROTOCOL.sshsig (what `ssh-keygen -Y sign` writes, without armour).
//
// A signature is bound to a namespace, so that one made to prove a request can
// never be shown as one made to log in. SHA-512 is the only message hash, and
// signatures by certificates are refused: the key signs, not its certificate.
//
// The package is pure.
package sshsig

import (
	"bytes"
	"crypto/rand"
	"crypto/sha512"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

const (
	magic   = "SSHSIG"
	version = 1
	hash    = "sha512"

	// MaxSize bounds what Verify parses, in bytes. The largest accepted
	// signature, a security key's with an RSA-sized envelope, stays far below.
	MaxSize = 4096
)

// blob is the outer structure, after the magic (PROTOCOL.sshsig, "Blob format").
type blob struct {
	Version   uint32
	PublicKey []byte
	Namespace string
	Reserved  string
	Hash      string
	Signature []byte
}

// signed is what the key signs, after the magic ("Signed Data").
type signed struct {
	Namespace string
	Reserved  string
	Hash      string
	Digest    []byte
}

func message(namespace string, msg []byte) []byte {
	digest := sha512.Sum512(msg)
	return append([]byte(magic), ssh.Marshal(signed{namespace, "", hash, digest[:]})...)
}

// Sign signs msg for namespace, which must not be empty. With a security key it
// waits for the touch.
func Sign(signer ssh.Signer, namespace string, msg []byte) ([]byte, error) {
	if namespace == "" {
		return nil, errors.New("sign: the namespace is empty")
	}
	sig, err := signModern(signer, message(namespace, msg))
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	out := ssh.Marshal(blob{version, signer.PublicKey().Marshal(), namespace, "", hash, ssh.Marshal(sig)})
	return append([]byte(magic), out...), nil
}

// signModern signs without SHA-1, which is what an RSA key's plain Sign uses, in
// the library as in an agent.
func signModern(signer ssh.Signer, data []byte) (*ssh.Signature, error) {
	if signer.PublicKey().Type() != ssh.KeyAlgoRSA {
		return signer.Sign(rand.Reader, data)
	}
	rsa, ok := signer.(ssh.AlgorithmSigner)
	if !ok {
		return nil, errors.New("this RSA key signs with SHA-1 alone")
	}
	return rsa.SignWithAlgorithm(rand.Reader, data, ssh.KeyAlgoRSASHA512)
}

// Verify checks that key signed msg for namespace. Nothing in sig is believed
// but the signature itself: the key and the namespace are the caller's.
func Verify(sig []byte, key ssh.PublicKey, namespace string, msg []byte) error {
	if _, is := key.(*ssh.Certificate); is || key == nil {
		return errors.New("verify signature: not a plain key")
	}
	if len(sig) > MaxSize {
		return errors.New("verify signature: too large")
	}
	rest, ok := bytes.CutPrefix(sig, []byte(magic))
	if !ok {
		return errors.New("verify signature: not an SSH signature")
	}
	var b blob
	if err := ssh.Unmarshal(rest, &b); err != nil {
		return fmt.Errorf("verify signature: %w", err)
	}
	switch {
	case b.Version != version:
		return fmt.Errorf("verify signature: version %d", b.Version)
	case namespace == "" || b.Namespace != namespace:
		return fmt.Errorf("verify signature: made for %q, not for %q", b.Namespace, namespace)
	case b.Reserved != "":
		return errors.New("verify signature: the reserved field is used")
	case b.Hash != hash:
		return fmt.Errorf("verify signature: hash %q", b.Hash)
	case !bytes.Equal(b.PublicKey, key.Marshal()):
		return errors.New("verify signature: made by another key")
	}
	var s ssh.Signature
	if err := ssh.Unmarshal(b.Signature, &s); err != nil {
		return fmt.Errorf("verify signature: %w", err)
	}
	if s.Format == ssh.KeyAlgoRSA {
		return errors.New("verify signature: SHA-1")
	}
	// Only a security key's signature goes on after its blob, with flags and
	// counter; the library checks those, and the touch.
	if len(s.Rest) > 0 && !strings.HasPrefix(key.Type(), "sk-") {
		return errors.New("verify signature: trailing bytes")
	}
	if err := key.Verify(message(namespace, msg), &s); err != nil {
		return fmt.Errorf("verify signature: %w", err)
	}
	return nil
}
