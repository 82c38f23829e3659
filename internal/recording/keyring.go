package recording

import "crypto/cipher"

// keyring is what frames and blocks of one recording are bound to, and by what
// they are opened.
type keyring struct {
	digest    Digest // D_0
	mark      uint32
	encrypted bool
	// tail and block are nil in clear, and where nobody opened the content key.
	tail, block cipher.AEAD
}

// newKeyring returns the keyring of h's recording; k is zero where it is locked or in
// clear.
func newKeyring(h Header, k ContentKey) keyring {
	r := keyring{digest: h.Digest(), encrypted: h.Encrypted()}
	r.mark = r.digest.mark()
	if r.encrypted && k != (ContentKey{}) {
		r.tail, r.block = k.aead(labelTail), k.aead(labelBlock)
	}
	return r
}
