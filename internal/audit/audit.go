// Package audit is the CA's log of everything that was decided and done, as
// proof: each event is a leaf of one Merkle tree (RFC 6962, section 2.1, as
// tlog-tiles has it), each state of the tree is signed as a checkpoint, and
// whoever holds a checkpoint can show that nothing before it was changed,
// removed or put in between. AUDIT.md says what events there are, and
// CHECKPOINTS.md how they are proof, both byte by byte, for somebody who wants to
// write another verifier.
//
// # Shape
//
//	event.go       Event, Kind: what can be said, closed
//	tree.go        Frontier: the tree as the store carries it along, one hash a level
//	checkpoint.go  the signed note (C2SP signed-note, tlog-checkpoint), cosignatures (tlog-cosignature)
//	proof.go       inclusion and consistency, from tiles (C2SP tlog-tiles)
//	verify.go      what `sallyport audit verify` does with a copy of the log
//
// # Promises
//
// An event's leaf is the very bytes that the store keeps (Event.Leaf): JSON,
// written once, never encoded again. The store appends it in the transaction of
// what it tells, so that no certificate, session or policy exists without its
// leaf, and two CAs on one database write one tree.
//
// Nothing secret is in an event: keys are named by their fingerprints.
//
// It does not promise that what an event says is true: the CA wrote it. It
// promises that the CA cannot say something else later, once a checkpoint has
// left the house. Witnesses are there to see to it that one does.
//
// The package is pure: no network, no database, no clock.
package audit
