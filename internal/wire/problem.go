package wire

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"unicode"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// ContentProblem is the media type of errors (RFC 9457, section 3).
const ContentProblem = "application/problem+json"

// WriteProblem answers with err's fault. The cause stays here.
func WriteProblem(w http.ResponseWriter, err error) {
	f := fault.Of(err)
	body, _ := json.Marshal(Problem{ // strings and ints alone: cannot fail
		Type: "about:blank", Title: http.StatusText(f.Kind.Status()), Status: f.Kind.Status(),
		Detail: f.Text, Reason: string(f.Reason), Next: f.Next,
	})
	w.Header().Set("Content-Type", ContentProblem)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(f.Kind.Status())
	w.Write(body)
}

// readProblem turns an error answer back into the fault that it was.
func readProblem(resp *http.Response) error {
	var p Problem
	err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&p)
	if err != nil || p.Reason == "" {
		return fault.New(fault.Unavailable, fault.CAAway, "the CA's address answers, but not as a CA (HTTP %d)", resp.StatusCode).
			Then("is the URL right, and does a proxy stand before it?").Because(err)
	}
	return &fault.Error{Kind: fault.KindOfStatus(resp.StatusCode), Reason: fault.Reason(p.Reason), Text: printable(p.Detail), Next: printable(p.Next)}
}

// printable keeps who answers from steering the terminal on which the text ends.
// Lines stay.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// Decode reads one JSON value of at most limit bytes into v, strictly: unknown
// fields and trailing data are refused.
func Decode(r io.Reader, limit int64, v any) error {
	lr := &io.LimitedReader{R: r, N: limit + 1}
	d := json.NewDecoder(lr)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		_, err = d.Token()
		if err == io.EOF && lr.N > 0 {
			return nil
		}
		err = errors.New("more than one JSON value")
	}
	if lr.N <= 0 {
		return fault.New(fault.Invalid, fault.TooLarge, "the body is larger than %d bytes", limit)
	}
	return fault.New(fault.Invalid, fault.BadRequest, "the body is not the JSON that this path takes: %v", err)
}
