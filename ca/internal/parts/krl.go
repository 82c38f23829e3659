package parts

import (
	"golang.org/x/crypto/ssh"
)

// krl is the file for RevokedKeys (OpenSSH's PROTOCOL.krl). It lists nothing: a
// session certificate ends a minute after it was made, and nodes trust no other
// kind. It is there from the first day because sshd reads it at every login, so
// that what is revoked later counts without a change of sshd_config. A file of
// no bytes would revoke nothing, too, and silently stay so if it was cut short.
//
// Its number and date never change, so that agents do not write it anew.
func (p *parts) krl() []byte {
	return ssh.Marshal(struct {
		Magic     uint64 // "SSHKRL\n\0"
		Format    uint32
		Number    uint64
		Generated uint64
		Flags     uint64
		Reserved  string
		Comment   string
	}{0x5353484b524c0a00, 1, 1, 1, 0, "", "sallyport"})
}
