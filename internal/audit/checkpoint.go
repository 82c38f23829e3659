package audit

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/mod/sumdb/tlog"
)

// Checkpoint is a state of the tree: the body of the note that is signed (C2SP
// tlog-checkpoint). The zero Checkpoint is none.
type Checkpoint struct {
	Origin string // of which log
	Size   int64  // in events
	Root   Hash
}

// Text is what is signed: three lines, each with its newline.
func (c Checkpoint) Text() string {
	return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, base64.StdEncoding.EncodeToString(c.Root[:]))
}

// ParseCheckpoint reads what Text writes, and nothing else. C2SP lets other logs
// add lines; ours has none, and a line that no reader knows has no business
// under its signature.
func ParseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.SplitN(text, "\n", 4)
	if len(lines) != 4 || lines[3] != "" {
		return Checkpoint{}, malformed("the checkpoint has not the three lines of one")
	}
	if err := CheckOrigin(lines[0]); err != nil {
		return Checkpoint{}, malformed("the checkpoint's origin: %v", err)
	}
	c := Checkpoint{Origin: lines[0]}
	var err error
	if c.Size, err = strconv.ParseInt(lines[1], 10, 64); err != nil || c.Size < 0 || strconv.FormatInt(c.Size, 10) != lines[1] {
		return Checkpoint{}, malformed("the checkpoint's size %q is no number of events", lines[1])
	}
	root, err := decodeBase64(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return Checkpoint{}, malformed("the checkpoint's root is no SHA-256 in base64")
	}
	c.Root = Hash(root)
	if empty, _ := tlog.TreeHash(0, nil); c.Size == 0 && c.Root != empty {
		return Checkpoint{}, malformed("the checkpoint of an empty log has a root")
	}
	return c, nil
}

// decodeBase64 takes the one form that a value has. encoding/base64 would pass
// over line ends, and a text that has two forms has two signatures.
func decodeBase64(s string) ([]byte, error) {
	data, err := base64.StdEncoding.DecodeString(s)
	if err == nil && base64.StdEncoding.EncodeToString(data) != s {
		err = errors.New("this is not how base64 is written")
	}
	return data, err
}

// maxOrigin is how long an origin may be, in bytes.
const maxOrigin = 255

// CheckOrigin says why s cannot be the name of a log, which is also the name of
// its key (C2SP signed-note).
func CheckOrigin(s string) error {
	bad := func(r rune) bool { return r == '+' || unicode.IsSpace(r) || !unicode.IsPrint(r) }
	if s == "" || len(s) > maxOrigin || strings.ContainsFunc(s, bad) {
		return fmt.Errorf("%q is no name of a log: it looks like access.example.com/log", s)
	}
	return nil
}
