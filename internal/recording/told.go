package recording

import (
	"fmt"
	"strconv"
	"strings"
)

// Carried says whether the operation carried content, successfully.
func (o FileOp) Carried() bool { return o.Code == 0 && (o.Read > 0 || o.Write > 0 || o.SHA256 != nil) }

// String is the operation in one line. What a peer wrote is quoted where it would
// not print as it is.
func (o FileOp) String() string {
	var b strings.Builder
	b.WriteString(Printable([]byte(o.Op)) + " " + Quote(string(o.Path)))
	if o.Target != nil {
		b.WriteString(" to " + Quote(string(o.Target)))
	}
	if o.Read > 0 {
		b.WriteString(", read " + size(o.Read))
	}
	if o.Write > 0 {
		b.WriteString(", wrote " + size(o.Write))
	}
	if o.SHA256 != nil {
		fmt.Fprintf(&b, ", SHA-256 %x", o.SHA256)
	}
	if o.Open {
		b.WriteString(", never closed")
	}
	if o.Code != 0 {
		b.WriteString(", refused: " + Quote(string(o.Text)) + " (" + strconv.Itoa(int(o.Code)) + ")")
	}
	return b.String()
}

// String is the transfer in one line.
func (t Transfer) String() string {
	var b strings.Builder
	b.WriteString(Printable([]byte(t.Tool)))
	if t.Direction != "" {
		b.WriteString(" " + Printable([]byte(t.Direction)))
	}
	for _, p := range t.Paths {
		b.WriteString(" " + Quote(string(p)))
	}
	if t.To != "" {
		b.WriteString(" to " + Quote(t.To))
	}
	b.WriteString(": " + size(t.Input) + " from the client, " + size(t.Output) + " from the node")
	if t.Stderr > 0 {
		b.WriteString(", " + size(t.Stderr) + " of errors")
	}
	if t.Files > 0 {
		b.WriteString(", files: " + strconv.Itoa(t.Files))
	}
	if t.Exit != nil {
		b.WriteString(", exit status " + strconv.FormatUint(uint64(*t.Exit), 10))
	}
	return b.String()
}

// String is the silence in one line.
func (s Silence) String() string { return size(int64(s.Bytes)) + " typed without echo" }

func size(n int64) string {
	if n == 1 {
		return "1 byte"
	}
	return strconv.FormatInt(n, 10) + " bytes"
}
