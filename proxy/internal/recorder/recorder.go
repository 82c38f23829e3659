// Package recorder keeps the recordings of one proxy: it appends every frame to
// a file before its bytes go on, compresses and encrypts in the background, seals
// at the end, and finishes at start what a crash left behind. The format is
// internal/recording's.
//
// # Security model
//
// Nothing is delivered that is not recorded: Append returns nil only after the
// kernel has the frame, so that a proxy which is killed the next moment loses
// nothing. The first error is final: every later Append of that recorder fails
// with the fault recorder_failed, and the session has to end. There is no
// recorder that discards, and the zero Recorder refuses.
//
// A session's content key is drawn when it begins, stands in this process's
// memory alone, and is forgotten when its recording is finished. On disk it is
// wrapped to the recipients; frames are encrypted before they are written. So
// whoever takes the disk, or the proxy after a session's end, reads nothing of it.
// After a crash nobody here has the key: what is there is carried on as it is.
//
// What a power cut takes from the page cache is not promised before Close, which
// syncs. A process that runs as the proxy's user can change a live recording's
// files; the chain binds each frame to the one before, and what was sealed or has
// left the machine cannot be changed without notice.
//
// Nothing is sealed that was not read again, whole, from the file.
//
// # Cost
//
// A recorder at rest is a struct of some kilobytes and one open file. There is one
// goroutine and one set of encoders for a Dir, not for a recorder, and no timer.
package recorder

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// Recorder writes one session's recording. Its methods may be called from any
// goroutine; the order in which they take the lock is the order of the frames.
type Recorder struct {
	dir     *Dir
	session id.Session
	limits  Limits
	header  recording.Header // of the finished part
	began   time.Time        // with Go's monotonic clock: frames' times do not jump

	work    sync.Mutex           // held while the files are compressed or finished; before mu
	key     recording.ContentKey // of work; zero when the recording is finished
	chain   recording.Chain      // of work; how far the finished part goes
	screens Screens              // of work; nil where nobody follows the terminals

	mu      sync.Mutex
	err     error                 // sticky; fault recorder_failed
	writer  *recording.TailWriter // nil in the zero Recorder, and after the last frame
	tail    *os.File              // likewise
	size    int64                 // of tail
	oldest  time.Duration         // of the frames in tail; none where it is negative
	queued  bool                  // waits to be compressed, or could not be
	last    time.Duration
	channel uint32               // the last number that was given
	counts  counts               // for lists of sessions
	streams map[*Stream]struct{} // open ones; nil before the first
}

// none is the oldest frame of a tail without frames.
const none = time.Duration(-1)

// path returns the recording's file with suffix.
func (r *Recorder) path(suffix string) string {
	return filepath.Join(r.dir.config.Path, string(r.session)+suffix)
}

// Limits are what is to be kept of the session's files and forwards.
func (r *Recorder) Limits() Limits { return r.limits }

// Begun is what the CA is told of the recording's beginning.
func (r *Recorder) Begun() wire.RecordingStarted {
	digest := r.header.Digest()
	return wire.RecordingStarted{Header: digest[:], Started: r.header.Started.UnixMicro()}
}

// Now is the time since the session's start, as the next frame would have it.
func (r *Recorder) Now() time.Duration { return time.Since(r.began).Truncate(time.Microsecond) }

// NewChannel gives a channel its number in the recording.
func (r *Recorder) NewChannel() uint32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.channel++
	return r.channel
}

// Append writes one frame and returns when the kernel has it. Only then may the
// payload go on to its reader. The payload is not kept. Any error is of reason
// recorder_failed and final.
func (r *Recorder) Append(kind recording.Kind, channel uint32, payload []byte) error {
	_, err := r.append(kind, channel, payload)
	return err
}

// append writes one frame and returns its number.
func (r *Recorder) append(kind recording.Kind, channel uint32, payload []byte) (uint64, error) {
	buf := recordBuffer(len(payload))
	defer buf.release()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.write(buf, kind, channel, payload)
}

// write writes one frame, whose record is made in buf; r.mu is held.
func (r *Recorder) write(buf *buffer, kind recording.Kind, channel uint32, payload []byte) (uint64, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.tail == nil {
		return 0, failed(os.ErrClosed)
	}
	if len(payload) > recording.MaxPayload {
		return 0, r.fail(fmt.Errorf("frame of %d bytes is larger than the format allows", len(payload)))
	}
	now := time.Since(r.began).Truncate(time.Microsecond)
	r.last = max(r.last, now)
	f := recording.Frame{At: r.last, Channel: channel, Kind: kind, Payload: payload}
	record := r.writer.Append(buf.b[:0], &f)
	if err := r.put(record); err != nil {
		return 0, r.fail(err)
	}
	r.size += int64(len(record))
	if r.oldest == none {
		r.oldest = f.At
	}
	r.counts.frame(kind, channel, payload)
	if r.size >= tailFull && !r.queued {
		r.queued = true
		select {
		case r.dir.due <- r:
		default: // the compactor is behind, and looks for us at its next tick
		}
	}
	return f.Number, nil
}

// put writes a record behind the others, in one call; r.mu is held. Where there is
// no room it has the ballast given back and writes the same bytes to the same
// place once more: no nonce is used for anything else.
func (r *Recorder) put(record []byte) error {
	_, err := r.tail.WriteAt(record, r.size)
	if isFull(err) {
		r.dir.room.give()
		_, err = r.tail.WriteAt(record, r.size)
	}
	return err
}

// fail makes err the recorder's end; r.mu is held.
func (r *Recorder) fail(err error) error {
	r.err = failed(fmt.Errorf("record session %s: %w", r.session, err))
	return r.err
}

func failed(err error) error {
	return fault.New(fault.Internal, fault.RecorderFailed, "the session could not be recorded, and so it ends").Because(err)
}

// Opened records that somebody asked for a channel.
func (r *Recorder) Opened(channel uint32, e recording.Open) error {
	return r.event(recording.KindOpen, channel, e)
}

// Requested records a channel request, or on channel 0 a global one.
func (r *Recorder) Requested(channel uint32, e recording.Request) error {
	r.mu.Lock()
	r.counts.request(channel, e)
	r.mu.Unlock()
	return r.event(recording.KindRequest, channel, e)
}

// Answered records what became of an Open or a Request.
func (r *Recorder) Answered(channel uint32, e recording.Answer) error {
	return r.event(recording.KindAnswer, channel, e)
}

// Veiled records what a person typed on channel, under the session's veil, and
// returns the frame's number, by which Reveal lifts it.
func (r *Recorder) Veiled(channel uint32, typed []byte) (uint64, error) {
	return r.append(recording.KindVeiled, channel, typed)
}

// Reveal records in clear what the node has echoed of veiled frames of channel.
func (r *Recorder) Reveal(channel uint32, runs []recording.Run) error {
	return r.Append(recording.KindReveal, channel, recording.AppendReveal(nil, runs))
}

// File records an SFTP operation that has ended.
func (r *Recorder) File(channel uint32, e recording.FileOp) error {
	r.mu.Lock()
	r.counts.file(e)
	r.mu.Unlock()
	return r.event(recording.KindFile, channel, e)
}

// Transfer records what channel carried, at its end.
func (r *Recorder) Transfer(channel uint32, e recording.Transfer) error {
	r.mu.Lock()
	r.counts.transfer(e)
	r.mu.Unlock()
	return r.event(recording.KindTransfer, channel, e)
}

// Content records bytes of a file.
func (r *Recorder) Content(channel uint32, c recording.Content) error {
	buf := recordBuffer(len(c.Bytes))
	defer buf.release()
	return r.Append(recording.KindContent, channel, c.Append(buf.b[:0]))
}

// EOF records that side will send no more on channel.
func (r *Recorder) EOF(channel uint32, side recording.Side) error {
	return r.Append(recording.KindEOF, channel, []byte(side))
}

// Closed records that side closed channel.
func (r *Recorder) Closed(channel uint32, side recording.Side) error {
	return r.Append(recording.KindClose, channel, []byte(side))
}

// Notice records what the proxy itself says to the person on channel, 0 for a
// banner.
func (r *Recorder) Notice(channel uint32, text string) error {
	return r.Append(recording.KindNotice, channel, []byte(text))
}

func (r *Recorder) event(kind recording.Kind, channel uint32, e any) error {
	b, err := json.Marshal(e)
	if err != nil {
		return failed(err)
	}
	return r.Append(kind, channel, b)
}

// Err is why nothing more can be recorded; nil while it can.
func (r *Recorder) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// refuse makes a misuse of the recorder its end.
func (r *Recorder) refuse(what string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return r.err
	}
	return r.fail(fmt.Errorf("append to %s", what))
}
