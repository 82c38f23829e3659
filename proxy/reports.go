package proxy

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/wire"
	"github.com/sallyport-ssh/sallyport/proxy/internal/recorder"
)

// reporters is how many reports are under way at once, of as many sessions.
const reporters = 4

// reports tells the CA what becomes of sessions: that their recording has begun,
// that they have ended, and the seal of the recording. Of one session in this
// order; and again for as long as the CA is away.
//
// From a session's end until the CA has its seal a note stands beside the
// recording, so that the next process tells what this one could not. The CA may be
// told the same twice.
type reports struct {
	ca    *wire.Client
	log   *slog.Logger
	notes *recorder.Dir // set by resume, before anything is reported
	ready chan struct{} // closed by resume

	mu    sync.Mutex
	queue []*report
	owed  map[id.Session]*note // until the CA has everything
	more  chan struct{}        // closed and replaced when the queue has more
}

// report is one call, to be made.
type report struct {
	session id.Session
	path    string
	body    any
	last    bool // nothing follows it: the CA has everything
	busy    bool // under way
}

// note is what stands beside a recording.
type note struct {
	Started *wire.RecordingStarted `json:"started,omitempty"`
	End     *wire.EndRequest       `json:"end,omitempty"`
}

func newReports(ca *wire.Client, log *slog.Logger) *reports {
	return &reports{ca: ca, log: log, ready: make(chan struct{}), owed: map[id.Session]*note{}, more: make(chan struct{})}
}

// started reports the beginning of a recording.
func (e *reports) started(x id.Session, s wire.RecordingStarted) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.owe(x).Started = &s
	e.add(&report{session: x, path: wire.PathProxyStarted, body: s})
}

// ending notes how a session ended, before its recording is finished: should the
// process die meanwhile, the next one knows.
func (e *reports) ending(x id.Session, end wire.EndRequest) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.owe(x)
	n.End = &end
	e.write(x, n)
}

// ended reports the end of a session. Without its seal, and unless it is lost,
// there is more to come.
func (e *reports) ended(x id.Session, end wire.EndRequest) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.owe(x)
	n.End = &end
	if end.Seal != nil {
		e.write(x, n)
	}
	e.add(&report{session: x, path: wire.PathProxyEnd, body: end, last: end.Seal != nil || end.Lost})
}

// sealed reports a seal that could not be made when its session ended. It waits
// for resume: the recorder may be faster.
func (e *reports) sealed(f recorder.Finished) {
	<-e.ready
	e.mu.Lock()
	end := wire.EndRequest{}
	if n := e.owed[f.Session]; n != nil && n.End != nil {
		end = *n.End
	}
	e.mu.Unlock()
	e.ended(f.Session, complete(end, f))
}

// complete puts into end what the finished recording says.
func complete(end wire.EndRequest, f recorder.Finished) wire.EndRequest {
	if end.End == "" {
		end.End = f.End
	}
	end.Bytes, end.Seal, end.Lost = f.Size, f.Seal, f.Lost
	return end
}

// without reports the end of a session that never had a recording.
func (e *reports) without(x id.Session, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.add(&report{session: x, path: wire.PathProxyEnd, last: true, body: wire.EndRequest{End: string(fault.ReasonOf(err)), Lost: true}})
}

// resume takes up what the process before left: recordings that a crash cut, and
// those of which the CA has not everything.
func (e *reports) resume(dir *recorder.Dir, recovered []recorder.Finished) error {
	e.notes = dir
	defer close(e.ready)
	notes, err := dir.Notes()
	if err != nil {
		return err
	}
	for _, f := range recovered {
		if notes[f.Session] == nil {
			notes[f.Session] = []byte{}
		}
	}
	for x, text := range notes {
		var n note
		if err := json.Unmarshal(text, &n); err != nil && len(text) > 0 {
			e.log.Warn("note of a session cannot be read", "session", x, "err", err)
		}
		i := slices.IndexFunc(recovered, func(f recorder.Finished) bool { return f.Session == x })
		switch {
		case i >= 0:
			e.again(n, recovered[i])
		case n.End != nil && n.End.Seal != nil: // it says everything
			e.again(n, recorder.Finished{Session: x, Size: n.End.Bytes, Seal: n.End.Seal})
		default:
			e.again(n, dir.Kept(x))
		}
	}
	return nil
}

// again reports all of a session.
func (e *reports) again(n note, f recorder.Finished) {
	if n.Started == nil && f.Header != nil {
		n.Started = &wire.RecordingStarted{Header: f.Header, Started: f.Started.UnixMicro()}
	}
	if n.Started != nil {
		e.started(f.Session, *n.Started)
	}
	var end wire.EndRequest
	if n.End != nil {
		end = *n.End
	}
	e.ended(f.Session, complete(end, f))
}

// pending names the sessions of which the CA has not heard the end.
func (e *reports) pending() []id.Session {
	e.mu.Lock()
	defer e.mu.Unlock()
	var names []id.Session
	for _, r := range e.queue {
		if !slices.Contains(names, r.session) {
			names = append(names, r.session)
		}
	}
	return names
}

// owe returns what x's note says; e.mu is held.
func (e *reports) owe(x id.Session) *note {
	n := e.owed[x]
	if n == nil {
		n = &note{}
		e.owed[x] = n
	}
	return n
}

// write writes x's note; e.mu is held. Where it cannot be written the report is
// still made, unless the process dies before.
func (e *reports) write(x id.Session, n *note) {
	text, err := json.Marshal(n)
	if err == nil {
		err = e.notes.Note(x, text)
	}
	if err != nil {
		e.log.Error("note of a session not written", "session", x, "err", err)
	}
}

// add queues r; e.mu is held.
func (e *reports) add(r *report) {
	e.queue = append(e.queue, r)
	close(e.more)
	e.more = make(chan struct{})
}

// run sends until ctx ends.
func (e *reports) run(ctx context.Context) {
	var all sync.WaitGroup
	for range reporters {
		all.Go(func() { e.work(ctx) })
	}
	all.Wait()
}

func (e *reports) work(ctx context.Context) {
	wait := retryMin
	for ctx.Err() == nil {
		r, more := e.take()
		if r == nil {
			select {
			case <-ctx.Done():
			case <-more:
			}
			continue
		}
		if e.send(ctx, r) {
			wait = retryMin
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, retryMax)
	}
}

// flush sends what is queued, once and one by one, until the CA is away.
func (e *reports) flush(ctx context.Context) {
	for {
		r, _ := e.take()
		if r == nil || !e.send(ctx, r) {
			return
		}
	}
}

// take returns the next report of a session that has none under way; nil where
// there is none, and more is closed when that may have changed.
func (e *reports) take() (r *report, more <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	busy := make([]id.Session, 0, reporters)
	for _, r := range e.queue {
		if slices.Contains(busy, r.session) {
			continue
		}
		if !r.busy {
			r.busy = true
			return r, nil
		}
		busy = append(busy, r.session)
	}
	return nil, e.more
}

// send makes r's call, and says whether it is done with. What the CA refuses is
// not asked again before the next start: it would say the same.
func (e *reports) send(ctx context.Context, r *report) bool {
	call, cancel := context.WithTimeout(ctx, callLimit)
	err := e.ca.Do(call, http.MethodPost, strings.Replace(r.path, "{id}", string(r.session), 1), r.body, nil)
	cancel()
	again := err != nil && away(err).Kind == fault.Unavailable
	switch {
	case again:
		e.log.Warn("the CA does not take a report", "session", r.session, "err", err)
	case err != nil:
		e.log.Error("the CA refused a report", "session", r.session, "path", r.path, "err", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	r.busy = false
	if again {
		return false
	}
	e.queue = slices.DeleteFunc(e.queue, func(q *report) bool { return q == r })
	if slices.ContainsFunc(e.queue, func(q *report) bool { return q.session == r.session }) {
		close(e.more) // its next one waited for this one
		e.more = make(chan struct{})
	} else if r.last {
		delete(e.owed, r.session)
		if err == nil {
			err = e.notes.Forget(r.session)
		}
		if err != nil {
			e.log.Warn("to be told again at the next start", "session", r.session, "err", err)
		}
	}
	return true
}
