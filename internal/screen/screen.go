// Package screen is a terminal's screen as the bytes that a node sends make it:
// for the moment at which somebody joins or seeks, and for the text that a person
// saw.
//
// # Promises
//
// It is fed with whatever a node sends, and so never panics, never blocks, and
// holds no more memory than its size calls for. It never answers the node. What
// it shows is what a common terminal would show, not a proof of it: the bytes
// are.
package screen
