// Package recorder keeps the recordings of one proxy: it appends every frame to
// a file before its bytes go on, compresses in the background, and finishes at
// start what a crash left behind. The format is internal/recording's.
//
// # Security model
//
// Nothing is delivered that is not recorded: Append returns nil only after the
// kernel has the frame, so that a proxy which is killed the next moment loses
// nothing. The first error is final: every later Append of that recorder fails
// with the fault recorder_failed, and the session has to end. There is no
// recorder that discards, and the zero Recorder refuses.
//
// What a power cut takes from the page cache is not promised before Close, which
// syncs. A process that runs as the proxy's user can rewrite these files; chain,
// seal and upload are against that, and come with a later version of the format.
//
// # Cost
//
// A recorder at rest is one small struct and one open file. There is one
// goroutine and one set of encoders for a Dir, not for a recorder.
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
)

// Recorder writes one session's recording. Its methods may be called from any
// goroutine; the order in which they take the lock is the order of the frames.
type Recorder struct {
	dir     *Dir
	session id.Session
	header  recording.Header
	seed    uint32    // of header
	began   time.Time // with Go's monotonic clock: frames' times do not jump

	work sync.Mutex // held while the files are compressed or finished; before mu

	mu      sync.Mutex
	err     error    // sticky; fault recorder_failed
	tail    *os.File // nil in the zero Recorder and after Close
	size    int64    // of tail
	queued  bool     // waits to be compressed, or could not be
	next    uint64   // number of the next frame
	last    time.Duration
	channel uint32 // the last number that was given
	head    [recording.FrameHeaderSize]byte
	packed  int64                // size of the finished recording; 0 before Close
	streams map[*Stream]struct{} // open ones; nil before the first
}

// path returns the recording's file with suffix.
func (r *Recorder) path(suffix string) string {
	return filepath.Join(r.dir.path, string(r.session)+suffix)
}

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
	sum := recording.Checksum(payload)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.append(kind, channel, payload, sum)
}

// append writes one frame; r.mu is held.
func (r *Recorder) append(kind recording.Kind, channel uint32, payload []byte, sum uint32) error {
	if r.err != nil {
		return r.err
	}
	if r.tail == nil {
		return failed(os.ErrClosed)
	}
	if len(payload) > recording.MaxPayload {
		return r.fail(fmt.Errorf("frame of %d bytes is larger than the format allows", len(payload)))
	}
	now := time.Since(r.began).Truncate(time.Microsecond)
	r.last = max(r.last, now)
	f := recording.Frame{Number: r.next, At: r.last, Channel: channel, Kind: kind, Payload: payload}
	recording.PutFrameHeader(r.head[:], r.seed, &f, sum)
	err := writeBoth(r.tail, r.head[:], payload, r.size)
	if isFull(err) {
		r.dir.room.give()
		err = writeBoth(r.tail, r.head[:], payload, r.size)
	}
	if err != nil {
		return r.fail(err)
	}
	r.size += int64(recording.FrameHeaderSize + len(payload))
	r.next++
	if r.size >= tailFull && !r.queued {
		r.queued = true
		select {
		case r.dir.due <- r:
		default: // the compactor is behind, and looks for us at its next tick
		}
	}
	return nil
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
	return r.event(recording.KindRequest, channel, e)
}

// Answered records what became of an Open or a Request.
func (r *Recorder) Answered(channel uint32, e recording.Answer) error {
	return r.event(recording.KindAnswer, channel, e)
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

// Close records why the session ended and finishes the recording: when it
// returns nil, everything is in one file and on the disk. After an error the
// Dir tries again from time to time, and at its next opening. Closing twice is
// harmless.
func (r *Recorder) Close(end recording.End) error {
	if r.dir == nil {
		return failed(os.ErrClosed)
	}
	r.endStreams()
	ended, open := r.endTail(end)
	if !open {
		return nil
	}
	r.work.Lock()
	defer r.work.Unlock()
	var missing *recording.End
	if !ended {
		missing = &end
	}
	done, err := r.dir.finish(r.session, missing)
	r.mu.Lock()
	r.packed = done.size
	r.mu.Unlock()
	if err != nil {
		return failed(fmt.Errorf("finish recording of session %s: %w", r.session, err))
	}
	return nil
}

// endTail appends the last frame; ended says that it stands on file, and open is
// false when the recorder was closed before.
func (r *Recorder) endTail(end recording.End) (ended, open bool) {
	payload, err := json.Marshal(end)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tail == nil {
		return false, false
	}
	ended = err == nil && r.append(recording.KindEnd, 0, payload, recording.Checksum(payload)) == nil
	r.tail.Close()
	r.tail = nil
	return ended, true
}

// abandon closes the tail of a recorder that nobody closed.
func (r *Recorder) abandon() {
	r.work.Lock()
	defer r.work.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tail != nil {
		r.tail.Close()
		r.tail = nil
	}
}

// Size is what the finished recording takes on disk, in bytes; 0 before Close.
func (r *Recorder) Size() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.packed
}
