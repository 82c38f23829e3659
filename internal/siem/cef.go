package siem

import (
	"strconv"
	"strings"
	"unicode"

	"github.com/sallyport-ssh/sallyport/internal/audit"
)

// cefSeverity is from 0 to 10 (CEF, "severity").
var cefSeverity = map[severity]string{informational: "1", low: "3", medium: "5", high: "8", critical: "10"}

// In a header field a backslash and a pipe are escaped, in an extension's value
// a backslash, an equals sign and line ends. A header has no escape for line
// ends, so there they become spaces.
var (
	cefHeader = strings.NewReplacer(`\`, `\\`, `|`, `\|`, "\r\n", " ", "\r", " ", "\n", " ")
	cefValue  = strings.NewReplacer(`\`, `\\`, `=`, `\=`, "\r\n", `\n`, "\r", `\r`, "\n", `\n`)
)

// cef appends e as one line without its newline.
func (n Encoder) cef(b []byte, entry audit.Entry, e audit.Event) []byte {
	m := meaningOf(e.Kind)
	b = append(b, "CEF:0|Sallyport|Sallyport|"...)
	for _, field := range []string{n.Version, string(e.Kind), m.name, cefSeverity[m.severity]} {
		b = append(append(b, printable(cefHeader.Replace(field))...), '|')
	}
	put := extension{line: b}
	put.number("rt", millis(e.At))
	put.number("externalId", entry.Index)
	put.text("cat", m.category[0])
	put.text("outcome", outcome(e.Outcome))
	put.text("reason", e.Reason)
	put.text("suser", person(e))
	put.text("duser", string(e.Login))
	put.text("dhost", string(e.Node))
	ip, port := address(e.Client)
	if strings.Contains(ip, ":") {
		put.labelled("c6a2", "c6a2Label", "Source IPv6 Address", ip)
	} else {
		put.text("src", ip)
	}
	if port != 0 {
		put.number("spt", int64(port))
	}
	put.text("dvchost", n.Origin)
	put.text("msg", e.Text)
	put.labelled("cs1", "cs1Label", "session", string(e.Session))
	put.labelled("cs2", "cs2Label", "roles", strings.Join(e.Roles, ","))
	put.labelled("cs3", "cs3Label", "proxy", string(e.Proxy))
	put.labelled("cs4", "cs4Label", "actor", e.Actor)
	put.labelled("cs5", "cs5Label", "leafHash", hash(entry))
	if c := e.Certificate; c != nil {
		put.labelled("cs6", "cs6Label", "certificateSerial", strconv.FormatUint(uint64(c.Serial), 10))
	}
	if e.Revision != 0 {
		put.labelled("cn1", "cn1Label", "policyRevision", strconv.FormatInt(e.Revision, 10))
	}
	if e.Count != 0 {
		put.number("cnt", e.Count)
	}
	return put.line
}

// extension is a line that ends with key=value pairs.
type extension struct {
	line  []byte
	begun bool
}

// text puts a pair, unless v is empty. Control characters, which some readers
// end a line at, become question marks.
func (x *extension) text(key, v string) {
	if v == "" {
		return
	}
	if x.begun {
		x.line = append(x.line, ' ')
	}
	x.begun = true
	x.line = append(append(append(x.line, key...), '='), printable(cefValue.Replace(v))...)
}

func (x *extension) number(key string, v int64) { x.text(key, strconv.FormatInt(v, 10)) }

// labelled puts one of CEF's own fields with what it stands for.
func (x *extension) labelled(key, labelKey, label, v string) {
	if v != "" {
		x.text(labelKey, label)
		x.text(key, v)
	}
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return '?'
		}
		return r
	}, s)
}
