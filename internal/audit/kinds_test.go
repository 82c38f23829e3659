package audit

import (
	"encoding/hex"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("AUDIT.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestThePageListsEveryKindOnceAndInOrder(t *testing.T) {
	_, table, _ := strings.Cut(page(t), "\n## Kinds\n")
	table, _, _ = strings.Cut(table, "\n## ")
	var listed []Kind
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(table, -1) {
		listed = append(listed, Kind(row[1]))
	}
	if !slices.Equal(listed, Kinds()) {
		t.Errorf("the page lists %q\nand the kinds are %q", listed, Kinds())
	}
}

func TestKindsAreAllThatAreDeclared(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared []Kind
	ast.Inspect(file, func(n ast.Node) bool {
		spec, is := n.(*ast.ValueSpec)
		if !is {
			return true
		}
		if name, is := spec.Type.(*ast.Ident); is && name.Name == "Kind" {
			text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			declared = append(declared, Kind(text))
		}
		return true
	})
	if !slices.Equal(declared, Kinds()) {
		t.Errorf("declared %q\nKinds() %q", declared, Kinds())
	}
}

func TestThePageExplainsEveryFieldAndNoOther(t *testing.T) {
	text := page(t)
	_, table, _ := strings.Cut(text, "\n### Fields\n")
	table, _, _ = strings.Cut(table, "\n## ")
	var explained []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]+`) \\| (.*) \\|$").FindAllStringSubmatch(table, -1) {
		for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(row[1], -1) {
			explained = append(explained, name[1])
			field, known := fields(reflect.TypeFor[Event]())[name[1]]
			if !known {
				t.Errorf("%s is no field of an event", name[1])
				continue
			}
			for inner := field; inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice || inner.Kind() == reflect.Struct; inner = inner.Elem() {
				if inner.Kind() != reflect.Struct {
					continue
				}
				for part := range fields(inner) {
					if !strings.Contains(row[2], "`"+part+"`") {
						t.Errorf("%s of %s is not explained", part, name[1])
					}
				}
				break
			}
		}
	}
	for name := range fields(reflect.TypeFor[Event]()) {
		if !slices.Contains(explained, name) {
			t.Errorf("%s is not explained", name)
		}
	}
}

// fields are those of a struct by their names in JSON.
func fields(s reflect.Type) map[string]reflect.Type {
	all := map[string]reflect.Type{}
	for f := range s.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		all[name] = f.Type
	}
	return all
}

func TestThePagesExampleIsALeafWithItsHash(t *testing.T) {
	text := page(t)
	leaf := regexp.MustCompile(`(?m)^    (\{.*\})$`).FindStringSubmatch(text)
	hash := regexp.MustCompile(`(?m)^    ([0-9a-f]{64})$`).FindStringSubmatch(text)
	if leaf == nil || hash == nil {
		t.Fatal("the page has no example")
	}
	event, err := Entry{Leaf: []byte(leaf[1])}.Event()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := event.Leaf(); err != nil || string(again) != leaf[1] {
		t.Errorf("%v\nwritten: %s\non the page: %s", err, again, leaf[1])
	}
	sum := LeafHash([]byte(leaf[1]))
	if got := hex.EncodeToString(sum[:]); got != hash[1] {
		t.Errorf("its hash is %s", got)
	}
}
