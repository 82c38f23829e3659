package proxy

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/proxy/internal/recorder"
)

// openRecordings opens the directory of recordings, finishes what a crash left
// there, and queues what the CA has not been told of it.
func (s *Server) openRecordings() error {
	keep := int64(s.config.KeepBulk)
	if keep == 0 {
		keep = -1
	}
	config := recorder.Config{
		Path: s.config.Recordings, Keep: keep, Reserve: int64(s.config.Reserve),
		Seal: s.seal, Sealed: s.reports.sealed, Screens: recorder.FollowTerminals, Log: s.log,
	}
	var err error
	if s.uploads, err = openUploads(s.config, &config, func() *recorder.Dir { return s.recordings }, s.log); err != nil {
		return err
	}
	dir, recovered, err := recorder.OpenDir(config)
	if err != nil {
		return err
	}
	for _, f := range recovered {
		switch {
		case f.Seal != nil:
			s.log.Warn("a recording was cut by a crash, and is sealed as such", "session", f.Session, "frames", f.Frames)
		case f.Lost:
			s.log.Error("a recording is lost", "session", f.Session, "end", f.End, "err", f.Err)
		default:
			s.log.Error("a recording was cut by a crash, and cannot be sealed yet", "session", f.Session, "err", f.Err)
		}
	}
	s.recordings = dir
	return s.reports.resume(dir, recovered)
}

// seal signs what the recorder says of a recording, with the host key. Who reads
// it later knows by the certificate that the key was this proxy's, so there is no
// seal while there is no valid one; the recorder tries again.
func (s *Server) seal(x recording.Statement) (*recording.Seal, error) {
	host := s.follower.trust().host
	if host == nil {
		return nil, errors.New("there is no host certificate yet")
	}
	c := host.PublicKey().(*ssh.Certificate)
	now := s.now()
	if t := uint64(now.Unix()); t < c.ValidAfter || t >= c.ValidBefore {
		return nil, fmt.Errorf("the host certificate is not valid now: it is until %s", time.Unix(int64(c.ValidBefore), 0).UTC())
	}
	x.Proxy, x.Sealed = id.Proxy(s.config.Name), now.UnixMicro()
	return x.Sign(s.keys.host, c)
}
