// Package deploy holds what an installation is made of beside the binary. Its
// tests read and run every file of it.
//
//	systemd/    one unit for each part that runs on servers, and their users
//
// The units are for a machine each, or one for all. Passphrases and join tokens
// reach them as files that only their part may read, never as arguments.
package deploy

import _ "embed"

// Binary is where a package puts sallyport, as the units have it.
const Binary = "/usr/bin/sallyport"

// AgentUnit is the agent's unit, which enrolment installs on nodes that no
// package has been installed on.
//
//go:embed systemd/sallyport-agent.service
var AgentUnit string
