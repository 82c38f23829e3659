package parts

import (
	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/krl"
)

// revoked is the file for RevokedKeys. It lists nothing: a session certificate
// ends a minute after it was made, and nodes trust no other kind. It is there
// from the first day because sshd reads it at every login, so that what is
// revoked later counts without a change of sshd_config.
//
// Number and date do not change while the list does not, so that agents do not
// write it anew.
func revoked(sessionCAs []ssh.PublicKey) ([]byte, error) {
	list := krl.List{Version: 1, Generated: 1, Comment: "sallyport"}
	for _, ca := range sessionCAs {
		list.Revoked = append(list.Revoked, krl.Authority{CA: ca})
	}
	return list.Marshal()
}
