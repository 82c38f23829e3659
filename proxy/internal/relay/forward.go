package relay

import (
	"net"
	"strconv"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// Data of the opening of a forwarded connection: RFC 4254, section 7.2, and
// OpenSSH's PROTOCOL, section 2.4.
type (
	directTCPIP struct {
		Host       string
		Port       uint32
		OriginAddr string
		OriginPort uint32
	}
	directStreamlocal struct {
		Path     string
		Reserved struct {
			Text string
			Port uint32
		}
	}
)

// forwarded names a connection by its destination: what the client had the node
// connect to, or where the node took it for the client.
func forwarded(kind string, data []byte) recording.Transfer {
	t := recording.Transfer{Tool: "forward"}
	hostPort := func(host string, port uint32) string {
		return recording.Printable([]byte(net.JoinHostPort(host, strconv.FormatUint(uint64(port), 10))))
	}
	switch kind {
	case "direct-tcpip":
		var m directTCPIP
		if ssh.Unmarshal(data, &m) == nil {
			t.To = hostPort(m.Host, m.Port)
		}
	case "forwarded-tcpip":
		var m forwardedTCPIP
		if ssh.Unmarshal(data, &m) == nil {
			t.To = hostPort(m.Addr, m.Port)
		}
	case "direct-streamlocal@openssh.com":
		var m directStreamlocal
		if ssh.Unmarshal(data, &m) == nil {
			t.To = recording.Printable([]byte(m.Path))
		}
	case "forwarded-streamlocal@openssh.com":
		var m forwardedStreamlocal
		if ssh.Unmarshal(data, &m) == nil {
			t.To = recording.Printable([]byte(m.Path))
		}
	case "auth-agent@openssh.com":
		t.Tool = "agent"
	}
	return t
}
