//go:build linux && cgo

package signer

// linkedLibc: this is a test binary (go test, go test -race). What is released
// is built without cgo, and so with the narrower filter.
const linkedLibc = true
