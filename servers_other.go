//go:build !linux

package main

// servers run on Linux; elsewhere the program is the person's side.
var servers []part
