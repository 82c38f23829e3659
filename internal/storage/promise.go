package storage

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/id"
)

// promise is what a store was told to keep a recording for. It is stored beside
// the recording, so that every part that deletes through this package minds it;
// object lock, where there is one, minds it against everybody else. The zero
// promise keeps nothing.
type promise struct {
	Until int64 `json:"until,omitempty"` // Unix seconds
	Held  bool  `json:"held,omitempty"`  // legal hold
}

func parsePromise(b []byte) (p promise, err error) {
	if err := json.Unmarshal(b, &p); err != nil {
		// What cannot be read is taken for a hold: it was written to keep something.
		return promise{Held: true}, fmt.Errorf("read what a recording is kept for: %w", err)
	}
	return p, nil
}

func (p promise) bytes() []byte {
	b, err := json.Marshal(p)
	if err != nil {
		panic("storage: two fields do not marshal: " + err.Error())
	}
	return b
}

// retain never shortens.
func (p promise) retain(until time.Time) promise {
	p.Until = max(p.Until, until.Unix())
	return p
}

// check says whether session may be deleted now.
func (p promise) check(session id.Session, now time.Time) error {
	switch {
	case p.Held:
		return held(session, "is under legal hold")
	case now.Unix() < p.Until:
		return held(session, "is kept until %s", time.Unix(p.Until, 0).UTC().Format(time.DateOnly))
	}
	return nil
}
