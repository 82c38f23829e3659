package policy

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"

	"github.com/sallyport-ssh/sallyport/internal/id"
)

// subject is a Subject whose claims were read.
type subject struct {
	Subject
	claims map[string][]string
	ok     bool // whole; a subject that is not is refused everywhere
}

func readSubject(s Subject) subject {
	r := subject{Subject: s}
	if _, err := id.ParseIdentity(string(s.Identity)); err != nil {
		return r
	}
	var ok bool
	if r.claims, ok = readClaims(s.Claims); !ok {
		return r // what cannot be read might be what a role denies
	}
	r.ok = true
	return r
}

// readClaims returns the values of each claim as text: a string, a number or a
// truth value as it is, each of those in an array, nothing of objects and null.
// No claims at all are none; anything but one JSON object is not ok.
func readClaims(raw json.RawMessage) (claims map[string][]string, ok bool) {
	if len(raw) == 0 {
		return nil, true
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber() // 1e3 and 1000 are different words, as the issuer wrote them
	var object map[string]any
	if d.Decode(&object) != nil || object == nil {
		return nil, false
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, false
	}
	claims = make(map[string][]string, len(object))
	for name, v := range object {
		list, isList := v.([]any)
		if !isList {
			list = []any{v}
		}
		for _, v := range list {
			switch v := v.(type) {
			case string:
				claims[name] = append(claims[name], v)
			case json.Number:
				claims[name] = append(claims[name], v.String())
			case bool:
				claims[name] = append(claims[name], strconv.FormatBool(v))
			}
		}
	}
	return claims, true
}
