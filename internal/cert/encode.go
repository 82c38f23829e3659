package cert

import (
	"crypto/ed25519"
	"encoding/binary"
	"maps"
	"slices"

	"golang.org/x/crypto/ssh"
)

// certTypes are the names of the certificates of the keys that some profile
// certifies.
var certTypes = map[string]string{
	ssh.KeyAlgoED25519:    ssh.CertAlgoED25519v01,
	ssh.KeyAlgoECDSA256:   ssh.CertAlgoECDSA256v01,
	ssh.KeyAlgoECDSA384:   ssh.CertAlgoECDSA384v01,
	ssh.KeyAlgoECDSA521:   ssh.CertAlgoECDSA521v01,
	ssh.KeyAlgoSKED25519:  ssh.CertAlgoSKED25519v01,
	ssh.KeyAlgoSKECDSA256: ssh.CertAlgoSKECDSA256v01,
	ssh.KeyAlgoRSA:        ssh.CertAlgoRSAv01,
}

// encodeSigned writes the part of c that its signature covers: all but the
// signature, which stands last (PROTOCOL.certkeys). It is an encoder of our
// own, so that what x/crypto reads was not also written by x/crypto, and it
// spares the CA and the signer a third of their time. A key that no profile
// certifies is written without a name, and so equals nothing.
func encodeSigned(c *ssh.Certificate) []byte {
	key := marshalKey(c.Key)
	b := make([]byte, 0, 512+len(key)+len(c.KeyId))
	b = appendString(b, certTypes[c.Key.Type()])
	b = appendString(b, c.Nonce)
	b = append(b, key[4+binary.BigEndian.Uint32(key):]...) // after the key's own name
	b = binary.BigEndian.AppendUint64(b, c.Serial)
	b = binary.BigEndian.AppendUint32(b, c.CertType)
	b = appendString(b, c.KeyId)
	b = appendList(b, func(b []byte) []byte {
		for _, name := range c.ValidPrincipals {
			b = appendString(b, name)
		}
		return b
	})
	b = binary.BigEndian.AppendUint64(b, c.ValidAfter)
	b = binary.BigEndian.AppendUint64(b, c.ValidBefore)
	b = appendOptions(b, c.CriticalOptions)
	b = appendOptions(b, c.Extensions)
	b = appendString(b, c.Reserved)
	return appendString(b, marshalKey(c.SignatureKey))
}

// marshalKey is key.Marshal, without reflection for the kind of key that nearly
// all are.
func marshalKey(key ssh.PublicKey) []byte {
	if k, ok := key.(ssh.CryptoPublicKey); ok && key.Type() == ssh.KeyAlgoED25519 {
		if public, ok := k.CryptoPublicKey().(ed25519.PublicKey); ok {
			b := make([]byte, 0, 4+len(ssh.KeyAlgoED25519)+4+len(public))
			return appendString(appendString(b, ssh.KeyAlgoED25519), public)
		}
	}
	return key.Marshal()
}

// encode writes all of c.
func encode(c *ssh.Certificate) []byte {
	return appendSignature(encodeSigned(c), c.Signature)
}

func appendSignature(b []byte, s *ssh.Signature) []byte {
	return appendList(b, func(b []byte) []byte {
		if s == nil {
			return b
		}
		b = appendString(b, s.Format)
		b = appendString(b, s.Blob)
		return append(b, s.Rest...)
	})
}

// appendOptions writes options by their names' order, a value as a string
// within a string, and no value as an empty one.
func appendOptions(b []byte, options map[string]string) []byte {
	return appendList(b, func(b []byte) []byte {
		for _, name := range slices.Sorted(maps.Keys(options)) {
			value := options[name]
			b = appendString(b, name)
			b = appendList(b, func(b []byte) []byte {
				if value == "" {
					return b
				}
				return appendString(b, value)
			})
		}
		return b
	})
}

// appendString writes a string of RFC 4251, section 5.
func appendString[S ~string | ~[]byte](b []byte, s S) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

// appendList writes a string whose content is what fill appends.
func appendList(b []byte, fill func([]byte) []byte) []byte {
	at := len(b)
	b = fill(append(b, 0, 0, 0, 0))
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	return b
}
