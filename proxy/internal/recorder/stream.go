package recorder

import (
	"crypto/sha256"
	"hash"
	"maps"
	"slices"
	"sync"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// ahead is how many bytes one permit lets through; see recording.Bulk. A permit
// costs one small frame, 0.02 % of what it lets through.
const ahead = 1 << 20

// Stream records one direction of a channel without a terminal: the first bytes,
// up to the Dir's limit, as they are; the rest as count and SHA-256 of the whole
// direction.
type Stream struct {
	r       *Recorder
	kind    recording.Kind
	channel uint32

	mu     sync.Mutex
	sum    hash.Hash // SHA-256 of everything so far
	kept   int64
	bytes  int64
	permit int64 // so many bytes may go through before the next Bulk
	keep   int64 // the limit
	done   bool
}

// Stream starts the record of one direction of channel; kind is KindInput,
// KindOutput or KindStderr. The first bytes of it are kept, as many as the Dir is
// to keep.
func (r *Recorder) Stream(kind recording.Kind, channel uint32) *Stream {
	return r.StreamOf(kind, channel, r.limits.Keep)
}

// StreamOf is Stream where another number of bytes is kept; 0 is none.
func (r *Recorder) StreamOf(kind recording.Kind, channel uint32, keep int64) *Stream {
	s := &Stream{r: r, kind: kind, channel: channel, sum: sha256.New(), keep: keep}
	if r.dir != nil {
		r.begin(s)
	}
	return s
}

// begin remembers s until it is closed, so that Close of the recorder finds it.
func (r *Recorder) begin(s *Stream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.streams == nil {
		r.streams = map[*Stream]struct{}{}
	}
	r.streams[s] = struct{}{}
}

func (r *Recorder) forget(s *Stream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.streams, s)
}

// endStreams closes what a broken connection left: the session's end is known,
// and so is how far each direction came.
func (r *Recorder) endStreams() {
	r.mu.Lock()
	open := slices.Collect(maps.Keys(r.streams))
	r.mu.Unlock()
	for _, s := range open {
		s.Close() // an error is the recorder's own, and Close meets it next
	}
}

// Append records b, as far as it is to be kept, and returns when b may be
// delivered: the recording then holds b, or a permit that covers it and stood on
// file before. Errors are those of Recorder.Append, and final.
func (s *Stream) Append(b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return s.r.refuse("a stream that has ended")
	}
	if n := min(int64(len(b)), s.keep-s.kept); n > 0 {
		if err := s.r.Append(s.kind, s.channel, b[:n]); err != nil {
			return err
		}
		s.kept += n
		s.count(b[:n])
		s.permit = s.bytes
		b = b[n:]
	}
	if len(b) == 0 {
		return nil
	}
	if s.bytes+int64(len(b)) > s.permit {
		s.permit = s.bytes + max(ahead, int64(len(b)))
		if err := s.bulk(false); err != nil {
			return err
		}
	} else if err := s.r.Err(); err != nil {
		return err // somebody else's frame failed: nothing more may pass
	}
	s.count(b)
	return nil
}

func (s *Stream) count(b []byte) {
	s.sum.Write(b)
	s.bytes += int64(len(b))
}

// Close records the direction's end: a final Bulk, where not everything was
// kept. Call it before the end of file or the close goes on. Closing twice is
// harmless; Recorder.Close closes what is open.
func (s *Stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return nil
	}
	s.done = true
	s.r.forget(s)
	if s.kept == s.bytes {
		return nil
	}
	s.permit = s.bytes
	return s.bulk(true)
}

func (s *Stream) bulk(final bool) error {
	return s.r.event(recording.KindBulk, s.channel, recording.Bulk{
		Of: s.kind, Kept: s.kept, Bytes: s.bytes, SHA256: s.sum.Sum(nil), Ahead: s.permit - s.bytes, Final: final,
	})
}
