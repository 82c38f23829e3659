package siem

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// decode is an encoded line as a consumer reads it.
func decode(t *testing.T, f Format, index int) map[string]any {
	t.Helper()
	line, err := Encoder{f, "access.example.com/log", "1.0.0"}.Encode(nil, samples(t)[index])
	if err != nil {
		t.Fatal(err)
	}
	var o map[string]any
	if err := json.Unmarshal(line, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

func load(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// ocsfSchema is what OCSF 1.6.0 says of the classes that are used here and the
// objects in them, drawn from its published dictionary.
type ocsfSchema struct {
	Classes, Objects map[string]ocsfType
}

type ocsfType struct {
	ClassUID   int      `json:"class_uid"`
	AtLeastOne []string `json:"at_least_one"`
	Attributes map[string]struct {
		Type, Object    string
		Array, Required bool
		Enum            []int
	}
}

func TestOCSFIsByItsSchema(t *testing.T) {
	var schema ocsfSchema
	load(t, "testdata/ocsf-1.6.0.json", &schema)
	for i := range samples(t) {
		o := decode(t, OCSF, i)
		var class *ocsfType
		for _, c := range schema.Classes {
			if float64(c.ClassUID) == o["class_uid"] {
				class = &c
			}
		}
		if class == nil {
			t.Errorf("no class is %v", o["class_uid"])
			continue
		}
		for _, wrong := range schema.check("event", *class, o) {
			t.Errorf("%v: %s", o["metadata"].(map[string]any)["event_code"], wrong)
		}
		if o["type_uid"] != o["class_uid"].(float64)*100+o["activity_id"].(float64) || o["category_uid"] != math.Floor(o["class_uid"].(float64)/1000) {
			t.Errorf("the ids of %v do not fit together", o)
		}
	}
}

func (s ocsfSchema) check(where string, kind ocsfType, o map[string]any) (wrong []string) {
	say := func(format string, args ...any) { wrong = append(wrong, where+": "+fmt.Sprintf(format, args...)) }
	for name, a := range kind.Attributes {
		if _, there := o[name]; a.Required && !there {
			say("%s is required", name)
		}
	}
	if len(kind.AtLeastOne) > 0 && !slices.ContainsFunc(kind.AtLeastOne, func(name string) bool { return o[name] != nil }) {
		say("one of %v is required", kind.AtLeastOne)
	}
	for name, v := range o {
		a, known := kind.Attributes[name]
		if !known {
			say("there is no %s", name)
			continue
		}
		list := []any{v}
		if a.Array {
			var is bool
			if list, is = v.([]any); !is {
				say("%s is no list", name)
			}
		}
		for _, v := range list {
			number, isNumber := v.(float64)
			_, isText := v.(string)
			inner, isObject := v.(map[string]any)
			switch {
			case a.Object != "" && !isObject, a.Type == "string" && !isText,
				a.Type == "integer" && (!isNumber || number != math.Trunc(number)):
				say("%s is %v", name, v)
			case a.Enum != nil && !slices.Contains(a.Enum, int(number)):
				say("%s may not be %v", name, v)
			case a.Object != "" && a.Object != "object":
				wrong = append(wrong, s.check(where+"."+name, s.Objects[a.Object], inner)...)
			}
		}
	}
	return wrong
}

// ecsSchema is what ECS 9.4.0 says of the field sets that are used here, and of
// the values of its categorization fields.
type ecsSchema struct {
	Fields  map[string]string
	Allowed map[string]map[string][]string // field: value: types that are expected with it
}

func TestECSIsByItsSchema(t *testing.T) {
	var schema ecsSchema
	load(t, "testdata/ecs-9.4.0.json", &schema)
	for i := range samples(t) {
		o := decode(t, ECS, i)
		event := o["event"].(map[string]any)
		delete(o, "sallyport") // a namespace of our own, as ECS allows
		for _, wrong := range schema.check("", o) {
			t.Errorf("%v: %s", event["action"], wrong)
		}
		if _, err := time.Parse(time.RFC3339Nano, o["@timestamp"].(string)); err != nil {
			t.Error(err)
		}
		if _, ok := schema.Allowed["event.kind"][event["kind"].(string)]; !ok {
			t.Errorf("no event is of kind %v", event["kind"])
		}
		if _, ok := schema.Allowed["event.outcome"][event["outcome"].(string)]; !ok {
			t.Errorf("no event has outcome %v", event["outcome"])
		}
		var expected []string
		for _, c := range event["category"].([]any) {
			types, ok := schema.Allowed["event.category"][c.(string)]
			if !ok {
				t.Errorf("no event is of category %v", c)
			}
			expected = append(expected, types...)
		}
		for _, each := range event["type"].([]any) {
			if !slices.Contains(expected, each.(string)) {
				t.Errorf("%v: type %v is not expected in %v", event["action"], each, event["category"])
			}
		}
	}
}

func (s ecsSchema) check(path string, o map[string]any) (wrong []string) {
	for name, v := range o {
		full := path + name
		kind, known := s.Fields[full]
		if inner, is := v.(map[string]any); is && !known {
			wrong = append(wrong, s.check(full+".", inner)...)
			continue
		}
		if !known {
			wrong = append(wrong, "there is no field "+full)
			continue
		}
		list := []any{v}
		if several, is := v.([]any); is {
			list = several
		} else if strings.HasSuffix(kind, "[]") {
			wrong = append(wrong, full+" is no list")
		}
		for _, v := range list {
			_, isNumber := v.(float64)
			if wantsNumber := strings.HasPrefix(kind, "long"); wantsNumber != isNumber {
				wrong = append(wrong, fmt.Sprintf("%s is %v, which is no %s", full, v, kind))
			}
		}
	}
	return wrong
}
