package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

type color string

func (c *color) UnmarshalText(text []byte) error {
	if s := string(text); s != "red" && s != "blue" {
		return fmt.Errorf("unknown color %q; legal: red, blue", s)
	}
	*c = color(text)
	return nil
}

type door struct {
	Listen string `yaml:"listen"`
	Limit  int    `yaml:"limit"`
}

func (d *door) Check() error {
	if d.Limit < 0 {
		return At("limit", "limit is negative")
	}
	if d.Listen == "" {
		return At("listen", "listen is missing")
	}
	return nil
}

// sample has a field of every kind that the parts use.
type sample struct {
	Name    string                       `yaml:"name"`
	Strict  bool                         `yaml:"strict"`
	Ratio   float64                      `yaml:"ratio"`
	Small   uint8                        `yaml:"small"`
	TTL     Duration                     `yaml:"ttl"`
	Keep    Bytes                        `yaml:"keep"`
	Color   color                        `yaml:"color"`
	Door    door                         `yaml:"door"`
	Doors   []door                       `yaml:"doors"`
	Maybe   *door                        `yaml:"maybe"`
	Labels  map[string]OneOrMore[string] `yaml:"labels"`
	Hidden  string                       `yaml:"-"`
	private string
}

func TestDecodeFillsEveryKindOfField(t *testing.T) {
	got := sample{Name: "default", Small: 7}
	err := Decode("a.yaml", []byte(`
# a comment
strict: true
ratio: 1
ttl: 1d12h
keep: 64MiB
color: "red"
door: {listen: ":443", limit: 0x10}
doors:
  - listen: |-
      :80
    limit: 1_000
maybe: {listen: ":1"}
labels: {env: prod, tier: [web, 'api']}
`), &got)
	if err != nil {
		t.Fatal(err)
	}
	want := sample{
		Name: "default", Small: 7, Strict: true, Ratio: 1, TTL: Duration(36 * time.Hour), Keep: 64 << 20, Color: "red",
		Door: door{":443", 16}, Doors: []door{{":80", 1000}}, Maybe: &door{Listen: ":1"},
		Labels: map[string]OneOrMore[string]{"env": {"prod"}, "tier": {"web", "api"}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(sample{})); diff != "" {
		t.Fatal(diff)
	}
}

func TestWhatIsNotUnderstoodIsRefusedWithItsPlace(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"an unknown key":                        {"name: x\nnme: y\n", `f.yaml:2:1: unknown key "nme"; legal here: name, strict,`},
		"an unknown key of an inner mapping":    {"door:\n  port: 1\n", `f.yaml:2:3: unknown key "port"; legal here: listen, limit`},
		"a doubled key":                         {"name: x\nstrict: true\nname: y\n", `f.yaml:3:1: "name" was already said at line 1`},
		"a doubled key in other quotes":         {"name: x\n\"name\": y\n", `f.yaml:2:1: "name" was already said`},
		"a doubled key of a map":                {"labels: {a: b, a: c}\n", `f.yaml:1:16: "a" was already said`},
		"a number where text is expected":       {"name: 1.10\n", `f.yaml:1:7: 1.10 is a number; text is expected, so quote it: "1.10"`},
		"a truth value where text is expected":  {"name: true\n", `f.yaml:1:7: true is true or false; text is expected`},
		"text where a truth value is expected":  {"strict: yes\n", `f.yaml:1:9: text stands here; true or false is expected`},
		"quoted text where a number stands":     {"small: \"1\"\n", `f.yaml:1:8: text stands here; a number is expected`},
		"a fraction where an integer stands":    {"small: 1.5\n", `f.yaml:1:8: a number stands here`},
		"a number that does not fit":            {"small: 256\n", `f.yaml:1:8: 256 is not a number that is read here: value out of range`},
		"a number below zero":                   {"small: -1\n", `f.yaml:1:8: -1 is not a number that is read here`},
		"an octal number of old":                {"small: 017\n", `f.yaml:1:8: 017 is not a number that is read here: write 17 or 0o17`},
		"a list where a mapping is expected":    {"door: [a]\n", `f.yaml:1:7: a list stands here; a mapping`},
		"a mapping where a list is expected":    {"doors: {a: b}\n", `f.yaml:1:8: a mapping (key: value) stands here; a list`},
		"text where a list is expected":         {"doors: a\n", `f.yaml:1:8: text stands here; a list`},
		"a mapping where text is expected":      {"name:\n  a: b\n", `f.yaml:2:3: a mapping (key: value) stands here; text`},
		"a list where a duration is expected":   {"ttl: [8h]\n", `f.yaml:1:6: a list stands here; a single value`},
		"a mapping inside one or more":          {"labels: {a: {b: c}}\n", `f.yaml:1:13: a mapping`},
		"a list inside one or more":             {"labels: {a: [[b]]}\n", `f.yaml:1:14: a list`},
		"text as a whole file":                  {"hello\n", `f.yaml:1:1: text stands here; a mapping`},
		"a list as a whole file":                {"- a\n", `f.yaml:1:1: a list stands here; a mapping`},
		"null as a whole file":                  {"null\n", `f.yaml:1:1: nothing stands here`},
		"a key without a value":                 {"name: x\ndoor:\nstrict: true\n", `f.yaml:2:1: door has no value`},
		"an entry without a value":              {"doors:\n  -\n", `nothing stands here; a mapping`},
		"a key that is no text":                 {"1: x\n", `f.yaml:1:1: a key is text`},
		"a key that is not read":                {"private: x\n", `unknown key "private"`},
		"a field that is hidden":                {"Hidden: x\n", `unknown key "Hidden"`},
		"a key in other case":                   {"Name: x\n", `unknown key "Name"`},
		"a duration without a unit":             {"ttl: 30\n", `f.yaml:1:6: "30" is no duration: write 30s`},
		"a duration below zero":                 {"ttl: -8h\n", `f.yaml:1:6: "-8h" is no duration`},
		"a duration beyond the ages":            {"ttl: 999999d\n", `f.yaml:1:6: "999999d" is no duration`},
		"an empty duration":                     {"ttl: ''\n", `f.yaml:1:6: "" is no duration`},
		"a size in words":                       {"keep: lots\n", `f.yaml:1:7: "lots" is no size: write 512KiB`},
		"a size beyond all disks":               {"keep: 99999999TiB\n", `f.yaml:1:7: "99999999TiB" is no size`},
		"a value outside a closed list":         {"door: {listen: a}\ncolor: green\n", `f.yaml:2:8: unknown color "green"; legal: red, blue`},
		"a value that its type checks":          {"door:\n  listen: a\n  limit: -1\n", `f.yaml:3:10: limit is negative`},
		"a value that its type misses":          {"maybe:\n  limit: 1\n", `f.yaml:2:3: listen is missing`},
		"a second document":                     {"name: x\n---\nname: y\n", `f.yaml:3:1: a second document begins here`},
		"a second document after an empty one":  {"---\n---\nname: x\n---\nname: y\n", `f.yaml:5:1: a second document`},
		"a second document after three dots":    {"name: x\n...\nname: y\n", `f.yaml:3:1: a second document`},
		"an anchor":                             {"name: &a x\n", `f.yaml:1:7: anchors, aliases and merge keys`},
		"an alias":                              {"name: *a\n", `f.yaml:1:7: anchors, aliases and merge keys`},
		"a merge key":                           {"<<: {name: x}\n", `anchors, aliases and merge keys`},
		"a tag":                                 {"name: !!str 1\n", `tags are not read here`},
		"a tag with nothing behind it":          {"name: !x\n", `f.yaml:1:`},
		"a directive":                           {"%YAML 1.1\n---\nname: x\n", `f.yaml:1:1: "%" is not read here`},
		"a complex key":                         {"? name\n: x\n", `f.yaml:1:1: "?" is not read here`},
		"a quote that does not end":             {"name: \"x\n", `f.yaml:1:7: could not find end character`},
		"a bracket that does not end":           {"doors: [\n", `f.yaml:1:8:`},
		"indentation that means nothing":        {"name: x\n  strict: true\n", `f.yaml:1:`},
		"marks that are no YAML":                {"!!!!!", `f.yaml:1:1: '!' means nothing here`},
		"a character by its number":             {"strict: true\nname: \"a\\u0022b\"\n", `f.yaml:2:10: the escape \u is not read here`},
		"a byte by its number":                  {"name: \"a\\x22\"\n", `f.yaml:1:10: the escape \x is not read here`},
		"a zero byte":                           {"name: a\x00b\n", `f.yaml:1:8: control character U+0000`},
		"an escape sequence":                    {"name: x\n# \x1b[2J\n", `f.yaml:2:3: control character U+001B`},
		"a carriage return inside a line":       {"# harmless\rname: x\n", `f.yaml:1:11: control character U+000D`},
		"a line separator of Unicode":           {"# harmless\u2028name: x\n", `f.yaml:1:11: control character U+2028`},
		"bytes that are not UTF-8":              {"name: x\nstrict: \xff\n", `f.yaml:2:1: not UTF-8`},
		"flow nesting without end":              {"doors: " + strings.Repeat("[", 5000), `f.yaml:1:40: nested deeper than 32`},
		"block nesting without end":             {strings.Repeat("- ", 5000) + "a", `nested deeper than 32`},
		"more words than a person writes":       {"labels:\n" + strings.Repeat("  a: b\n", 5000), `f.yaml:1:1: more than 10000 words`},
		"more documents than a person writes":   {strings.Repeat("---\na: b\n", 3000), `more than 2000 documents`},
		"a second line of a long text excerpts": {"name: " + strings.Repeat("x", 300) + ": y\n", `f.yaml:1:`},
	} {
		t.Run(name, func(t *testing.T) {
			var s sample
			err := Decode("f.yaml", []byte(tt.text), &s)
			f := fault.Of(err)
			if err == nil || f.Reason != fault.ConfigInvalid || f.Kind != fault.Invalid {
				t.Fatalf("got %v, want config_invalid", err)
			}
			if !strings.Contains(f.Text, tt.want) {
				t.Fatalf("got:\n%s\nwant in it:\n%s", f.Text, tt.want)
			}
			for _, line := range strings.Split(f.Text, "\n")[1:] {
				if len(line) > 2*excerptWidth {
					t.Fatalf("excerpt line of %d bytes", len(line))
				}
			}
		})
	}
}

func TestTheExcerptPointsAtTheValue(t *testing.T) {
	err := Decode("ca.yaml", []byte("# the CA\nname: é\nlabels: {ö: x, y: 1}\n"), &sample{})
	want := `ca.yaml:3:19: 1 is a number; text is expected, so quote it: "1"
    1 | # the CA
    2 | name: é
    3 | labels: {ö: x, y: 1}
      |                   ^`
	if got := fault.Of(err).Text; got != want {
		t.Fatalf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestLinesAndColumnsAreTheFilesOwn(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"with Windows line ends":     {"name: x\r\nnme: y\r\n", "f:2:1:"},
		"after a byte order mark":    {"\ufeffnme: y\n", "f:1:1:"},
		"in a second document":       {"# a\n---\n# b\n---\nstrict: true\nnme: x\n", "f:6:1:"},
		"behind a block of text":     {"name: |\n  a\n\n  b\nnme: x\n", "f:5:1:"},
		"behind text of two lines":   {"name: a\n  b\nnme: x\n", "f:3:1:"},
		"behind quotes of two lines": {"name: \"a\n  b\"\nnme: x\n", "f:3:1:"},
		"behind a comment":           {"name: a # b\n# c\nnme: x\n", "f:3:1:"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Decode("f", []byte(tt.text), &sample{})
			if got := fault.Of(err).Text; !strings.HasPrefix(got, tt.want) {
				t.Fatalf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestACheckWithoutAFileIsShownAsItIs(t *testing.T) {
	f := fault.Of((&door{Listen: "x", Limit: -1}).Check())
	if f.Kind != fault.Invalid || f.Reason != fault.ConfigInvalid || f.Show() != "limit is negative" {
		t.Fatalf("%+v", f)
	}
}

func TestAnEmptyFileLeavesTheDefaults(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing\n", "---\n", "---\n# nothing\n---\n...\n"} {
		s := sample{Name: "default"}
		if err := Decode("f", []byte(text), &s); err != nil || s.Name != "default" {
			t.Fatalf("%q: %v, %q", text, err, s.Name)
		}
	}
}

func TestDocumentsAreSplitAtEveryMarker(t *testing.T) {
	docs, err := Documents("f", []byte("---\n---\na: 1\n--- # x\nb: 2\n...\n# end\n---\nc: |\n  x\n---\n  --- d: 3\n"))
	if err != nil {
		t.Fatal(err)
	}
	var places []string
	for _, d := range docs {
		places = append(places, d.Place())
	}
	if diff := cmp.Diff([]string{"f:3", "f:5", "f:9", "f:12"}, places); diff != "" {
		t.Fatal(diff)
	}
}

func TestTenMegabytesAreRefusedQuickly(t *testing.T) {
	for name, text := range map[string]string{
		"keys":    strings.Repeat("name: x\n", 10<<20/8),
		"nesting": strings.Repeat("[", 10<<20),
	} {
		begin := time.Now()
		err := Decode("f", []byte(text), &sample{})
		if took := time.Since(begin); fault.ReasonOf(err) != fault.ConfigInvalid || took > 100*time.Millisecond {
			t.Fatalf("%s: %v after %s", name, err, took)
		}
	}
}

func TestTheLargestFileCostsLittle(t *testing.T) {
	var keys strings.Builder
	for i := 0; keys.Len() < MaxBytes-100; i++ {
		if i%2000 == 0 {
			keys.WriteString("---\n")
		}
		fmt.Fprintf(&keys, "k%d: v\n", i)
	}
	begin := time.Now()
	_, err := Documents("f", []byte(keys.String()))
	if took := time.Since(begin); took > 10*time.Second {
		t.Fatalf("%v after %s", err, took)
	}
}

func TestAnAliasBombIsRefusedAtItsFirstAnchor(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'z'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.Repeat(fmt.Sprintf("*%c,", c-1), 9))
	}
	err := Decode("f", []byte(bomb), &map[string]any{})
	if got := fault.Of(err).Text; !strings.HasPrefix(got, "f:1:4: anchors") {
		t.Fatalf("got %q", got)
	}
}

func TestLoadRefusesWhatItCannotRead(t *testing.T) {
	dir := t.TempDir()
	if err := Load(filepath.Join(dir, "none.yaml"), &sample{}); fault.ReasonOf(err) != fault.ConfigInvalid ||
		!strings.Contains(fault.Of(err).Text, "does not exist") || !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("missing file: %v", err)
	}
	if err := Load(dir, &sample{}); fault.ReasonOf(err) != fault.ConfigInvalid {
		t.Fatalf("directory: %v", err)
	}
	if _, err := os.Stat("/dev/zero"); err == nil {
		if err := Load("/dev/zero", &sample{}); fault.ReasonOf(err) != fault.ConfigInvalid {
			t.Fatalf("endless file: %v", err)
		}
	}
}

func TestPrintIsReadBackAsItWas(t *testing.T) {
	want := sample{Name: "017: #", TTL: Duration(7 * day), Keep: 512 << 10, Color: "blue", Door: door{Listen: "*"},
		Maybe: &door{Listen: "y"}, Doors: []door{{Listen: "true"}}, Labels: map[string]OneOrMore[string]{"é": {"1.10", "~"}}}
	var text strings.Builder
	if err := Print(&text, want); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "ttl: 7d\n") || !strings.Contains(text.String(), "keep: 512KiB\n") {
		t.Fatal(text.String())
	}
	var got sample
	if err := Decode("printed", []byte(text.String()), &got); err != nil {
		t.Fatalf("%v\n%s", err, text.String())
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(sample{})); diff != "" {
		t.Fatal(diff)
	}
}

func FuzzDocuments(f *testing.F) {
	for _, s := range []string{"a: 1\n", "---\n---\na: b\n", "a: [b, {c: d}]\n", "a: |\n  b\n---\n- c\n", "\"a\": 'b' # c\n", "a: !!x", "? a"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		docs, err := Documents("f", data)
		if err != nil {
			if fault.ReasonOf(err) != fault.ConfigInvalid {
				t.Fatalf("not a config error: %v", err)
			}
			return
		}
		for _, d := range docs {
			var s sample
			if err := d.Decode(&s); err != nil && fault.ReasonOf(err) != fault.ConfigInvalid {
				t.Fatalf("not a config error: %v", err)
			}
		}
	})
}
