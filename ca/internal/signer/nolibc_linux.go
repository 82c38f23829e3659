//go:build linux && !cgo

package signer

const linkedLibc = false
