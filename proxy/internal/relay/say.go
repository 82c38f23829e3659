package relay

import (
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/proxy/internal/voice"
)

// stderrWriter writes the node's stderr to the client, never beside the proxy's
// own words.
type stderrWriter struct{ s *session }

func (w stderrWriter) Write(b []byte) (int, error) {
	<-w.s.stderr // endOutput comes after this flow's end
	defer func() { w.s.stderr <- struct{}{} }()
	return w.s.down.Stderr().Write(b)
}

// say tells the client something on stderr, recorded as the proxy's own words as
// long as there is a recorder to take them. It waits tellLimit at most for a
// client that does not read, and says nothing after the end of file.
func (s *session) say(text string) {
	s.l.evidence.notice(s.n, text) // if it fails, that is what is being said
	said := make(chan struct{})
	s.l.work.Go(func() {
		defer close(said)
		select {
		case <-s.over:
		case <-s.stderr:
			s.down.Stderr().Write([]byte(text))
			s.stderr <- struct{}{}
		}
	})
	select {
	case <-said:
	case <-time.After(tellLimit):
	}
}

// dismiss ends the session channel in the proxy's own name: a text, an exit
// status, the close. Of several that come at once, a channel's limit of time and
// its connection's, the first is told, and all return when it was.
func (s *session) dismiss(f *fault.Error) {
	s.dismissed.Do(func() {
		s.say(voice.Text(f, s.isRaw()))
		s.sendRefusal()
		s.down.Close()
	})
}

// cut ends the channel on both sides: dismiss leaves it to the client to close,
// and here nobody is to be trusted with that.
func (s *session) cut(f *fault.Error) {
	s.l.Log.Warn("channel ends", "channel", s.n, "reason", f.Reason, "err", f)
	s.dismiss(f)
	s.up.Close()
}

func (s *session) isRaw() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.raw
}
