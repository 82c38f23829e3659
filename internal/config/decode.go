package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// OneOrMore is a list that may be written as a single value: `env: prod` is
// `env: [prod]`.
type OneOrMore[T any] []T

func (OneOrMore[T]) oneOrMore() {}

// Decode fills v, a pointer, from the document. Field names are those of the
// yaml tag, or the field's name in lower case; "-" is not read.
func (d Document) Decode(v any) error {
	ptr := reflect.ValueOf(v)
	if ptr.Kind() != reflect.Pointer || ptr.IsNil() {
		return fmt.Errorf("decode into %T, which is no pointer", v)
	}
	return d.value(d.body, ptr.Elem())
}

var (
	textType      = reflect.TypeFor[encoding.TextUnmarshaler]()
	checkerType   = reflect.TypeFor[Checker]()
	oneOrMoreType = reflect.TypeFor[interface{ oneOrMore() }]()
	stdDuration   = reflect.TypeFor[time.Duration]()
)

// value fills v from n and then lets it check itself.
func (d Document) value(n ast.Node, v reflect.Value) error {
	if err := d.fill(n, v); err != nil {
		return err
	}
	if !v.CanAddr() || !v.Addr().Type().Implements(checkerType) {
		return nil
	}
	err := v.Addr().Interface().(Checker).Check()
	if err == nil {
		return nil
	}
	var key atKey
	if errors.As(err, &key) {
		return Document{d.src, d.line, n}.Errorf(string(key), "%s", fault.Of(err).Text)
	}
	return d.of(n).errorf("%v", err)
}

func (d Document) fill(n ast.Node, v reflect.Value) error {
	t := v.Type()
	switch {
	case n.Type() == ast.NullType:
		return d.of(n).errorf("nothing stands here; %s is expected", kindOf(t))
	case v.Addr().Type().Implements(textType):
		return d.text(n, v.Addr().Interface().(encoding.TextUnmarshaler))
	case t.Implements(oneOrMoreType) && n.Type() != ast.SequenceType:
		v.Set(reflect.MakeSlice(t, 1, 1))
		return d.value(n, v.Index(0))
	case t == stdDuration:
		return fmt.Errorf("decode into time.Duration: use config.Duration")
	}
	switch t.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(t.Elem()))
		}
		return d.value(n, v.Elem())
	case reflect.Struct:
		return d.structure(n, v)
	case reflect.Map:
		return d.table(n, v)
	case reflect.Slice:
		return d.list(n, v)
	}
	return d.scalar(n, v)
}

// pairs returns the entries of a mapping, whose keys are plain text and differ.
func (d Document) pairs(n ast.Node, want reflect.Type) ([]*ast.MappingValueNode, error) {
	m, ok := n.(*ast.MappingNode)
	if !ok {
		return nil, d.mismatch(n, want)
	}
	seen := make(map[string]place, len(m.Values))
	for _, pair := range m.Values {
		key, ok := pair.Key.(*ast.StringNode)
		if !ok {
			return nil, d.of(pair.Key).errorf("a key is text; quote it")
		}
		if before, ok := seen[key.Value]; ok {
			return nil, d.of(key).errorf("%q was already said at line %d", key.Value, before.line)
		}
		seen[key.Value] = d.of(key)
	}
	return m.Values, nil
}

func (d Document) structure(n ast.Node, v reflect.Value) error {
	pairs, err := d.pairs(n, v.Type())
	if err != nil {
		return err
	}
	fields, names := fieldsOf(v)
	for _, pair := range pairs {
		key := pair.Key.(*ast.StringNode)
		field, ok := fields[key.Value]
		if !ok {
			return d.of(key).errorf("unknown key %q; legal here: %s", key.Value, strings.Join(names, ", "))
		}
		if pair.Value.Type() == ast.NullType {
			return d.of(key).errorf("%s has no value", key.Value)
		}
		if err := d.value(pair.Value, field); err != nil {
			return err
		}
	}
	return nil
}

// fieldsOf returns the fields by their YAML names, and the names in the order in
// which they are declared.
func fieldsOf(v reflect.Value) (map[string]reflect.Value, []string) {
	fields := map[string]reflect.Value{}
	var names []string
	for i := range v.NumField() {
		f := v.Type().Field(i)
		tag, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if !f.IsExported() || tag == "-" {
			continue
		}
		if f.Anonymous && f.Type.Kind() == reflect.Struct && (tag == "" || options == "inline") {
			inner, innerNames := fieldsOf(v.Field(i))
			for _, name := range innerNames {
				fields[name] = inner[name]
			}
			names = append(names, innerNames...)
			continue
		}
		if tag == "" {
			tag = strings.ToLower(f.Name)
		}
		fields[tag] = v.Field(i)
		names = append(names, tag)
	}
	return fields, names
}

// table fills a map with text keys. A key type that unmarshals text judges its
// keys itself.
func (d Document) table(n ast.Node, v reflect.Value) error {
	pairs, err := d.pairs(n, v.Type())
	if err != nil {
		return err
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(pairs)))
	for _, pair := range pairs {
		key := reflect.New(v.Type().Key()).Elem()
		if err := d.value(pair.Key, key); err != nil {
			return err
		}
		elem := reflect.New(v.Type().Elem()).Elem()
		if err := d.value(pair.Value, elem); err != nil {
			return err
		}
		v.SetMapIndex(key, elem)
	}
	return nil
}

func (d Document) list(n ast.Node, v reflect.Value) error {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		return d.mismatch(n, v.Type())
	}
	v.Set(reflect.MakeSlice(v.Type(), len(s.Values), len(s.Values)))
	for i, item := range s.Values {
		if err := d.value(item, v.Index(i)); err != nil {
			return err
		}
	}
	return nil
}

// mismatch is the error for a value of another kind than the field's.
func (d Document) mismatch(n ast.Node, want reflect.Type) *fault.Error {
	if want.Kind() == reflect.String && n.Type() != ast.MappingType && n.Type() != ast.SequenceType {
		return d.of(n).errorf("%s is %s; text is expected, so quote it: %q", n.GetToken().Value, describe(n), n.GetToken().Value)
	}
	return d.of(n).errorf("%s stands here; %s is expected", describe(n), kindOf(want))
}

func describe(n ast.Node) string {
	switch n.Type() {
	case ast.MappingType, ast.MappingValueType:
		return "a mapping (key: value)"
	case ast.SequenceType:
		return "a list"
	case ast.BoolType:
		return "true or false"
	case ast.IntegerType, ast.FloatType, ast.InfinityType, ast.NanType:
		return "a number"
	case ast.NullType:
		return "nothing"
	}
	return "text"
}

func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return kindOf(t.Elem())
	case reflect.Struct, reflect.Map:
		if reflect.PointerTo(t).Implements(textType) {
			return "text"
		}
		return "a mapping (key: value)"
	case reflect.Slice:
		return "a list"
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "text"
	}
	if reflect.PointerTo(t).Implements(textType) {
		return "text"
	}
	return "a number"
}
