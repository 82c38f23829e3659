package recording

import (
	"encoding/binary"
	"net/netip"
	"strconv"
)

// What stands in the raw data of requests and opens, for people and exporters.
// A recording may hold data that its peer made up; what cannot be read is shown
// as it is and is no damage.

// fields reads SSH's data types (RFC 4251, section 5) one after another. Past the
// end, bad is set and values are zero.
type fields struct {
	rest []byte
	bad  bool
}

func (f *fields) uint32() uint32 {
	if len(f.rest) < 4 {
		f.rest, f.bad = nil, true
		return 0
	}
	v := binary.BigEndian.Uint32(f.rest)
	f.rest = f.rest[4:]
	return v
}

func (f *fields) string() string {
	n := f.uint32()
	if uint64(n) > uint64(len(f.rest)) {
		f.rest, f.bad = nil, true
		return ""
	}
	s := string(f.rest[:n])
	f.rest = f.rest[n:]
	return s
}

// Size is the terminal's size in characters that a pty-req (RFC 4254, section
// 6.2) or a window-change (6.7) gives. ok is false for any other request, and for
// sizes that no terminal has.
func (r Request) Size() (columns, rows int, ok bool) {
	f := fields{rest: r.Data}
	switch r.Type {
	case "pty-req":
		f.string()
	case "window-change":
	default:
		return 0, 0, false
	}
	columns, rows = int(f.uint32()), int(f.uint32())
	return columns, rows, !f.bad && columns > 0 && rows > 0 && columns <= maxTerminal && rows <= maxTerminal
}

// maxTerminal is more columns or rows than any terminal has.
const maxTerminal = 10000

// Terminal is the value of TERM in a pty-req, "" in any other request.
func (r Request) Terminal() string {
	if r.Type != "pty-req" {
		return ""
	}
	f := fields{rest: r.Data}
	return f.string()
}

// Command is what an exec request runs or a subsystem request names; ok is false
// for any other request.
func (r Request) Command() (command string, ok bool) {
	if r.Type != "exec" && r.Type != "subsystem" {
		return "", false
	}
	f := fields{rest: r.Data}
	command = f.string()
	return command, !f.bad
}

// ExitStatus is what an exit-status request says (RFC 4254, section 6.10).
func (r Request) ExitStatus() (status uint32, ok bool) {
	f := fields{rest: r.Data}
	status = f.uint32()
	return status, r.Type == "exit-status" && !f.bad
}

// ExitSignal is the signal's name in an exit-signal request, without SIG.
func (r Request) ExitSignal() (name string, ok bool) {
	f := fields{rest: r.Data}
	name = f.string()
	return name, r.Type == "exit-signal" && !f.bad
}

// String is the request in one line. What a peer wrote is quoted where it would
// not print as it is.
func (r Request) String() string {
	f := fields{rest: r.Data}
	s := r.Type
	switch r.Type {
	case "pty-req":
		term := f.string()
		s += " " + Quote(term) + " " + strconv.Itoa(int(f.uint32())) + "x" + strconv.Itoa(int(f.uint32()))
	case "window-change":
		s += " " + strconv.Itoa(int(f.uint32())) + "x" + strconv.Itoa(int(f.uint32()))
	case "exec", "subsystem", "signal", "exit-signal":
		s += " " + Quote(f.string())
	case "env":
		s += " " + Quote(f.string()+"="+f.string())
	case "exit-status":
		s += " " + strconv.Itoa(int(f.uint32()))
	case "tcpip-forward", "cancel-tcpip-forward": // RFC 4254, section 7.1
		s += " " + hostPort(&f)
	case "streamlocal-forward@openssh.com", "cancel-streamlocal-forward@openssh.com": // OpenSSH's PROTOCOL, 2.4
		s += " " + Quote(f.string())
	}
	if f.bad {
		return r.Type + " with malformed data"
	}
	return s
}

// String is what was asked for, in one line.
func (o Open) String() string {
	f := fields{rest: o.Data}
	s := o.Type
	switch o.Type {
	case "direct-tcpip": // RFC 4254, section 7.2
		s += " to " + hostPort(&f)
	case "forwarded-tcpip":
		s += " at " + hostPort(&f) + " from " + hostPort(&f)
	case "direct-streamlocal@openssh.com": // OpenSSH's PROTOCOL, 2.4
		s += " to " + Quote(f.string())
	case "forwarded-streamlocal@openssh.com":
		s += " at " + Quote(f.string())
	}
	if f.bad {
		return o.Type + " with malformed data"
	}
	return s
}

func hostPort(f *fields) string {
	host, port := f.string(), strconv.Itoa(int(f.uint32()))
	if a, err := netip.ParseAddr(host); err == nil && a.Is6() {
		return "[" + host + "]:" + port
	}
	return Quote(host) + ":" + port
}

// Quote quotes s unless it prints as it is: a terminal must not be commanded by
// what somebody once sent.
func Quote(s string) string {
	q := strconv.QuoteToGraphic(s)
	if s != "" && q == `"`+s+`"` {
		return s
	}
	return q
}
