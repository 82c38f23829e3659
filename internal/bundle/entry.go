package bundle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/sallyport-ssh/sallyport/internal/audit"
)

// Entry is an entry of the audit log with the proof that it is in the tree of
// the bundle's checkpoint.
type Entry struct {
	Index  int64           `json:"index"`
	Event  json.RawMessage `json:"event"`  // the leaf, byte for byte
	Hashes []audit.Hash    `json:"hashes"` // RFC 6962, section 2.1.1, from the leaf's sibling up
}

// maxEntries and maxHashes are far beyond a session's dozen of events, and a log
// of 2^62.
const (
	maxEntries = 10_000
	maxHashes  = 64
)

// renderEntries writes one entry a line. The leaf's bytes are copied: an encoder
// may spell the same JSON in another way, and the proof would not hold.
func renderEntries(list []Entry) ([]byte, error) {
	out := []byte("[")
	for i, e := range list {
		if !json.Valid(e.Event) || bytes.ContainsAny(e.Event, "\r\n") {
			return nil, fmt.Errorf("write log entry %d of the bundle: it is no line of JSON", e.Index)
		}
		hashes, err := json.Marshal(e.Hashes)
		if err != nil {
			return nil, fmt.Errorf("write log entry %d of the bundle: %w", e.Index, err)
		}
		if i > 0 {
			out = append(out, ',')
		}
		out = fmt.Appendf(out, "\n{\"index\":%d,\"event\":%s,\"hashes\":%s}", e.Index, e.Event, hashes)
	}
	return append(out, "\n]\n"...), nil
}

// parseEntries takes what renderEntries writes, and no other spelling of it.
func parseEntries(text []byte) ([]Entry, error) {
	var list []Entry
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&list); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("something follows its end")
	}
	if len(list) > maxEntries {
		return nil, fmt.Errorf("%d entries are more than a session has", len(list))
	}
	for i, e := range list {
		switch {
		case e.Index < 0 || i > 0 && e.Index <= list[i-1].Index:
			return nil, fmt.Errorf("entry %d is there twice, or out of order", e.Index)
		case len(e.Hashes) > maxHashes || e.Hashes == nil:
			return nil, fmt.Errorf("entry %d has %d hashes", e.Index, len(e.Hashes))
		case len(e.Event) == 0 || len(e.Event) > audit.MaxLeaf:
			return nil, fmt.Errorf("entry %d has an event of %d bytes", e.Index, len(e.Event))
		}
	}
	again, err := renderEntries(list)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, text) {
		return nil, fmt.Errorf("it is spelled in another way than a bundle has it")
	}
	return list, nil
}
