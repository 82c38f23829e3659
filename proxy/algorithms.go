package proxy

import (
	"bytes"

	"golang.org/x/crypto/ssh"
)

// Algorithms of both legs. What is left out, and why:
//
//   - chacha20-poly1305: 2.5 times dearer than AES-GCM in Go, and the first
//     choice of OpenSSH from 10.5 on, so that it must not be offered; the cipher
//     of the Terrapin attack (CVE-2023-48795) besides.
//   - NIST curves and finite-field groups for the key exchange: every client
//     since 2015 has curve25519.
//   - CBC, SHA-1, encrypt-and-MAC.
//
// A strict key exchange is x/crypto's own affair and always on offer.
var (
	keyExchanges = []string{ssh.KeyExchangeMLKEM768X25519, ssh.KeyExchangeCurve25519}
	gcm          = []string{ssh.CipherAES128GCM, ssh.CipherAES256GCM}
	ctr          = []string{ssh.CipherAES256CTR, ssh.CipherAES128CTR}
	macs         = []string{ssh.HMACSHA256ETM, ssh.HMACSHA512ETM}

	// userKeys are signature algorithms of people's keys: those of the login
	// profile (internal/cert), which knows no RSA.
	userKeys = []string{
		ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256,
		ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
	}
)

// downstream is what a client is offered. The client's order decides (RFC 4253,
// section 7.1), and OpenSSH up to 10 prefers AES-CTR with a MAC to AES-GCM, at
// half the speed. So whoever is known to have GCM is offered nothing else; PuTTY
// before 0.79 and paramiko before 3.5 do not have it.
func downstream(identification []byte) ssh.Config {
	c := ssh.Config{KeyExchanges: keyExchanges, Ciphers: gcm, MACs: macs}
	if !bytes.HasPrefix(identification, []byte("SSH-2.0-OpenSSH_")) {
		c.Ciphers = append(append([]string(nil), gcm...), ctr...)
	}
	return c
}

// upstream is what the proxy asks of nodes. Its own order decides.
var upstream = ssh.Config{
	KeyExchanges: keyExchanges,
	Ciphers:      append(append([]string(nil), gcm...), ctr...),
	MACs:         macs,
}
