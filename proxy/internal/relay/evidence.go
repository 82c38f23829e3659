package relay

import (
	"sync/atomic"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/proxy/internal/recorder"
	"github.com/sallyport-ssh/sallyport/proxy/internal/veil"
)

// stallLimit is how long one frame may take. A session whose disk hangs stands
// still until then, and ends.
const stallLimit = 10 * time.Second

// evidence is the recorder as a link uses it: every method says whether it
// worked, and when it did not, the session is ending already. A recorder that
// hangs counts as one that failed; it is not touched again.
type evidence struct {
	recorder *recorder.Recorder
	end      func(*fault.Error) // ends the session
	limit    time.Duration
	hangs    atomic.Bool
}

// do carries out one recorder call.
func (e *evidence) do(record func() error) bool {
	if e.hangs.Load() {
		return false
	}
	watch := time.AfterFunc(e.limit, func() {
		e.hangs.Store(true)
		e.end(fault.New(fault.Internal, fault.RecorderFailed, "the recording stands still, and so the session ends"))
	})
	err := record()
	watch.Stop()
	if err != nil {
		e.end(fault.Of(err))
		return false
	}
	return !e.hangs.Load()
}

func (e *evidence) opened(n uint32, o recording.Open) bool {
	return e.do(func() error { return e.recorder.Opened(n, o) })
}

func (e *evidence) requested(n uint32, r recording.Request) bool {
	return e.do(func() error { return e.recorder.Requested(n, r) })
}

func (e *evidence) answered(n uint32, a recording.Answer) bool {
	return e.do(func() error { return e.recorder.Answered(n, a) })
}

func (e *evidence) eof(n uint32, side recording.Side) bool {
	return e.do(func() error { return e.recorder.EOF(n, side) })
}

func (e *evidence) closed(n uint32, side recording.Side) bool {
	return e.do(func() error { return e.recorder.Closed(n, side) })
}

func (e *evidence) notice(n uint32, text string) bool {
	return e.do(func() error { return e.recorder.Notice(n, text) })
}

// keeper records one direction of a channel: at a terminal every byte; elsewhere
// the first of them, and the digest of all.
type keeper struct {
	e      *evidence
	append func([]byte) error
	finish func() error
}

func (e *evidence) keeper(kind recording.Kind, n uint32) keeper {
	return e.keeperOf(kind, n, e.recorder.Limits().Keep)
}

// keeperOf is keeper where another number of bytes is kept.
func (e *evidence) keeperOf(kind recording.Kind, n uint32, keep int64) keeper {
	s := e.recorder.StreamOf(kind, n, keep)
	return keeper{e, s.Append, s.Close}
}

// terminal records the directions of a channel with a terminal. What is typed
// stays under the veil until it is echoed, unless the grant wants it in clear.
func (e *evidence) terminal(n uint32) (in, out, errs keeper) {
	every := func(kind recording.Kind) keeper {
		return keeper{e, func(b []byte) error { return e.recorder.Append(kind, n, b) }, nothing}
	}
	errs = every(recording.KindStderr)
	if e.recorder.Limits().Unechoed {
		return every(recording.KindInput), every(recording.KindOutput), errs
	}
	v := veil.New(e.recorder, n)
	return keeper{e, v.Input, nothing}, keeper{e, v.Output, nothing}, errs
}

func nothing() error { return nil }

// keep records b, which may then be delivered.
func (k keeper) keep(b []byte) bool { return k.e.do(func() error { return k.append(b) }) }

// end is to be called before the end of file goes on.
func (k keeper) end() bool { return k.e.do(k.finish) }
