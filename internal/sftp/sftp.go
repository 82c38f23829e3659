// Package sftp follows an SFTP conversation (version 3,
// draft-ietf-secsh-filexfer-02, with OpenSSH's extensions: its PROTOCOL, section
// 4) as it passes in both directions, and tells each operation with its result.
//
// It changes nothing and holds nothing back: bytes go on verbatim. What it does
// not understand is an error, and the channel has to end, because something
// would pass that nobody can tell later.
//
// The package is pure.
package sftp
