package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// text hands a scalar, as it is written, to a type that reads text.
func (d Document) text(n ast.Node, v encoding.TextUnmarshaler) error {
	var written string
	switch n := n.(type) {
	case *ast.StringNode:
		written = n.Value
	case *ast.LiteralNode:
		written = n.Value.Value
	case *ast.MappingNode, *ast.SequenceNode:
		return d.of(n).errorf("%s stands here; a single value is expected", describe(n))
	default:
		written = n.GetToken().Value
	}
	if err := v.UnmarshalText([]byte(written)); err != nil {
		return d.of(n).errorf("%v", err)
	}
	return nil
}

// scalar fills text, truth values and numbers, each only from its like.
func (d Document) scalar(n ast.Node, v reflect.Value) error {
	written := n.GetToken().Value
	switch v.Kind() {
	case reflect.String:
		switch n := n.(type) {
		case *ast.StringNode:
			v.SetString(n.Value)
			return nil
		case *ast.LiteralNode:
			v.SetString(n.Value.Value)
			return nil
		}
	case reflect.Bool:
		if b, ok := n.(*ast.BoolNode); ok {
			v.SetBool(b.Value)
			return nil
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if n.Type() == ast.IntegerType {
			return d.number(n, setInt(v, written))
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if n.Type() == ast.IntegerType {
			return d.number(n, setUint(v, written))
		}
	case reflect.Float32, reflect.Float64:
		if n.Type() == ast.IntegerType || n.Type() == ast.FloatType {
			f, err := strconv.ParseFloat(written, v.Type().Bits())
			v.SetFloat(f)
			return d.number(n, err)
		}
	default:
		return fmt.Errorf("decode into %s: no such values in a file", v.Type())
	}
	return d.mismatch(n, v.Type())
}

func (d Document) number(n ast.Node, err error) error {
	if err != nil {
		return d.of(n).errorf("%s is not a number that is read here: %v", n.GetToken().Value, unwrapNumber(err))
	}
	return nil
}

// ambiguous refuses 0600: YAML 1.1 took it as octal, YAML 1.2 as decimal.
func ambiguous(s string) error {
	digits := strings.TrimLeft(s, "+-")
	if len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		rest := strings.TrimLeft(digits[1:], "0")
		return fmt.Errorf("write %s or 0o%s", rest, rest)
	}
	return nil
}

func setInt(v reflect.Value, s string) error {
	if err := ambiguous(s); err != nil {
		return err
	}
	i, err := strconv.ParseInt(s, 0, v.Type().Bits())
	if err == nil {
		v.SetInt(i)
	}
	return err
}

func setUint(v reflect.Value, s string) error {
	if err := ambiguous(s); err != nil {
		return err
	}
	u, err := strconv.ParseUint(s, 0, v.Type().Bits())
	if err == nil {
		v.SetUint(u)
	}
	return err
}

// unwrapNumber takes Go's function names out of a number's error.
func unwrapNumber(err error) error {
	if e, ok := err.(*strconv.NumError); ok {
		return e.Err
	}
	return err
}
