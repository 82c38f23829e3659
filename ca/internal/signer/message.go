package signer

import (
	"bytes"
	"fmt"
	"net/netip"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/id"
)

type helloMsg struct{ Version uint32 }

// keysReplyMsg has the CAs' keys, each list a sequence of strings, and the log's
// verifier key.
type keysReplyMsg struct {
	UserCA, SessionCA, HostCA []byte
	Log                       string
}

// loginMsg carries a cert.Login. ID is repeated in the answer.
type loginMsg struct {
	ID                      uint32
	Identity, LoginID       string
	Key                     []byte
	Serial                  uint64
	ValidAfter, ValidBefore uint64
	Source                  []string
	VerifyRequired          bool
}

// sessionMsg carries a cert.Session.
type sessionMsg struct {
	ID                      uint32
	Session, Identity       string
	Revision                uint64
	Login, Node             string
	Key                     []byte
	Serial                  uint64
	ValidAfter, ValidBefore uint64
	Source                  []string
	ForceCommand            string
	PTY                     bool
	AgentForwarding         bool
	PortForwarding          bool
}

// hostMsg carries a cert.Host.
type hostMsg struct {
	ID                      uint32
	Name, Node, Proxy       string
	Principals              []string
	Key                     []byte
	Serial                  uint64
	ValidAfter, ValidBefore uint64
}

type certificateMsg struct {
	ID   uint32
	Blob []byte
}

type refusalMsg struct {
	ID           uint32
	Reason, Text string
}

type failedMsg struct{ Reason, Text, Next string }

// unmarshal reads data into msg, and refuses what msg would not be written as.
func unmarshal(data []byte, msg any) error {
	if err := ssh.Unmarshal(data, msg); err != nil {
		return &violation{"a malformed message: " + err.Error()}
	}
	if !bytes.Equal(ssh.Marshal(msg), data) {
		return &violation{"a message that is not in its canonical form"}
	}
	return nil
}

// encodeRequest is the frame that asks for r. The CA has derived r before, so
// every name in it is one that a list can carry.
func encodeRequest(b []byte, requestID uint32, r cert.Request) ([]byte, error) {
	switch r := r.(type) {
	case cert.Login:
		return appendFrame(b, msgSignLogin, &loginMsg{
			requestID, string(r.Identity), string(r.LoginID), r.Key.Marshal(),
			uint64(r.Serial), uint64(r.ValidAfter), uint64(r.ValidBefore),
			encodeSources(r.SourceAddress), r.VerifyRequired,
		}), nil
	case cert.Session:
		return appendFrame(b, msgSignSession, &sessionMsg{
			requestID, string(r.Session), string(r.Identity), uint64(r.Revision), string(r.Login), string(r.Node),
			r.Key.Marshal(), uint64(r.Serial), uint64(r.ValidAfter), uint64(r.ValidBefore),
			encodeSources(r.SourceAddress), r.ForceCommand, r.PTY, r.AgentForwarding, r.PortForwarding,
		}), nil
	case cert.Host:
		return appendFrame(b, msgSignHost, &hostMsg{
			requestID, string(r.Name), string(r.Node), string(r.Proxy), r.Principals,
			r.Key.Marshal(), uint64(r.Serial), uint64(r.ValidAfter), uint64(r.ValidBefore),
		}), nil
	}
	return nil, fmt.Errorf("no message asks for a %T", r)
}

func decodeLogin(data []byte) (uint32, cert.Request, error) {
	var m loginMsg
	if err := unmarshal(data, &m); err != nil {
		return 0, nil, err
	}
	key, sources, err := decodeFields(m.Key, m.Source)
	return m.ID, cert.Login{
		Identity: id.Identity(m.Identity), LoginID: id.LoginID(m.LoginID), Key: key,
		Serial: id.Serial(m.Serial), ValidAfter: int64(m.ValidAfter), ValidBefore: int64(m.ValidBefore),
		SourceAddress: sources, VerifyRequired: m.VerifyRequired,
	}, err
}

func decodeSession(data []byte) (uint32, cert.Request, error) {
	var m sessionMsg
	if err := unmarshal(data, &m); err != nil {
		return 0, nil, err
	}
	key, sources, err := decodeFields(m.Key, m.Source)
	return m.ID, cert.Session{
		Session: id.Session(m.Session), Identity: id.Identity(m.Identity), Revision: int64(m.Revision),
		Login: id.Login(m.Login), Node: id.Node(m.Node), Key: key,
		Serial: id.Serial(m.Serial), ValidAfter: int64(m.ValidAfter), ValidBefore: int64(m.ValidBefore),
		SourceAddress: sources, ForceCommand: m.ForceCommand,
		PTY: m.PTY, AgentForwarding: m.AgentForwarding, PortForwarding: m.PortForwarding,
	}, err
}

func decodeHost(data []byte) (uint32, cert.Request, error) {
	var m hostMsg
	if err := unmarshal(data, &m); err != nil {
		return 0, nil, err
	}
	key, _, err := decodeFields(m.Key, nil)
	return m.ID, cert.Host{
		Name: id.NodeName(m.Name), Node: id.Node(m.Node), Proxy: id.Proxy(m.Proxy),
		Principals: m.Principals, Key: key,
		Serial: id.Serial(m.Serial), ValidAfter: int64(m.ValidAfter), ValidBefore: int64(m.ValidBefore),
	}, err
}

func decodeFields(blob []byte, sources []string) (ssh.PublicKey, []netip.Prefix, error) {
	key, err := ssh.ParsePublicKey(blob)
	if err != nil {
		return nil, nil, &violation{"a malformed key: " + err.Error()}
	}
	var list []netip.Prefix
	for _, s := range sources {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, nil, &violation{"a malformed source address"}
		}
		list = append(list, p)
	}
	return key, list, nil
}

func encodeSources(list []netip.Prefix) []string {
	var text []string
	for _, p := range list {
		text = append(text, p.String())
	}
	return text
}

func encodeKeys(keys []ssh.PublicKey) []byte {
	var b []byte
	for _, key := range keys {
		b = append(b, ssh.Marshal(struct{ Key []byte }{key.Marshal()})...)
	}
	return b
}

func decodeKeys(data []byte) ([]ssh.PublicKey, error) {
	var keys []ssh.PublicKey
	for len(data) > 0 {
		var next struct {
			Key  []byte
			Rest []byte `ssh:"rest"`
		}
		if err := ssh.Unmarshal(data, &next); err != nil {
			return nil, err
		}
		key, err := ssh.ParsePublicKey(next.Key)
		if err != nil {
			return nil, err
		}
		keys, data = append(keys, key), next.Rest
	}
	return keys, nil
}
