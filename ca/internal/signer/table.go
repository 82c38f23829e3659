package signer

import (
	"fmt"

	"github.com/sallyport-ssh/sallyport/internal/cert"
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
	answer func(*connection, []byte) error                     // at once, or
	decode func([]byte) (id uint32, r cert.Request, err error) // to be signed
}

// table is everything that the signer can be asked. A kind that is not here
// ends the process; so does one that its connection's state does not permit.
var table = map[kind]entry{
	msgHello:       {permit: greeting, next: asking, answer: (*connection).hello},
	msgKeys:        {permit: asking, next: signing, answer: (*connection).keys},
	msgSignLogin:   {permit: signing, next: signing, decode: decodeLogin},
	msgSignSession: {permit: signing, next: signing, decode: decodeSession},
	msgSignHost:    {permit: signing, next: signing, decode: decodeHost},
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
	c.send(appendFrame(nil, msgKeysReply, &keysReplyMsg{encodeKeys(k.UserCA), encodeKeys(k.SessionCA), encodeKeys(k.HostCA)}))
	return nil
}
