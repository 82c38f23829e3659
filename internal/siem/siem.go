// Package siem writes audit events in the forms that other systems read: the
// log's own JSON lines, OCSF 1.6, ECS 9.4 and CEF. One event is one line.
//
// # Promises
//
// The log's own form (JSON) is the leaf, byte for byte, with its index: from it
// the leaf's hash can be computed again. The others are translations: they carry
// the index and the hash, so that a line leads back to its leaf, and lose what
// their form has no place for. No event is left out for having no place.
//
// Golden files hold each encoder to what it wrote before, and the published
// schemas (testdata) to what may be written at all. No byte of an event can end
// its line or begin another field.
//
// The package is pure.
package siem

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/audit"
)

// Format is how a line is written. The zero Format writes nothing.
type Format string

const (
	JSON Format = "json" // {"index":1,"event":{...}}
	OCSF Format = "ocsf" // Open Cybersecurity Schema Framework
	ECS  Format = "ecs"  // Elastic Common Schema
	CEF  Format = "cef"  // ArcSight Common Event Format, version 0 (0.1)
)

// Formats is the closed list.
func Formats() []Format { return []Format{JSON, OCSF, ECS, CEF} }

// Encoder writes events of one CA.
type Encoder struct {
	Format  Format
	Origin  string // of the log: which CA this is
	Version string // of sallyport
}

// Encode appends e as one line to b, with its newline. It fails for an unknown
// format, or a leaf that is no event.
func (n Encoder) Encode(b []byte, e audit.Entry) ([]byte, error) {
	event, err := e.Event()
	if err != nil {
		return nil, err
	}
	var line any
	switch n.Format {
	case JSON:
		// By hand: encoding/json would write the leaf in its own way.
		b = append(strconv.AppendInt(append(b, `{"index":`...), e.Index, 10), `,"event":`...)
		return append(append(b, e.Leaf...), '}', '\n'), nil
	case OCSF:
		line = n.ocsf(e, event)
	case ECS:
		line = n.ecs(e, event)
	case CEF:
		return append(n.cef(b, e, event), '\n'), nil
	default:
		return nil, fmt.Errorf("no format is called %q", string(n.Format))
	}
	text, err := json.Marshal(line)
	if err != nil {
		return nil, fmt.Errorf("write audit event %d as %s: %w", e.Index, n.Format, err)
	}
	return append(append(b, text...), '\n'), nil
}

// hash names the leaf, as the log's tree has it.
func hash(e audit.Entry) string {
	h := audit.LeafHash(e.Leaf)
	return hex.EncodeToString(h[:])
}

func millis(micros int64) int64 { return micros / 1000 }

func stamp(micros int64) string {
	return time.UnixMicro(micros).UTC().Format("2006-01-02T15:04:05.000000Z07:00")
}

// address splits an event's Client, which is an IP or IP:port, or nothing that
// can be split.
func address(client string) (ip string, port uint16) {
	if a, err := netip.ParseAddrPort(client); err == nil {
		return a.Addr().Unmap().String(), a.Port()
	}
	if a, err := netip.ParseAddr(client); err == nil {
		return a.Unmap().String(), 0
	}
	return "", 0
}

// message is the line for people: the kind's name, and the event's own text.
func message(m meaning, e audit.Event) string {
	if e.Text == "" {
		return m.name
	}
	return m.name + ": " + e.Text
}

// person is whom the event is about: the identity, or else who did it.
func person(e audit.Event) string {
	if e.Identity != "" {
		return string(e.Identity)
	}
	return e.Actor
}

// isPart says whether an actor is one of Sallyport's own parts.
func isPart(actor string) bool {
	return actor == "ca" || strings.HasPrefix(actor, "node:") || strings.HasPrefix(actor, "proxy:")
}
