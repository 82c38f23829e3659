package wire

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

func TestDecodeRefuses(t *testing.T) {
	const limit = 64
	for name, c := range map[string]struct {
		body   string
		reason fault.Reason
	}{
		"nothing":                            {"", fault.BadRequest},
		"an unknown field":                   {`{"node":"web-1","is_admin":true}`, fault.BadRequest},
		"a wrong type":                       {`{"node":7}`, fault.BadRequest},
		"a list":                             {`[]`, fault.BadRequest},
		"half an object":                     {`{"node":"web-1"`, fault.BadRequest},
		"two objects":                        {`{"node":"web-1"}{"node":"web-2"}`, fault.BadRequest},
		"an object and text":                 {`{"node":"web-1"} and more`, fault.BadRequest},
		"an object that is too large":        {`{"node":"` + strings.Repeat("w", limit) + `"}`, fault.TooLarge},
		"a small object and too much space":  {`{"node":"web-1"}` + strings.Repeat(" ", limit), fault.TooLarge},
		"a small object and too much beside": {`{"node":"web-1"}` + strings.Repeat("x", limit), fault.TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			var v HostCertificateRequest
			err := Decode(strings.NewReader(c.body), limit, &v)
			if fault.ReasonOf(err) != c.reason || fault.Of(err).Kind != fault.Invalid {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestDecodeTakesABodyOfExactlyItsLimit(t *testing.T) {
	body := `{"node":"web-1"}` + "\n"
	var v HostCertificateRequest
	if err := Decode(strings.NewReader(body), int64(len(body)), &v); err != nil || v.Node != "web-1" {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestAProblemHidesItsCause(t *testing.T) {
	w := httptest.NewRecorder()
	WriteProblem(w, errors.New("pq: password authentication failed for role sallyport"))
	if w.Code != 500 || strings.Contains(w.Body.String(), "password") || w.Header().Get("Content-Type") != ContentProblem {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
