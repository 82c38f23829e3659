// Package proxy is the data plane: it ends SSH on both sides, asks the CA,
// enforces the grant, and records. Any number of proxies serve one CA.
//
// # Ways in
//
// connect: a preamble line names the node before SSH begins, and the proxy shows
// a host certificate of the node's name. jump: `ssh -J proxy login@node`; the
// channel to the node's name is a connection that ends here (jump.go). name:
// login@node is the user name. menu: none is named, and a person chooses
// (lobby.go). All four lead to the same openSession, and so to the same
// decision and the same recording.
//
// # A session
//
// When a client has proven possession of the key of a login certificate, the CA
// is asked for a decision and a session certificate (session.go), the recorder
// is opened, the node is dialled and its host key verified (node.go), and both
// legs are joined (internal/relay). All of it begins before the client is told
// that it is in, and runs beside its next packets. What fails, from a denial to a
// node that is away, becomes text on the first session channel's stderr with
// exit status 254: ssh shows it, and scripts notice.
//
// # Security model
//
// Trusted: the CA behind the pinned key, the recordings' disk, the kernel. Not
// trusted: clients, before and after they have authenticated; nodes, which speak
// through the same tables as clients; the network.
//
// The proxy holds no key that opens a node. Each session has a key of its own,
// made for it and kept in memory, and a certificate for it that ends within a
// minute and opens one login on one node from this proxy's address. Whoever takes
// a proxy over sees and steers the sessions that run through it, and can ask the
// CA in the names of people who connect while it lasts; a connection ticket (see
// DESIGN) is against the latter. What was recorded for auditors' keys before it
// cannot be read there: a session's content key is forgotten at its end.
//
// The host key is the one that signs seals. It says who recorded; a proxy that was
// taken over can seal what it likes of its own sessions, but not change what is
// sealed, what the CA's log has, or what has left the machine.
//
// Promises:
//
//   - Nobody gets beyond authentication without a valid login certificate of the
//     user CA and proof of its key; keys, passwords and certificates of other
//     kinds are refused.
//   - Nothing reaches a node or a client that the recorder does not have first;
//     a recorder that fails ends its session, and one that could not keep another
//     recording lets none begin.
//   - The CA hears of each recording that it has begun, and how it was sealed; or
//     that there is none, or a damaged one. What this process cannot tell, the next
//     one does.
//   - A node's host key is always verified, against a pinned key or as the host
//     certificate of exactly that node; nothing is sent before.
//   - What is unknown (kinds of channels, requests, options) is refused.
//   - Before authentication a client costs a goroutine and some kilobytes, for a
//     limited time, and no more than a limited number at once.
//
// While the CA is away live sessions go on, and new ones are refused in clear
// words. On SIGTERM no new ones begin, and the live ones have a limit.
package proxy
