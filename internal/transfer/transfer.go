// Package transfer names what a command on a node carries: scp's old protocol,
// rsync, git and SFTP by the server's path; and it follows scp's old protocol,
// whose files it tells.
//
// It names only what it is sure of. A command that is more than one simple
// command, or holds what a shell would compute ($, `, ;, |, &, <, >, parentheses,
// a new line), is "exec" and nothing else, because what runs is then not what
// stands there. What a shell expands in an argument (~, *, ?, [ and {) is left as
// it is: paths are what the client wrote, and not always what the node opened.
//
// It is evidence and no boundary: whoever may run commands can carry files in
// ways that have no name.
//
// The package is pure.
package transfer

import (
	"bytes"
	"path"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// Directions of a Transfer.
const (
	up   = "up"   // from the client to the node
	down = "down" // from the node to the client
)

// Name says what command, as it stands in an exec request, carries: tool,
// direction, arguments and paths. Anything that is none of the tools is exec.
func Name(command []byte) recording.Transfer {
	words, simple := split(command)
	if !simple || len(words) == 0 {
		return recording.Transfer{Tool: "exec"}
	}
	tool, args := path.Base(string(words[0])), words[1:]
	if tool == "sudo" && len(args) > 0 { // rsync --rsync-path='sudo rsync'
		tool, args = path.Base(string(args[0])), args[1:]
	}
	if tool == "git" && len(args) > 0 {
		tool, args = "git-"+string(args[0]), args[1:]
	}
	t := recording.Transfer{Tool: "exec"}
	switch tool {
	case "sftp-server":
		t = recording.Transfer{Tool: "sftp", Args: args}
	case "scp":
		t = scp(args)
	case "rsync":
		t = rsync(args)
	case "git-receive-pack":
		t = recording.Transfer{Tool: "git", Direction: up, Paths: operands(args)}
	case "git-upload-pack", "git-upload-archive":
		t = recording.Transfer{Tool: "git", Direction: down, Paths: operands(args)}
	}
	if t.Tool != "exec" {
		t.Args = words
	}
	return t
}

// scp names `scp -t` and `scp -f`, which the client's scp has the node run.
// Others (scp run by hand on the node) are just commands.
func scp(args [][]byte) recording.Transfer {
	t := recording.Transfer{Tool: "scp"}
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		word := args[0]
		args = args[1:]
		if string(word) == "--" {
			break
		}
	letters:
		for i, c := range word[1:] {
			switch {
			case c == 't':
				t.Direction = up
			case c == 'f':
				t.Direction = down
			case bytes.IndexByte([]byte("DFJMPSXcilo"), c) >= 0: // takes a value
				if i == len(word)-2 && len(args) > 0 {
					args = args[1:]
				}
				break letters
			}
		}
	}
	if t.Direction == "" {
		return recording.Transfer{Tool: "exec"}
	}
	t.Paths = args
	return t
}

// rsync names `rsync --server`. Its paths stand after the first argument that is
// no option, which is always a dot.
func rsync(args [][]byte) recording.Transfer {
	t := recording.Transfer{Tool: "rsync", Direction: up}
	if len(args) == 0 || string(args[0]) != "--server" {
		return recording.Transfer{Tool: "exec"}
	}
	if len(args) > 1 && string(args[1]) == "--sender" {
		t.Direction = down
	}
	for i, a := range args {
		if string(a) == "." {
			t.Paths = args[i+1:]
			break
		}
	}
	return t
}

// operands are the arguments that are no options.
func operands(args [][]byte) [][]byte {
	for len(args) > 0 && bytes.HasPrefix(args[0], []byte("-")) {
		end := string(args[0]) == "--"
		args = args[1:]
		if end {
			break
		}
	}
	return args
}
