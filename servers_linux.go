package main

import (
	"github.com/sallyport-ssh/sallyport/ca"
	"github.com/sallyport-ssh/sallyport/internal/up"
)

// servers are the parts that run on servers: Linux.
var servers = []part{
	{"ca", "the control plane: who you are, what you may do, certificates", ca.Main},
	{"signer", "the only process that signs with CA keys; started by ca", ca.SignerMain},
	{"up", "CA, signer and proxy on one machine, from one directory", up.Main},
}
