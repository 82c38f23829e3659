package cert

import (
	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// keyTypes are the keys that each profile certifies.
//
// A person's key is Ed25519, ECDSA or one of the two FIDO kinds. Not RSA:
// clients before OpenSSH 7.8 know its certificates by other names, and a laptop
// can make a better key at login. A session's key is made by the proxy for one
// connection, so there is no reason for more than its two kinds. A host brings
// the keys that its sshd already has, RSA from 3072 bits.
var keyTypes = map[Profile][]string{
	LoginProfile: {
		ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
		ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256,
	},
	SessionProfile: {ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256},
	HostProfile: {
		ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
		ssh.KeyAlgoRSA,
	},
}

// RSA moduli of host keys, in bits. The upper bound limits what a client spends
// on one signature of a hostile host.
const (
	minRSA = 3072
	maxRSA = 8192
)

// CheckKey refuses a key that p does not certify, with reason key_refused. A
// certificate is no key: certifying one would make a certificate of a
// certificate, which PROTOCOL.certkeys forbids.
func CheckKey(p Profile, key ssh.PublicKey) error {
	if key == nil {
		return refuseKey("there is no key to certify")
	}
	if _, ok := key.(*ssh.Certificate); ok {
		return refuseKey("the key to certify is itself a certificate")
	}
	kind := key.Type()
	for _, t := range keyTypes[p] {
		if t != kind {
			continue
		}
		if kind != ssh.KeyAlgoRSA {
			return nil
		}
		if n := rsaBits(key); n < minRSA || n > maxRSA {
			return refuseKey("an RSA key of %d bits is not certified, only %d to %d", n, minRSA, maxRSA)
		}
		return nil
	}
	return refuseKey("keys of type %s get no %s certificate", kind, p).Then("use an Ed25519 key")
}

func refuseKey(format string, args ...any) *fault.Error {
	return fault.New(fault.Denied, fault.KeyRefused, format, args...)
}

// rsaBits is the length of the modulus of key, 0 if it is no RSA key.
func rsaBits(key ssh.PublicKey) int {
	var k struct {
		Name string
		E    []byte
		N    []byte
	}
	if ssh.Unmarshal(key.Marshal(), &k) != nil {
		return 0
	}
	// mpint, RFC 4251 section 5: a leading zero byte keeps it positive.
	for len(k.N) > 0 && k.N[0] == 0 {
		k.N = k.N[1:]
	}
	bits := len(k.N) * 8
	if len(k.N) > 0 {
		for top := k.N[0]; top&0x80 == 0; top <<= 1 {
			bits--
		}
	}
	return bits
}

// isSecurityKey says whether key lives in a FIDO authenticator.
func isSecurityKey(key ssh.PublicKey) bool {
	return key.Type() == ssh.KeyAlgoSKED25519 || key.Type() == ssh.KeyAlgoSKECDSA256
}
