package sshdconf

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/id"
)

// Names of the files that the drop-in refers to, in its directory.
const (
	TrustFile = "session_ca.pub"
	KRLFile   = "revoked.krl"
)

// DropIn is the agent's part of sshd's configuration (DESIGN, section 2). sshd
// needs nothing else to let session certificates in: no program of ours is in
// the way of a login.
type DropIn struct {
	Dir              string // where sshd finds the files
	Node             id.Node
	SessionCA        []ssh.PublicKey
	HostCertificates []string // names of files in Dir
	CommandUser      string   // runs AuthorizedPrincipalsCommand
	Exempt           []string // addresses and networks that no penalty bans
	Strict           bool
	// KeysCommand says that the admin has an AuthorizedKeysCommand, for strict to
	// switch off. Where there is none, sshd complains of "none" at every login.
	KeysCommand bool
	// Methods are keywords of further ways to log in that this sshd was built
	// with; strict switches them off.
	Methods []string
	Version Version
}

// OtherMethods are what sshd may have been built with besides keys, passwords
// and dialogues.
var OtherMethods = []string{"hostbasedauthentication", "gssapiauthentication", "kerberosauthentication"}

var (
	hasExemptList = Version{9, 8} // PerSourcePenalties came with it, on by default
	joinedKbdInt  = Version{8, 7} // ChallengeResponseAuthentication became an alias
)

// Render returns the file.
func (d DropIn) Render() []byte {
	var b strings.Builder
	add := func(keyword, value string) { fmt.Fprintf(&b, "%s %s\n", keyword, value) }
	file := func(keyword, name string) { add(keyword, `"`+filepath.Join(d.Dir, name)+`"`) }

	b.WriteString("# Written by the sallyport agent, which reports changes to this file.\n" +
		"# To leave Sallyport: sallyport agent uninstall\n")
	file("TrustedUserCAKeys", TrustFile)
	add("CASignatureAlgorithms", strings.Join(d.caAlgorithms(), ","))
	// The command prints the one principal that opens this login on this node.
	// sshd expands %u after it has split the line and starts no shell.
	add("AuthorizedPrincipalsCommand", "/bin/echo "+id.Principal("%u", d.Node))
	add("AuthorizedPrincipalsCommandUser", d.CommandUser)
	// The file of the same purpose, whose principals would be let in as well.
	add("AuthorizedPrincipalsFile", "none")
	file("RevokedKeys", KRLFile)
	for _, name := range d.HostCertificates {
		file("HostCertificate", name)
	}
	// Since 9.8 a few refused logins of anybody would ban the proxy's address.
	if d.Version.AtLeast(hasExemptList) && len(d.Exempt) > 0 {
		add("PerSourcePenaltyExemptList", strings.Join(d.Exempt, ","))
	}
	if d.Strict {
		add("AuthorizedKeysFile", "none")
		if d.KeysCommand {
			add("AuthorizedKeysCommand", "none")
		}
		add("PasswordAuthentication", "no")
		add("KbdInteractiveAuthentication", "no")
		if !d.Version.AtLeast(joinedKbdInt) {
			add("ChallengeResponseAuthentication", "no")
		}
		for _, keyword := range d.Methods {
			add(keyword, "no")
		}
	}
	return []byte(b.String())
}

// caAlgorithms are the signatures that the session CA's keys make. A
// certificate by a key that is not in the file is refused anyway; this also
// refuses the weak ways to sign with one that is.
func (d DropIn) caAlgorithms() []string {
	var all []string
	for _, key := range d.SessionCA {
		all = append(all, key.Type())
	}
	slices.Sort(all)
	return slices.Compact(all)
}
