package siem

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/id"
)

// readCEF reads a line as CEF's specification has it: seven header fields that
// end with an unescaped pipe, then key=value pairs, in which a value ends before
// the next key.
func readCEF(line string) (header []string, pairs map[string]string, err error) {
	rest, ok := strings.CutPrefix(line, "CEF:")
	if !ok {
		return nil, nil, fmt.Errorf("it does not begin with CEF:")
	}
	for range 7 {
		var field strings.Builder
		i := 0
		for ; i < len(rest) && rest[i] != '|'; i++ {
			if rest[i] == '\\' {
				if i++; i == len(rest) || rest[i] != '\\' && rest[i] != '|' {
					return nil, nil, fmt.Errorf("a header has a stray backslash")
				}
			}
			field.WriteByte(rest[i])
		}
		if i == len(rest) {
			return nil, nil, fmt.Errorf("a header does not end")
		}
		header, rest = append(header, field.String()), rest[i+1:]
	}
	pairs = map[string]string{}
	key := regexp.MustCompile(`(?:^| )([A-Za-z0-9]+)=`)
	unescape := strings.NewReplacer(`\\`, `\`, `\=`, `=`, `\n`, "\n", `\r`, "\r")
	found := key.FindAllStringSubmatchIndex(rest, -1)
	if len(found) == 0 || found[0][0] != 0 {
		return nil, nil, fmt.Errorf("the extension does not begin with a key")
	}
	for i, at := range found {
		end := len(rest)
		if i+1 < len(found) {
			end = found[i+1][0]
		}
		name := rest[at[2]:at[3]]
		if _, twice := pairs[name]; twice {
			return nil, nil, fmt.Errorf("%s is there twice", name)
		}
		pairs[name] = unescape.Replace(rest[at[1]:end])
	}
	return header, pairs, nil
}

// keys of CEF's dictionary that are used here.
var cefKeys = strings.Fields(`rt externalId cat outcome reason suser duser dhost src spt c6a2 c6a2Label dvchost msg cnt
	cs1 cs1Label cs2 cs2Label cs3 cs3Label cs4 cs4Label cs5 cs5Label cs6 cs6Label cn1 cn1Label`)

func TestCEFIsByItsSpecification(t *testing.T) {
	known := map[string]bool{}
	for _, key := range cefKeys {
		known[key] = true
	}
	for _, e := range samples(t) {
		line, err := Encoder{CEF, "access.example.com/log", "1.0.0"}.Encode(nil, e)
		if err != nil {
			t.Fatal(err)
		}
		header, pairs, err := readCEF(strings.TrimSuffix(string(line), "\n"))
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if header[0] != "0" || header[1] != "Sallyport" || header[4] == "" || header[5] == "" {
			t.Errorf("the header is %q", header)
		}
		for key := range pairs {
			if !known[key] {
				t.Errorf("%s is not in CEF's dictionary", key)
			}
			if label := key + "Label"; known[label] && pairs[label] == "" {
				t.Errorf("%s has no label", key)
			}
		}
	}
}

// Whatever an event holds, it is one line, and its values stay in their fields.
func FuzzNothingLeavesItsField(f *testing.F) {
	f.Add("web-1", "a|b=c\\d\r\ne cs1=x")
	f.Add("x\x00y", "\xff\xfe \u2028 CEF:0|")
	f.Add("", "=")
	f.Fuzz(func(t *testing.T, node, text string) {
		e := sample(audit.SessionDenied)
		e.Node, e.Text, e.Reason = id.NodeName(node), text, text
		at := entry(t, 7, e)
		event, err := at.Event() // as JSON keeps it: what is no UTF-8 was replaced
		if err != nil {
			t.Fatal(err)
		}
		for _, format := range Formats() {
			line, err := Encoder{Format: format, Version: text}.Encode(nil, at)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.IndexByte(line, '\n') != len(line)-1 || bytes.IndexByte(line, '\r') >= 0 {
				t.Fatalf("%s: %q is more than a line", format, line)
			}
		}
		line, _ := Encoder{Format: CEF, Version: text}.Encode(nil, at)
		header, pairs, err := readCEF(strings.TrimSuffix(string(line), "\n"))
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if header[4] != string(audit.SessionDenied) || pairs["suser"] != "you@example.com" || pairs["outcome"] != "failure" {
			t.Fatalf("%q is read as %q %q", line, header, pairs)
		}
		if got := pairs["msg"]; got != event.Text && printable(event.Text) == event.Text && !strings.ContainsAny(event.Text, "=\\") {
			t.Fatalf("msg is %q, and was %q", got, event.Text)
		}
	})
}
