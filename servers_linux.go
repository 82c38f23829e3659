package main

import (
	"github.com/sallyport-ssh/sallyport/agent"
	"github.com/sallyport-ssh/sallyport/ca"
	"github.com/sallyport-ssh/sallyport/internal/up"
	"github.com/sallyport-ssh/sallyport/proxy"
)

// servers are the parts that run on servers: Linux.
func servers() []chapter {
	return []chapter{{"Servers", []part{
		{"up", "CA, signer and proxy on one machine, from one folder", up.Main},
		{"ca", "the control plane: logins, decisions, certificates", ca.Main},
		{"proxy", "the data plane: both ends of SSH, and the recorder", proxy.Main},
		{"agent", "on each node: host certificate, trust, sshd's drop-in", agent.Main},
		{"signer", "the only process that signs with CA keys; ca starts it", ca.SignerMain},
	}}}
}
