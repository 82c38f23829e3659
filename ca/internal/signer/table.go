package signer

import (
	"fmt"

	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// state is how far a connection has come. The zero state permits only the
// greeting.
type state uint8

const (
	greeting state = iota
	asking
	signing
)

// entry says in which one state a request is permitted, and to which it leads.
type entry struct {
	permit state
	next   state
	answer func(*connection, []byte) error // at once, or
	sign   func(*connection, []byte) error // by one of several, while the next is read
}

// table is everything that the signer can be asked. A kind that is not here
// ends the process; so does one that its connection's state does not permit.
var table = map[kind]entry{
	msgHello:          {permit: greeting, next: asking, answer: (*connection).hello},
	msgKeys:           {permit: asking, next: signing, answer: (*connection).keys},
	msgSignLogin:      {permit: signing, next: signing, sign: certificate(decodeLogin)},
	msgSignSession:    {permit: signing, next: signing, sign: certificate(decodeSession)},
	msgSignHost:       {permit: signing, next: signing, sign: certificate(decodeHost)},
	msgSignCheckpoint: {permit: signing, next: signing, sign: (*connection).checkpoint},
}

// violation is what ends the process.
type violation struct{ what string }

func (v *violation) Error() string { return "the CA sent " + v.what }

func (c *connection) hello(data []byte) error {
	var m helloMsg
	if err := unmarshal(data, &m); err != nil {
		return err
	}
	if m.Version != protocolVersion {
		return &violation{fmt.Sprintf("version %d of the protocol, and not %d", m.Version, protocolVersion)}
	}
	c.send(appendFrame(nil, msgHelloReply, &helloMsg{protocolVersion}))
	return nil
}

func (c *connection) keys(data []byte) error {
	if len(data) > 0 {
		return &violation{"a request for keys with something in it"}
	}
	k := c.engine.public
	c.send(appendFrame(nil, msgKeysReply, &keysReplyMsg{encodeKeys(k.UserCA), encodeKeys(k.SessionCA), encodeKeys(k.HostCA), k.Log}))
	return nil
}

// certificate answers a request for one.
func certificate(decode func([]byte) (id uint32, r cert.Request, err error)) func(*connection, []byte) error {
	return func(c *connection, data []byte) error {
		requestID, r, err := decode(data)
		if err != nil {
			return err
		}
		signed, err := c.engine.sign(r)
		if err != nil {
			c.refuse(requestID, string(r.Profile()), err)
			return nil
		}
		c.send(appendFrame(nil, msgCertificate, &certificateMsg{requestID, signed}))
		return nil
	}
}

// checkpoint answers a request for the log's next one.
func (c *connection) checkpoint(data []byte) error {
	requestID, old, next, proof, err := decodeCheckpoint(data)
	if err != nil {
		return err
	}
	note, last, err := c.engine.tree.sign(old, next, proof)
	switch {
	case err != nil:
		c.refuse(requestID, "checkpoint", err)
	case note == nil:
		c.send(appendFrame(nil, msgLastSize, &lastSizeMsg{requestID, uint64(last)}))
	default:
		c.send(appendFrame(nil, msgNote, &noteMsg{requestID, note}))
	}
	return nil
}

func (c *connection) refuse(requestID uint32, what string, err error) {
	f := fault.Of(err)
	c.engine.log.Warn("refused", "profile", what, "reason", f.Reason, "error", err)
	c.send(appendFrame(nil, msgRefusal, &refusalMsg{requestID, string(f.Reason), f.Text}))
}
