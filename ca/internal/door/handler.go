package door

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// Takes is a handler that decodes a body of type In and answers with Out.
func Takes[C, In, Out any](f func(*Call[C], In) (Out, error)) Handler[C] {
	return func(w http.ResponseWriter, call *Call[C]) error {
		var in In
		if err := wire.Decode(bytes.NewReader(call.body), int64(len(call.body)), &in); err != nil {
			return err
		}
		out, err := f(call, in)
		if err != nil {
			return err
		}
		return WriteJSON(w, out)
	}
}

// Answers is a handler without a body.
func Answers[C, Out any](f func(*Call[C]) (Out, error)) Handler[C] {
	return func(w http.ResponseWriter, call *Call[C]) error {
		out, err := f(call)
		if err != nil {
			return err
		}
		return WriteJSON(w, out)
	}
}

// Nothing is the answer of calls that have none.
type Nothing struct{}

// WriteJSON writes an answer that nobody may keep.
func WriteJSON(w http.ResponseWriter, out any) error {
	w.Header().Set("Cache-Control", "no-store")
	if _, none := out.(Nothing); none {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	var data bytes.Buffer
	e := json.NewEncoder(&data)
	e.SetEscapeHTML(false) // events of the audit log are proven byte for byte
	if err := e.Encode(out); err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(data.Bytes()) // the caller is gone if it fails; there is nobody to tell
	return nil
}

// Extend gives the answer until now + d, for long polls.
func Extend(w http.ResponseWriter, d time.Duration) {
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(d))
}

// stallTimeout is how long a reader of a stream may take nothing.
const stallTimeout = 2 * time.Minute

// Stream begins an answer of unknown length. There is no end to how long it may
// take, but a caller who stops reading is dropped.
func Stream(w http.ResponseWriter, contentType string) io.Writer {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	return &stream{w, http.NewResponseController(w)}
}

type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (s *stream) Write(p []byte) (int, error) {
	s.control.SetWriteDeadline(time.Now().Add(stallTimeout))
	return s.w.Write(p)
}
