package preamble

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var typical = Preamble{Node: "web-1", Login: "deploy", Certificate: []byte("a login certificate"), Ticket: []byte("a ticket")}

// line spells a preamble by hand around the JSON body.
func line(body string) string {
	return Prefix + encoding.EncodeToString([]byte(body)) + "\n"
}

func TestParseReadsWhatWriteWrote(t *testing.T) {
	for name, want := range map[string]Preamble{
		"with a ticket":                       typical,
		"without a ticket":                    {Node: "web-1.example.com", Login: "svc$", Certificate: []byte{0}},
		"with a certificate of 13 KiB":        {Node: "n", Login: "l", Certificate: bytes.Repeat([]byte{0xff}, 13<<10)},
		"whose bytes are special in base64":   {Node: "n", Login: "l", Certificate: []byte{0xfb, 0xff, 0xfe}},
		"with names at the end of what is ok": {Node: "0", Login: "_", Certificate: []byte{1}},
	} {
		t.Run(name, func(t *testing.T) {
			var buf bytes.Buffer
			if err := Write(&buf, want); err != nil {
				t.Fatal(err)
			}
			for _, text := range []string{buf.String(), strings.TrimSuffix(buf.String(), "\n")} {
				got, err := Parse([]byte(text))
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	good := line(`{"node":"web-1","login":"deploy","certificate":"AAAA"}`)
	if _, err := Parse([]byte(good)); err != nil {
		t.Fatalf("the line that the rows vary is bad itself: %v", err)
	}
	for name, text := range map[string]string{
		"nothing":                          "",
		"an SSH version":                   "SSH-2.0-OpenSSH_9.2\r\n",
		"another version":                  strings.Replace(good, "/1", "/2", 1),
		"a lower-case prefix":              strings.ToLower(good[:len(Prefix)]) + good[len(Prefix):],
		"no body":                          Prefix + "\n",
		"two newlines":                     good + "\n",
		"a carriage return":                strings.TrimSuffix(good, "\n") + "\r\n",
		"a line break inside the base64":   good[:20] + "\n" + good[20:],
		"a return inside the base64":       good[:20] + "\r" + good[20:],
		"a space inside the base64":        good[:20] + " " + good[20:],
		"padding":                          Prefix + "e30=\n",
		"the alphabet of plain base64":     Prefix + "+//+\n",
		"unused bits that are set":         Prefix + "e31\n",
		"a body that is no JSON":           line("node web-1"),
		"a body that is null":              line("null"),
		"an empty object":                  line("{}"),
		"two objects":                      line(`{"node":"web-1","login":"deploy","certificate":"AAAA"}{}`),
		"an unknown field":                 line(`{"node":"web-1","login":"deploy","certificate":"AAAA","admin":true}`),
		"a field twice":                    line(`{"node":"web-2","node":"web-1","login":"deploy","certificate":"AAAA"}`),
		"a field in capitals":              line(`{"Node":"web-1","login":"deploy","certificate":"AAAA"}`),
		"fields in another order":          line(`{"login":"deploy","node":"web-1","certificate":"AAAA"}`),
		"white space":                      line(`{"node": "web-1","login":"deploy","certificate":"AAAA"}`),
		"an escaped name":                  line(`{"node":"\u0077eb-1","login":"deploy","certificate":"AAAA"}`),
		"no node":                          line(`{"login":"deploy","certificate":"AAAA"}`),
		"no login":                         line(`{"node":"web-1","certificate":"AAAA"}`),
		"no certificate":                   line(`{"node":"web-1","login":"deploy"}`),
		"an empty certificate":             line(`{"node":"web-1","login":"deploy","certificate":""}`),
		"an empty ticket that is spelled":  line(`{"node":"web-1","login":"deploy","certificate":"AAAA","ticket":""}`),
		"a node with a slash":              line(`{"node":"../web","login":"deploy","certificate":"AAAA"}`),
		"a node in capitals":               line(`{"node":"WEB-1","login":"deploy","certificate":"AAAA"}`),
		"a login with the node in it":      line(`{"node":"web-1","login":"deploy@web-2","certificate":"AAAA"}`),
		"a login that looks like a flag":   line(`{"node":"web-1","login":"-oProxy","certificate":"AAAA"}`),
		"a number where a name belongs":    line(`{"node":1,"login":"deploy","certificate":"AAAA"}`),
		"more than the largest line holds": line(`{"node":"web-1","login":"deploy","certificate":"` + strings.Repeat("A", MaxLine) + `"}`),
	} {
		t.Run(name, func(t *testing.T) {
			if p, err := Parse([]byte(text)); err == nil {
				t.Errorf("accepted as %+v", p)
			}
		})
	}
}

func TestWriteRefuses(t *testing.T) {
	for name, change := range map[string]func(*Preamble){
		"the zero preamble":      func(p *Preamble) { *p = Preamble{} },
		"no node":                func(p *Preamble) { p.Node = "" },
		"no login":               func(p *Preamble) { p.Login = "" },
		"no certificate":         func(p *Preamble) { p.Certificate = nil },
		"a node with a newline":  func(p *Preamble) { p.Node = "web\n1" },
		"more than a line holds": func(p *Preamble) { p.Certificate = make([]byte, MaxLine) },
	} {
		t.Run(name, func(t *testing.T) {
			p := typical
			change(&p)
			var buf bytes.Buffer
			if err := Write(&buf, p); err == nil || buf.Len() > 0 {
				t.Errorf("wrote %d bytes, %v", buf.Len(), err)
			}
		})
	}
}

func TestWriteWritesOnceAndSaysWhatFailed(t *testing.T) {
	w := &countingWriter{}
	if err := Write(w, typical); err != nil || w.calls != 1 {
		t.Errorf("%d calls, %v", w.calls, err)
	}
	w.err = errors.New("broken pipe")
	if err := Write(w, typical); !errors.Is(err, w.err) {
		t.Errorf("got %v", err)
	}
}

type countingWriter struct {
	calls int
	err   error
}

func (w *countingWriter) Write(b []byte) (int, error) { w.calls++; return len(b), w.err }

// FuzzParse: whatever Parse takes, Write writes again as the same bytes.
func FuzzParse(f *testing.F) {
	f.Add([]byte(line(`{"node":"web-1","login":"deploy","certificate":"AAAA"}`)))
	f.Add([]byte(line(`{"node":"web-1","node":"web-2","login":"deploy","certificate":"AAAA"}`)))
	f.Add([]byte("SSH-2.0-OpenSSH_9.2\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		var buf bytes.Buffer
		if err := Write(&buf, p); err != nil {
			t.Fatalf("parsed %+v, but: %v", p, err)
		}
		if got := bytes.TrimSuffix(buf.Bytes(), []byte("\n")); !bytes.Equal(got, bytes.TrimSuffix(text, []byte("\n"))) {
			t.Fatalf("%q came back as %q", text, got)
		}
	})
}
