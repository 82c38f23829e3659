package proxy

import (
	"net"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/proxy/internal/sshwire"
	"github.com/sallyport-ssh/sallyport/proxy/internal/voice"
)

// turnDown tells a client that was not let in why, if not too many are being
// told already.
func (s *Server) turnDown(nc net.Conn, f *fault.Error) {
	select {
	case s.farewells <- struct{}{}:
		defer func() { <-s.farewells }()
	default:
		nc.Close()
		return
	}
	nc.SetDeadline(time.Now().Add(farewellTime))
	nc.Write([]byte(sshwire.Version + "\r\n"))
	farewell(nc, sshwire.TooManyConnections, voice.Line(f))
}

// farewellTime is how long a client that was told to go may stay.
const farewellTime = 5 * time.Second

// farewell tells text to a client that has been greeted and with which no key
// was exchanged, and closes. Not before the client does, for a moment, and
// without closing our half first: whoever finds the connection closed while it
// still wants to write (ssh sends its own half of the key exchange, through the
// pipe of a ProxyCommand even) complains of that and never reads the text.
func farewell(nc net.Conn, reason uint32, text string) {
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(farewellTime))
	if sshwire.Disconnect(nc, reason, text) != nil {
		return
	}
	var sink [512]byte
	for range 64 {
		if _, err := nc.Read(sink[:]); err != nil {
			return
		}
	}
}
