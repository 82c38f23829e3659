package recorder

import (
	"bytes"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// counts are how much was done in a session, for lists of sessions. They are no
// evidence: what was done is in the recording.
type counts struct {
	commands  int
	files     int
	terminals map[uint32]bool // channels with a pty; nil before the first
}

// request counts the commands of exec, and sees which channels have a terminal.
func (c *counts) request(channel uint32, r recording.Request) {
	switch r.Type {
	case "exec":
		c.commands++
	case "pty-req":
		if c.terminals == nil {
			c.terminals = map[uint32]bool{}
		}
		c.terminals[channel] = true
	}
}

// frame counts the lines that were typed: a terminal sends a carriage return for
// Enter.
func (c *counts) frame(kind recording.Kind, channel uint32, payload []byte) {
	if (kind == recording.KindInput || kind == recording.KindVeiled) && c.terminals[channel] {
		c.commands += bytes.Count(payload, []byte{'\r'})
	}
}

// file counts the files that SFTP and scp carried.
func (c *counts) file(f recording.FileOp) {
	if f.Code == 0 && (f.Read > 0 || f.Write > 0 || f.SHA256 != nil) {
		c.files++
	}
}

// transfer counts those that other tools carried; SFTP's and scp's were counted
// one by one.
func (c *counts) transfer(t recording.Transfer) {
	if t.Tool != "sftp" && t.Tool != "scp" {
		c.files += t.Files
	}
}

// Counts are how many commands were run or typed, and how many files carried.
func (r *Recorder) Counts() (commands, files int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts.commands, r.counts.files
}
